"""Ways in which files of an installation come to harm: each takes the home and does it to one file, and names what was harmed."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

WEEK = "2025-01-13"
LAKE = {
    "raw": f"lake/raw_interactions/{WEEK}.parquet",
    "facts": f"lake/facts/{WEEK}.parquet",
    "history": "lake/fact_history/all.parquet",
}
TABLES = ("message_embeddings", "fact_embeddings", "episode_embeddings")


@dataclass(frozen=True)
class Harm:
    """One kind of damage: its name, where it is done, and how. ``where`` may be a pattern below the home."""

    name: str
    where: str
    do: Callable[[Path], None]

    def inflict(self, home: Path) -> str:
        """Do it; return the path that was harmed, relative to the home."""
        found = sorted(home.glob(self.where))
        assert found, self.where
        self.do(found[0])
        return str(found[0].relative_to(home))


def truncated(path: Path) -> None:
    """Keep the first half."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def emptied(path: Path) -> None:
    """Keep nothing."""
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    """Put noise of the same length in its place."""
    size = max(path.stat().st_size, 64)
    path.write_bytes(bytes((n * 197 + 13) % 251 for n in range(size)))


def flipped(share: float) -> Callable[[Path], None]:
    """Flip the bits of 64 bytes at a share of the length."""

    def do(path: Path) -> None:
        data = bytearray(path.read_bytes())
        start = min(int(len(data) * share), len(data) - 64)
        data[start : start + 64] = bytes(byte ^ 0xFF for byte in data[start : start + 64])
        path.write_bytes(bytes(data))

    return do


def one_bit(share: float) -> Callable[[Path], None]:
    """Flip one byte at a share of the length."""

    def do(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[int(len(data) * share)] ^= 0xFF
        path.write_bytes(bytes(data))

    return do


def in_the_footer(path: Path) -> None:
    """Flip a byte in the middle of a Parquet file's footer."""
    data = bytearray(path.read_bytes())
    length = int.from_bytes(data[-8:-4], "little")
    data[len(data) - 8 - length // 2] ^= 0xFF
    path.write_bytes(bytes(data))


def without_column(name: str) -> Callable[[Path], None]:
    """Write a Parquet file anew without a column."""
    return lambda path: pl.read_parquet(path).drop(name).write_parquet(path)


def gone(path: Path) -> None:
    """Remove a file or a folder."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def points_nowhere(path: Path) -> None:
    """Let a pointer name a table that is not there."""
    now = json.loads(path.read_text())
    path.write_text(json.dumps({**now, "table": "message_embeddings__00000000"}))


def deletions_of_noise(path: Path) -> None:
    """Delete a row of a Lance table by the library, and put noise into the file that says so."""
    import lancedb

    lance = lancedb.connect(str(path.parent)).open_table(path.name.removesuffix(".lance"))
    key = lance.schema.names[0]
    one = lance.search().select([key]).limit(1).to_arrow()[key][0].as_py()
    lance.delete(f"{key} = '{one}'")
    for file in (path / "_deletions").iterdir():
        garbage(file)


def header_flipped(path: Path) -> None:
    """Flip the first bytes."""
    data = bytearray(path.read_bytes())
    data[:16] = bytes(byte ^ 0xFF for byte in data[:16])
    path.write_bytes(bytes(data))


def blocks_flipped(path: Path) -> None:
    """Flip bytes of every block of a DuckDB file, where their data begins: they are 256 KB each, behind three headers of 4 KB."""
    data = bytearray(path.read_bytes())
    for start in range(3 * 4096, len(data), 1 << 18):
        data[start + 50 : start + 66] = bytes(byte ^ 0xFF for byte in data[start + 50 : start + 66])
    path.write_bytes(bytes(data))


def log_taken(do: Callable[[Path], None]) -> Callable[[Path], None]:
    """Harm a SQLite file after its log was written back, which would heal it."""

    def done(path: Path) -> None:
        import sqlite3

        connection = sqlite3.connect(path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        for end in ("-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
        do(path)

    return done


def page_flipped(path: Path) -> None:
    """Flip the header of pages of the index on messages' weeks."""
    import sqlite3

    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = connection.execute("PRAGMA page_size").fetchone()[0]
    roots = connection.execute("SELECT rootpage FROM sqlite_master WHERE type = 'index' AND tbl_name = 'messages'")
    pages = [row[0] for row in roots]
    connection.close()
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    data = bytearray(path.read_bytes())
    for page in pages:
        start = (page - 1) * size
        data[start : start + 200] = bytes(byte ^ 0xFF for byte in data[start : start + 200])
    path.write_bytes(bytes(data))


def newest_manifest(do: Callable[[Path], None]) -> Callable[[Path], None]:
    """Harm the newest version of a Lance table: the first in the order of names."""
    return lambda path: do(sorted((path / "_versions").glob("*.manifest"))[0])


def index_gone(column: str) -> Callable[[Path], None]:
    """Remove the folder of the index of a column."""

    def do(path: Path) -> None:
        import lancedb

        lance = lancedb.connect(str(path.parent)).open_table(path.name.removesuffix(".lance"))
        gone(path / "_indices" / next(one.index_uuid for one in lance.list_indices() if one.columns == [column]))

    return do


PARQUET = {
    "truncated": truncated,
    "emptied": emptied,
    "garbage": garbage,
    "chunk flipped": flipped(0.3),
    "footer flipped": in_the_footer,
}
HARMS = [
    *(Harm(f"{what} {how}", where, do) for what, where in LAKE.items() for how, do in PARQUET.items()),
    Harm("raw without its key", LAKE["raw"], without_column("message_id")),
    Harm("facts without their sources", LAKE["facts"], without_column("source_message_ids")),
    Harm("facts of an older shape", LAKE["facts"], without_column("quote")),
    Harm("history without a column", LAKE["history"], without_column("status")),
    Harm("history gone", LAKE["history"], gone),
    Harm("messages: newest manifest truncated", "vectors/message_embeddings__*.lance", newest_manifest(truncated)),
    Harm("messages: newest manifest gone", "vectors/message_embeddings__*.lance", newest_manifest(gone)),
    Harm("messages: data file truncated", "vectors/message_embeddings__*.lance/data/*", truncated),
    Harm("messages: data file gone", "vectors/message_embeddings__*.lance/data/*", gone),
    Harm("messages: data file flipped", "vectors/message_embeddings__*.lance/data/*", flipped(0.65)),
    Harm("messages: deletion file of noise", "vectors/message_embeddings__*.lance", deletions_of_noise),
    Harm("messages: an index gone", "vectors/message_embeddings__*.lance", index_gone("agent_id")),
    Harm("messages: word index gone", "vectors/message_embeddings__*.lance", index_gone("window_text")),
    Harm("messages: index file truncated", "vectors/message_embeddings__*.lance/_indices/*/page_data.lance", truncated),
    Harm("messages: word index truncated", "vectors/message_embeddings__*.lance/_indices/*/part_0_invert.lance", truncated),
    Harm("facts: data file gone", "vectors/fact_embeddings__*.lance/data/*", gone),
    Harm("episodes: data file truncated", "vectors/episode_embeddings__*.lance/data/*", truncated),
    Harm("pointer of noise", "vectors/message_embeddings.json", garbage),
    Harm("pointer empty", "vectors/message_embeddings.json", emptied),
    Harm("pointer to nowhere", "vectors/message_embeddings.json", points_nowhere),
    Harm("table gone", "vectors/message_embeddings__*.lance", gone),
    Harm("analytics truncated", "analytics.duckdb", truncated),
    Harm("analytics garbage", "analytics.duckdb", garbage),
    Harm("analytics empty", "analytics.duckdb", emptied),
    Harm("analytics header flipped", "analytics.duckdb", header_flipped),
    Harm("analytics flipped", "analytics.duckdb", blocks_flipped),
    Harm("memo garbage", "memo.sqlite", log_taken(garbage)),
    Harm("memo truncated", "memo.sqlite", log_taken(truncated)),
    Harm("manifest truncated", "datasets/*/manifest.parquet", truncated),
    Harm("manifest garbage", "datasets/*/manifest.parquet", garbage),
    Harm("samples truncated", "datasets/*/train.jsonl", truncated),
    Harm("dataset in the lake truncated", "lake/personality_dataset/*.parquet", truncated),
    Harm("weights truncated", "adapters/*/adapter/adapter_model.safetensors", truncated),
    Harm("export manifest garbage", "exports/*.parquet", garbage),
]  # fmt: skip
