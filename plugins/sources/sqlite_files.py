"""SQLite files of other programs: recognised by their first bytes, and read without changing a byte of them or beside them."""

import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from plugins.sources.reading import checked
from plugins.sources.scratch import scratch
from records.errors import SourceError

T = TypeVar("T")

MAGIC = b"SQLite format 3\x00"
BESIDE = ("-wal", "-journal")
"""Files beside a database that hold what is not in it yet, or what must be undone in it."""

LARGEST_VALUE = 1 << 26
"""Bytes of one value: a view may make more of a few letters than there is memory."""

FEW_STEPS, STEPS_A_BYTE, STEPS_AT_ONCE = 300_000_000, 200, 100_000
"""Steps of the database's own machine that a file may cost, beside some for each byte of it; a row takes about 50."""

FEW_ROWS, FEWEST_BYTES = 1_000, 8
"""Rows that a table may have beside one for so many bytes of its file: one whose pages lead to each other, or a view, has no end."""

Tables = Mapping[str, tuple[str, ...]]
"""Name of each table, in lower case, to the names of its columns as they are written."""


def is_sqlite(path: Path) -> bool:
    """Return whether a file is a SQLite database, whatever it is called."""
    try:
        with path.open("rb") as handle:
            return handle.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def tables_of(path: Path) -> Tables:
    """Return the tables of a file; none where it is no database, or none that can be opened."""
    if not is_sqlite(path):
        return {}
    try:
        with opened(path) as connection:
            return tables(connection)
    except SourceError:
        return {}


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database for reading only; nothing is locked or written, neither the file nor a journal beside it.

    A database whose program did not close it is copied first: what stands in its journal counts, and only a copy may be changed.

    Raises:
        SourceError: it is missing or empty, no SQLite database, damaged, or encrypted.
    """
    if not is_sqlite(checked(path)):
        raise SourceError(f"{path.name}: no SQLite database")
    with ExitStack() as while_open:
        try:
            connection = _connection(path, while_open)
        except (sqlite3.Error, OSError):
            raise SourceError(f"{path.name}: the database cannot be opened") from None
        # A text that is not UTF-8 is no reason to lose the rest.
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        connection.row_factory = sqlite3.Row
        _guard(connection, path)
        try:
            yield connection
        except (sqlite3.Error, UnicodeDecodeError) as error:  # names of damaged columns are no text
            if "interrupted" in str(error) or "too big" in str(error):
                raise SourceError(f"{path.name}: the database holds more than a file of its size can") from None
            raise SourceError(f"{path.name}: the database is damaged, encrypted or truncated") from None
        finally:
            connection.close()


def _guard(connection: sqlite3.Connection, path: Path) -> None:
    """Limit what a database may compute: what a view does, or how often pages lead to each other, is up to who made it."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
    left = (FEW_STEPS + STEPS_A_BYTE * path.stat().st_size) // STEPS_AT_ONCE

    def is_enough() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    connection.set_progress_handler(is_enough, STEPS_AT_ONCE)


def no_more_than_fit(rows: Iterable[T], size: int | None, name: str) -> Iterator[T]:
    """Yield the rows of a table in a file of so many bytes; all of them where that is not known.

    Raises:
        SourceError: there are more than such a file can hold.
    """
    for number, row in enumerate(rows):
        if size is not None and number > FEW_ROWS + size // FEWEST_BYTES:
            raise SourceError(f"{name}: more rows than a file of {size} bytes can hold")
        yield row


def size_of(connection: sqlite3.Connection) -> int:
    """Return the bytes that a database has with all of its pages."""
    pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(pages) * int(size)


def _connection(path: Path, while_open: ExitStack) -> sqlite3.Connection:
    journals = [journal for end in BESIDE if (journal := Path(f"{path}{end}")).is_file() and journal.stat().st_size]
    if not journals:
        # Without `immutable`, a database in WAL mode gets two files beside it even when it is only read.
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    folder = while_open.enter_context(scratch())
    copy = folder / path.name
    shutil.copyfile(path, copy)
    for journal in journals:
        shutil.copyfile(journal, folder / journal.name)
    return sqlite3.connect(copy)


def tables(connection: sqlite3.Connection) -> Tables:
    """Return the tables of a database; views are none, for a stranger's view may run anything."""
    query = (
        "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c "
        "WHERE m.type = 'table' AND m.sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY m.name, c.cid"
    )
    found: dict[str, tuple[str, ...]] = {}
    for table, column in connection.execute(query):
        found[str(table).lower()] = (*found.get(str(table).lower(), ()), str(column))
    return found


def rows_of(connection: sqlite3.Connection, table: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table, one at a time, in the order they were written; names of columns in lower case, bytes as text."""
    name = '"' + table.replace('"', '""') + '"'
    cursor = connection.execute("SELECT * FROM " + name)
    columns = [str(column[0]).lower() for column in cursor.description]
    for row in no_more_than_fit(cursor, size_of(connection), table):
        values = (value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in row)
        yield dict(zip(columns, values, strict=True))
