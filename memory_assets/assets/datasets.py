"""Datasets: what a persona's adapters learn from, out of anonymized interactions only, verified here once more.

How samples are cut does not belong here: see `transforms.samples`; nor the file format: that is an exporter plugin.
"""

from statistics import median
from typing import Any

import dagster as dg
import polars as pl

from memory_assets import reports
from memory_assets.fencing import fenced_step
from memory_assets.layers import LAYERS, Layer, Slot
from memory_assets.operations.planted_secrets import planted
from memory_assets.tables import LAKE_RECORDS
from memory_assets.tools import Tools
from privacy.consent import exposing, withdrawn
from records.errors import SettingsError


class SkillConfig(dg.Config):
    """What a skill is learned from, for the launchpad; empty: as the settings say under ``skills``."""

    topics: list[str] = []
    words: list[str] = []
    emotions: list[str] = []


def build(weekly: dg.WeeklyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Return the assets of the three layers."""
    every = {"anonymized_interactions": dg.AssetIn(partition_mapping=dg.AllPartitionMapping())}

    def made(layer: Layer, **more: Any) -> Any:
        asset = dg.asset(
            name=layer.dataset,
            partitions_def=layer.partitions(weekly),
            group_name="training",
            kinds={"polars", "json"},
            io_manager_key="lake",
            owners=["team:training"],
            code_version="3",
            **more,
        )
        return lambda function: asset(fenced_step(function))

    @made(LAYERS["personality"], ins=every)
    def personality_dataset(
        context: dg.AssetExecutionContext, anonymized_interactions: pl.LazyFrame, tools: dg.ResourceParam[Tools]
    ) -> pl.DataFrame:
        """Layer 1: everything a persona may learn from, with a manifest of messages and hashes."""
        return make_dataset(
            context, tools, anonymized_interactions, LAYERS["personality"].slot(context, tools.store.personas()), None
        )

    @made(LAYERS["episodic"])
    def episodic_dataset(
        context: dg.AssetExecutionContext, anonymized_interactions: pl.LazyFrame, tools: dg.ResourceParam[Tools]
    ) -> pl.DataFrame:
        """Layer 2: what a persona may learn from one week."""
        return make_dataset(
            context, tools, anonymized_interactions, LAYERS["episodic"].slot(context, tools.store.personas()), None
        )

    @made(LAYERS["skill"], ins=every)
    def skill_dataset(
        context: dg.AssetExecutionContext,
        config: SkillConfig,
        anonymized_interactions: pl.LazyFrame,
        tools: dg.ResourceParam[Tools],
    ) -> pl.DataFrame:
        """Layer 3: what a persona said on a skill's topics, from all weeks."""
        slot = LAYERS["skill"].slot(context, tools.store.personas())
        chosen = skill_filter(tools, slot.skill or "", config)
        return make_dataset(context, tools, anonymized_interactions, slot, chosen)

    return [personality_dataset, episodic_dataset, skill_dataset]


def skill_filter(tools: Tools, skill: str, config: SkillConfig) -> pl.Expr:
    """Return which interactions a skill is learned from.

    Raises:
        SettingsError: nothing says what the skill is.
    """
    given = tools.settings.skills.get(skill)
    topics, words, emotions = (
        list(getattr(config, name) or (getattr(given, name) if given is not None else []))
        for name in ("topics", "words", "emotions")
    )
    if not (topics or words or emotions):
        raise SettingsError(
            f"nothing says what the skill {skill!r} is: name topics, words or emotions, or write them under [skills.{skill}]"
        )
    said = pl.concat_str("input_text", pl.lit("\n"), "output_text").str.to_lowercase()
    fits = pl.col("topics").list.set_intersection(pl.lit(topics, dtype=pl.List(pl.String))).list.len() > 0
    fits = fits | pl.col("emotion").is_in(emotions)
    return fits | said.str.contains_any([word.lower() for word in words]) if words else fits


def make_dataset(
    context: dg.AssetExecutionContext, tools: Tools, interactions: pl.LazyFrame, slot: Slot, chosen: pl.Expr | None
) -> pl.DataFrame:
    """Build, verify, write and register a dataset; return its manifest."""
    from model_registry.files import write_dataset
    from transforms.system_prompt import system_prompt

    allowed, samples, left_out = learnable(tools, interactions, slot.persona, chosen)
    prompt = system_prompt(tools.store.rows("core_memory", agent_id=slot.persona))
    canaries = planted(tools, slot.persona, prompt, samples)
    with tools.fence.committing():
        row = write_dataset(
            tools.settings.home,
            tools.store,
            samples,
            tools.plugin("exporter"),
            kind=slot.layer,
            persona_id=slot.persona,
            week=slot.week,
            skill=slot.skill,
            planted=canaries,
            card={**card(tools, allowed, samples, left_out), "canaries": len(canaries)},
        )
    context.add_output_metadata(
        {
            "dataset_id": row["dataset_id"],
            "train": row["n_train"],
            "eval": row["n_eval"],
            "tokens": int(samples["n_tokens"].sum()),
            "left_out": left_out,
            "path": dg.MetadataValue.path(row["path"]),
            "samples": reports.table(
                samples.group_by("week", "split")
                .agg(samples=pl.len(), quality=pl.col("quality").mean(), tokens=pl.col("n_tokens").sum())
                .sort("week", "split")
            ),
        }
    )
    return samples


def learnable(
    tools: Tools,
    interactions: pl.LazyFrame,
    persona: str,
    chosen: pl.Expr | None = None,
    min_quality: float | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, int]]:
    """Return a persona's interactions that may be used, the samples made of them, and how many were left out why.

    Args:
        min_quality: Lowest quality of a sample; default: as the settings say.
    """
    from transforms.samples import Limits, build_samples
    from transforms.system_prompt import system_prompt

    own = interactions.filter(pl.col("persona_id") == persona).collect()
    # The flag in the lake is as old as its snapshot: whoever opted out since then is left out here.
    late = withdrawn(tools, own)
    allowed = own.filter(~late)
    prompt = system_prompt(tools.store.rows("core_memory", agent_id=persona))
    trainer = tools.plugin("trainer")
    given = tools.settings.dataset.model_dump(exclude={"canaries"})
    given |= {} if min_quality is None else {"min_quality": min_quality}
    limits = Limits(longest=trainer.longest(), **given)
    built = build_samples(allowed, persona, prompt, limits, trainer.count_tokens, chosen)
    # Anonymized weeks may be older than what is known now of who spoke: the second look is taken here again.
    exposed = exposing(tools, built.samples)
    left_out = {**built.left_out, "opted_out": int(late.sum()), "personal_data": int(exposed.sum())}
    return allowed, built.samples.filter(~exposed), left_out


def card(tools: Tools, allowed: pl.DataFrame, samples: pl.DataFrame, left_out: dict[str, int]) -> dict[str, Any]:
    """Return what a dataset's card says beside its counts."""
    trainer, tokens = tools.plugin("trainer"), samples["n_tokens"].to_list()
    used = samples.select(interaction_id=pl.col("interaction_ids").list.last())
    behind = allowed.join(used, on="interaction_id", how="semi")
    by_user = behind.drop_nulls("user_key").group_by("user_key").len()["len"].to_list()
    return {
        **tools.settings.dataset.model_dump(),
        "languages": dict(behind.group_by("language").len().sort("language").iter_rows()),
        "users": len(by_user),
        "largest share of one user": round(max(by_user, default=0) / max(behind.height, 1), 3),
        "tokens": sum(tokens),
        "tokens of a sample, median and longest": [median(tokens), max(tokens)] if tokens else [],
        "left out": left_out,
        "base": trainer.base(),
        "licence of the base": trainer.licence(),
        "anonymized by": sorted(behind["anonymized_by"].unique()),
    }


def build_checks(weekly: dg.WeeklyPartitionsDefinition) -> list[dg.AssetChecksDefinition]:
    """Return the checks of what a dataset must not hold."""

    def make(layer: Layer) -> dg.AssetChecksDefinition:
        @dg.asset_check(
            asset=layer.dataset,
            name="only_consenting_and_clean",
            blocking=True,
            partitions_def=layer.partitions(weekly),
        )
        def only_consenting_and_clean(
            context: dg.AssetCheckExecutionContext, tools: dg.ResourceParam[Tools]
        ) -> dg.AssetCheckResult:
            """No sample leads to a message of somebody who opted out or holds personal data; no session is on both sides of the split."""
            samples = tools.lake.collect(layer.dataset, LAKE_RECORDS[layer.dataset], [context.partition_key])
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

    return [make(layer) for layer in LAYERS.values()]
