"""The warehouse: one DuckDB file with real tables only, built aside and published by rename.

A notebook that has the file open keeps what it opened; whoever opens it next sees the new one; nobody sees a half.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from records.errors import DamagedError, StoreError
from resources.files import ASIDE, aside_of

CLOSED = ("enable_external_access", "autoinstall_known_extensions", "autoload_known_extensions")
"""Settings of DuckDB that let a query reach beyond its file."""

READS_ONLY: dict[str, Any] = {**dict.fromkeys(CLOSED, "false"), "lock_configuration": "true"}

SMALL_BLOCK, LARGE_BLOCK = 16_384, 262_144
SMALL_BLOCKS_TO = 32 << 20
"""Bytes of a published file from which on the next one has DuckDB's default blocks. A column of a table takes a block at least:
the models of 500 messages took 4.7 MB, with the smallest blocks 0.4 MB. Two million rows are written twice as fast in large ones."""


class Warehouse:
    """The published file and how it is replaced.

    Args:
        path: The published file.
        keep: Earlier versions kept beside it, as ``analytics.1.duckdb`` (the last one), ``analytics.2.duckdb``, …
    """

    def __init__(self, path: Path, keep: int = 3) -> None:
        self.path = path
        self.keep = keep

    @contextlib.contextmanager
    def build(
        self,
        *,
        from_published: bool,
        committing: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> Iterator[tuple[Any, "Publication"]]:
        """Yield a connection to a file aside and the publication to confirm.

        The file replaces the published one when the block ends and ``publication.confirm()`` was called; otherwise it is
        removed and nothing has changed. One builder at a time: others wait.

        Args:
            from_published: Start from the published tables, to replace some of them; ask `is_damaged` first.
            committing: Entered while the file is published; what it raises leaves everything as it was.
        """
        import duckdb
        from filelock import FileLock

        self.path.parent.mkdir(parents=True, exist_ok=True)
        publication = Publication()
        with FileLock(self.path.with_name(f".{self.path.name}.lock")):
            for leftover in self.path.parent.glob(f".{self.path.name}.*{ASIDE}*"):
                leftover.unlink()  # of a killed builder: the lock says that none is at work
            aside = aside_of(self.path)
            if from_published and self.path.exists():
                shutil.copyfile(self.path, aside)
            try:
                config: dict[str, Any] = {
                    "threads": min(4, os.cpu_count() or 1),
                    "default_block_size": self._block_size(),
                }
                connection = duckdb.connect(str(aside), config=config)
                try:
                    connection.execute("SET TimeZone = 'UTC'")
                    connection.execute("SET enable_progress_bar = false")
                    yield connection, publication
                    if publication.confirmed:
                        connection.execute("CHECKPOINT")
                finally:
                    connection.close()
                if publication.confirmed:
                    with aside.open("rb+") as handle:
                        os.fsync(handle.fileno())
                    with committing():
                        self._rotate()
                        os.replace(aside, self.path)
            finally:
                aside.unlink(missing_ok=True)
                aside.with_name(aside.name + ".wal").unlink(missing_ok=True)

    def _block_size(self) -> int:
        """Return the size of the blocks of a new file, by that of the published one (see `SMALL_BLOCKS_TO`)."""
        large = self.path.exists() and self.path.stat().st_size > SMALL_BLOCKS_TO
        return LARGE_BLOCK if large else SMALL_BLOCK

    def _rotate(self) -> None:
        """Keep the published file as version 1; a hard link, so that it never leaves its place."""
        if not self.path.exists() or self.keep == 0:
            return
        for number in range(self.keep, 1, -1):
            older = self.version(number - 1)
            if older.exists():
                os.replace(older, self.version(number))
        first = self.version(1)
        first.unlink(missing_ok=True)
        os.link(self.path, first)

    def version(self, number: int) -> Path:
        """Return the path of a kept version, 1 being the last one."""
        return self.path.with_name(f"{self.path.stem}.{number}{self.path.suffix}")

    def files(self) -> list[Path]:
        """Return the published file and every version kept beside it."""
        return [self.path, *sorted(self.path.parent.glob(f"{self.path.stem}.*{self.path.suffix}"))]

    def connect(self) -> Any:
        """Return a connection that reads the published file, and nothing else: no other file, no write, no extension, no network.

        Raises:
            StoreError: nothing was published yet, or another program holds the file.
            DamagedError: it cannot be opened.
        """
        import duckdb

        if not self.path.exists():
            raise StoreError(
                f"{self.path} does not exist yet: materialize the analytics first (memory materialize --all)"
            )
        try:
            return duckdb.connect(str(self.path), read_only=True, config=READS_ONLY)
        except duckdb.IOException as error:
            if _is_held(error):
                raise StoreError(
                    f"{self.path} is held by another program, which opened it for writing: close it there, or open it "
                    "there with read_only=True"
                ) from None
            raise DamagedError(self.path.name) from None
        except duckdb.Error:
            raise DamagedError(self.path.name) from None

    @contextlib.contextmanager
    def reading(self) -> Iterator[Any]:
        """Yield a connection as `connect` returns it.

        Raises:
            DamagedError: it cannot be opened, or a query came upon a part that cannot be read.
        """
        import duckdb

        with contextlib.closing(self.connect()) as connection:
            try:
                yield connection
                return
            except (
                duckdb.ParserException,
                duckdb.BinderException,
                duckdb.CatalogException,
                duckdb.PermissionException,
            ):
                raise
            except duckdb.Error:  # of a check sum it says so in the plainest of its classes
                connection.close()
                if not self.is_damaged():
                    raise
        raise DamagedError(self.path.name)

    def is_damaged(self, path: Path | None = None) -> bool:
        """Return whether a file, by default the published one, cannot be read whole; one that was never published is not damaged.

        Cost: every column of every table is read once; DuckDB has check sums, and counts without looking at them.
        """
        import duckdb

        path = self.path if path is None else path
        if not path.exists():
            return False
        try:
            with contextlib.closing(duckdb.connect(str(path), read_only=True, config=READS_ONLY)) as connection:
                tables = connection.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall()
                for schema, table in tables:
                    connection.execute(f'SELECT bit_xor(hash(COLUMNS(*))) FROM "{schema}"."{table}"').fetchall()
        except duckdb.Error as error:
            return not _is_held(error)
        return not tables


def _is_held(error: Exception) -> bool:
    """Return whether another program holds the file: that it says "lock", while "block" is said of a check sum."""
    return re.search(r"\block\b", str(error), re.IGNORECASE) is not None


class Publication:
    """Whether what was built may replace what is published."""

    def __init__(self) -> None:
        self.confirmed = False

    def confirm(self) -> None:
        """Say that every check passed."""
        self.confirmed = True
