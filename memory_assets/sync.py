"""Sync: the last step of a run marks exactly the messages of its own snapshot as synced, after everything made from them."""

import dagster as dg
import polars as pl

from memory_assets.fencing import fenced_step
from memory_assets.partitions import ONE_RUN
from memory_assets.tools import Tools
from memory_assets.vector_weeks import encoder_of


def build(weekly: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset."""

    @dg.asset(
        partitions_def=weekly,
        backfill_policy=ONE_RUN,
        group_name="sync",
        kinds={"python"},
        owners=["team:memory"],
        code_version="1",
        deps=["fact_embeddings", "episode_embeddings", "anonymized_interactions", "message_embeddings"],
    )
    @fenced_step
    def synced_messages(
        context: dg.AssetExecutionContext, raw_interactions: pl.LazyFrame, tools: dg.ResourceParam[Tools]
    ) -> dg.MaterializeResult:
        """Marks messages as synced: those of the snapshot that stand in the embeddings, too.

        A message that arrived while the run was under way is in no snapshot, stays unsynced, and starts the next sync.
        """
        from serving.erasure import Erasure

        snapshot = raw_interactions.select("message_id", "week", "role").collect()
        done: list[str] = snapshot.filter(pl.col("role") == "system")["message_id"].to_list()
        for week in snapshot["week"].unique().sort():
            embedded = tools.vectors.keys(
                "message_embeddings", "message_id", week, encoder_of(tools, "message_embeddings").fingerprint
            )
            mine = snapshot.filter((pl.col("week") == week) & (pl.col("role") != "system"))
            done += mine.filter(pl.col("message_id").is_in(embedded))["message_id"].to_list()
        with tools.fence.committing():
            changed = tools.sync.mark(done)
            # A week that was erased from after its snapshot was read is to be made once more.
            open_weeks = set(tools.sync.unsynced_weeks())
            tools.receipt_book.fulfil(weeks=[week for week in context.partition_keys if week not in open_weeks])
        if tools.receipt_book.scrub_pending():
            Erasure(tools).scrub(patience_s=1.0)
        return dg.MaterializeResult(
            metadata={"snapshot": snapshot.height, "newly_synced": changed, "left_unsynced": tools.sync.unsynced()}
        )

    return synced_messages
