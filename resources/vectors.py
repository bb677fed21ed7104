"""Vectors in LanceDB: one table per kind and embedder, a week is replaced in one commit, readers see a whole version.

A change of the embedder builds a new table beside the old one; readers switch when it holds every week.
"""

import contextlib
import json
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from records.base import Record
from records.errors import DamagedError, StoreError
from resources.arrow import matrix
from resources.damage import is_foreign
from resources.files import write_text
from resources.vector_upkeep import Upkeep, after_commit, before_commit, merge

T = TypeVar("T")
ATTEMPTS = 8
INDEX_FROM = 200_000  # rows; below it an exact scan inside a scope is as fast and finds everything
OPTIMIZE_FROM = 20_000  # unindexed rows; fewer are searched beside the index
CACHED_INDEX, CACHED_METADATA = 128 << 20, 48 << 20
"""Bytes that LanceDB may keep in memory; its own defaults are 6 GB and 1 GB."""

LISTED = 1_000
"""Rows that are gone up to which a commit names them; of more, it writes the whole week."""

LAYOUT = 3
"""Raised when the columns of a table change: the next runs build a new table beside the old one."""

FILTERS = ("agent_id", "user_id", "week", "session_id")


@dataclass(frozen=True)
class Committed:
    """What a commit changed."""

    rows: int
    inserted: int
    updated: int
    deleted: int
    version: int


class VectorStore:
    """LanceDB tables of one folder.

    Args:
        upkeep: When tables are merged and rid of their old versions.
    """

    def __init__(self, folder: Path, upkeep: Upkeep | None = None) -> None:
        self.folder = folder
        self.upkeep = upkeep or Upkeep()
        self._current: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {}

    @cached_property
    def db(self) -> Any:
        """Return the connection."""
        import lancedb

        self.folder.mkdir(parents=True, exist_ok=True)
        return lancedb.connect(str(self.folder), session=self._session)

    @cached_property
    def _session(self) -> Any:
        import lancedb

        return lancedb.Session(index_cache_size_bytes=CACHED_INDEX, metadata_cache_size_bytes=CACHED_METADATA)

    # -- which table ----------------------------------------------------------------------------------------------

    @staticmethod
    def table_for(kind: str, embedder: str) -> str:
        """Return the physical table of a kind and an embedder's fingerprint, in the present layout of columns."""
        return f"{kind}__{blake2b(f'{LAYOUT}:{embedder}'.encode(), digest_size=4).hexdigest()}"

    def current(self, kind: str) -> dict[str, Any] | None:
        """Return {table, embedder, dim} that readers use, None before the first commit.

        Raises:
            DamagedError: the file that says so does not.
        """
        path = self.folder / f"{kind}.json"
        try:
            written = path.stat()
        except FileNotFoundError:
            return None
        # The file is replaced whole, never written into: another one has another inode, or was written at another time.
        stamp = (written.st_ino, written.st_mtime_ns, written.st_size)
        held = self._current.get(kind)
        if held is None or held[0] != stamp:
            try:
                told = {name: json.loads(path.read_bytes())[name] for name in ("table", "embedder", "dim")}
            except (ValueError, TypeError, KeyError):
                raise DamagedError(f"{self.folder.name}/{kind}.json") from None
            held = (stamp, told)
            self._current[kind] = held
        return held[1]

    def place(self, table: str) -> int:
        """Return what is another number when a physical table was removed and made anew under its name."""
        try:
            return (self.folder / f"{table}.lance").stat().st_ino
        except FileNotFoundError:
            return 0

    def changed(self, table: str) -> int:
        """Return when a physical table was last committed to, in nanoseconds: cheaper than asking for its version."""
        return (self.folder / f"{table}.lance" / "_versions").stat().st_mtime_ns

    def open(self, kind: str, embedder: str | None = None) -> Any | None:
        """Return the current table of a kind (or that of an embedder), None if there is none.

        Raises:
            DamagedError: it cannot be opened, or is gone although readers are to use it.
        """
        if embedder:
            return self.open_table(self.table_for(kind, embedder))
        name = self.named(kind)
        return self.open_table(name) if name else None

    def named(self, kind: str) -> str | None:
        """Return the physical table that readers use, None before the first commit.

        Raises:
            DamagedError: it is not there. One that is replaced is dropped after readers were told of the next.
        """
        now = self.current(kind)
        if now is not None and not self._exists(now["table"]):
            now = self.current(kind)
            if now is not None and not self._exists(now["table"]):
                raise DamagedError(self.shown(now["table"]), how="gone")
        return None if now is None else str(now["table"])

    def open_table(self, name: str) -> Any | None:
        """Return a physical table, None if there is none.

        Raises:
            DamagedError: it cannot be opened.
        """
        with self.reading(name):
            return self.db.open_table(name) if self._exists(name) else None

    def shown(self, name: str) -> str:
        """Return how a person is told of a physical table: its path below the installation."""
        return f"{self.folder.name}/{name}.lance"

    @contextlib.contextmanager
    def reading(self, name: str | None) -> Iterator[None]:
        """Look at a physical table when LanceDB fails with it.

        Raises:
            DamagedError: it is damaged, or an index of it is.
        """
        from resources.vector_damage import damage_of

        try:
            yield
        except BaseException as error:
            if name is not None and is_foreign(error) and damage_of(self.folder, name) is not None:
                raise DamagedError(self.shown(name)) from None
            raise

    def manifests(self, table: str) -> list[Path]:
        """Return the files of a physical table's versions."""
        return list((self.folder / f"{table}.lance" / "_versions").glob("*.manifest"))

    def _exists(self, name: str) -> bool:
        return (self.folder / f"{name}.lance" / "_versions").is_dir()

    async def reader(self, table: str) -> Any | None:
        """Return a physical table as LanceDB's asynchronous one, None if there is none.

        Its queries cost 2 ms less than those of the synchronous one, which asks for the schema three times.
        """
        import lancedb

        if not self._exists(table):
            return None
        connection = await lancedb.connect_async(str(self.folder), session=self._session)
        return await connection.open_table(table)

    @staticmethod
    def run(reading: Coroutine[Any, Any, T]) -> T:
        """Return what an asynchronous reading returns, from any thread."""
        from lancedb.background_loop import LOOP

        return LOOP.run(reading)

    # -- writing --------------------------------------------------------------------------------------------------

    def replace_week(
        self,
        kind: str,
        record: type[Record],
        frame: pl.DataFrame,
        vectors: np.ndarray,
        week: str,
        embedder: str,
        dim: int,
        text_column: str,
        tokens: Sequence[bytes] | None = None,
    ) -> Committed:
        """Make the week in the embedder's table exactly these rows, in one commit; nothing is committed if nothing changed.

        Args:
            frame: Rows of ``record``, all of ``week``.
            vectors: float32 (rows, dim), normalised, in the order of ``frame``.
            tokens: Per row its token vectors as bytes, for tables that have them.

        Raises:
            StoreError: shapes do not fit, or the commit conflicted too often.
        """
        if vectors.shape != (frame.height, dim):
            raise StoreError(f"{kind}: {vectors.shape} vectors for {frame.height} rows of {dim} dimensions")
        key, schema = record.primary_key()[0], lance_schema(record, dim, tokens=tokens is not None)
        plain = pa.schema([f for f in schema if f.name not in ("vector", "tokens")])
        flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
        table = frame.select(record.column_names()).to_arrow().cast(plain)
        table = table.append_column(schema.field("vector"), pa.FixedSizeListArray.from_arrays(flat, dim))
        if tokens is not None:
            table = table.append_column(schema.field("tokens"), pa.array(tokens, pa.large_binary()))
        with self.locked(kind), self.reading(self.table_for(kind, embedder)):
            lance = self._table(kind, embedder, schema)
            before, after = self.week_rows(lance, record, week), record.shaped(frame)
            if before.equals(after):
                return Committed(frame.height, 0, 0, 0, int(lance.version))
            before_commit(self, lance)
            done = self._commit(lance, key, week, table, before, after)
            self._maintain(lance, text_column)
        return done

    def _commit(
        self, lance: Any, key: str, week: str, table: pa.Table, before: pl.DataFrame, after: pl.DataFrame
    ) -> Committed:
        """Write what differs between a week's rows before and after, in one commit: of a small sync, few of them."""
        if before.is_empty():
            # An append keeps the order of the rows: an agent's rows lie together, and reading them touches few pages.
            self.retried(lance.add, table)
            return Committed(after.height, after.height, 0, 0, int(lance.version))
        gone = before.join(after, on=key, how="anti")[key].to_list()
        named = f"week = '{week}'" + (f" AND {_among(key, gone)}" if len(gone) <= LISTED else "")
        told = table.filter(pc.is_in(table[key], differing(before, after, key).to_arrow()))
        if after.is_empty() or (not len(told) and len(gone) <= LISTED):
            self.retried(lance.delete, named if len(after) else f"week = '{week}'")
            return Committed(after.height, 0, 0, len(gone), int(lance.version))
        how = lance.merge_insert(key).when_matched_update_all().when_not_matched_insert_all()
        if gone:
            told = told if len(gone) <= LISTED else table
            how = how.when_not_matched_by_source_delete(named)
        result = self.retried(how.execute, told)
        return Committed(
            after.height, result.num_inserted_rows, result.num_updated_rows, result.num_deleted_rows, result.version
        )

    def _table(self, kind: str, embedder: str, schema: pa.Schema) -> Any:
        name = self.table_for(kind, embedder)
        return self.open_table(name) or self.db.create_table(name, schema=schema, exist_ok=True)

    def publish(self, kind: str, embedder: str, dim: int, weeks: Iterable[str]) -> bool:
        """Let readers use the embedder's table if it holds every one of ``weeks``; return whether they now do.

        The tables of earlier embedders are dropped once they are not read any more.
        """
        name = self.table_for(kind, embedder)
        now = self.current(kind)
        table = self.open_table(name)
        if table is None:
            return False
        if now is not None and now["table"] != name and set(weeks) - self.weeks(table):
            return False
        with self.locked(kind):
            write_text(self.folder / f"{kind}.json", json.dumps({"table": name, "embedder": embedder, "dim": dim}))
            for old in self.names(kind):
                if old != name and now is not None and old == now["table"]:
                    self.db.drop_table(old)
        return True

    def names(self, kind: str) -> list[str]:
        """Return the physical tables of a kind: the one that readers use, and those of other embedders."""
        return sorted(path.name.removesuffix(".lance") for path in self.folder.glob(f"{kind}__*.lance"))

    def _maintain(self, lance: Any, text_column: str) -> None:
        """Keep the indexes: words and filters from the first row, vectors from a size on."""
        rows = lance.count_rows()
        if rows == 0:
            return
        indexes = {index.columns[0]: index for index in lance.list_indices()}
        wanted = [text_column, *(column for column in FILTERS if column in lance.schema.names)]
        for column in [*wanted, "vector"] if rows >= INDEX_FROM else wanted:
            if column not in indexes:
                self.make_index(lance, column)
        lagging = indexes[text_column].num_unindexed_rows if text_column in indexes else 0
        if lagging > max(OPTIMIZE_FROM, rows // 10):
            merge(self, lance)
        else:
            after_commit(self, lance)

    def settle(self, kinds: Iterable[str]) -> None:
        """Remove what the last commits of kinds replaced, where nothing is left to merge: at the end of a run."""
        for kind in kinds:
            lance = self.open(kind)
            if lance is not None:
                with self.locked(kind):
                    before_commit(self, lance)

    def make_index(self, lance: Any, column: str, *, replace: bool = False) -> None:
        """Make the index of a column: of vectors, of ids to filter by, or of the words of a text."""
        from lancedb.index import FTS, BTree, IvfPq

        config: Any = FTS(stem=True, remove_stop_words=False, ascii_folding=True)
        if column == "vector":
            config = IvfPq(distance_type="cosine")
        elif column in FILTERS:
            config = BTree()
        self.retried(lance.create_index, column, config=config, replace=replace)

    def retried(self, action: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run an action again when another commit came between, at most ``ATTEMPTS`` times."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return action(*args, **kwargs)
            except (RuntimeError, OSError) as error:
                if "conflict" not in str(error).lower():
                    raise
                if attempt == ATTEMPTS:
                    raise StoreError(f"LanceDB: {ATTEMPTS} commits in a row conflicted with another writer") from None
        raise AssertionError

    @contextlib.contextmanager
    def locked(self, kind: str) -> Iterator[None]:
        """Keep other writers of the kind waiting."""
        from filelock import FileLock

        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / f".{kind}.lock"):
            yield

    # -- reading --------------------------------------------------------------------------------------------------

    @staticmethod
    def week_rows(lance: Any, record: type[Record], week: str) -> pl.DataFrame:
        """Return the rows of a week without vectors, in key order."""
        table = lance.search().where(f"week = '{week}'").select(record.column_names()).limit(None).to_arrow()
        return record.shaped(pl.DataFrame(table))

    def week_vectors(self, kind: str, embedder: str, week: str) -> dict[str, np.ndarray]:
        """Return text hash to vector of what the embedder's table already holds for a week."""
        table = self._week(kind, embedder, week, "vector")
        return dict(zip(table["text_hash"].to_pylist(), matrix(table["vector"]), strict=True)) if table else {}

    def week_tokens(self, kind: str, embedder: str, week: str) -> dict[str, bytes]:
        """Return text hash to token vectors of what the embedder's table already holds for a week."""
        table = self._week(kind, embedder, week, "tokens")
        return dict(zip(table["text_hash"].to_pylist(), table["tokens"].to_pylist(), strict=True)) if table else {}

    def _week(self, kind: str, embedder: str, week: str, column: str) -> Any | None:
        lance = self.open(kind, embedder)
        if lance is None or column not in lance.schema.names:
            return None
        with self.reading(lance.name):
            return lance.search().where(f"week = '{week}'").select(["text_hash", column]).limit(None).to_arrow()

    def text_hashes(self, kind: str, embedder: str) -> pl.DataFrame:
        """Return week, text_hash of what the embedder's table holds."""
        lance = self.open(kind, embedder)
        columns = ["week", "text_hash"]
        if lance is None:
            return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
        return self.columns(lance, columns).unique()

    def columns(self, lance: Any, columns: Sequence[str]) -> pl.DataFrame:
        """Return columns of all rows of a table."""
        with self.reading(lance.name):
            return pl.DataFrame(lance.search().select(list(columns)).limit(None).to_arrow()).select(columns)

    def weeks(self, lance: Any) -> set[str]:
        """Return the weeks that have rows."""
        return set(self.columns(lance, ["week"])["week"].unique())

    def keys(self, kind: str, key: str, week: str, embedder: str | None = None) -> list[str]:
        """Return the keys of a week in an embedder's table, by default the one that readers use."""
        lance = self.open(kind, embedder)
        if lance is None:
            return []
        with self.reading(lance.name):
            return lance.search().where(f"week = '{week}'").select([key]).limit(None).to_arrow()[key].to_pylist()

    def keys_of(self, kind: str, key: str, values: Sequence[str]) -> list[str]:
        """Return which of the keys stand in the table that readers use, in order."""
        lance = self.open(kind)
        if lance is None or not values:
            return []
        with self.reading(lance.name):
            found = lance.search().where(_among(key, values)).select([key]).limit(None).to_arrow()
        return sorted(found[key].to_pylist())

    def count(self, kind: str) -> int:
        """Return the rows of the table that readers use."""
        lance = self.open(kind)
        if lance is None:
            return 0
        with self.reading(lance.name):
            return int(lance.count_rows())


def differing(before: pl.DataFrame, after: pl.DataFrame, key: str) -> pl.Series:
    """Return the keys of the rows that are new or not as they were; the vector of a row is that of its ``text_hash``."""
    others = [name for name in after.columns if name != key]
    was = before.select(key, pl.struct(others).alias("_was"))
    both = after.select(key, pl.struct(others).alias("_is")).join(was, on=key, how="left", maintain_order="left")
    return both.filter(pl.col("_is").ne_missing(pl.col("_was")))[key]


def _among(column: str, values: Sequence[str]) -> str:
    return f"{column} IN ({', '.join(quoted(value) for value in values)})"


def lance_schema(record: type[Record], dim: int, *, tokens: bool = False) -> pa.Schema:
    """Return the table's schema: the record's columns, its key declared as unenforced primary key, the vector, the token vectors.

    Without the declaration eight writers left duplicate rows in 11 of 12 trials; with it in none.
    """
    key = record.primary_key()[0]
    fields = [
        pa.field(
            f.name,
            f.type,
            nullable=f.name != key,
            metadata={"lance-schema:unenforced-primary-key": "true"} if f.name == key else None,
        )
        for f in record.arrow_schema()
    ]
    late = [pa.field("tokens", pa.large_binary())] if tokens else []
    return pa.schema([*fields, pa.field("vector", pa.list_(pa.float32(), dim)), *late])


def quoted(value: str) -> str:
    """Return a string literal of Lance's filter language."""
    return "'" + value.replace("'", "''") + "'"
