"""Writing so that a file is whole or not there, and reading what lies in it as a hash."""

import contextlib
import os
import time
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from resources.processes import begun

if TYPE_CHECKING:
    import polars as pl


ERRORS = "errors"
"""Folder of an installation for what failures of runs said."""

ASIDE = ".aside"
"""End of the name of what is being written; before it stands who writes it."""


@contextlib.contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path``; when the block ends well it is flushed to disk and renamed over ``path``.

    A kill leaves at most a file named by `aside_of`, which `sweep_asides` removes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = aside_of(path)
    try:
        yield aside
        with aside.open("rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def aside_of(path: Path) -> Path:
    """Return where this process writes what is to become ``path``: ``.<name>.<pid>-<start>.<hex>.aside``."""
    pid = os.getpid()
    return path.with_name(f".{path.name}.{pid}-{begun(pid)}.{uuid4().hex[:8]}{ASIDE}")


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, whole or not at all."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_frame(path: Path, frame: "pl.DataFrame") -> None:
    """Write a frame to ``path`` as Parquet, whole or not at all."""
    with written_aside(path) as aside:
        frame.write_parquet(aside, compression="zstd")


def bytes_hash(data: bytes) -> str:
    """Return what `file_hash` says of a file with this content."""
    return blake2b(data, digest_size=16).hexdigest()


def file_hash(path: Path) -> str:
    """Return the 32 hex characters of a file's BLAKE2b digest."""
    digest = blake2b(digest_size=16)
    with path.open("rb") as handle:
        while chunk := handle.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def sweep_asides(folder: Path, older_than_s: float = 3600.0, *, within: bool = True) -> int:
    """Remove what killed writers left, of processes that are gone; of other machines' when it is an hour old. Return how many.

    Args:
        within: Whether folders in the folder are looked at, too.
    """
    removed = 0
    for leftover in folder.rglob(f".*{ASIDE}*") if within else folder.glob(f".*{ASIDE}*"):
        with contextlib.suppress(FileNotFoundError):
            pid, _, ticks = leftover.name.partition(ASIDE)[0].rpartition(".")[0].rpartition(".")[2].partition("-")
            gone = pid.isdigit() and begun(int(pid)) != ticks
            if leftover.is_file() and (gone or time.time() - leftover.stat().st_mtime > older_than_s):
                leftover.unlink()
                removed += 1
    return removed
