"""Datasets: what a persona's adapters learn from, out of anonymized interactions only, verified here once more.

How samples are cut does not belong here: see `plugins.datasets`; nor the file format: that is an exporter plugin.
"""

import dagster as dg
import polars as pl

from memory_assets import reports
from memory_assets.consent import exposing, withdrawn
from memory_assets.partitions import PERSONAS, persona_weeks
from memory_assets.tables import LAKE_RECORDS
from memory_assets.tools import Tools


def build(weekly: dg.WeeklyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Return both assets."""

    @dg.asset(
        partitions_def=PERSONAS,
        group_name="training",
        kinds={"polars", "json"},
        io_manager_key="lake",
        owners=["team:training"],
        code_version="1",
        ins={"anonymized_interactions": dg.AssetIn(partition_mapping=dg.AllPartitionMapping())},
    )
    def personality_dataset(
        context: dg.AssetExecutionContext, anonymized_interactions: pl.LazyFrame, tools: dg.ResourceParam[Tools]
    ) -> pl.DataFrame:
        """Layer 1: everything a persona may learn from, as ChatML with a manifest of messages and hashes."""
        return make_dataset(
            context, tools, anonymized_interactions.collect(), "personality", context.partition_key, None
        )

    @dg.asset(
        partitions_def=persona_weeks(weekly),
        group_name="training",
        kinds={"polars", "json"},
        io_manager_key="lake",
        owners=["team:training"],
        code_version="1",
    )
    def episodic_dataset(
        context: dg.AssetExecutionContext, anonymized_interactions: pl.LazyFrame, tools: dg.ResourceParam[Tools]
    ) -> pl.DataFrame:
        """Layer 2: what a persona may learn from one week."""
        persona, week = persona_and_week(context)
        return make_dataset(context, tools, anonymized_interactions.collect(), "episodic", persona, week)

    return [personality_dataset, episodic_dataset]


def persona_and_week(context: dg.AssetExecutionContext) -> tuple[str, str]:
    """Return both dimensions of the partition key."""
    key = context.partition_key
    assert isinstance(key, dg.MultiPartitionKey)
    return key.keys_by_dimension["persona"], key.keys_by_dimension["week"]


def make_dataset(
    context: dg.AssetExecutionContext,
    tools: Tools,
    interactions: pl.DataFrame,
    kind: str,
    persona: str,
    week: str | None,
) -> pl.DataFrame:
    """Build, verify, write and register a dataset; return its manifest."""
    from plugins.datasets import build_samples
    from plugins.persona import system_prompt
    from resources.training_files import write_dataset

    limits = tools.settings.dataset
    # The flag in the lake is as old as its snapshot: whoever opted out since then is left out here.
    late = withdrawn(tools, interactions)
    allowed = interactions.filter(~late)
    prompt = system_prompt(tools.store.rows("core_memory", agent_id=persona))
    samples = build_samples(
        allowed, persona, prompt, min_quality=limits.min_quality, eval_share=limits.eval_share, history=limits.history
    )
    # Anonymized weeks may be older than what is known now of who spoke: the second look is taken here again.
    exposed = exposing(tools, samples)
    samples = samples.filter(~exposed)
    languages = dict(
        allowed.filter(pl.col("persona_id") == persona).group_by("language").len().sort("language").iter_rows()
    )
    row = write_dataset(
        tools.settings.home,
        tools.store,
        samples,
        tools.plugin("exporter").lines,
        kind=kind,
        persona_id=persona,
        week=week,
        card={"min_quality": limits.min_quality, "history": limits.history, "interactions by language": languages},
    )
    context.add_output_metadata(
        {
            "dataset_id": row["dataset_id"],
            "train": row["n_train"],
            "eval": row["n_eval"],
            "left_out_opt_out": int(late.sum()),
            "left_out_personal_data": int(exposed.sum()),
            "path": dg.MetadataValue.path(row["path"]),
            "samples": reports.table(
                samples.group_by("week", "split")
                .agg(samples=pl.len(), quality=pl.col("quality").mean())
                .sort("week", "split")
            ),
        }
    )
    return samples


def build_checks(weekly: dg.WeeklyPartitionsDefinition) -> list[dg.AssetChecksDefinition]:
    """Return the checks of what a dataset must not hold."""

    def make(asset: str, partitions: dg.PartitionsDefinition) -> dg.AssetChecksDefinition:
        @dg.asset_check(asset=asset, name="only_consenting_and_clean", blocking=True, partitions_def=partitions)
        def only_consenting_and_clean(
            context: dg.AssetCheckExecutionContext, tools: dg.ResourceParam[Tools]
        ) -> dg.AssetCheckResult:
            """No sample leads to a message of somebody who opted out or holds personal data; no session is on both sides of the split."""
            samples = tools.lake.read(asset, LAKE_RECORDS[asset], [context.partition_key]).collect()
            wrong, exposed = int(withdrawn(tools, samples).sum()), int(exposing(tools, samples).sum())
            both = samples.group_by("session_key").agg(pl.col("split").n_unique()).filter(pl.col("split") > 1).height
            return dg.AssetCheckResult(
                passed=wrong == 0 and exposed == 0 and both == 0,
                metadata={
                    "samples": samples.height,
                    "opted_out": wrong,
                    "personal_data": exposed,
                    "sessions_on_both_sides": both,
                },
            )

        return only_consenting_and_clean

    return [make("personality_dataset", PERSONAS), make("episodic_dataset", persona_weeks(weekly))]
