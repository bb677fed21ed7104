"""Forgetting: a user, a session or a message leaves the store, the lake, the vectors and the datasets; adapters are quarantined."""

import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from records.interactions import AnonymizedInteractions, RawInteractions, ScoredInteractions
from records.memory import ConsolidatedEpisodes, Episodes, FactHistory, Facts, MemoryStrength, Relationships
from records.training import DatasetManifest
from resources.keys import Keys
from resources.lake import Lake
from resources.store import InteractionStore, chunks
from resources.sync import SyncState
from resources.vectors import VectorStore
from serving.capture import Erased

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
}


@dataclass
class Forgotten:
    """What was removed, in rows per table, and what has to be made again; nothing of the content."""

    messages: int = 0
    removed: dict[str, int] = field(default_factory=dict)
    quarantined: list[str] = field(default_factory=list)
    weeks: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)


def forget(
    store: InteractionStore, lake: Lake, vectors: VectorStore, keys: Keys, home: Path, *, kind: str, value: str
) -> Forgotten:
    """Forget a subject; asked twice it is quiet, killed half-way the next call does the rest.

    The store goes last: until then the messages say what is still to be removed elsewhere.
    """
    done = Forgotten()
    m = store.meta.tables["messages"]
    which = {
        "user": sa.or_(m.c.user_id == value, m.c.speaker_id == value),
        "session": m.c.session_id == value,
        "message": m.c.message_id == value,
    }[kind]
    with store.engine.connect() as connection:
        rows = connection.execute(sa.select(m.c.message_id, m.c.week).where(which)).all()
    ids, done.weeks = [row.message_id for row in rows], sorted({row.week for row in rows})
    store.insert_once(
        "tombstones",
        [{"subject_hash": Erased(store, keys).subject(kind, value), "kind": kind, "erased_at": datetime.now(UTC)}],
    )
    if not ids:
        return done
    done.messages = len(ids)
    dropped = _from_lake(lake, ids, done)
    done.removed["message_embeddings"] = vectors.delete("message_embeddings", "message_id", ids)
    done.removed["episode_embeddings"] = vectors.delete("episode_embeddings", "episode_id", dropped["episodes"])
    done.removed["fact_embeddings"] = vectors.delete("fact_embeddings", "fact_id", sorted(set(dropped["facts"])))
    _from_bonds(lake, dropped["episodes"], value if kind == "user" else None, done)
    _forget_use(store, [*ids, *dropped["episodes"], *dropped["facts"]])
    _from_training(store, home, dropped["dataset_samples"], dropped["personas"], done)
    with store.writer.begin() as connection:
        feedback = store.meta.tables["feedback"]
        for batch in chunks(ids):
            connection.execute(sa.delete(feedback).where(feedback.c.message_id.in_(batch)))
            connection.execute(sa.delete(m).where(m.c.message_id.in_(batch)))
        if kind == "session":
            sessions = store.meta.tables["sessions"]
            connection.execute(sa.delete(sessions).where(sessions.c.session_id == value))
        if kind == "user":
            sessions, speakers = store.meta.tables["sessions"], store.meta.tables["speakers"]
            affinity, moods = store.meta.tables["affinity"], store.meta.tables["moods"]
            mine = sa.select(sessions.c.session_id).where(sessions.c.user_id == value)
            connection.execute(sa.delete(moods).where(moods.c.session_id.in_(mine)))
            connection.execute(sa.delete(affinity).where(affinity.c.user_id == value))
            connection.execute(sa.delete(sessions).where(sessions.c.user_id == value))
            connection.execute(sa.delete(speakers).where(speakers.c.speaker_id == value))
    for week in done.weeks:
        SyncState(store).reopen(week)
    done.pending = [f"materialize week {week}" for week in done.weeks] + ["publish analytics again"]
    return done


def _from_bonds(lake: Lake, episodes: list[str], user: str | None, done: Forgotten) -> None:
    """Drop the strength of what is gone and the relationships with a forgotten user, which name no message."""
    for asset, record, gone in (
        ("memory_strength", MemoryStrength, pl.col("memory_id").is_in(episodes)),
        ("relationships", Relationships, pl.col("other_id") == user if user is not None else pl.lit(value=False)),
    ):
        for partition in lake.partitions(asset):
            frame = lake.read(asset, record, [partition]).collect()
            kept = frame.filter(~gone)
            if kept.height < frame.height:
                done.removed[asset] = done.removed.get(asset, 0) + frame.height - kept.height
                lake.write(asset, partition, kept)


def _forget_use(store: InteractionStore, memories: list[str]) -> None:
    """Drop what is known of how often the memories were recalled, and with whom they were shared."""
    with store.writer.begin() as connection:
        for name in ("recalled", "shared_memories"):
            table = store.meta.tables[name]
            for batch in chunks(memories):
                connection.execute(sa.delete(table).where(table.c.memory_id.in_(batch)))


def _from_lake(lake: Lake, ids: list[str], done: Forgotten) -> dict[str, list[str]]:
    """Drop every row that leads to one of the messages; return the ids of dropped episodes, samples and personas."""
    dropped: dict[str, list[str]] = {
        "episodes": [],
        "facts": [],
        "dataset_samples": [],
        "personas": [],
    }
    gone = pl.Series(ids)
    for asset, record in LAKE_TABLES.items():
        for partition in lake.partitions(asset):
            frame = lake.read(asset, record, [partition]).collect()
            if asset == "raw_interactions":
                touched = pl.col("message_id").is_in(gone.implode())
            else:
                touched = pl.col("source_message_ids").list.eval(pl.element().is_in(gone.implode())).list.any()
            out = frame.filter(touched)
            if out.is_empty():
                continue
            done.removed[asset] = done.removed.get(asset, 0) + out.height
            if asset in ("episodes", "consolidated_episodes"):
                dropped["episodes"] += out["episode_id"].to_list()
            if asset in ("facts", "fact_history"):
                dropped["facts"] += out["fact_id"].to_list()
            if asset.endswith("_dataset"):
                dropped["dataset_samples"] += out["content_hash"].to_list()
                dropped["personas"].append(partition.partition("|")[0])
            lake.write(asset, partition, frame.filter(~touched))
    return dropped


def _from_training(
    store: InteractionStore, home: Path, samples: list[str], personas: list[str], done: Forgotten
) -> None:
    """Remove the files of the personas' datasets, and quarantine the adapters trained on them."""
    if not samples:
        return
    for row in store.rows("datasets"):
        # A manifest tells of the newest dataset of its partition only; older ones of the persona may hold the sample, too.
        if row["persona_id"] in personas:
            shutil.rmtree(home / row["path"], ignore_errors=True)
            for adapter in store.rows("adapters", dataset_id=row["dataset_id"]):
                store.set_status(adapter["adapter_id"], "quarantined")
                done.quarantined.append(adapter["adapter_id"])
    done.removed["dataset_samples"] = len(samples)
