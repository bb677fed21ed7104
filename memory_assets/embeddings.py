"""Embeddings: vectors of messages and episodes in LanceDB, one commit per week, only new or changed texts embedded."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from memory_assets import reports
from memory_assets.fencing import fenced_step
from memory_assets.lineage import HOW
from memory_assets.partitions import ONE_RUN
from memory_assets.tools import Tools, by_week
from memory_assets.vector_weeks import commit_week, encoder_of
from records.ids import text_hash
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

        rows = {week: fact_rows(part) for week, part in by_week(fact_history.collect())}
        weeks = sorted({*rows, *expected_weeks(tools, "fact_embeddings")})
        return embed_weeks(weeks, tools, "fact_embeddings", FactEmbeddings, rows)

    return [message_embeddings, episode_embeddings, fact_embeddings]


def message_rows(raw: pl.DataFrame, scored: pl.DataFrame | None, tools: Tools) -> pl.DataFrame:
    """Return the week's MessageEmbeddings without embedder, from its snapshot and judgement."""
    from plugins.interactions import with_owner
    from plugins.order import ORDER
    from plugins.terms import term_lists, traits

    said = with_owner(raw.filter(pl.col("role") != "system").sort(ORDER))
    if tools.settings.anonymize_memory:
        from plugins.anonymizing import anonymize_texts

        said = anonymize_texts(said, raw, ["text"], "message_id", tools.plugin("anonymizer"), tools.keys.pseudonym)
    judged = (
        scored
        if scored is not None
        else pl.DataFrame(
            schema={"source_message_ids": pl.List(pl.String), "emotion": pl.String, "quality": pl.Float64}
        )
    )
    judged = (
        judged.select("source_message_ids", "emotion", "quality")
        .explode("source_message_ids")
        .rename({"source_message_ids": "message_id"})
        .group_by("message_id")
        .agg(pl.col("emotion").sort_by("emotion").first().alias("_emotion"), pl.col("quality").max().alias("_quality"))
    )
    return (
        said.with_columns(window_text=window(), terms=term_lists(spoken(said).to_list()), traits=traits())
        .join(judged, on="message_id", how="left", maintain_order="left")
        .with_columns(
            emotion=pl.coalesce("_emotion", pl.lit("neutral")),
            importance=pl.coalesce("importance", "_quality", pl.lit(0.0)),
            text_hash=hashes(spoken(said)),
        )
    )


def episode_rows(episodes: pl.DataFrame) -> pl.DataFrame:
    """Return the week's EpisodeEmbeddings without embedder."""
    text = episodes.select(pl.concat_str("title", "summary", separator=". ")).to_series()
    return episodes.rename({"dominant_emotion": "emotion"}).with_columns(text=text, text_hash=hashes(text))


def fact_rows(history: pl.DataFrame) -> pl.DataFrame:
    """Return the week's FactEmbeddings without embedder."""
    text = history.select(
        pl.format("{}, {}: {}. {}", "category", pl.col("key").str.replace_all(r"[._]", " "), "value", "quote")
    ).to_series()
    return history.with_columns(text=text, text_hash=hashes(text))


def spoken(messages: pl.DataFrame) -> pl.Series:
    """Return the text that is embedded for each message: with its speaker's name.

    A question names people; without the names multilingual-e5-small found 7 % of LoCoMo's evidence in the first ten, with them 52 %.
    """
    return messages.select(pl.concat_str("speaker_name", "text", separator=": ")).to_series()


def window() -> pl.Expr:
    """Return the text for keyword search: a message with its neighbours, each with its speaker's name.

    Neighbours are those of the same person's part in the conversation (`owner`, see `plugins.interactions.with_owner`).
    """
    from plugins.interactions import SESSION

    part = (*SESSION, "owner")
    line = pl.concat_str("speaker_name", "text", separator=": ")
    return pl.concat_str(line.shift(1).over(part), line, line.shift(-1).over(part), separator="\n", ignore_nulls=True)


def hashes(texts: pl.Series) -> pl.Series:
    """Return the hash of each text."""
    return pl.Series("text_hash", [text_hash(text) for text in texts], dtype=pl.String)


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
