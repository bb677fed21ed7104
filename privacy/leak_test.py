"""The leak test: whether anything that was erased can still be found, in any file of the installation, any table of its store, or any
export that lies where it was written.

Files are searched twice: as raw bytes, and, where bytes are packed (Parquet, Lance, DuckDB), through the format's own reader.
What other people said as well is no leak, and is not looked for.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import sqlalchemy as sa

from records.errors import DamagedError
from resources.damage import is_foreign
from resources.files import ASIDE
from resources.settings import Settings
from resources.store import InteractionStore
from resources.vectors import VectorStore

SHORTEST = 5
"""Characters from which on a text or a name is looked for: "ok" is found everywhere."""
LONGEST = 1_024
"""Characters of a text that are looked for."""

CHUNK = 16 << 20
OVERLAP = 12 * LONGEST
"""Bytes of a chunk that are read again with the next: what a needle takes at most, escaped."""

KEPT_AT_ONCE = 100_000


class Unsearchable(Exception):
    """A file whose content cannot be seen; it counts as one that holds something."""


@dataclass
class Leaks:
    """Where something was found, as "place: how often", never what."""

    searched: int = 0
    needles: int = 0
    unsearchable: int = 0
    found: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Return how often anything was found."""
        return sum(self.found.values())

    def add(self, place: str, times: int) -> None:
        """Count what was found in a place."""
        if times:
            self.found[place] = self.found.get(place, 0) + times


class Wanted:
    """What is looked for, in every form in which it may stand somewhere: plain, or escaped as in JSON, in any usual case.

    Args:
        needles: In lower case.
        fold: What is done to a form; texts that are searched must have gone through the same.
    """

    def __init__(self, needles: Iterable[str], fold: Callable[[str], str]) -> None:
        self.needle_of = {fold(form): needle for needle in needles for form in _forms(needle)}
        self.forms = pl.Series(list(self.needle_of), dtype=pl.String)

    def within(self, texts: pl.Series) -> set[str]:
        """Return the needles that stand in any of the texts. Cost: linear in the texts, and in the forms once a call."""
        wanted = self.forms.implode()
        hit = texts.filter(texts.str.contains_any(wanted).fill_null(value=False))
        if hit.is_empty():
            return set()
        found = hit.str.extract_many(wanted, overlapping=True).explode().drop_nulls().unique()
        return {self.needle_of[form] for form in found}


def needles_of(texts: Iterable[str], names: Iterable[str]) -> list[str]:
    """Return what is looked for: texts, names and ids of some length, each once."""
    found = dict.fromkeys(value.strip().lower()[:LONGEST] for value in (*texts, *names) if value)
    return [value for value in found if len(value) >= SHORTEST]


def without_shared(needles: Sequence[str], store: InteractionStore) -> list[str]:
    """Return the needles that stand in nothing that is kept; what others said, or are called, belongs to them."""
    left, last = list(needles), -1
    while left:
        kept = store.frame(
            "SELECT m.seq, m.text, m.session_id, m.agent_id, m.user_id, m.speaker_id, n.display_name, m.source_ref, m.metadata FROM messages m "
            "LEFT JOIN speaker_names n ON n.agent_id = m.agent_id AND n.speaker_id = m.speaker_id "
            f"WHERE m.seq > ? ORDER BY m.seq LIMIT {KEPT_AT_ONCE}",
            [last],
        )
        if kept.is_empty():
            break
        last = int(kept.select(pl.col("seq").max()).item())
        said = kept.select(pl.concat_str(pl.exclude("seq").cast(pl.String), separator="\n", ignore_nulls=True))
        theirs = Wanted(left, str.lower).within(said.to_series().str.to_lowercase())
        left = [needle for needle in left if needle not in theirs]
    return left


def search(needles: Sequence[str], settings: Settings, store: InteractionStore, vectors: VectorStore) -> Leaks:
    """Return what of the needles is found anywhere in the installation; cost: one pass over its bytes, on all cores."""
    leaks = Leaks(needles=len(needles))
    if not needles:
        return leaks
    plain, raw = Wanted(needles, str.lower), Wanted(needles, _as_bytes)
    looks: list[tuple[str, Wanted, Iterator[pl.Series]]] = []
    for place, paths in _bundles(settings.home):
        leaks.searched += len(paths)
        looks.append((place, raw, (chunk for path in paths for chunk in _chunks(path))))
        looks.append((place, plain, (texts for path in paths for texts in _read(path))))
    for path in _beside_exports(store):
        leaks.searched += 1
        looks += [("beside exports", raw, _chunks(path)), ("beside exports", plain, _read(path))]
    for name in vectors.names("*"):
        leaks.searched += 1
        looks.append(("vectors", plain, _lance(vectors, name)))
    for table in store.meta.tables.values():
        leaks.searched += 1
        looks.append((f"store.{table.name}", plain, _rows(store, table)))
    exported = [path for row in store.rows("exports") if (path := Path(row["path"])).is_file()]
    leaks.searched += len(exported)
    looks.append(("exported", raw, (chunk for path in exported for chunk in _chunks(path))))
    looks.append(("store.files", raw, _outside(store, settings.home) if store.is_sqlite else _relations(store)))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for (place, _, _), times in zip(looks, pool.map(_count, looks), strict=True):
            leaks.unsearchable += times is None
            leaks.add(place, 1 if times is None else times)
    return leaks


def _count(look: tuple[str, Wanted, Iterator[pl.Series]]) -> int | None:
    """Return how often something wanted is found in texts, which are looked at some million characters at a time; None if some
    cannot be looked at."""
    _, wanted, texts = look
    try:
        return sum(len(wanted.within(some)) for some in _gathered(texts))
    except Unsearchable:
        return None


def _forms(needle: str) -> set[str]:
    """Return a needle as it may be written: of other cases than these, letters of ASCII and Latin-1 are found as well."""
    cased = {needle, needle.upper(), needle.title(), needle.capitalize()}
    return cased | {json.dumps(text)[1:-1] for text in cased} | {json.dumps(needle, ensure_ascii=False)[1:-1]}


def _as_bytes(text: str) -> str:
    """Return the UTF-8 bytes of a text as `_folded` has them, a character a byte."""
    return _folded(text.encode())


def _folded(block: bytes) -> str:
    """Return bytes as characters of the same numbers, with small letters for capitals of ASCII and, where it is UTF-8, of Latin-1."""
    small = np.frombuffer(bytearray(block.lower()), dtype=np.uint8)
    # À to Þ are C3 80 to C3 9E, and 20 further the small ones; × at C3 97 becomes ÷, in what is wanted as well.
    small[1:][(small[:-1] == 0xC3) & (small[1:] >= 0x80) & (small[1:] <= 0x9E)] += 0x20
    return small.tobytes().decode("latin-1")


def _bundles(home: Path) -> Iterator[tuple[str, list[Path]]]:
    """Yield the files of the installation but its keys, small ones of a place together."""
    bundle: list[Path] = []
    place, size = "", 0
    for path in sorted(p for p in home.rglob("*") if p.is_file() and not p.is_symlink()):
        here = path.relative_to(home).parts[0]
        if here == "keys":
            continue
        if bundle and (here != place or size >= CHUNK):
            yield place, bundle
            bundle, size = [], 0
        with contextlib.suppress(FileNotFoundError):  # removed since it was listed: it holds nothing
            place, size = here, size + path.stat().st_size
            bundle.append(path)
    if bundle:
        yield place, bundle


def _gathered(texts: Iterable[pl.Series]) -> Iterator[pl.Series]:
    """Yield texts together up to some size: what is wanted is prepared anew for each."""
    waiting: list[pl.Series] = []
    size = 0
    for some in texts:
        waiting.append(some.rename(""))
        size += int(some.estimated_size())
        if size >= CHUNK:
            yield pl.concat(waiting)
            waiting, size = [], 0
    if waiting:
        yield pl.concat(waiting)


def _chunks(path: Path) -> Iterator[pl.Series]:
    """Yield the bytes of a file, see `_folded`."""
    # Others work beside this: what they removed meanwhile holds nothing.
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        tail = b""
        while block := file.read(CHUNK):
            yield pl.Series([_folded(tail + block)])
            tail = block[-OVERLAP:]


def _read(path: Path) -> Iterator[pl.Series]:
    """Yield the strings of a file of a packed format, which its first bytes tell: a killed writer's has another name.

    Raises:
        Unsearchable: it is packed and cannot be read, so that nobody can say what is in it.
    """
    try:
        with path.open("rb") as handle:
            head = handle.read(12)
        if head.startswith(b"PAR1"):
            yield from _strings(pl.read_parquet(path))
        elif head[8:12] == b"DUCK":
            import duckdb

            with duckdb.connect(str(path), read_only=True) as connection:
                tables = connection.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall()
                for schema, table in tables:
                    yield from _strings(connection.sql(f'SELECT * FROM "{schema}"."{table}"').pl())
    except BaseException as error:
        if not (isinstance(error, Exception) or is_foreign(error)):
            raise
        if path.exists():
            raise Unsearchable from error  # of whatever kind: the file is not searched


def _lance(vectors: VectorStore, name: str) -> Iterator[pl.Series]:
    """Yield the strings of a table.

    Raises:
        Unsearchable: it cannot be read.
    """
    import pyarrow as pa

    packed = ("vector", "tokens", "terms")
    try:
        lance: Any = vectors.open_table(name)
        if lance is None:
            return  # killed while it was made: there are files, whose bytes are searched, and no table
        kept = [field for field in lance.schema if field.name not in packed and not pa.types.is_integer(field.type)]
        for version in _versions(lance):
            lance.checkout(version)
            for batch in lance.search().select([field.name for field in kept]).limit(None).to_batches():
                yield from _strings(pl.DataFrame(pa.Table.from_batches([batch])))
        if _of_no_version(vectors, name):
            raise DamagedError(vectors.shown(name))
    except BaseException as error:
        if not (isinstance(error, DamagedError) or is_foreign(error)):
            raise
        raise Unsearchable from error


def _versions(lance: Any) -> list[int]:
    """Return the versions of a table that can be read: strings of an old one are packed, so that its bytes do not show them."""
    return [int(version["version"]) for version in lance.list_versions()]


def _of_no_version(vectors: VectorStore, name: str) -> bool:
    """Return whether a table has files of rows that no version names: those of a killed commit, which nothing reads."""
    files = [path.name.encode() for path in (vectors.folder / f"{name}.lance" / "data").glob("*.lance")]
    named = b""
    for path in vectors.manifests(name):
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile, and its files with it
            named += path.read_bytes()
    return any(file not in named for file in files)


def _rows(store: InteractionStore, table: sa.Table) -> Iterator[pl.Series]:
    numbers = sa.Integer | sa.Numeric | sa.Boolean | sa.DateTime | sa.Date
    searched = [column.name for column in table.columns if not isinstance(column.type, numbers)]
    if table.name == "receipts":
        # What an erasure that is not done has to do names its subject. That others are to delete by hand a file that is called after
        # somebody stays written as long as they did not.
        searched = ["work"]
    named = ", ".join(f'"{name}"' for name in searched)
    if named:
        yield from _strings(store.frame(f'SELECT {named} FROM "{table.name}"'))


def _beside_exports(store: InteractionStore) -> list[Path]:
    """Return what writers that were killed, or write still, left beside exported files: outside of the installation, mostly."""
    folders = {Path(row["path"]).parent for row in store.rows("exports")}
    return sorted(path for folder in folders for path in folder.glob(f".*{ASIDE}*") if path.is_file())


def _outside(store: InteractionStore, home: Path) -> Iterator[pl.Series]:
    """Yield the bytes of SQLite's files where they do not lie in the installation."""
    path = Path(str(store.url.database)).absolute()
    if not path.is_relative_to(home.absolute()):
        for one in sorted(path.parent.glob(f"{path.name}*")):
            if one.is_file():
                yield from _chunks(one)


RELATIONS = """
SELECT pg_relation_filepath(oid) AS path FROM pg_class WHERE relkind IN ('r', 'i', 't') AND pg_relation_filepath(oid) IS NOT NULL
AND (relnamespace = current_schema()::regnamespace OR relkind = 't' OR relname LIKE 'pg_statistic%')
"""


def _relations(store: InteractionStore) -> Iterator[pl.Series]:
    """Yield the bytes of PostgreSQL's files of tables, indexes and statistics, which keep deleted rows until they are written anew.

    Only who may read the server's files sees them; for others there are none.
    """
    read = sa.text("SELECT pg_read_binary_file(:path, :start, :length, true)")
    with contextlib.suppress(sa.exc.ProgrammingError), store.engine.connect() as connection:
        for path in connection.execute(sa.text(RELATIONS)).scalars().all():
            start, tail = 0, b""
            while block := connection.execute(read, {"path": path, "start": start, "length": CHUNK}).scalar():
                yield pl.Series([_folded(tail + bytes(block))])
                start, tail = start + len(block), bytes(block[-OVERLAP:])


def _strings(frame: pl.DataFrame) -> Iterator[pl.Series]:
    """Yield the texts of a frame in lower case, those in lists and structs too."""
    for column in frame.get_columns():
        if column.dtype == pl.String:
            yield column.str.to_lowercase()
        elif isinstance(column.dtype, pl.List | pl.Array):
            yield from _strings(column.explode().to_frame())
        elif isinstance(column.dtype, pl.Struct):
            yield from _strings(column.struct.unnest())
        elif isinstance(column.dtype, pl.Categorical | pl.Enum):
            yield column.cast(pl.String).str.to_lowercase()
