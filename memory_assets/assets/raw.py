"""Snapshot: the week's messages as they stand in the store; everything else is made from it.

How a store is read does not belong here: see `resources.snapshot`; nor how messages become interactions: `transforms.interactions`.
"""

import dagster as dg
import polars as pl

from memory_assets import reports
from memory_assets.lineage import lake_asset
from memory_assets.tables import gathered
from memory_assets.tools import Tools, by_week


def build(weekly: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset."""

    @lake_asset("raw_interactions", "capture", weekly=weekly)
    def raw_interactions(context: dg.AssetExecutionContext, tools: dg.ResourceParam[Tools]) -> pl.DataFrame:
        """Utterances of the week as captured, grouped into interactions, with opt-outs and feedback as they stand now."""
        from resources.snapshot import read_week_messages
        from serving.keeping import RUN_WAIT_S
        from transforms.interactions import snapshot

        tools.keeper.drain(wait_s=RUN_WAIT_S)
        keys = context.partition_keys
        messages = read_week_messages(tools.store, keys[0], keys[-1])
        weeks = [snapshot(part, tools.keys.pseudonym) for _, part in by_week(messages)]
        raw = gathered("raw_interactions", weeks)
        counts = raw.group_by("week", "role").agg(messages=pl.len()).sort("week", "role")
        context.add_output_metadata(
            {
                "messages": raw.height,
                "sessions": raw["session_id"].n_unique(),
                "agents": raw["agent_id"].n_unique(),
                "opted_out": int(raw["opt_out"].sum()),
                "messages_by_week": reports.bars_by_week(counts, "messages", "role", "messages"),
                "by_week": reports.table(counts),
            }
        )
        return raw

    return raw_interactions
