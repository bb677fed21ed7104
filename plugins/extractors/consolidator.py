"""Consolidation: similar unimportant episodes become one, and what is old, merged and unimportant is left out."""

from datetime import datetime, timedelta

import polars as pl

from plugins.contracts import Consolidator, PluginConfig
from records.ids import content_id
from records.memory import ConsolidatedEpisodes


class SimilarConsolidator(Consolidator):
    """Merges episodes of one agent and user with one main topic within one span of weeks.

    Episodes at or above ``critical`` importance are never merged. The originals stay in the episodes table, and
    ``consolidated_from`` leads back to them: leaving consolidation out undoes it. Grouping is by key, so the cost is
    that of a sort.
    """

    class Config(PluginConfig):
        """What is merged and what is left out."""

        critical: float = 0.6
        smallest_group: int = 3
        span_weeks: int = 4
        prune_below: float = 0.3
        prune_after_days: int = 90

    name = "similar"
    version = "2"

    def consolidate(self, episodes: pl.DataFrame, today: datetime) -> pl.DataFrame:
        """Return ConsolidatedEpisodes; running it on its own sources again gives the same."""
        if episodes.is_empty():
            return ConsolidatedEpisodes.create_empty()
        config = self.config
        keyed = episodes.with_columns(
            _topic=pl.col("tags").list.first().fill_null("-"),
            _user=pl.col("user_id").fill_null(""),
            # Spans are counted from a fixed Monday, so that a new week never moves the borders of old spans.
            _span=(pl.col("week").str.to_date() - pl.date(2001, 1, 1)).dt.total_days() // (7 * config.span_weeks),
        )
        group = ["agent_id", "_user", "_topic", "_span"]
        plain = pl.col("importance") < config.critical
        keyed = keyed.with_columns(_size=pl.when(plain).then(plain.sum().over(group)).otherwise(0))
        alone = keyed.filter(pl.col("_size") < config.smallest_group).select(
            *episodes.columns,
            is_consolidated=pl.lit(value=False),
            consolidated_from=pl.lit([], dtype=pl.List(pl.String)),
        )
        merged = self._merged(keyed.filter(pl.col("_size") >= config.smallest_group), group)
        frame = pl.concat(
            [
                alone.select(ConsolidatedEpisodes.column_names()),
                merged.select(ConsolidatedEpisodes.column_names()).cast(
                    dict(ConsolidatedEpisodes.polars_schema().items())
                ),
            ]
        )
        old = pl.col("ended_at") < today - timedelta(days=config.prune_after_days)
        return ConsolidatedEpisodes.shaped(
            frame.filter(~(old & pl.col("is_consolidated") & (pl.col("importance") < config.prune_below)))
        )

    def _merged(self, keyed: pl.DataFrame, group: list[str]) -> pl.DataFrame:
        """Return one episode per group; everything it stands for can be found again by ``consolidated_from``."""
        firsts = ("user_id", "user_key", "session_id", "world_id", "week", "started_at", "location")
        frame = (
            keyed.sort("started_at", "episode_id")
            .group_by(group, maintain_order=True)
            .agg(
                pl.col(*firsts).first(),
                pl.col("ended_at", "turn_last", "arousal").max(),
                pl.col("turn_first").min(),
                pl.len().alias("_n"),
                pl.col("tags").first().list.first().fill_null("talk").alias("_subject"),
                pl.col("title").str.join("; ").str.slice(0, 400).alias("event"),
                pl.col("event").str.join(" · ").str.slice(0, 800).alias("summary"),
                _flat("participants").unique().sort(),
                (pl.col("importance").max() * 0.9).round(4),
                pl.col("valence").mean().round(4),
                pl.col("dominant_emotion").mode().sort().first(),
                _flat("keywords", 3).unique(maintain_order=True).head(8),
                _flat("tags").unique().sort().head(6),
                _flat("source_message_ids"),
                pl.col("episode_id").alias("consolidated_from"),
            )
        )
        ids = [content_id("c", *sorted(parts), self.fingerprint) for parts in frame["consolidated_from"]]
        words = pl.col("keywords").list.head(4).list.join(", ")
        return frame.with_columns(
            episode_id=pl.Series(ids, dtype=pl.String),
            type=pl.lit("routine"),
            title=pl.format("{} × {}: {}", "_subject", "_n", words).str.slice(0, 120),
            extracted_by=pl.lit(self.fingerprint),
            is_consolidated=pl.lit(value=True),
        )


def _flat(column: str, most: int | None = None) -> pl.Expr:
    values = pl.col(column) if most is None else pl.col(column).list.head(most)
    return values.list.explode(keep_nulls=False, empty_as_null=False).alias(column)
