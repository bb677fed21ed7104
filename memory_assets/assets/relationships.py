"""What time does to memories and between people: strength after decay and recalls, and relationships week by week."""

import dagster as dg
import polars as pl

from memory_assets import reports
from memory_assets.lineage import lake_asset
from memory_assets.tools import Tools


def build() -> list[dg.AssetsDefinition]:
    """Return both assets; they are made of all weeks, after consolidation."""

    @lake_asset("memory_strength", "memory")
    def memory_strength(
        context: dg.AssetExecutionContext, consolidated_episodes: pl.LazyFrame, tools: dg.ResourceParam[Tools]
    ) -> pl.DataFrame:
        """How strongly each episode is still there: age, importance, and how often it was recalled."""
        from transforms.decay import strengths

        episodes = consolidated_episodes.collect()
        recalled = pl.DataFrame(
            tools.store.rows("recalled"),
            schema={
                "memory_id": pl.String,
                "agent_id": pl.String,
                "times": pl.Int64,
                "last_recalled": pl.Datetime("us", "UTC"),
            },
        )
        frame = strengths(episodes, recalled)
        context.add_output_metadata(
            {
                "episodes": frame.height,
                "recalled": int((frame["times_recalled"] > 0).sum()),
                "strength": reports.histogram(frame["strength"], "strength"),
            }
        )
        return frame

    @lake_asset("relationships", "memory")
    def relationships(
        context: dg.AssetExecutionContext, episodes: pl.LazyFrame, tools: dg.ResourceParam[Tools]
    ) -> pl.DataFrame:
        """Strength and valence between each agent and those it shared episodes with, over time."""
        from transforms.relationships import relationships as bonds

        points = {(row["user_id"], row["persona_id"]): row["points"] for row in tools.store.rows("affinity")}
        frame = bonds(episodes.collect(), points)
        context.add_output_metadata(
            {"pairs": frame.select("agent_id", "other_id").n_unique(), "dagster/row_count": frame.height}
        )
        return frame

    return [memory_strength, relationships]
