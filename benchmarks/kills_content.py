"""What an installation holds, without what tells when or where it was written: two that hold the same are the same for who uses them."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from memory_assets.operations.publishing import OWED, are_owed
from memory_assets.tools import Tools
from resources.fence import GENERATION
from resources.files import ASIDE

WHEN = {
    "seq", "received_at", "created_at", "made_at", "updated_at", "erased_at", "asked_at", "done_at", "deployed_at",
    "withdrawn_at", "last_recalled", "signature", "receipt_id", "export_id", "deployment_id", "metrics", "evaluation", "lineage",
}  # fmt: skip
"""Columns of the store that say when something was written, are ids made of that, or say how long a training took."""

OPEN = ("vectors", "dagster", "deployed", "errors", "exports", "adapters", "datasets")
"""Folders of which other things are compared than the names of their files."""

PASSING = (".lock", "-wal", "-shm", ".migrating")
"""Ends of names of files that are there while, or because, something was opened."""


def content(folder: Path) -> dict[str, Any]:
    """Return what the installation in ``folder/home`` holds, by place; equal values are equal content."""
    from resources.settings import load_settings

    settings = load_settings(folder / "memory.toml", home=folder / "home", plugins_dir=folder / "plugins")
    tools = Tools(settings)
    found: dict[str, Any] = {}
    try:
        for part in (_lake, _vectors, _analytics, _store, _training, _exports, _files):
            for place, value in part(folder, tools):
                found[place] = value
    finally:
        tools.store.close()
    found["dagster"] = _dagster(folder)
    return found


def differences(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Return where two contents differ, each as one short sentence."""
    told = []
    for place in sorted(expected.keys() | found.keys()):
        here, there = expected.get(place), found.get(place)
        if here == there:
            continue
        if isinstance(here, list) and isinstance(there, list):
            missing, more = ([row for row in one if row not in other] for one, other in ((here, there), (there, here)))
            told.append(
                f"{place}: {len(missing)} missing, {len(more)} more; {_short(missing[:2])} instead {_short(more[:2])}"
            )
        else:
            told.append(f"{place}: {_short(here)} expected, {_short(there)} found")
    return told


def _short(value: Any) -> str:
    return repr(value) if len(repr(value)) < 300 else repr(value)[:300] + "…"


def left_of(folder: Path, words: tuple[bytes, ...]) -> list[str]:
    """Return the files of the installation whose bytes hold one of the words (in lower case), and those of Lance that no table names.

    What is packed with compression is not seen here: `content` compares it.
    """
    home, found = folder / "home", []
    for path in sorted(home.rglob("*")):
        if path.is_file() and any(word in path.read_bytes().lower() for word in words):
            found.append(str(path.relative_to(home)))
    for table in sorted((home / "vectors").glob("*.lance")):
        named = b"".join(path.read_bytes() for path in (table / "_versions").glob("*.manifest"))
        found += [
            f"{path.relative_to(home)} (of no version)"
            for path in sorted((table / "data").glob("*"))
            if path.name.encode() not in named
        ]
    return found


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def _lake(folder: Path, tools: Tools) -> Iterator[tuple[str, Any]]:
    root = folder / "home/lake"
    for path in sorted(root.rglob("*.parquet")):
        if not path.name.startswith("."):
            yield f"lake/{path.relative_to(root)}", _digest(path.read_bytes())


def _vectors(folder: Path, tools: Tools) -> Iterator[tuple[str, Any]]:
    tables = sorted(path.name for path in (folder / "home/vectors").glob("*.lance"))
    yield "vectors: tables", tables
    for kind in ("message_embeddings", "fact_embeddings", "episode_embeddings"):
        yield f"vectors/{kind}: current", tools.vectors.current(kind)
    for name in tables:
        lance = tools.vectors.open_table(name.removesuffix(".lance"))
        if lance is None:
            yield f"vectors/{name}", "cannot be opened"
            continue
        frame = pl.DataFrame(lance.search().limit(None).to_arrow())
        yield f"vectors/{name}", sorted(map(repr, frame.rows()))
        indexes = {index.columns[0] for index in lance.list_indices()}
        yield f"vectors/{name}: indexes", sorted(indexes)


def _analytics(folder: Path, tools: Tools) -> Iterator[tuple[str, Any]]:
    if not tools.warehouse.path.exists():
        yield "analytics", "none"
        return
    with tools.warehouse.connect() as connection:
        for (name,) in connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall():
            rows = connection.execute(f'SELECT * FROM "{name}"').fetchall()
            yield f"analytics/{name}", sorted(map(repr, rows))


def _store(folder: Path, tools: Tools) -> Iterator[tuple[str, Any]]:
    here, counted = str(folder), []
    for name in sorted(tools.store.meta.tables):
        rows = []
        for row in tools.store.rows(name):
            if str(row.get("name")).startswith(OWED) or row.get("name") == GENERATION:
                continue  # of a run that goes on, in a folder that was copied; how often an erasure was begun
            kept = {column: value for column, value in row.items() if column not in WHEN}
            if "synced_at" in kept:
                kept["synced_at"] = kept["synced_at"] is not None
            if name == "receipts":
                kept["done"] = row["done_at"] is not None
                counted.append(json.dumps(json.loads(kept.pop("removed")), sort_keys=True))
            rows.append(json.dumps(kept, default=str, sort_keys=True).replace(here, "."))
        # An export that was killed between its registration and its file is known twice once it was asked for again.
        yield f"store/{name}", sorted(set(rows)) if name == "exports" else sorted(rows)
    yield "analytics owed", are_owed(tools)
    valid = [row["valid"] for row in tools.receipt_book.all()]
    yield "store/receipts: signatures", valid
    yield "store/receipts: counts", sorted(counted)


def _training(folder: Path, tools: Tools) -> Iterator[tuple[str, Any]]:
    home = folder / "home"
    for place, table in (("datasets", "datasets"), ("adapters", "adapters")):
        there = sorted(str(path.relative_to(home)) for path in (home / place).glob("*"))
        known = {row["path"] for row in tools.store.rows(table)}
        yield f"{place}: folders", there
        yield f"{place}: unregistered", sorted(set(there) - known)
    for path in sorted((home / "datasets").rglob("*")):
        if path.is_file():
            yield f"{path.relative_to(home)}", _digest(path.read_bytes())
    deployed = home / "deployed"
    yield "deployed", sorted(str(path.relative_to(home)) for path in deployed.rglob("*") if path.is_file())


def _exports(folder: Path, tools: Tools) -> Iterator[tuple[str, Any]]:
    rows = tools.store.rows("exports")
    manifests = {path.stem for path in (folder / "home/exports").glob("*.parquet")}
    # Every one that is known has its manifest and, unless it was killed in between, its file; nothing else lies there.
    yield "exports: unknown manifests", sorted(manifests - {row["export_id"] for row in rows})
    yield "exports: without manifest", sum(row["export_id"] not in manifests for row in rows)
    for path in sorted(folder.glob("*.jsonl")):
        yield f"file {path.name}", _digest(path.read_bytes())
    yield "beside exported files", sorted(path.name for path in folder.glob(f"*{ASIDE}"))


def _files(folder: Path, tools: Tools) -> Iterator[tuple[str, Any]]:
    home = folder / "home"
    names, asides = [], []
    for path in sorted(home.rglob("*")):
        parts = path.relative_to(home).parts
        if path.is_file() and (ASIDE in path.name or ".tmp" in path.name):
            asides.append("/".join(parts))
        elif path.is_file() and parts[0] not in OPEN and not path.name.endswith(PASSING):
            names.append("/".join(parts))
    yield "files", [name for name in names if not name.startswith("analytics.")]
    yield "left by killed writers", asides
    yield "errors kept", len(list((home / "errors").glob("*")))


def _dagster(folder: Path) -> Any:
    """Return how many runs are under way, and how many slots of pools are held, both of which nobody may be."""
    import sqlite3

    runs = folder / "home/dagster/history/runs.db"
    index = folder / "home/dagster/history/runs/index.db"
    if not runs.exists():
        return (0, 0)
    with sqlite3.connect(runs) as connection:
        query = "SELECT count(*) FROM runs WHERE status IN ('NOT_STARTED', 'STARTING', 'STARTED', 'CANCELING')"
        going = connection.execute(query).fetchone()[0]
    with sqlite3.connect(index) as connection:
        held = connection.execute("SELECT count(*) FROM concurrency_slots WHERE run_id IS NOT NULL").fetchone()[0]
    return (going, held)
