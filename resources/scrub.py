"""Making databases give up the bytes of deleted rows."""

import sqlite3
from pathlib import Path

import sqlalchemy as sa

from records.errors import StoreUnreachable
from resources.store import InteractionStore

STATISTICS = "pg_catalog.pg_statistic"
"""Where PostgreSQL's planner keeps samples of values."""

PATIENCE_S = 20.0
"""Seconds that a transaction which still sees the old state is waited for."""

BLOCKED_S = 2.0
"""Seconds that others wait behind PostgreSQL's lock of a table, before it is tried again."""


def scrub_store(store: InteractionStore, patience_s: float = PATIENCE_S) -> bool:
    """Let no page of the store hold what was deleted; return whether none does.

    SQLite's file is written anew and its journal emptied; PostgreSQL's tables and indexes are written anew, and what its planner
    remembered of their values. Neither can be done as long as another transaction sees the state before; then what is left is
    done the next time. PostgreSQL's own write-ahead log and backups are kept as long as its administrator says.
    """
    if store.is_sqlite:
        store.engine.dispose()
        return _scrub(Path(str(store.url.database)), patience_s)
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        return _unseen(connection, patience_s) and _written_anew(connection, store, patience_s)


def _scrub(path: Path, patience_s: float) -> bool:
    connection = sqlite3.connect(path, timeout=patience_s, isolation_level=None)
    try:
        connection.execute("VACUUM")
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError:  # locked, or a disk without room for a second copy
        return False
    finally:
        connection.close()
    return not busy


def _unseen(connection: sa.Connection, patience_s: float) -> bool:
    """Wait until no transaction sees what was deleted before now; return whether none does."""
    now = connection.execute(sa.text("SELECT pg_current_xact_id()::xid::text")).scalar_one()
    seen = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_xmin IS NOT NULL AND age(backend_xmin) > age(CAST(:now AS xid))"
    )
    for _ in range(max(1, int(patience_s / 0.2))):
        if not connection.execute(seen, {"now": now}).scalar_one():
            return True
        connection.execute(sa.text("SELECT pg_sleep(0.2)"))
    return False


def _written_anew(connection: sa.Connection, store: InteractionStore, patience_s: float) -> bool:
    connection.execute(sa.text(f"SET lock_timeout = '{int(BLOCKED_S * 1000)}ms'"))
    waits = max(1, int(patience_s / BLOCKED_S))
    left = [STATISTICS, *(f'"{table.name}"' for table in store.meta.tables.values())]
    try:
        while left:
            if left[-1] == STATISTICS and not _unseen(connection, patience_s):
                return False  # somebody, as PostgreSQL's own ANALYZE, sees the samples that were replaced just now
            try:
                if left[-1] == STATISTICS:
                    connection.execute(sa.text(f"VACUUM (FULL) {STATISTICS}"))
                else:
                    connection.execute(sa.text(f"VACUUM (FULL, ANALYZE) {left[-1]}"))
                    _without_samples(connection, left[-1])
                left.pop()
            except (sa.exc.DBAPIError, StoreUnreachable) as error:
                if not _is_locked(error):
                    if left[-1] == STATISTICS:
                        break  # only who owns the database may
                    raise
                waits -= 1
                if waits <= 0:
                    return False
    finally:
        connection.execute(sa.text("RESET lock_timeout"))
    return True


def _without_samples(connection: sa.Connection, table: str) -> None:
    """Drop what the planner knows of a table that is empty: ANALYZE leaves that as it was, with values of rows that are gone."""
    known = sa.text(
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation::regcollation::text "
        "FROM pg_stats s JOIN pg_attribute a ON a.attname = s.attname AND a.attrelid = CAST(:table AS regclass) "
        "WHERE s.schemaname = current_schema() AND s.tablename = :name ORDER BY a.attnum"
    )
    columns = connection.execute(known, {"table": table, "name": table.strip('"')}).all()
    if columns and not connection.execute(sa.text(f"SELECT EXISTS (SELECT FROM {table})")).scalar_one():
        # A new type drops them, be it the same one; nobody but a superuser may delete them.
        same = (
            f'ALTER "{name}" TYPE {kind}' + (f" COLLATE {order}" if order != "-" else "")
            for name, kind, order in columns
        )
        connection.execute(sa.text(f"ALTER TABLE {table} {', '.join(same)}"))


def _is_locked(error: BaseException | None) -> bool:
    """Return whether PostgreSQL gave up waiting for a lock, or would have waited for ever."""
    while error is not None:
        state = getattr(error, "sqlstate", None) or getattr(getattr(error, "orig", None), "sqlstate", None)
        if state in ("55P03", "40P01"):
            return True
        error = error.__cause__ or error.__context__
    return False
