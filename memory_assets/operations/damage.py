"""What of an installation is damaged: one pass over its files, each read whole; what makes it good again is `memory_assets.operations.repair`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from memory_assets.assets.vector_weeks import encoder_of
from memory_assets.instances import databases
from memory_assets.lineage import HOW
from memory_assets.tables import LAKE_RECORDS
from memory_assets.tools import Tools
from model_registry.files import MANIFEST, is_whole_adapter, is_whole_dataset, read_manifest, read_whole, trained_on
from records.errors import DamagedError, MemoryAssetsError, StoreError
from resources.files import file_hash
from resources.lake import WHOLE
from resources.sqlite_damage import is_whole
from resources.vector_damage import damage_of
from resources.vectors import VectorStore
from transforms.embedded_text import spoken

Kind = Literal[
    "lake",
    "vectors",
    "index",
    "pointer",
    "analytics",
    "memo",
    "vault",
    "samples",
    "dataset",
    "adapter",
    "export",
    "dagster",
    "lasting",
]
EMBEDDED = tuple(asset for asset in HOW if asset.endswith("_embeddings"))


@dataclass(frozen=True)
class Damage:
    """One thing that is damaged.

    Attributes:
        path: Below the installation.
        kind: How it is made good; ``lasting`` is what cannot be.
        how: damaged, or gone.
        of: Asset, kind of vectors or id that it belongs to.
        part: Partition, for the lake; table, for vectors.
        then: What a person is to do.
    """

    path: str
    kind: Kind
    how: str = "damaged"
    of: str = ""
    part: str = ""
    then: str = ""

    def said(self) -> str:
        """Return the sentence that a person is told."""
        if not self.then:
            return str(DamagedError(self.path, how=self.how))
        return self.then if self.then.startswith(self.path) else f"{self.path}: {self.then}"


def look(tools: Tools) -> Iterator[Damage]:
    """Yield what is damaged, the store first. Cost: linear in the bytes of the installation.

    What is to be made again anyway, since messages came in or were erased, may be gone or differ from what was written; it must be
    readable all the same.
    """
    yield from _store(tools)
    keys = list(_keys(tools))
    yield from keys or _receipts(tools)
    open_weeks = set(tools.sync.unsynced_weeks())
    for asset in LAKE_RECORDS:
        yield from _lake(tools, asset, open_weeks)
    for kind in EMBEDDED:
        yield from _vectors(tools, kind, open_weeks)
    for path in tools.warehouse.files():
        if tools.warehouse.is_damaged(path):
            yield Damage(path.name, "analytics")
    if tools.memo.path.exists() and not is_whole(tools.memo.path):
        yield Damage(tools.memo.path.name, "memo")
    vault = tools.settings.vault
    if vault is not None and vault.exists() and not is_whole(vault):
        yield Damage(vault.name, "vault")
    yield from _training(tools)
    yield from _exports(tools)
    for path in databases(tools.settings):
        if not is_whole(path):
            yield Damage(_below(path, tools.settings.home), "dagster")


def _store(tools: Tools) -> Iterator[Damage]:
    store = tools.store
    if store.is_sqlite and store.url.database and not is_whole(Path(store.url.database)):
        told = store.damaged()
        yield Damage(told.path, "lasting", then=str(told))


def _receipts(tools: Tools) -> Iterator[Damage]:
    for row in tools.receipt_book.all():
        if row["state"] == "done" and not row["valid"]:
            what = "its signature does not fit: it was changed, or keys/lasting.key is not the one that signed it; restore a backup"
            yield Damage(f"receipt {row['receipt_id']}", "lasting", then=what)


def _keys(tools: Tools) -> Iterator[Damage]:
    try:
        tools.keys.verify()
    except StoreError as error:
        yield Damage(str(error).partition(" ")[0], "lasting", then=str(error))


def _lake(tools: Tools, asset: str, open_weeks: set[str]) -> Iterator[Damage]:
    lake, record = tools.lake, LAKE_RECORDS[asset]
    known, there = tools.stamps.known(asset), lake.partitions(asset)
    for part in sorted({*there, *known}):
        told, to_be_made = known.get(part), part in open_weeks or (part == WHOLE and bool(open_weeks))
        if part not in there:
            if not to_be_made:
                yield Damage(lake.shown(asset, part), "lake", "gone", asset, part)
        elif lake.is_damaged(asset, record, part, told) or (
            told is not None and not to_be_made and _differs(lake, asset, part, told)
        ):
            yield Damage(lake.shown(asset, part), "lake", "damaged", asset, part)


def _differs(lake: Any, asset: str, part: str, known: str) -> bool:
    return lake.local is not None and file_hash(Path(lake.location(asset, part))) != known


def _vectors(tools: Tools, kind: str, open_weeks: set[str]) -> Iterator[Damage]:
    vectors, sound = tools.vectors, set()
    for name in vectors.names(kind):
        found = damage_of(vectors.folder, name, _embedded)
        if found == "table":
            yield Damage(vectors.shown(name), "vectors", "damaged", kind, name)
        elif found == "index":
            yield Damage(f"{vectors.shown(name)}/_indices", "index", "damaged", kind, name)
        if found != "table":
            sound.add(name)
    rows = {part: stamp.rows for part, stamp in tools.versions.of(kind).items() if stamp.rows}
    try:
        read = vectors.named(kind)
    except DamagedError as error:
        if error.path.endswith(".json"):
            yield Damage(error.path, "pointer", "damaged", kind)
        else:
            yield Damage(error.path, "vectors", "gone", kind)
        return
    if read is None:
        if rows and not open_weeks:
            yield Damage(f"{vectors.folder.name}/{kind}.json", "pointer", "gone", kind)
    elif read in sound and not _holds(tools, kind, read, rows, open_weeks):
        yield Damage(vectors.shown(read), "vectors", "short of rows", kind, read)


def _embedded(rows: pl.DataFrame) -> pl.Series:
    return spoken(rows) if "speaker_name" in rows.columns else rows["text"]


def _holds(tools: Tools, kind: str, name: str, rows: dict[str, int], open_weeks: set[str]) -> bool:
    """Return whether a table holds as many rows as were written: a lost manifest takes it back to what it was before."""
    try:
        if name != VectorStore.table_for(kind, encoder_of(tools, kind).fingerprint):
            return True  # the table of another embedder is made meanwhile, and what came in since stands there
    except MemoryAssetsError:
        return True
    found = tools.vectors.columns(tools.vectors.open_table(name), ["week"])["week"]
    if not HOW[kind].weekly:
        return bool(open_weeks) or len(found) == rows.get(WHOLE, 0)
    counted = dict(found.value_counts().iter_rows())
    return all(counted.get(week, 0) == rows.get(week, 0) for week in {*counted, *rows} - open_weeks)


def _training(tools: Tools) -> Iterator[Damage]:
    home = tools.settings.home
    adapters = [row for row in tools.store.rows("adapters") if row["status"] != "quarantined"]
    written = {row["dataset_id"]: json.loads(row["lineage"]).get("manifest") for row in adapters}
    for row in tools.store.rows("datasets"):
        manifest, key = home / row["path"] / MANIFEST, row["dataset_id"]
        if not manifest.exists():
            if any(key in trained_on(adapter) for adapter in adapters):
                yield Damage(f"{row['path']}/{MANIFEST}", "dataset", "gone", key)
            continue
        try:
            read_manifest(home, row)
        except DamagedError as error:
            yield Damage(error.path, "dataset", of=key)
            continue
        if written.get(key) not in (None, file_hash(manifest)):
            yield Damage(f"{row['path']}/{MANIFEST}", "dataset", of=key)
        elif not is_whole_dataset(home, row):
            yield Damage(row["path"], "samples", of=key)
    for row in adapters:
        folder = tools.adapter_book.weights(row)
        if folder.is_dir() and not is_whole_adapter(folder, json.loads(row["lineage"]).get("weights")):
            yield Damage(_below(folder, home), "adapter", of=row["adapter_id"])


def _exports(tools: Tools) -> Iterator[Damage]:
    home = tools.settings.home
    for row in tools.store.rows("exports"):
        path = home / "exports" / f"{row['export_id']}.parquet"
        with contextlib.suppress(FileNotFoundError):
            try:
                if path.exists():
                    read_whole(path, home)
            except DamagedError as error:
                if not Path(row["path"]).exists():
                    yield Damage(error.path, "export", of=row["export_id"])
                    continue
                then = f"nobody can say what was exported to {row['path']}: delete that file, repair again, and export it again"
                yield Damage(error.path, "lasting", then=then)


def _below(path: Path, home: Path) -> str:
    return str(path.relative_to(home)) if path.is_relative_to(home) else str(path)


def first_damaged(tools: Tools) -> str | None:
    """Return what to say of the first thing that is damaged, None if nothing is."""
    found: Iterable[Damage] = look(tools)
    for one in found:
        if one.kind != "memo":
            return one.said()
    return None
