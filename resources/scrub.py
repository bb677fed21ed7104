"""Making databases give up the bytes of deleted rows."""

import sqlite3
from pathlib import Path

import sqlalchemy as sa

from resources.store import InteractionStore


def scrub_store(store: InteractionStore) -> None:
    """Let no page of the store hold what was deleted.

    SQLite's file is written anew and its journal emptied. PostgreSQL frees the rows for reuse; its own write-ahead log and backups
    are kept as long as its administrator says.
    """
    if store.is_sqlite:
        store.engine.dispose()
        _scrub(Path(str(store.url.database)))
        return
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in store.meta.tables.values():
            connection.execute(sa.text(f'VACUUM "{table.name}"'))


def empty_journal(store: InteractionStore) -> None:
    """Let SQLite's journal hold nothing of what was written before."""
    if store.is_sqlite:
        store.engine.dispose()
        _scrub(Path(str(store.url.database)), vacuum=False)


def _scrub(path: Path, *, vacuum: bool = True) -> None:
    connection = sqlite3.connect(path, timeout=60, isolation_level=None)
    try:
        if vacuum:
            connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
