"""The interaction store: what was said, the source of truth, on SQLite (WAL) or PostgreSQL by one code path."""

import contextlib
import itertools
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from records.errors import ErasedMeanwhile, StoreDamaged, StoreError
from records.ids import content_id
from records.store import Messages, Sessions, SpeakerNames, Speakers
from resources import reaching
from resources.fence import generation
from resources.merging import merged, message_added
from resources.sqlite_damage import is_corrupt
from resources.tables import VERSION_TABLE, store_metadata

BATCH = 5_000  # rows per INSERT statement group: below SQLite's and PostgreSQL's parameter limits at 17 columns
WAL_PAGES = 16_000
"""Pages after which SQLite's log is written back, 64 MB: ids are hashes, so that a batch touches most pages of their index."""

WAL_LEFT = 4 * 2**20
"""Bytes of the log that stay on disk afterwards."""

CACHE_KB = 65_536
"""Pages that a SQLite connection may keep: with the default of 2 MB the indexes of a million messages are read again all the time."""

PARAMETERS = 32_766
"""Of one statement of SQLite, its limit: Python can do other things while a statement runs, hardly between many short ones."""

SQLITE_TIME = "%Y-%m-%d %H:%M:%S.%6f"
"""How SQLAlchemy writes a moment in UTC into SQLite."""

MIGRATIONS = Path(__file__).parent / "migrations"
IDS = 900  # ids per IN list: SQLite allows 999 variables in its oldest supported build


def newest_revision() -> str:
    """Return the last of the migrations: their files are named after their revisions, which are numbers."""
    return max(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*.py")).partition("_")[0]


class InteractionStore:
    """Sessions, messages, core memory, sync state, feedback, rejects and registries behind one SQLAlchemy URL."""

    def __init__(self, url: str) -> None:
        try:
            self.url = sa.engine.make_url(url)
        except sa.exc.ArgumentError:
            raise StoreError(
                "store_url is no SQLAlchemy URL: write e.g. sqlite:///store.sqlite or postgresql+psycopg://user@host/db"
            ) from None
        if self.url.get_backend_name() not in ("sqlite", "postgresql"):
            raise StoreError(f"store_url: {self.url.get_backend_name()} is no store; use sqlite or postgresql")
        self.meta = store_metadata()
        self._watch: tuple[Any, int, tuple[int, int]] | None = None
        self._watched = itertools.count()
        self._watch_lock = threading.Lock()

    # -- connection and schema ------------------------------------------------------------------------------------

    @property
    def is_sqlite(self) -> bool:
        """Return whether the store is a SQLite file."""
        return self.url.get_backend_name() == "sqlite"

    @cached_property
    def engine(self) -> sa.Engine:
        """Return the engine; a SQLite file's folder is made, and its journal is WAL so that readers never wait."""
        if self.is_sqlite and self.url.database:
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(
            self.url, pool_pre_ping=not self.is_sqlite, connect_args=reaching.connect_arguments(self.url)
        )
        if self.is_sqlite:
            sa.event.listen(engine, "handle_error", self._damaged, retval=True)
            sa.event.listen(engine, "connect", _sqlite_pragmas)
            sa.event.listen(engine, "begin", _sqlite_begin)
        reaching.guard(engine)
        return engine

    @cached_property
    def writer(self) -> sa.Engine:
        """Return the engine for writing: on SQLite its transactions take the write lock at once, so that none dies late."""
        return self.engine.execution_options(writes=True)

    def migrate(self) -> "InteractionStore":
        """Bring the schema to the newest version, keeping all data; safe from several processes at once.

        A store that has it is only asked: Alembic takes longer to import than everything else that a client opens.
        """
        try:
            with self._migration_lock():
                if self._revision() != newest_revision():
                    self._upgrade()
        except (sa.exc.ArgumentError, ImportError) as error:
            raise StoreError(
                f"the {self.url.get_backend_name()} store cannot be opened: {_first_line(error)}"
            ) from None
        except (sa.exc.DBAPIError, sqlite3.DatabaseError, OSError) as error:
            if is_corrupt(getattr(error, "orig", None) or error):
                raise self.damaged() from None
            raise reaching.unreachable(self.url, error) from None
        return self

    def _damaged(self, context: Any) -> BaseException | None:
        """Return what is raised in place of SQLite's words for a file that is malformed or none of its own."""
        return self.damaged() if is_corrupt(context.original_exception) else None

    def damaged(self) -> StoreDamaged:
        """Return the sentence that a damaged file is answered with: nothing can make it again."""
        name = Path(str(self.url.database)).name
        return StoreDamaged(
            name,
            "it is what everything else is made from, and nothing can make it again; restore it from a backup, or save what can "
            f"be read with `sqlite3 {name} .recover | sqlite3 saved.sqlite` and put that in its place",
        )

    def is_emptied(self) -> bool:
        """Return whether the SQLite file is there and holds nothing, in its journal neither."""
        if not self.is_sqlite or not self.url.database:
            return False
        path = Path(self.url.database)
        log = path.with_name(path.name + "-wal")
        return path.is_file() and not path.stat().st_size and not (log.is_file() and log.stat().st_size)

    def _revision(self) -> str | None:
        """Return the revision that stands in the store. A migration is one transaction, so this is never one half done."""
        with self.engine.connect() as connection:
            if not sa.inspect(connection).has_table(VERSION_TABLE):
                return None
            version = sa.table(VERSION_TABLE, sa.column("version_num", sa.Text))
            return connection.execute(sa.select(version.c.version_num)).scalar_one_or_none()

    def _upgrade(self) -> None:
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self.writer.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextlib.contextmanager
    def _migration_lock(self) -> Iterator[None]:
        if self.is_sqlite:
            from filelock import FileLock

            Path(str(self.url.database)).parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.url.database}.migrating", timeout=reaching.patience()):
                yield
        else:
            with self.engine.connect() as connection:
                connection.execute(sa.text("SELECT pg_advisory_lock(7331001)"))
                try:
                    yield
                finally:
                    connection.execute(sa.text("SELECT pg_advisory_unlock(7331001)"))

    def close(self) -> None:
        """Give the connections back."""
        with self._watch_lock:
            watch, self._watch = self._watch, None
        if watch is not None:
            watch[0].close()
        self.engine.dispose()

    def state(self) -> str | None:
        """Return a mark that is another one as soon as anybody has committed anything; None where the database tells none.

        Cost: 20 µs on SQLite, a round trip on PostgreSQL. What was read after an equal mark need not be read again.
        """
        if not self.is_sqlite:
            with self.engine.connect() as connection:
                # Which transactions are seen: equal as long as none that writes has begun or ended.
                return str(connection.exec_driver_sql("SELECT pg_current_snapshot()::text").scalar_one())
        if self.url.database in (None, "", ":memory:"):
            return None
        path = Path(self.url.database)
        with self._watch_lock:
            try:
                lies = path.stat()
                there = lies.st_dev, lies.st_ino
                if self._watch is not None and self._watch[2] != there:  # another file, e.g. a backup that was put back
                    self._watch[0].close()
                    self._watch = None
                if self._watch is None:
                    # A connection of its own that never writes: SQLite tells each only of what the others committed.
                    fairy = self.engine.raw_connection()
                    fairy.detach()
                    opened: Any = fairy.dbapi_connection
                    self._watch = (opened, next(self._watched), there)
                return f"{self._watch[1]}:{self._watch[0].execute('PRAGMA data_version').fetchone()[0]}"
            except (sqlite3.Error, OSError) as error:
                self._watch = None
                if is_corrupt(error):
                    raise self.damaged() from None
                raise reaching.unreachable(self.url, error) from None

    # -- writing --------------------------------------------------------------------------------------------------

    def write(
        self,
        messages: pl.DataFrame,
        sessions: pl.DataFrame,
        speakers: pl.DataFrame,
        names: pl.DataFrame | None = None,
        feedback: Sequence[dict[str, Any]] = (),
        *,
        since: int | None = None,
    ) -> int:
        """Add what is not known yet, in one transaction; return the number of new messages.

        The frames have the shapes of the records Messages (in the order of their source), Sessions, Speakers and SpeakerNames.
        Knowing a message twice changes nothing, but for what it follows, and for a text that was edited later: then its week is
        to be made again. Everything is merged by rules that do not depend on the order of imports.

        Args:
            feedback: Rows of the record Feedback.
            since: Generation (see `resources.fence`) at which nobody of these was erased.

        Raises:
            ErasedMeanwhile: it is another one by now; nothing was written.
        """
        first = messages.unique("message_id", keep="first", maintain_order=True)
        messages = first.select("message_id").join(Messages.shaped(first), on="message_id", maintain_order="left")
        now = datetime.now(UTC)
        with self.writer.begin() as connection:
            if since is not None and generation(self, connection) != since:
                raise ErasedMeanwhile("something was erased meanwhile")
            self._merge(connection, "speakers", Speakers.shaped(speakers).to_dicts())
            self._merge(connection, "sessions", Sessions.shaped(sessions).to_dicts())
            if names is not None:
                self._merge(connection, "speaker_names", SpeakerNames.shaped(names).to_dicts())
            table = self.meta.tables["messages"]
            before = self._max_seq(connection)
            self._insert_frame(
                connection, message_added(self._insert(table)), messages.with_columns(received_at=pl.lit(now))
            )
            if feedback:
                self._add_feedback(connection, feedback)
            counted = (
                sa.select(sa.func.count()).select_from(table).where(table.c.seq > before, table.c.received_at == now)
            )
            return int(connection.execute(counted).scalar_one())

    def _insert_frame(self, connection: sa.Connection, statement: Any, frame: pl.DataFrame) -> None:
        """Run an insert with the rows of a frame, handed to the driver as tuples: per row SQLAlchemy took longer than the database."""
        compiled = statement.compile(self.engine, column_keys=frame.columns)
        if not self.is_sqlite:
            rows = frame.to_dicts()
            for start in range(0, len(rows), BATCH):
                connection.exec_driver_sql(str(compiled), rows[start : start + BATCH])
            return
        times = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Datetime)]
        frame = frame.with_columns(pl.col(times).dt.strftime(SQLITE_TIME)).select(compiled.positiontup)
        one = f"({', '.join('?' * frame.width)})"
        for part in frame.iter_slices(PARAMETERS // frame.width):
            many = str(compiled).replace(one, ", ".join([one] * part.height), 1)
            connection.exec_driver_sql(many, tuple(itertools.chain.from_iterable(part.rows())))

    def _max_seq(self, connection: sa.Connection) -> int:
        return int(
            connection.execute(
                sa.select(sa.func.coalesce(sa.func.max(self.meta.tables["messages"].c.seq), 0))
            ).scalar_one()
        )

    def upsert(self, table: sa.Table) -> Any:
        """Return an insert statement of the store's dialect, which knows ``on_conflict_do_update``."""
        return self._insert(table)

    def _insert(self, table: sa.Table) -> Any:
        from sqlalchemy.dialects import postgresql, sqlite

        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def _merge(self, connection: sa.Connection, name: str, rows: list[dict[str, Any]]) -> None:
        """Insert or merge sessions, speakers or their names."""
        if rows:
            statement = merged(name, self._insert(self.meta.tables[name]), sqlite=self.is_sqlite)
            for start in range(0, len(rows), BATCH):
                connection.execute(statement, rows[start : start + BATCH])

    def insert_once(self, name: str, rows: Sequence[dict[str, Any]]) -> int:
        """Insert rows whose primary key is not there yet; return how many were new."""
        if not rows:
            return 0
        table = self.meta.tables[name]
        with self.writer.begin() as connection:
            before = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            connection.execute(self._insert(table).on_conflict_do_nothing(), list(rows))
            after = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        return int(after - before)

    # -- reading --------------------------------------------------------------------------------------------------

    def rows(self, table_name: str, /, **where: Any) -> list[dict[str, Any]]:
        """Return the rows of a small table whose columns equal the given values."""
        table = self.meta.tables[table_name]
        query = sa.select(table).where(*(table.c[column] == value for column, value in where.items()))
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(query.order_by(*table.primary_key.columns)).mappings()]

    def scalar(self, statement: sa.Executable) -> Any:
        """Return the single value of a statement."""
        with self.engine.connect() as connection:
            return connection.execute(statement).scalar()

    def frame(self, statement: str, parameters: Sequence[Any] = ()) -> pl.DataFrame:
        """Return a query's result as a frame; placeholders are ``?``.

        PostgreSQL is read as Arrow by ADBC, without row objects (placeholders become ``$1, $2, …``). SQLite is read by Python's
        own module: a second copy of SQLite in one process, as ADBC's driver would bring, breaks the file's locks.
        """
        return (
            self._sqlite_frame(statement, parameters) if self.is_sqlite else self._postgres_frame(statement, parameters)
        )

    def _postgres_frame(self, statement: str, parameters: Sequence[Any]) -> pl.DataFrame:
        import adbc_driver_postgresql.dbapi as driver

        for number in range(1, len(parameters) + 1):
            statement = statement.replace("?", f"${number}", 1)
        target = reaching.adbc_url(self.url)
        try:
            with driver.connect(target) as connection, connection.cursor() as cursor:
                cursor.execute(statement, list(parameters) or None)
                frame = pl.from_arrow(cursor.fetch_arrow_table())
        except (driver.Error, OSError) as error:
            if reaching.is_away(error):
                raise reaching.unreachable(self.url, error) from None
            raise
        assert isinstance(frame, pl.DataFrame)
        return frame

    def _sqlite_frame(self, statement: str, parameters: Sequence[Any]) -> pl.DataFrame:
        with self.engine.connect() as connection:
            cursor = connection.exec_driver_sql(statement, tuple(parameters)).cursor
            names = [column[0] for column in cursor.description]
            parts = []
            while rows := self._fetched(cursor):
                columns = zip(*rows, strict=True)
                parts.append(
                    pl.DataFrame(
                        [pl.Series(name, values, strict=False) for name, values in zip(names, columns, strict=True)]
                    )
                )
        # A column that is null throughout one part and text in another has two types.
        return (
            pl.concat(parts, how="vertical_relaxed")
            if parts
            else pl.DataFrame({name: pl.Series([], dtype=pl.String) for name in names})
        )

    def _fetched(self, cursor: Any) -> list[Any]:
        """Return the next rows of the driver's own cursor, whose errors do not pass through SQLAlchemy."""
        try:
            rows: list[Any] = cursor.fetchmany(100_000)
        except sqlite3.DatabaseError as error:
            if is_corrupt(error):
                raise self.damaged() from None
            if reaching.is_away(error):
                raise reaching.unreachable(self.url, error) from None
            raise
        return rows

    def weeks(self) -> list[str]:
        """Return the weeks that hold messages, oldest first."""
        column = self.meta.tables["messages"].c.week
        with self.engine.connect() as connection:
            return list(connection.execute(sa.select(column).distinct().order_by(column)).scalars())

    def personas(self) -> list[str]:
        """Return the ids of agents that said something, in order."""
        table = self.meta.tables["messages"]
        query = sa.select(table.c.speaker_id).where(table.c.role == "agent").distinct().order_by(table.c.speaker_id)
        with self.engine.connect() as connection:
            return list(connection.execute(query).scalars())

    def last_of(self, agent: str, session: str, moment: datetime, *, later: bool) -> tuple[str, datetime] | None:
        """Return id and time of the message of a conversation that arrived last of this time, or (``later``) since."""
        m = self.meta.tables["messages"]
        when = m.c.occurred_at >= moment if later else m.c.occurred_at == moment
        query = sa.select(m.c.message_id, m.c.occurred_at).where(m.c.session_id == session, m.c.agent_id == agent, when)
        with self.engine.connect() as connection:
            found = connection.execute(query.order_by(m.c.occurred_at.desc(), m.c.seq.desc()).limit(1)).first()
        return None if found is None else (found[0], found[1])

    def said_by(self, message_ids: Sequence[str], speakers: Iterable[str]) -> list[str]:
        """Return those of the messages that one of the speakers said."""
        c, wanted = self.meta.tables["messages"].c, sorted(speakers)
        found: list[str] = []
        with self.engine.connect() as connection:
            for batch in chunks(message_ids, IDS - min(len(wanted), IDS // 2)):
                query = sa.select(c.message_id).where(c.message_id.in_(batch), c.speaker_id.in_(wanted))
                found += connection.execute(query).scalars()
        return found

    def received(self, message_ids: Sequence[str]) -> dict[str, datetime]:
        """Return message id to when it arrived, of those that are there."""
        c = self.meta.tables["messages"].c
        found: dict[str, datetime] = {}
        with self.engine.connect() as connection:
            for batch in chunks(message_ids):
                query = sa.select(c.message_id, c.received_at).where(c.message_id.in_(batch))
                found.update((row[0], row[1]) for row in connection.execute(query))
        return found

    def given(self, message_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return message id to what was given with it: source_ref, emotion, location, model_version, metadata."""
        c = self.meta.tables["messages"].c
        found: dict[str, dict[str, Any]] = {}
        with self.engine.connect() as connection:
            for batch in chunks(message_ids):
                query = sa.select(c.message_id, c.source_ref, c.emotion, c.location, c.model_version, c.metadata).where(
                    c.message_id.in_(batch)
                )
                found.update((row["message_id"], dict(row)) for row in connection.execute(query).mappings())
        return found

    # -- core memory ----------------------------------------------------------------------------------------------

    def set_core_memory(self, agent_id: str, category: str, key: str, value: str, *, is_mutable: bool = True) -> None:
        """Add or change an entry.

        Raises:
            StoreError: the entry is immutable and has another value; the database itself refuses.
        """
        table = self.meta.tables["core_memory"]
        row = {"agent_id": agent_id, "category": category, "key": key, "value": value, "is_mutable": is_mutable}
        known = self.rows("core_memory", agent_id=agent_id, category=category, key=key)
        if known and known[0] == row:
            return
        statement = self._insert(table).values(**row)
        statement = statement.on_conflict_do_update(
            index_elements=["agent_id", "category", "key"], set_={"value": value, "is_mutable": is_mutable}
        )
        self._guarded(statement)

    def delete_core_memory(self, agent_id: str, category: str, key: str) -> None:
        """Delete a mutable entry.

        Raises:
            StoreError: the entry is immutable.
        """
        table = self.meta.tables["core_memory"]
        self._guarded(
            sa.delete(table).where(table.c.agent_id == agent_id, table.c.category == category, table.c.key == key)
        )

    @contextlib.contextmanager
    def unguarded(self) -> Iterator[sa.Connection]:
        """Yield a transaction in which immutable entries of core memory can be deleted: an erasure of whom they name is why.

        Others wait until it ends; a transaction that does not end well leaves entries and guard as they were.
        """
        with self.writer.begin() as connection:
            if not self.is_sqlite:
                connection.execute(sa.text("ALTER TABLE core_memory DISABLE TRIGGER core_memory_row"))
                yield connection
                connection.execute(sa.text("ALTER TABLE core_memory ENABLE TRIGGER core_memory_row"))
                return
            guard = sa.text("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = 'core_memory_delete'")
            made = connection.execute(guard).scalar_one()
            connection.execute(sa.text("DROP TRIGGER core_memory_delete"))
            yield connection
            connection.execute(sa.text(made))

    def _guarded(self, statement: Any) -> None:
        try:
            with self.writer.begin() as connection:
                connection.execute(statement)
        except sa.exc.DBAPIError as error:
            if "immutable" in str(error.orig):
                raise StoreError("this core memory entry is immutable") from None
            raise

    # -- opt-out, feedback, registries ----------------------------------------------------------------------------

    def set_opt_out(
        self,
        *,
        speaker_id: str | None = None,
        session_id: str | None = None,
        agent_id: str | None = None,
        value: bool = True,
    ) -> int:
        """Set the training opt-out of a person, or of a session (of one agent, or of all); return how many that are known changed.

        A person who has not said anything yet is none of them, and is kept with it: it holds from the first message on.
        """
        name, key = ("speakers", speaker_id) if speaker_id else ("sessions", session_id)
        table = self.meta.tables[name]
        statement = sa.update(table).where(table.c[f"{name[:-1]}_id"] == key).values(opt_out_training=value)
        statement = statement if agent_id is None else statement.where(table.c.agent_id == agent_id)
        with self.writer.begin() as connection:
            changed = connection.execute(statement).rowcount
            if speaker_id and not changed:
                early = self._insert(table).values(speaker_id=speaker_id, kind="user", opt_out_training=value)
                changes = {"opt_out_training": value}
                connection.execute(early.on_conflict_do_update(index_elements=["speaker_id"], set_=changes))
        return changed

    def add_feedback(
        self,
        message_id: str,
        *,
        rating: float | None = None,
        correct: bool | None = None,
        correction: str | None = None,
        quality_override: float | None = None,
    ) -> str:
        """Keep what somebody said of an answer, and let its week be made again; return its id.

        Raises:
            StoreError: there is no such message.
        """
        now = datetime.now(UTC)
        feedback_id = content_id("fb", message_id, rating, correct, correction, quality_override, now)
        row = {
            "feedback_id": feedback_id,
            "message_id": message_id,
            "rating": rating,
            "correct": correct,
            "correction": correction,
            "quality_override": quality_override,
            "given_at": now,
        }
        messages = self.meta.tables["messages"]
        with self.writer.begin() as connection:
            # Locked, so that it is not erased between the two.
            there = sa.select(messages.c.seq).where(messages.c.message_id == message_id).with_for_update()
            if connection.execute(there).first() is None:
                raise StoreError("there is no such message")
            self._add_feedback(connection, [row])
        return feedback_id

    def _add_feedback(self, connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
        """Add what is not known yet, and let the weeks that it is about be made again."""
        feedback, messages = self.meta.tables["feedback"], self.meta.tables["messages"]
        ids = {row["feedback_id"]: row["message_id"] for row in rows}
        for batch in chunks(ids):
            known = connection.execute(sa.select(feedback.c.feedback_id).where(feedback.c.feedback_id.in_(batch)))
            for feedback_id in known.scalars():
                ids.pop(feedback_id)
        connection.execute(self._insert(feedback).on_conflict_do_nothing(), list(rows))
        weeks: set[str] = set()
        for batch in chunks(dict.fromkeys(ids.values())):
            rated = messages.c.message_id.in_(batch)
            # Each is locked first: a sync that is marking it either sees the feedback, or is done and is undone here.
            locked = sa.select(messages.c.week).where(rated).order_by(messages.c.seq).with_for_update()
            weeks.update(connection.execute(locked).scalars())
            connection.execute(sa.update(messages).where(rated).values(synced_at=None))
        if weeks:
            # Whoever writes to another message of the week lets it be made again by that: nobody is waited for.
            free = sa.select(messages.c.seq).where(messages.c.week.in_(weeks), messages.c.synced_at.is_not(None))
            again = sa.update(messages).where(messages.c.seq.in_(free.with_for_update(skip_locked=True)))
            connection.execute(again.values(synced_at=None))

    def register(self, name: str, *rows: dict[str, Any]) -> None:
        """Add or replace rows of a registry (datasets, adapters, versions) in one transaction."""
        if not rows:
            return
        table = self.meta.tables[name]
        keys = [column.name for column in table.primary_key]
        statement = self._insert(table)
        changes = {
            column: statement.excluded[column] for column in rows[0] if column not in keys and column != "created_at"
        }
        statement = statement.on_conflict_do_update(index_elements=keys, set_=changes)
        with self.writer.begin() as connection:
            connection.execute(statement, list(rows))

    def set_status(self, adapter_id: str, status: str) -> None:
        """Move an adapter to a status, one that is quarantined to none; what is served instead of what is `model_registry.adapters`' business."""
        table = self.meta.tables["adapters"]
        mine = table.c.adapter_id == adapter_id, table.c.status != "quarantined"
        with self.writer.begin() as connection:
            connection.execute(sa.update(table).where(*mine).values(status=status))


def chunks(ids: Iterable[str], size: int = IDS) -> Iterator[list[str]]:
    """Yield the ids in lists of at most ``size``."""
    batch = list(ids)
    for start in range(0, len(batch), size):
        yield batch[start : start + size]


def as_json(value: Any) -> str | None:
    """Return canonical JSON, null for nothing."""
    return None if value in (None, {}, []) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def _sqlite_pragmas(connection: Any, _record: Any) -> None:
    # Without this Python's driver opens transactions by itself, and BEGIN IMMEDIATE above would come too late.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={reaching.patience_ms()}",
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        "recursive_triggers=ON",
        f"cache_size=-{CACHE_KB}",
        "secure_delete=ON",
        f"wal_autocheckpoint={WAL_PAGES}",
        f"journal_size_limit={WAL_LEFT}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_begin(connection: sa.Connection) -> None:
    wait = reaching.patience_ms()
    if connection.info.get("wait") != wait:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={wait}")
        connection.info["wait"] = wait
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _first_line(error: BaseException | None) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
