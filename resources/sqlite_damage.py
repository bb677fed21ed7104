"""Telling a damaged SQLite file from one that is busy, full or not to be opened."""

import contextlib
import sqlite3
from pathlib import Path


def is_corrupt(error: BaseException | None) -> bool:
    """Return whether SQLite says that the file is malformed, or no database at all."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def remove_database(path: Path) -> None:
    """Remove a database with its journal."""
    for end in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def is_whole(path: Path) -> bool:
    """Return whether every page of a file holds together, tables and indexes; cost: one pass over it, and a look-up per row."""
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=60)) as connection:
            return bool(connection.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok")
    except sqlite3.DatabaseError as error:
        if not is_corrupt(error):
            raise
        return False
