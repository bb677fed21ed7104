"""Episodes: what is worth remembering as one event, and what becomes of similar unimportant ones.

How a session is cut and what it is called does not belong here: those are episodes and consolidator plugins.
"""

import dagster as dg
import polars as pl

from memory_assets import reports
from memory_assets.assets.facts import spent_metadata
from memory_assets.lineage import lake_asset
from memory_assets.tables import gathered
from memory_assets.tools import Tools, by_week


def build(weekly: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Return both assets."""

    @lake_asset("episodes", "memory", weekly=weekly)
    def episodes(
        context: dg.AssetExecutionContext,
        scored_interactions: pl.LazyFrame,
        raw_interactions: pl.LazyFrame,
        tools: dg.ResourceParam[Tools],
    ) -> pl.DataFrame:
        """Episodes of the week: title, event, summary, importance, emotion, participants, and the messages behind them."""
        from plugins.scorers.junk import without_recalled
        from transforms.anonymization import anonymize_texts

        extractor = tools.plugin("episodes")
        raw = dict(by_week(raw_interactions.collect()))
        weeks, spent = [], []
        happened = scored_interactions.with_columns(without_recalled(pl.col("input_text", "output_text")))
        for week, part in by_week(happened.collect()):
            told = (
                anonymize_texts(
                    part,
                    raw[week],
                    ["input_text", "output_text"],
                    "interaction_id",
                    tools.plugin("anonymizer"),
                    tools.keys.pseudonym,
                )
                if tools.settings.anonymize_memory
                else part
            )
            weeks.append(extractor.extract(told))
            spent.append(extractor.spent)
        kept = gathered("episodes", weeks)
        types = kept.group_by("type").agg(episodes=pl.len(), importance=pl.col("importance").mean()).sort("type")
        context.add_output_metadata(
            {
                "episodes": kept.height,
                "importance": reports.histogram(kept["importance"], "importance"),
                "types": reports.table(types),
                **spent_metadata(spent),
            }
        )
        return kept

    @lake_asset("consolidated_episodes", "memory")
    def consolidated_episodes(
        context: dg.AssetExecutionContext, episodes: pl.LazyFrame, tools: dg.ResourceParam[Tools]
    ) -> pl.DataFrame:
        """All episodes after consolidation: similar unimportant ones merged, with the way back in `consolidated_from`."""
        every = episodes.collect()
        if every.is_empty():
            return gathered("consolidated_episodes", [])
        # Today is the day of the newest episode: the same episodes give the same result whenever the run happens.
        merged = tools.plugin("consolidator").consolidate(every, every["ended_at"].max())
        growth = (
            merged.group_by("week")
            .agg(episodes=pl.len())
            .sort("week")
            .with_columns(remembered=pl.col("episodes").cum_sum())
        )
        context.add_output_metadata(
            {
                "before": every.height,
                "after": merged.height,
                "consolidated": int(merged["is_consolidated"].sum()),
                "memory_growth": reports.bars_by_week(growth, "remembered", None, "episodes remembered"),
                "by_week": reports.table(growth),
            }
        )
        return merged

    return [episodes, consolidated_episodes]
