"""What Dagster is told of an error: its class and place. What a library or a plugin says in it may be somebody's words.

Dagster keeps errors of steps, checks, sensors and schedules in its databases, where no erasure reaches, and all of them become
`SerializableErrorInfo` by one function; it is replaced here. The whole text goes to a file of the installation (``errors/``),
readable by its owner only, which an erasure removes. Sentences of this project's own errors hold no values and stay.
"""

import contextlib
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from dagster import DagsterError
from dagster_shared.error import SerializableErrorInfo

from records.errors import MemoryAssetsError
from resources.fence import Fence
from resources.files import ERRORS

_kept_for: list[tuple[Path, Fence]] = []
"""The installation whose errors are kept; of several in one process, the one that was opened last."""


def keep_private(home: Path, fence: Fence) -> None:
    """Let errors of this process be told to Dagster without their words, which are kept under ``home``.

    Args:
        fence: Tells whether what they speak of may have been erased by now; then they are kept nowhere.
    """
    _kept_for[:] = [(home, fence)]
    SerializableErrorInfo.from_traceback = classmethod(_told)  # type: ignore[method-assign, assignment]


def _told(cls: type[SerializableErrorInfo], raised: traceback.TracebackException) -> SerializableErrorInfo:
    foreign = any(not _is_own(one) for one in _chain(raised))
    return _info(cls, raised, _kept(raised) if foreign else "")


def _info(cls: type[SerializableErrorInfo], raised: traceback.TracebackException, kept: str) -> SerializableErrorInfo:
    name = raised.exc_type.__name__ if raised.exc_type is not None else "Exception"
    message = "".join(raised.format_exception_only()) if _is_own(raised) else f"{name} at {_place(raised)}{kept}\n"
    cause, context = raised.__cause__, None if raised.__suppress_context__ else raised.__context__
    return cls(
        message=message,
        stack=[f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}\n" for frame in raised.stack],
        cls_name=name,
        cause=_info(cls, cause, kept) if cause is not None else None,
        context=_info(cls, context, kept) if context is not None else None,
    )


def _chain(raised: traceback.TracebackException | None) -> Iterator[traceback.TracebackException]:
    while raised is not None:
        yield raised
        raised = raised.__cause__ or (None if raised.__suppress_context__ else raised.__context__)


def _is_own(raised: traceback.TracebackException) -> bool:
    """Return whether an error is one of this project, or of Dagster, whose words are about the graph."""
    return raised.exc_type is not None and issubclass(raised.exc_type, MemoryAssetsError | DagsterError)


def _place(raised: traceback.TracebackException) -> str:
    """Return where it was raised: file, line and function."""
    if not raised.stack:
        return "an unknown place"
    last = raised.stack[-1]
    return f"{Path(last.filename).name}:{last.lineno} in {last.name}"


def _kept(raised: traceback.TracebackException) -> str:
    """Write the whole text of an error down; return how Dagster is told where, nothing if it cannot be written."""
    from sqlalchemy.exc import SQLAlchemyError

    if not _kept_for:
        return ""
    home, fence = _kept_for[0]
    folder = home / ERRORS
    path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid4().hex[:8]}.txt"
    with contextlib.suppress(OSError, MemoryAssetsError, SQLAlchemyError), fence.committing():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_text("".join(raised.format()), encoding="utf-8", errors="replace")
        return f" (its words: {ERRORS}/{path.name} in the installation)"
    return ""
