"""What was expensive to compute, under plugin fingerprint and input hash: an interrupted run does not pay twice."""

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import numpy as np

from resources.sqlite_damage import is_corrupt, remove_database
from resources.store import chunks

T = TypeVar("T")


SPARE_BYTES = 1 << 20
"""Free space that the file may keep; more of it, and more than what is held, is given back."""


class Memo:
    """A small SQLite file of blobs; safe from several processes. One that is damaged is removed and begun anew: nothing is lost but time.

    Args:
        committing: What a step of a run writes is written inside of it, see `resources.fence`.
    """

    def __init__(
        self, path: Path, committing: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    ) -> None:
        self.path = path
        self._committing = committing

    def get(self, fingerprint: str, inputs: Sequence[str]) -> dict[str, bytes]:
        """Return input hash to value for those that are known."""

        def read(connection: sqlite3.Connection) -> dict[str, bytes]:
            found: dict[str, bytes] = {}
            query = "SELECT input, value FROM memo WHERE fingerprint = ? AND input IN "
            for batch in chunks(inputs):
                found.update(connection.execute(f"{query}({','.join('?' * len(batch))})", [fingerprint, *batch]))
            return found

        return self._on_file(read) if self.path.exists() else {}

    def known(self, fingerprint: str, inputs: Sequence[str]) -> list[str]:
        """Return the input hashes that are known, without their values."""

        def read(connection: sqlite3.Connection) -> list[str]:
            query = "SELECT input FROM memo WHERE fingerprint = ? AND input IN "
            return [
                key
                for batch in chunks(inputs)
                for (key,) in connection.execute(f"{query}({','.join('?' * len(batch))})", [fingerprint, *batch])
            ]

        return self._on_file(read) if self.path.exists() else []

    def put(self, fingerprint: str, values: dict[str, bytes]) -> None:
        """Keep values, in one transaction.

        Raises:
            ErasedMeanwhile: what they were made of may have been erased.
        """

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT OR REPLACE INTO memo VALUES (?, ?, ?)",
                [(fingerprint, key, value) for key, value in values.items()],
            )
            connection.execute("COMMIT")

        with self._committing():
            self._on_file(write)

    def drop(self, fingerprint: str, inputs: Sequence[str]) -> None:
        """Forget values that now stand elsewhere."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            for batch in chunks(inputs):
                connection.execute(
                    f"DELETE FROM memo WHERE fingerprint = ? AND input IN ({','.join('?' * len(batch))})",
                    [fingerprint, *batch],
                )
            connection.execute("COMMIT")
            _give_back(connection)

        if self.path.exists():
            self._on_file(write)

    def clear(self, keep: Sequence[str] = ()) -> None:
        """Forget everything: answers of language models quote, and nothing in them says whom.

        Args:
            keep: Fingerprints under which nothing of a text is kept.
        """
        marks = ",".join("?" * len(keep))

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(f"DELETE FROM memo WHERE fingerprint NOT IN ({marks})", list(keep))

        if self.path.exists():
            self._on_file(write)

    def scrub(self) -> None:
        """Let no page of the file hold what was forgotten."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

        if self.path.exists():
            self._on_file(write)

    def get_vectors(self, fingerprint: str, inputs: Sequence[str]) -> dict[str, np.ndarray]:
        """Return input hash to float32 vector for those that are known."""
        return {key: np.frombuffer(value, dtype=np.float32) for key, value in self.get(fingerprint, inputs).items()}

    def put_vectors(self, fingerprint: str, inputs: Sequence[str], vectors: np.ndarray) -> None:
        """Keep vectors."""
        self.put(
            fingerprint,
            {
                key: np.ascontiguousarray(row, dtype=np.float32).tobytes()
                for key, row in zip(inputs, vectors, strict=True)
            },
        )

    def _on_file(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the file; with a new one, if it turns out to be damaged."""
        try:
            with contextlib.closing(self._connect()) as connection:
                return action(connection)
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise
        remove_database(self.path)
        with contextlib.closing(self._connect()) as connection:
            return action(connection)

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=60, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            # Each time: another process may have begun the file anew.
            connection.execute(
                "CREATE TABLE IF NOT EXISTS memo (fingerprint TEXT NOT NULL, input TEXT NOT NULL, value BLOB NOT NULL, "
                "PRIMARY KEY (fingerprint, input)) WITHOUT ROWID"
            )
        except sqlite3.Error:
            connection.close()
            raise
        return connection


def _give_back(connection: sqlite3.Connection) -> None:
    """Write the file anew when most of it is free: it would keep the size of the largest run for ever (one sync of a whole memory
    holds each of its vectors here until it is committed). What is written is what is held, less than what was freed.
    """
    free, pages, size = (
        connection.execute(f"PRAGMA {what}").fetchone()[0] for what in ("freelist_count", "page_count", "page_size")
    )
    if free * size > SPARE_BYTES and free > pages // 2:
        with contextlib.suppress(sqlite3.OperationalError):  # another process is at it: the next drop does it
            connection.execute("PRAGMA busy_timeout = 1000")
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
