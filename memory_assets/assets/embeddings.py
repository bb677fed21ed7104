"""Embeddings: vectors of messages and episodes in LanceDB, one commit per week, only new or changed texts embedded."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from memory_assets import reports
from memory_assets.assets.vector_weeks import commit_week, encoder_of
from memory_assets.fencing import fenced_step
from memory_assets.lineage import HOW
from memory_assets.partitions import ONE_RUN
from memory_assets.tools import Tools, by_week
from resources.lake import WHOLE

if TYPE_CHECKING:
    from records.base import Record

POOL = "lancedb"


def build(weekly: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Return both assets."""

    @dg.asset(
        partitions_def=weekly,
        backfill_policy=ONE_RUN,
        group_name="embeddings",
        kinds={"lancedb", "python"},
        pool=POOL,
        owners=["team:memory"],
        code_version=HOW["message_embeddings"].code,
    )
    @fenced_step
    def message_embeddings(
        context: dg.AssetExecutionContext,
        raw_interactions: pl.LazyFrame,
        scored_interactions: pl.LazyFrame,
        tools: dg.ResourceParam[Tools],
    ) -> dg.MaterializeResult:
        """A vector for every utterance of the week, with the text and its neighbours for keyword search."""
        from records.memory import MessageEmbeddings

        raw = dict(by_week(raw_interactions.collect()))
        scored = dict(by_week(scored_interactions.collect()))
        rows = {week: message_rows(raw[week], scored.get(week), tools) for week in raw}
        return embed_weeks(context.partition_keys, tools, "message_embeddings", MessageEmbeddings, rows)

    @dg.asset(
        group_name="embeddings",
        kinds={"lancedb", "python"},
        pool=POOL,
        owners=["team:memory"],
        code_version=HOW["episode_embeddings"].code,
    )
    @fenced_step
    def episode_embeddings(
        context: dg.AssetExecutionContext, consolidated_episodes: pl.LazyFrame, tools: dg.ResourceParam[Tools]
    ) -> dg.MaterializeResult:
        """A vector for every episode that consolidation kept; weeks in which nothing changed are not written."""
        from records.memory import EpisodeEmbeddings
        from transforms.embedded_text import episode_rows

        rows = {week: episode_rows(part) for week, part in by_week(consolidated_episodes.collect())}
        weeks = sorted({*rows, *expected_weeks(tools, "episode_embeddings")})
        return embed_weeks(weeks, tools, "episode_embeddings", EpisodeEmbeddings, rows)

    @dg.asset(
        group_name="embeddings",
        kinds={"lancedb", "python"},
        pool=POOL,
        owners=["team:memory"],
        code_version=HOW["fact_embeddings"].code,
    )
    @fenced_step
    def fact_embeddings(
        context: dg.AssetExecutionContext, fact_history: pl.LazyFrame, tools: dg.ResourceParam[Tools]
    ) -> dg.MaterializeResult:
        """A vector for every fact of the history; weeks in which nothing changed are not written."""
        from records.memory import FactEmbeddings
        from transforms.embedded_text import fact_rows

        rows = {week: fact_rows(part) for week, part in by_week(fact_history.collect())}
        weeks = sorted({*rows, *expected_weeks(tools, "fact_embeddings")})
        return embed_weeks(weeks, tools, "fact_embeddings", FactEmbeddings, rows)

    return [message_embeddings, episode_embeddings, fact_embeddings]


def message_rows(raw: pl.DataFrame, scored: pl.DataFrame | None, tools: Tools) -> pl.DataFrame:
    """Return the week's MessageEmbeddings without embedder, from its snapshot and judgement."""
    from transforms.embedded_text import message_rows
    from transforms.interactions import with_owner
    from transforms.order import ORDER

    said = with_owner(raw.filter(pl.col("role") != "system").sort(ORDER))
    if tools.settings.anonymize_memory:
        from transforms.anonymization import anonymize_texts

        said = anonymize_texts(said, raw, ["text"], "message_id", tools.plugin("anonymizer"), tools.keys.pseudonym)
    return message_rows(said, scored)


def embed_weeks(
    weeks: Sequence[str], tools: Tools, kind: str, record: "type[Record]", rows: dict[str, pl.DataFrame]
) -> dg.MaterializeResult:
    """Embed and commit week after week; return counts. Weeks without rows are emptied."""
    encoder = encoder_of(tools, kind)
    maker, dim = encoder.fingerprint, encoder.embedder.dim
    counts = []
    for week in weeks:
        frame = rows.get(week)
        if frame is None:
            if tools.vectors.open(kind, maker) is not None:
                commit_week(tools, kind, record, record.create_empty(), week, encoder)
            continue
        shaped = record.shaped(frame.with_columns(embedder=pl.lit(maker)))
        embedded = commit_week(tools, kind, record, shaped, week, encoder)
        counts.append({"week": week, "rows": shaped.height, "embedded": embedded})
    gone = set(weeks) - set(rows)
    expected = [week for week, frame in rows.items() if frame.height]
    expected += [week for week in expected_weeks(tools, kind) if week not in gone]
    serving = tools.vectors.publish(kind, maker, dim, expected)
    made = {week: ("", rows[week].height if week in rows else 0) for week in weeks}
    whole = {WHOLE: ("", sum(height for _, height in made.values()))}
    tools.stamps.wrote(kind, made if HOW[kind].weekly else whole)
    counted = pl.DataFrame(counts, schema={"week": pl.String, "rows": pl.Int64, "embedded": pl.Int64})
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": int(counted["rows"].sum()),
            "embedded": int(counted["embedded"].sum()),
            "embedder": maker,
            "dimensions": dim,
            "serving": serving,
            "by_week": reports.table(counted),
        }
    )


def expected_weeks(tools: Tools, kind: str) -> list[str]:
    """Return the weeks that the table readers use now holds: a new embedder's table must hold them all before they switch."""
    lance = tools.vectors.open(kind)
    return sorted(tools.vectors.weeks(lance)) if lance is not None else []
