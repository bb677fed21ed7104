"""Quality: every interaction gets a score and its reasons.

Assets that judge interactions belong here. How a score is computed does not: that is a scorer, emotion or topics plugin.
"""

import dagster as dg
import polars as pl

from memory_assets import reports
from memory_assets.lineage import lake_asset
from memory_assets.tables import gathered
from memory_assets.tools import Tools, by_week


def build(weekly: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset."""

    @lake_asset("scored_interactions", "quality", weekly=weekly)
    def scored_interactions(
        context: dg.AssetExecutionContext, raw_interactions: pl.LazyFrame, tools: dg.ResourceParam[Tools]
    ) -> pl.DataFrame:
        """Interactions of the week with a quality score in [0, 1], its components, emotion, topics and language."""
        from transforms.scoring import score_week

        scorer, emotion, topics = (tools.plugin(kind) for kind in ("scorer", "emotion", "topics"))
        weeks = [
            score_week(part, scorer, emotion, topics, tools.as_it_stands("scored_interactions", week))
            for week, part in by_week(raw_interactions.collect())
        ]
        scored = gathered("scored_interactions", weeks)
        emotions = scored.group_by("week", "emotion").agg(interactions=pl.len()).sort("week", "emotion")
        topics = (
            scored.explode("topics")
            .drop_nulls("topics")
            .group_by("topics")
            .agg(interactions=pl.len(), quality=pl.col("quality").mean())
            .sort("interactions", "topics", descending=[True, False])
        )
        context.add_output_metadata(
            {
                "interactions": scored.height,
                "mean_quality": float(scored.select(pl.col("quality").mean()).item() or 0.0),
                "junk": int(scored["junk"].is_not_null().sum()),
                "quality": reports.histogram(scored["quality"], "quality"),
                "emotions_by_week": reports.bars_by_week(emotions, "interactions", "emotion", "interactions"),
                "topics": reports.table(topics),
            }
        )
        return scored

    return scored_interactions
