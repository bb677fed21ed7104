"""Trace: from a message to every row, dataset and adapter made from it."""

from dataclasses import dataclass, field

import polars as pl

from resources.lake import Lake
from resources.store import InteractionStore
from resources.vectors import VectorStore
from serving.erasure import LAKE_TABLES


@dataclass
class Traced:
    """What was made from a message: ids per table."""

    message_id: str
    week: str | None = None
    rows: dict[str, list[str]] = field(default_factory=dict)
    datasets: list[str] = field(default_factory=list)
    adapters: list[str] = field(default_factory=list)


def trace(store: InteractionStore, lake: Lake, vectors: VectorStore, message_id: str) -> Traced:
    """Return everything that was made from a message; cost: one scan of the lake's id columns."""
    found = Traced(message_id)
    stored = store.rows("messages", message_id=message_id)
    if stored:
        found.week = stored[0]["week"]
        found.rows["messages"] = [message_id]
    for asset, record in LAKE_TABLES.items():
        key = record.primary_key()[0]
        for partition in lake.partitions(asset):
            frame = lake.read(asset, record, [partition])
            mine = (
                pl.col("message_id") == message_id
                if asset == "raw_interactions"
                else pl.col("source_message_ids").list.contains(message_id)
            )
            ids = frame.filter(mine).select(key).collect()[key].to_list()
            if ids:
                found.rows.setdefault(asset, []).extend(ids)
            if ids and asset.endswith("_dataset"):
                persona, _, week = partition.partition("|")
                rows = [row for row in store.rows("datasets", persona_id=persona) if row["week"] == (week or None)]
                found.datasets += [max(rows, key=lambda row: row["created_at"])["dataset_id"]] if rows else []
    if found.week is not None and message_id in vectors.keys("message_embeddings", "message_id", found.week):
        found.rows["message_embeddings"] = [message_id]
    for dataset in found.datasets:
        found.adapters += [row["adapter_id"] for row in store.rows("adapters", dataset_id=dataset)]
    return found
