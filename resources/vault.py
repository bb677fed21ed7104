"""The vault: what each surrogate stands for, sealed; kept only where `vault` is set, and forgotten with the messages."""

import base64
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from records.errors import DamagedError, StoreError
from resources.sqlite_damage import is_corrupt
from resources.store import chunks

Replaced = tuple[str, str, str]
"""Kind, original, surrogate."""


class Vault:
    """A SQLite file with one sealed row per interaction; without the key in ``keys/vault.key`` it says nothing.

    Args:
        path: The file; it may lie on another disk than the installation.
        key: 32 bytes.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        from cryptography.fernet import Fernet

        self.path = path
        self._seal = Fernet(base64.urlsafe_b64encode(key))

    def put(self, replaced: dict[str, list[Replaced]]) -> None:
        """Keep what was replaced in interactions, in place of what was kept of them before; in one transaction."""
        rows = [
            (interaction, self._seal.encrypt(json.dumps(items).encode()) if items else b"")
            for interaction, items in replaced.items()
        ]
        with self._open() as connection:
            connection.executemany("INSERT OR REPLACE INTO vault VALUES (?, ?)", rows)
            connection.execute("DELETE FROM vault WHERE sealed = x''")

    def reveal(self, interaction: str) -> list[Replaced]:
        """Return what was replaced in an interaction, in the order of the text.

        Raises:
            StoreError: the row was sealed with another key.
            DamagedError: the file cannot be read.
        """
        from cryptography.fernet import InvalidToken

        with self._open() as connection:
            row = connection.execute("SELECT sealed FROM vault WHERE interaction_id = ?", [interaction]).fetchone()
        if row is None:
            return []
        try:
            return [(kind, original, new) for kind, original, new in json.loads(self._seal.decrypt(row[0]))]
        except InvalidToken:
            raise StoreError(f"{self.path} was sealed with another key than the one in the keys folder") from None

    def drop(self, interactions: Sequence[str]) -> int:
        """Forget interactions; deleted pages are overwritten. Return how many were there."""
        if not self.path.exists():
            return 0
        gone = 0
        with self._open() as connection:
            for batch in chunks(interactions):
                marks = ",".join("?" * len(batch))
                gone += connection.execute(f"DELETE FROM vault WHERE interaction_id IN ({marks})", batch).rowcount
        return gone

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            self.path.touch(mode=0o600)
        connection = sqlite3.connect(self.path, timeout=60, isolation_level=None)
        try:
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS vault (interaction_id TEXT PRIMARY KEY, sealed BLOB NOT NULL) WITHOUT ROWID"
            )
            yield connection
            connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if is_corrupt(error):
                raise DamagedError(self.path.name) from None
            raise
        finally:
            connection.close()
