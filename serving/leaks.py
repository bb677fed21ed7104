"""The leak test: whether anything that was erased can still be found, in any file of the installation or any table of its store.

Files are searched twice: as raw bytes, and, where bytes are packed (Parquet, Lance, DuckDB), through the format's own reader.
What other people said as well is no leak, and is not looked for.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from resources.settings import Settings
from resources.store import InteractionStore
from resources.vectors import VectorStore

SHORTEST = 5
"""Characters from which on a text or a name is looked for: "ok" is found everywhere."""

CHUNK = 16 << 20
OVERLAP = 4_096
"""Bytes of a chunk that are read again with the next: longer needles are cut to that."""

KEPT_AT_ONCE = 100_000


@dataclass
class Leaks:
    """Where something was found, as "place: how often", never what."""

    searched: int = 0
    needles: int = 0
    found: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Return how often anything was found."""
        return sum(self.found.values())

    def add(self, place: str, times: int) -> None:
        """Count what was found in a place."""
        if times:
            self.found[place] = self.found.get(place, 0) + times


def needles_of(texts: Iterable[str], names: Iterable[str]) -> list[str]:
    """Return what is looked for: texts, names and ids of some length, each once."""
    found = dict.fromkeys(value.strip().lower()[: OVERLAP // 4] for value in (*texts, *names) if value)
    return [value for value in found if len(value) >= SHORTEST]


def without_shared(needles: Sequence[str], store: InteractionStore) -> list[str]:
    """Return the needles that stand in nothing that is kept; what others said, or are called, belongs to them."""
    left = pl.Series(needles, dtype=pl.String)
    last = -1
    while len(left):
        kept = store.frame(
            "SELECT m.seq, m.text, m.session_id, m.agent_id, m.user_id, m.speaker_id, p.display_name, m.source_ref, m.metadata FROM messages m "
            f"LEFT JOIN speakers p ON p.speaker_id = m.speaker_id WHERE m.seq > ? ORDER BY m.seq LIMIT {KEPT_AT_ONCE}",
            [last],
        )
        if kept.is_empty():
            break
        last = int(kept.select(pl.col("seq").max()).item())
        said = kept.select(pl.concat_str(pl.exclude("seq").cast(pl.String), separator="\n", ignore_nulls=True))
        left = left.filter(~left.is_in(_found_in(said.to_series(), left).implode()))
    return left.to_list()


def search(needles: Sequence[str], settings: Settings, store: InteractionStore, vectors: VectorStore) -> Leaks:
    """Return what of the needles is found anywhere in the installation; cost: one pass over its bytes."""
    leaks = Leaks(needles=len(needles))
    if not needles:
        return leaks
    wanted = pl.Series(needles, dtype=pl.String)
    raw = pl.Series([needle.encode().decode("latin-1") for needle in needles])
    for path in sorted(p for p in settings.home.rglob("*") if p.is_file() and not p.is_symlink()):
        if path.parent == settings.home / "keys":
            continue
        place = str(path.relative_to(settings.home).parts[0])
        leaks.searched += 1
        for chunk in _chunks(path):
            leaks.add(place, len(_found_in(pl.Series([chunk.decode("latin-1")]), raw)))
        for texts in _read(path):
            leaks.add(place, len(_found_in(texts, wanted)))
    for name in vectors.names("*"):
        leaks.searched += 1
        for texts in _lance(vectors.open_table(name)):
            leaks.add("vectors", len(_found_in(texts, wanted)))
    for table in store.meta.tables.values():
        leaks.searched += 1
        if table.name != "receipts":
            leaks.add(
                f"store.{table.name}",
                sum(len(_found_in(texts, wanted)) for texts in _strings(store.frame(f'SELECT * FROM "{table.name}"'))),
            )
    return leaks


def _found_in(texts: pl.Series, needles: pl.Series) -> pl.Series:
    """Return which needles (in lower case) stand in any of the texts."""
    if texts.is_empty():
        return needles.clear()
    lower, wanted = texts.str.to_lowercase(), needles.implode()
    hit = lower.filter(lower.str.contains_any(wanted).fill_null(value=False))
    if hit.is_empty():
        return needles.clear()
    return hit.str.extract_many(wanted, overlapping=True).explode().drop_nulls().unique()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        tail = b""
        while block := file.read(CHUNK):
            yield tail + block
            tail = block[-OVERLAP:]


def _read(path: Path) -> Iterator[pl.Series]:
    """Yield the strings of a file of a packed format."""
    if path.suffix == ".parquet":
        yield from _strings(pl.read_parquet(path))
    elif path.suffix == ".duckdb":
        import duckdb

        with duckdb.connect(str(path), read_only=True) as connection:
            for schema, table in connection.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall():
                yield from _strings(connection.sql(f'SELECT * FROM "{schema}"."{table}"').pl())


def _lance(lance: Any) -> Iterator[pl.Series]:
    import pyarrow as pa

    packed = ("vector", "tokens", "terms")
    named = [field.name for field in lance.schema if field.name not in packed and not pa.types.is_integer(field.type)]
    for batch in lance.search().select(named).limit(None).to_batches():
        yield from _strings(pl.DataFrame(pa.Table.from_batches([batch])))


def _strings(frame: pl.DataFrame) -> Iterator[pl.Series]:
    """Yield the texts of a frame, those in lists and structs too."""
    for column in frame.get_columns():
        if column.dtype == pl.String:
            yield column
        elif column.dtype == pl.List(pl.String):
            yield column.explode()
        elif isinstance(column.dtype, pl.List | pl.Struct):
            yield pl.Series([str(value) for value in column.to_list()], dtype=pl.String)
