"""Folders for what an import unpacks or copies: they lie in the installation, so that an erasure finds what a killed import left.

In the system's folder for temporary files nobody would: which one that is, is up to the environment of each process.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from uuid import uuid4

FOLDER = "unpacked"
"""Name of the folder in an installation."""

_ROOT: ContextVar[Path | None] = ContextVar("root", default=None)


@contextlib.contextmanager
def within(root: Path | None) -> Iterator[None]:
    """Let `scratch` make its folders in this one; None: among the system's temporary files, as for who has no installation."""
    before = _ROOT.get()
    _ROOT.set(root)
    try:
        yield
    finally:
        _ROOT.set(before)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Yield a folder of its own, removed afterwards; one that a kill left goes with the next, see `sweep`."""
    from filelock import FileLock

    root = _ROOT.get()
    if root is None:
        with tempfile.TemporaryDirectory(prefix="memory-import-") as folder:
            yield Path(folder)
        return
    sweep(root)
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = root / uuid4().hex
    # Locked before it is there: whoever sweeps sees that it is in use, in whatever container it runs.
    with FileLock(_lock(made)):
        made.mkdir(mode=0o700)
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)
            _lock(made).unlink(missing_ok=True)


def sweep(root: Path) -> int:
    """Remove the folders that nobody uses any more; return how many."""
    from filelock import FileLock, Timeout

    removed = 0
    for folder in root.glob("*"):
        if not folder.is_dir():
            continue
        with contextlib.suppress(Timeout, OSError), FileLock(_lock(folder), timeout=0):
            shutil.rmtree(folder, ignore_errors=True)
            removed += not folder.exists()
            _lock(folder).unlink(missing_ok=True)
    return removed


def _lock(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")
