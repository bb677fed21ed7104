"""Tables of databases: one message or one exchange a row.

SQLite files are opened for reading only, and never created; any other database is reached through SQLAlchemy. Which column means
what does not belong here (see `plugins.sources.tables.columns`).
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.sqlite_files import no_more_than_fit, opened
from plugins.sources.tables.columns import Taken, checked_columns, notes_of
from plugins.sources.tables.table_rows import TableRows
from records.errors import SourceError
from records.names import nearest

if TYPE_CHECKING:
    import sqlalchemy as sa

BATCH = 2_500
"""Rows read at a time; an exchange is two messages."""

LISTED = 20
"""Tables that an error lists."""


class _Table(NamedTuple):
    """A table or view: its schema, its columns and those of them that number its rows."""

    name: str
    schema: str | None
    columns: list[str]
    key: list[str]
    is_numbered: bool


class Database(Source):
    """A table or view of any database that SQLAlchemy reaches.

    Rows come in the order of a numeric key, else in that of their times, else as SQLite keeps them; where nothing tells their
    order, their place says nothing.
    """

    name = "sql"
    general = True
    in_order = False

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches of the table named by ``--table``, read with a server-side cursor where there is one.

        Raises:
            SourceError: the database or the table cannot be read; the message holds no password.
        """
        import sqlalchemy as sa

        with _engine(target) as engine:
            try:
                yield from self._read(engine, options)
            except sa.exc.SQLAlchemyError as error:
                raise SourceError(f"the database cannot be read: {_cause(error)}") from None

    def _read(self, engine: "sa.Engine", options: SourceOptions) -> Iterator[SourceBatch]:
        import sqlalchemy as sa

        table = _table(engine, options)
        taken = checked_columns(table.columns, options.columns, table.name)
        # Without types: what the database holds is not what its columns promise.
        selected = sa.table(table.name, *(sa.column(name) for name in table.columns), schema=table.schema)
        ordered, alone = _order(engine, table, taken, selected)
        with engine.connect().execution_options(stream_results=True, max_row_buffer=BATCH) as connection:
            total, size = _size(connection, selected, ordered)
            wanted = [taken[name] for name in ("occurred_at", "rating") if name in taken]
            wanted += [taken.hour] if taken.hour is not None else []
            looked = sa.select(*(selected.c[name] for name in wanted)).order_by(*ordered)
            found = no_more_than_fit(connection.execute(looked).mappings() if wanted else (), size, table.name)
            rows = TableRows(options, self.name, table.name, ((dict(row), taken) for row in found))
            notes, number = [*notes_of([taken], table.name, options.at), *rows.notes], 0
            every = connection.execute(sa.select(selected).order_by(*ordered)).mappings()
            read = no_more_than_fit(every, size, table.name)
            while part := list(itertools.islice(read, BATCH)):
                batch = SourceBatch(notes=notes)
                for row in part:
                    number += 1
                    for said in rows.of(dict(row), taken, number):
                        # The answer of an exchange follows what was asked, whatever order the rows have.
                        is_answer = bool(batch.rows) and batch.rows[-1]["line"] == number
                        batch.rows.append({**said, "alone": True} if alone and not is_answer else said)
                batch.rows = rows.batch(batch.rows)
                batch.rejects += rows.refused()
                batch.done = min(1.0, number / total) if total else 0.0
                yield batch
                notes = []
            if not number:
                raise SourceError(f"{table.name}: no rows")
            yield SourceBatch(notes=rows.last_notes())


@contextmanager
def _engine(target: str) -> Iterator["sa.Engine"]:
    """Open a database; a SQLite file must be there, and is not changed.

    Raises:
        SourceError: there is no such file, driver or server.
    """
    import sqlalchemy as sa

    try:
        url = sa.engine.make_url(target)
    except (sa.exc.ArgumentError, ValueError):
        raise SourceError(
            "this is no URL of a database; write e.g. sqlite:///chat.db or postgresql://user@host/name"
        ) from None
    if url.get_backend_name() == "sqlite":
        with opened(_file(url.database)) as connection:
            connection.row_factory = None
            engine = sa.create_engine("sqlite://", creator=lambda: connection, poolclass=sa.pool.StaticPool)
            yield engine
        return
    try:
        engine = sa.create_engine(url)
    except (sa.exc.SQLAlchemyError, ImportError, TypeError, ValueError):
        raise SourceError(f"no driver for {url.drivername} is installed; install one, or write another URL") from None
    try:
        yield engine
    finally:
        engine.dispose()


def _file(database: str | None) -> Path:
    """Return the file of a SQLite URL, whose form may itself be a ``file:`` URI.

    Raises:
        SourceError: it names none.
    """
    from urllib.parse import unquote

    if not database or database == ":memory:":
        raise SourceError("a SQLite database in memory is empty; name a file: sqlite:///chat.db")
    if database.startswith("file:"):
        database = unquote(database.removeprefix("file:").partition("?")[0])
    return Path(database)


def _table(engine: "sa.Engine", options: SourceOptions) -> _Table:
    """Return the table that was asked for.

    Raises:
        SourceError: it is not there, or none was named; the message lists those that are.
    """
    import sqlalchemy as sa

    try:
        inspector = sa.inspect(engine)
        tables = [*inspector.get_table_names(), *inspector.get_view_names()]
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        raise SourceError(f"the database cannot be opened: {_cause(error)}; check the URL") from None
    listed = ", ".join(tables[:LISTED]) + (f" and {len(tables) - LISTED} more" if len(tables) > LISTED else "")
    wanted = options.table
    if wanted is None:
        raise SourceError(
            f"a database needs --table TABLE (and --map text=COLUMN … where names differ); there are {listed or 'none'}"
        )
    schema = None
    if wanted not in tables and "." in wanted:
        schema, _, wanted = wanted.rpartition(".")
        tables = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
    if wanted not in tables:
        hint = nearest(wanted, tables, 1)
        meant = f" (did you mean {hint[0]!r}?)" if hint else ""
        raise SourceError(f"no table {options.table!r}; there are {listed or 'none'}{meant}")
    columns = inspector.get_columns(wanted, schema)
    key = list(inspector.get_pk_constraint(wanted, schema).get("constrained_columns") or [])
    numbers = {column["name"] for column in columns if isinstance(column["type"], sa.Integer)}
    return _Table(wanted, schema, [column["name"] for column in columns], key, bool(key) and key[-1] in numbers)


def _order(engine: "sa.Engine", table: _Table, taken: Taken, selected: "sa.TableClause") -> tuple[list[Any], bool]:
    """Return by what rows are ordered, and whether that says nothing of what came after what."""
    import sqlalchemy as sa

    key = [selected.c[name] for name in table.key]
    if table.is_numbered:
        return key, False
    rowid: list[Any] = (
        [sa.literal_column("rowid")] if engine.dialect.name == "sqlite" and _has_rowid(engine, selected) else []
    )
    if rowid:
        return rowid, False
    by_time = [selected.c[taken[name]] for name in ("occurred_at", "turn") if name in taken]
    if "occurred_at" in taken:
        return [*by_time, *key], False
    return key, True


def _size(connection: "sa.Connection", selected: "sa.TableClause", ordered: list[Any]) -> tuple[int | None, int | None]:
    """Return how many rows a table has about, and the bytes of its file; None where nobody knows.

    A stranger's SQLite file is not counted: its pages, or a view, may lead round in a circle.
    """
    import sqlalchemy as sa

    if connection.dialect.name != "sqlite":
        return connection.execute(sa.select(sa.func.count()).select_from(selected)).scalar_one(), None
    pages, size = (connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("page_count", "page_size"))
    last: Any = None
    if [str(column) for column in ordered] == ["rowid"]:
        last = connection.execute(sa.select(sa.func.max(ordered[0])).select_from(selected)).scalar()
    return last if isinstance(last, int) and last > 0 else None, pages * size


def _has_rowid(engine: "sa.Engine", selected: "sa.TableClause") -> bool:
    import sqlalchemy as sa

    try:
        with engine.connect() as connection:
            found: Any = connection.execute(
                sa.select(sa.literal_column("rowid")).select_from(selected).limit(1)
            ).first()
            return found is not None and isinstance(found[0], int)
    except sa.exc.SQLAlchemyError:
        return False


def _cause(error: Exception) -> str:
    """Return what went wrong, without the URL and what it may hold."""
    kind = type(getattr(error, "orig", None) or error).__name__
    told = str(getattr(error, "orig", "") or "").lower()
    if "locked" in told:
        return "it is locked by another program; close that first"
    if "interrupted" in told or "too big" in told:
        return "it holds more than a file of its size can"
    if "not a database" in told or "encrypted" in told or "malformed" in told:
        return "it is damaged, encrypted or no database"
    return kind
