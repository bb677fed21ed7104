"""Adapters: LoRA weights trained on a persona's datasets, evaluated, registered, and deployed when they are better than the base.

How weights are trained or deployed does not belong here: those are trainer and deployer plugins.
"""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from memory_assets import reports
from memory_assets.consent import verify
from memory_assets.datasets import persona_and_week
from memory_assets.partitions import PERSONAS, persona_weeks
from memory_assets.tools import Tools
from plugins.contracts import TrainJob
from records.errors import TrainingError
from records.ids import content_id

POOL = "training"


def build(weekly: dg.WeeklyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Return the assets."""

    @dg.asset(
        partitions_def=PERSONAS,
        group_name="training",
        kinds={"pytorch", "huggingface"},
        pool=POOL,
        owners=["team:training"],
        code_version="1",
    )
    def personality_adapter(
        context: dg.AssetExecutionContext, personality_dataset: pl.LazyFrame, tools: dg.ResourceParam[Tools]
    ) -> dg.MaterializeResult:
        """Layer 1: the persona's static adapter; training resumes where a killed run stopped."""
        return make_adapter(context, tools, personality_dataset.collect(), "personality", context.partition_key, None)

    @dg.asset(
        partitions_def=persona_weeks(weekly),
        group_name="training",
        kinds={"pytorch", "huggingface"},
        pool=POOL,
        owners=["team:training"],
        code_version="1",
        deps=[personality_adapter],
    )
    def episodic_adapter(
        context: dg.AssetExecutionContext, episodic_dataset: pl.LazyFrame, tools: dg.ResourceParam[Tools]
    ) -> dg.MaterializeResult:
        """Layer 2: one week's adapter, continued from the persona's layer 1 if there is one."""
        persona, week = persona_and_week(context)
        return make_adapter(context, tools, episodic_dataset.collect(), "episodic", persona, week)

    @dg.asset(
        partitions_def=PERSONAS,
        group_name="training",
        kinds={"python"},
        owners=["team:training"],
        code_version="1",
        deps=[personality_adapter],
        check_specs=[dg.AssetCheckSpec("better_than_base", asset="adapter_evaluation", blocking=True)],
    )
    def adapter_evaluation(context: dg.AssetExecutionContext, tools: dg.ResourceParam[Tools]) -> dg.MaterializeResult:
        """The gate of layer 1: on held-out sessions the adapter's loss is below the base's, or it is not approved."""
        row = newest_adapter(tools, "personality", context.partition_key)
        metrics = json.loads(row["metrics"])
        base, own = metrics.get("eval_loss_base"), metrics.get("eval_loss")
        passed = base is not None and own is not None and own < base
        if row["status"] in ("candidate", "approved"):
            tools.store.set_status(row["adapter_id"], "approved" if passed else "candidate")
        reason = "no held-out sample" if base is None else f"held-out loss {own:.3f}, base {base:.3f}"
        values = {"adapter_id": row["adapter_id"], "reason": reason}
        return dg.MaterializeResult(
            metadata=values,
            check_results=[dg.AssetCheckResult(check_name="better_than_base", passed=bool(passed), metadata=values)],
        )

    @dg.asset(
        partitions_def=PERSONAS,
        group_name="training",
        kinds={"python"},
        owners=["team:training"],
        code_version="1",
        deps=[adapter_evaluation],
    )
    def deployed_adapter(context: dg.AssetExecutionContext, tools: dg.ResourceParam[Tools]) -> dg.MaterializeResult:
        """The approved adapter where a server finds it; the one before stays beside it and is retired in the registry."""
        row = newest_adapter(tools, "personality", context.partition_key)
        if row["status"] not in ("approved", "deployed"):
            raise dg.Failure(
                f"the adapter is {row['status']}, only an approved one is deployed: see adapter_evaluation"
            )
        home = tools.settings.home
        link = tools.plugin("deployer").deploy(home / row["path"] / "adapter", home / "deployed", context.partition_key)
        tools.store.set_status(row["adapter_id"], "deployed")
        return dg.MaterializeResult(
            metadata={"adapter_id": row["adapter_id"], "path": dg.MetadataValue.path(str(link.relative_to(home)))}
        )

    return [personality_adapter, episodic_adapter, adapter_evaluation, deployed_adapter]


def newest_adapter(tools: Tools, layer: str, persona: str) -> dict[str, Any]:
    """Return the registry row of the newest adapter of a persona.

    Raises:
        TrainingError: there is none.
    """
    rows = tools.store.rows("adapters", layer=layer, persona_id=persona)
    if not rows:
        raise TrainingError(f"no {layer} adapter of {persona} is registered: materialize it first")
    return max(rows, key=lambda row: row["created_at"])


def make_adapter(
    context: dg.AssetExecutionContext, tools: Tools, manifest: pl.DataFrame, layer: str, persona: str, week: str | None
) -> dg.MaterializeResult:
    """Train an adapter, or find that this one was trained already; register it and report its losses."""
    from resources.training_files import adapter_row

    trainer = tools.plugin("trainer")
    datasets = [row for row in tools.store.rows("datasets", kind=layer, persona_id=persona) if row["week"] == week]
    if not datasets:
        raise TrainingError(f"no {layer} dataset of {persona} is registered: materialize it first")
    dataset = max(datasets, key=lambda row: row["created_at"])
    verify(tools, manifest)
    start = start_from(tools, persona) if layer == "episodic" else None
    adapter_id = content_id(
        "a", dataset["dataset_id"], trainer.fingerprint, trainer.base(), start and start["adapter_id"]
    )
    home, path = tools.settings.home, Path("adapters") / adapter_id
    known = [row for row in tools.store.rows("adapters", adapter_id=adapter_id) if (home / path / "adapter").is_dir()]
    if known:
        metrics = json.loads(known[0]["metrics"])
    else:
        job = TrainJob(
            train=home / dataset["path"] / "train.jsonl",
            held_out=home / dataset["path"] / "eval.jsonl",
            output=home / path,
            start_from=home / start["path"] / "adapter" if start else None,
        )
        metrics = trainer.train(
            job, lambda row: context.log.info(" ".join(f"{key}={value:.4g}" for key, value in row.items()))
        )
        tools.store.register(
            "adapters",
            adapter_row(
                adapter_id,
                layer=layer,
                persona_id=persona,
                week=week,
                base_model=trainer.base(),
                dataset_id=dataset["dataset_id"],
                path=str(path),
                config=trainer.config.model_dump(mode="json") | {"start_from": start and start["adapter_id"]},
                metrics=metrics,
                status="candidate",
            ),
        )
    if layer == "personality":
        tools.receipt_book.fulfil(persona=persona)
    curve = loss_curve(home / path / "metrics.jsonl")
    plain = {key: value for key, value in metrics.items() if value is not None}
    return dg.MaterializeResult(
        metadata={
            "adapter_id": adapter_id,
            "dataset_id": dataset["dataset_id"],
            "base": trainer.base(),
            "trained_now": not known,
            "path": dg.MetadataValue.path(str(path)),
            **plain,
            **curve,
        }
    )


def start_from(tools: Tools, persona: str) -> dict[str, Any] | None:
    """Return the layer-1 adapter that layer 2 continues, the newest that is not quarantined."""
    rows = [
        row
        for row in tools.store.rows("adapters", layer="personality", persona_id=persona)
        if row["status"] != "quarantined" and (tools.settings.home / row["path"] / "adapter").is_dir()
    ]
    return max(rows, key=lambda row: row["created_at"]) if rows else None


def loss_curve(path: Path) -> dict[str, Any]:
    """Return the curve of training and held-out loss as a picture and a table."""
    from plugins.trainer_peft import read_metrics

    rows = read_metrics(path)
    points = [
        {"step": row["step"], "loss": row[key], "of": name}
        for row in rows
        for key, name in (("loss", "train"), ("eval_loss", "held out"))
        if key in row
    ]
    if not points:
        return {}
    frame = pl.DataFrame(points)
    return {"loss_curve": reports.line(frame, "step", "loss", "of", "loss"), "losses": reports.table(frame)}
