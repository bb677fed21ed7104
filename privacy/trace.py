"""Trace: from a message to every row, dataset and adapter made from it, and from an adapter back to every message behind it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from model_registry.exports import exports_of
from model_registry.files import adapters_of, datasets_of, parent_of, read_manifest, trained_on
from records.errors import StoreError
from records.interactions import AnonymizedInteractions, RawInteractions, ScoredInteractions
from records.memory import ConsolidatedEpisodes, Episodes, FactHistory, Facts
from records.training import DatasetManifest

if TYPE_CHECKING:
    from serving.installation import Installation

LAKE_TABLES = {
    "raw_interactions": RawInteractions,
    "scored_interactions": ScoredInteractions,
    "anonymized_interactions": AnonymizedInteractions,
    "facts": Facts,
    "fact_history": FactHistory,
    "episodes": Episodes,
    "consolidated_episodes": ConsolidatedEpisodes,
    "personality_dataset": DatasetManifest,
    "episodic_dataset": DatasetManifest,
    "skill_dataset": DatasetManifest,
}

EMBEDDED = {"message_embeddings": "raw_interactions", "fact_embeddings": "facts", "episode_embeddings": "episodes"}
"""Vector table to the lake's table of what it embeds."""


@dataclass
class Traced:
    """What was made from a message: ids per table."""

    message_id: str
    week: str | None = None
    rows: dict[str, list[str]] = field(default_factory=dict)
    datasets: list[str] = field(default_factory=list)
    adapters: list[str] = field(default_factory=list)
    exports: list[str] = field(default_factory=list)


@dataclass
class AdapterTrace:
    """What an adapter was made from.

    Attributes:
        continues: Adapters it was continued from, the nearest first.
        datasets: Its own and theirs.
        messages: Every message behind it, in order of their ids.
        incomplete: Datasets whose files are gone, so that their messages are not known any more.
    """

    adapter_id: str
    persona_id: str
    layer: str
    status: str
    base_model: str
    continues: list[str] = field(default_factory=list)
    datasets: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    samples: int = 0
    incomplete: list[str] = field(default_factory=list)


def trace(installation: "Installation", message_id: str) -> Traced:
    """Return everything that was made from a message; cost: one scan of the lake's id columns and of the datasets' manifests.

    Raises:
        DamagedError: something that may lead to it cannot be read: a trace that says less than there is would be a lie.
    """
    store, lake, vectors = installation.store, installation.lake, installation.vectors
    found = Traced(message_id)
    stored = store.rows("messages", message_id=message_id)
    if stored:
        found.week = stored[0]["week"]
        found.rows["messages"] = [message_id]
    for asset, record in LAKE_TABLES.items():
        key = record.primary_key()[0]
        for partition in lake.partitions(asset):
            mine = (
                pl.col("message_id") == message_id
                if asset == "raw_interactions"
                else pl.col("source_message_ids").list.contains(message_id)
            )
            ids = lake.collect(asset, record, [partition], where=mine, columns=[key])[key].to_list()
            if ids:
                found.rows.setdefault(asset, []).extend(ids)
    for kind, source in EMBEDDED.items():
        key = LAKE_TABLES[source].primary_key()[0]
        known = vectors.keys_of(kind, key, found.rows.get(source, []))
        if known:
            found.rows[kind] = known
    found.datasets = datasets_of(store, installation.settings.home, pl.Series([message_id]))
    found.adapters = [row["adapter_id"] for row in adapters_of(store, found.datasets)]
    exported = exports_of(store, installation.settings.home, pl.Series([message_id]))
    found.exports = [f"{row['export_id']} ({row['path']})" for row in exported]
    return found


def trace_adapter(installation: "Installation", adapter_id: str) -> AdapterTrace:
    """Return every message behind an adapter: those of its dataset, and of the adapters it continues.

    Raises:
        StoreError: there is no such adapter.
    """
    store = installation.store
    adapters = {row["adapter_id"]: row for row in store.rows("adapters")}
    row = adapters.get(adapter_id)
    if row is None:
        raise StoreError(f"there is no adapter {adapter_id!r}: see `memory adapters`")
    found = AdapterTrace(adapter_id, row["persona_id"], row["layer"], row["status"], row["base_model"])
    chain, parent = [row], parent_of(row)
    while parent in adapters and parent not in found.continues and parent is not None:
        found.continues.append(parent)
        chain.append(adapters[parent])
        parent = parent_of(adapters[parent])
    found.datasets = list(dict.fromkeys(key for link in chain for key in sorted(trained_on(link))))
    messages: set[str] = set()
    for dataset in store.rows("datasets"):
        if dataset["dataset_id"] not in found.datasets:
            continue
        manifest = read_manifest(installation.settings.home, dataset)
        if manifest is None:
            found.incomplete.append(dataset["dataset_id"])
            continue
        messages.update(manifest["source_message_ids"].explode().drop_nulls())
        found.samples += manifest.height
    found.messages = sorted(messages)
    return found


def quarantine(installation: "Installation", messages: pl.Series) -> list[str]:
    """Quarantine and undeploy every adapter that was trained on one of the messages; return which."""
    datasets = datasets_of(installation.store, installation.settings.home, messages, or_damaged=True)
    return installation.adapter_book.quarantine(adapters_of(installation.store, datasets), erase=False)
