"""Sync: the last step of a run marks exactly the messages of its own snapshot as synced, after everything made from them."""

from collections.abc import Sequence

import dagster as dg
import polars as pl

from memory_assets.assets.vector_weeks import encoder_of
from memory_assets.fencing import fenced_step
from memory_assets.partitions import ONE_RUN
from memory_assets.tools import Tools

SAME = ("message_id", "text", "quality_override", "feedback_rating", "correction")
"""What may change of a message that is kept, beside its place: its week is made again then."""

LEFT_TAG = "memory/left"
"""Tag of a run that the sensor asked for: how many messages of its snapshot it could not mark."""


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
        """Marks messages as synced: those of the snapshot that stand in the embeddings, too, and are still what was taken in.

        A message that arrived, or was edited or rated, while the run was under way stays unsynced, and starts the next sync.
        """
        from privacy.erasure import Erasure
        from resources.snapshot import read_week_messages
        from transforms.interactions import snapshot as as_taken_in
        from transforms.order import ORDER

        snapshot = raw_interactions.select("week", "role", *SAME, *ORDER).collect()
        encoder = encoder_of(tools, "message_embeddings").fingerprint

        left = {}

        def still(week: str) -> pl.Series:
            embedded = tools.vectors.keys("message_embeddings", "message_id", week, encoder)
            mine = snapshot.filter(pl.col("week") == week)
            made = mine.filter((pl.col("role") == "system") | pl.col("message_id").is_in(embedded))
            same = unchanged(
                made, as_taken_in(read_week_messages(tools.store, week, week), tools.keys.pseudonym), ORDER
            )
            left[week] = mine.height - len(same)
            return same

        with tools.fence.committing():
            changed = tools.sync.mark_unchanged(snapshot["week"].unique().sort(), still)
            # A week that was erased from after its snapshot was read is to be made once more.
            open_weeks = set(tools.sync.unsynced_weeks())
            tools.receipt_book.fulfil(weeks=[week for week in context.partition_keys if week not in open_weeks])
        if "memory/watermark" in context.run.tags:
            context.instance.add_run_tags(context.run_id, {LEFT_TAG: str(sum(left.values()))})
        if tools.receipt_book.scrub_pending():
            Erasure(tools).scrub(patience_s=1.0)
        return dg.MaterializeResult(
            metadata={"snapshot": snapshot.height, "newly_synced": changed, "left_unsynced": tools.sync.unsynced()}
        )

    return synced_messages


def unchanged(taken_in: pl.DataFrame, stored: pl.DataFrame, order: Sequence[str]) -> pl.Series:
    """Return the ids of the messages that say the same in both frames, and stand among the same as far as both hold them.

    Args:
        order: Columns that sort messages as they were said, those of their conversation first and their position last.
    """

    def placed(frame: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
        common = frame.join(other, on="message_id", how="semi").sort(order)
        return common.select(*SAME, _place=pl.int_range(pl.len()).over(order[:-1]))

    same = placed(taken_in, stored).join(placed(stored, taken_in), on=[*SAME, "_place"], how="semi", nulls_equal=True)
    return same["message_id"]
