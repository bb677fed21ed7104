"""Consolidation: similar unimportant episodes become one, and what is old, merged and unimportant is left out."""

from datetime import datetime, timedelta
from typing import Any

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
    version = "1"

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
        merged = [
            self._merge(part)
            for _, part in sorted(
                keyed.filter(pl.col("_size") >= config.smallest_group).partition_by(group, as_dict=True).items(),
                key=lambda item: str(item[0]),
            )
        ]
        frame = pl.concat(
            [
                alone.select(ConsolidatedEpisodes.column_names()),
                pl.DataFrame(merged, schema=ConsolidatedEpisodes.polars_schema(), orient="row"),
            ]
        )
        old = pl.col("ended_at") < today - timedelta(days=config.prune_after_days)
        return ConsolidatedEpisodes.shaped(
            frame.filter(~(old & pl.col("is_consolidated") & (pl.col("importance") < config.prune_below)))
        )

    def _merge(self, part: pl.DataFrame) -> dict[str, Any]:
        rows = part.sort("started_at", "episode_id").to_dicts()
        ids = [row["episode_id"] for row in rows]
        feelings = [row["dominant_emotion"] for row in rows]
        topic = rows[0]["tags"][0] if rows[0]["tags"] else "talk"
        keywords = list(dict.fromkeys(word for row in rows for word in row["keywords"][:3]))[:8]
        return {
            "episode_id": content_id("c", *sorted(ids), self.fingerprint),
            **{
                name: rows[0][name]
                for name in ("agent_id", "user_id", "user_key", "session_id", "week", "started_at", "location")
            },
            "ended_at": max(row["ended_at"] for row in rows),
            "turn_first": min(row["turn_first"] for row in rows),
            "turn_last": max(row["turn_last"] for row in rows),
            "type": "routine",
            "title": f"{topic} × {len(rows)}: {', '.join(keywords[:4])}"[:120],
            "event": "; ".join(row["title"] for row in rows)[:400],
            "summary": " · ".join(row["event"] for row in rows)[:800],
            "participants": sorted({name for row in rows for name in row["participants"]}),
            "importance": round(max(row["importance"] for row in rows) * 0.9, 4),
            "arousal": max(row["arousal"] for row in rows),
            "valence": round(sum(row["valence"] for row in rows) / len(rows), 4),
            "dominant_emotion": max(sorted(set(feelings)), key=feelings.count),
            "keywords": keywords,
            "tags": sorted({tag for row in rows for tag in row["tags"]})[:6],
            "source_message_ids": [message for row in rows for message in row["source_message_ids"]],
            "extracted_by": self.fingerprint,
            "is_consolidated": True,
            "consolidated_from": ids,
        }
