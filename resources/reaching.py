"""Whether the interaction store can be used: what its drivers say when it cannot, and how long is waited for it.

What was given may be refused (a value out of range, an immutable entry): that is an error as before. Here is what says that the
store itself is gone, locked, damaged, full, read-only or not listening, as one kind of error and one sentence.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from records.errors import StoreUnreachable

PATIENCE_S = 30.0
"""Seconds that a lock of another program is waited for, where nobody waits for an answer."""

CONNECT_S = 3
"""Seconds for a connection to PostgreSQL. Without a limit a host that drops packets is waited for two minutes."""

UNHEARD_MS = 10_000
"""Milliseconds after which a connection is given up whose other end acknowledges nothing."""

_patience: ContextVar[float] = ContextVar("memory_store_patience", default=PATIENCE_S)

SQLITE = {
    3: "it cannot be opened: see who may read and write it",
    5: "another program holds it: try again when that is done",
    6: "another program holds it: try again when that is done",
    8: "it can only be read: make the file and its folder writable",
    10: "its disk fails: see whether it is there",
    11: "it is damaged: put a backup of it in its place",
    13: "its disk is full: make room",
    14: "see whether its folder and disk are there",
    15: "another program holds it: try again when that is done",
    26: "it is damaged: put a backup of it in its place",
}
"""SQLite's primary result codes that speak of the file and not of what was asked, and what to do about each."""

POSTGRES = ("08", "28", "3D", "40", "53", "55", "57", "58", "XX")
"""Classes of PostgreSQL's SQLSTATE that speak of the server: connections, rights, resources, locks, its end, its own errors."""

READ_ONLY = "25006"
NOT_THERE = "42P01"


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Let what is asked of the store in here, on this thread, wait for locks at most so long."""
    token = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(token)


def patience() -> float:
    """Return for how many seconds a lock is waited for."""
    return _patience.get()


def patience_ms() -> int:
    """Return the same in milliseconds."""
    return int(1000 * _patience.get())


def connect_arguments(url: sa.URL) -> dict[str, Any]:
    """Return what a driver is told about waiting, but for what the URL says itself."""
    if url.get_backend_name() != "postgresql" or url.get_driver_name() not in ("psycopg", "psycopg2"):
        return {}
    given = {"connect_timeout": CONNECT_S, "tcp_user_timeout": UNHEARD_MS}
    return {name: value for name, value in given.items() if name not in url.query}


def adbc_url(url: sa.URL) -> str:
    """Return the URL as ADBC's driver takes it, with the same limits."""
    query: dict[str, str] = {}
    if "connect_timeout" not in url.query:
        query["connect_timeout"] = str(CONNECT_S)
    if patience() < PATIENCE_S and "options" not in url.query:
        query["options"] = f"-c lock_timeout={patience_ms()} -c statement_timeout={patience_ms()}"
    rendered = url.set(drivername="postgresql").update_query_dict(query).render_as_string(hide_password=False)
    server, mark, said = rendered.partition("?")
    return f"{server}{mark}{said.replace('+', '%20')}"  # libpq reads a plus sign as one


def is_away(error: BaseException) -> bool:
    """Return whether an error says that the store cannot be used now, not that it refused what it was given."""
    if isinstance(error, sa.exc.DBAPIError):
        return error.connection_invalidated or (error.orig is not None and is_away(error.orig))
    if isinstance(error, StoreUnreachable | OSError | sa.exc.TimeoutError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in SQLITE or "no such table" in str(error)
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if state:
        return state[:2] in POSTGRES or state in (READ_ONLY, NOT_THERE)
    return type(error).__name__ in ("OperationalError", "InterfaceError")  # of a driver: no connection, so no state


def unreachable(url: sa.URL, error: BaseException) -> StoreUnreachable:
    """Return the error in one sentence: which store, why, and what to do."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, StoreUnreachable):
        return cause
    said = str(cause).strip().splitlines()
    reason = said[0].strip() if said else type(cause).__name__
    if url.get_backend_name() == "sqlite":
        code = getattr(cause, "sqlite_errorcode", None)
        todo = SQLITE.get(code & 0xFF if code is not None else 14, SQLITE[14])
    elif getattr(cause, "sqlstate", None) == READ_ONLY:
        todo = "it is a standby or read-only: name the primary in store_url"
    else:
        todo = "see whether the server runs and takes connections"
    return StoreUnreachable(f"the {url.get_backend_name()} store cannot be opened: {reason}; {todo}")


def guard(engine: sa.Engine) -> None:
    """Make an engine say so in one sentence when the store is away, bound its waiting, and notice a SQLite file that went."""
    url = engine.url

    def in_one_sentence(context: Any) -> StoreUnreachable | None:
        error = context.original_exception
        # A file that is damaged was told of before.
        told = context.is_pre_ping or isinstance(getattr(context, "chained_exception", None), StoreUnreachable)
        return None if told or not is_away(error) else unreachable(url, error)

    sa.event.listen(engine, "handle_error", in_one_sentence)
    if url.get_backend_name() == "postgresql":
        sa.event.listen(engine, "begin", _postgres_begin)
    elif is_file(url):
        _watch(engine, Path(str(url.database)))


def is_file(url: sa.URL) -> bool:
    """Return whether a store is a SQLite file that has a path."""
    return (
        url.get_backend_name() == "sqlite"
        and bool(url.database)
        and url.database != ":memory:"
        and not str(url.database).startswith("file:")
    )


def _postgres_begin(connection: sa.Connection) -> None:
    if patience() < PATIENCE_S:
        limit = patience_ms()
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {limit}; SET LOCAL statement_timeout = {limit}")


def _watch(engine: sa.Engine, path: Path) -> None:
    """Open the file anew when another lies in its place, and no new one where it was: what went there would be lost.

    SQLite goes on with a file that was deleted or unmounted as long as it has it open.
    """
    opened = False

    def before(*_: Any) -> None:
        if opened and not path.exists():
            raise unreachable_file(path)

    def noted(_connection: Any, record: Any) -> None:
        nonlocal opened
        record.info["file"] = _identity(path)
        opened = True

    def still_there(_connection: Any, record: Any, _proxy: Any) -> None:
        if record.info.get("file") != _identity(path):
            raise sa.exc.DisconnectionError

    sa.event.listen(engine, "do_connect", before)
    sa.event.listen(engine, "connect", noted)
    sa.event.listen(engine, "checkout", still_there)


def unreachable_file(path: Path) -> StoreUnreachable:
    """Return what is said of a SQLite file that was there and is not any more."""
    return StoreUnreachable(f"the sqlite store cannot be opened: {path} is gone; {SQLITE[14]}")


def _identity(path: Path) -> tuple[int, ...] | None:
    """Return what changes when another file lies there, or somebody wrote over it.

    SQLite itself writes into it when the log is written back, which is seldom; a connection is opened in half a millisecond. The
    file must not be opened here to look at it: closing it would give back the locks that SQLite holds in this process.
    """
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
