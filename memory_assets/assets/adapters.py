"""Adapters: LoRA weights trained on a persona's datasets, judged, registered, and served when they are better and still the persona.

How weights are trained, judged or served does not belong here: those are trainer, evaluator and deployer plugins. Training and judging
happen in processes of their own, see `memory_assets.operations.worker`.
"""

import importlib.metadata
import json
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from memory_assets import reports
from memory_assets.layers import LAYERS, Layer, Slot
from memory_assets.operations.evaluation import evaluation_job, probe
from memory_assets.operations.worker import evaluate_apart, train_apart
from memory_assets.tables import LAKE_RECORDS
from memory_assets.tools import Tools
from plugins.training.contracts import TrainJob, unmeasured, why_failed
from privacy.consent import verify, withdrawn
from records.errors import TrainingError
from records.ids import content_id

POOL = "training"
CODE = "2"
ERASED = "what it was trained on was erased meanwhile: make the dataset again"


def build(weekly: dg.WeeklyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Return adapter, evaluation and deployment of every layer."""
    return [asset for layer in LAYERS.values() for asset in _of_layer(layer, weekly)]


def _of_layer(layer: Layer, weekly: dg.WeeklyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    first = LAYERS["personality"]
    shared: dict[str, Any] = {
        "partitions_def": layer.partitions(weekly),
        "group_name": "training",
        "owners": ["team:training"],
        "code_version": CODE,
    }

    @dg.asset(
        name=layer.adapter,
        kinds={"pytorch", "huggingface"},
        pool=POOL,
        deps=[layer.dataset] if layer is first else [layer.dataset, first.adapter],
        description=DESCRIPTIONS[layer.name],
        **shared,
    )
    def adapter(context: dg.AssetExecutionContext, tools: dg.ResourceParam[Tools]) -> dg.MaterializeResult:
        return make_adapter(context, tools, layer.slot(context, tools.store.personas()))

    @dg.asset(
        name=layer.evaluation,
        kinds={"pytorch"},
        pool=POOL,
        deps=[layer.adapter],
        check_specs=[dg.AssetCheckSpec("gate", asset=layer.evaluation, blocking=True)],
        description="The gate: the adapter beside its base on the same prompts; one that does not pass is not served.",
        **shared,
    )
    def evaluation(context: dg.AssetExecutionContext, tools: dg.ResourceParam[Tools]) -> dg.MaterializeResult:
        return evaluate(tools, layer.slot(context, tools.store.personas()), layer.evaluation)

    @dg.asset(
        name=layer.deployed,
        kinds={"python"},
        deps=[layer.evaluation],
        description="The approved adapter where a server finds it, asked once and taken back if it answers otherwise than here.",
        **shared,
    )
    def deployed(context: dg.AssetExecutionContext, tools: dg.ResourceParam[Tools]) -> dg.MaterializeResult:
        return deploy(tools, layer.slot(context, tools.store.personas()))

    return [adapter, evaluation, deployed]


DESCRIPTIONS = {
    "personality": "Layer 1: the persona's own adapter; training resumes where a killed run stopped.",
    "episodic": "Layer 2: one week's adapter, upon the persona's layer 1, with some of layer 1's samples against forgetting.",
    "skill": "Layer 3: a skill's adapter, trained when asked for, upon the persona's layer 1.",
}


def newest_adapter(tools: Tools, slot: Slot) -> dict[str, Any]:
    """Return the registry row of the newest adapter of a slot that may be used.

    Raises:
        TrainingError: there is none.
    """
    row = tools.adapter_book.newest(slot.layer, slot.persona, week=slot.week, skill=slot.skill)
    if row is None:
        raise TrainingError(f"no {slot.layer} adapter of {slot.persona} is there: materialize it first")
    return row


def newest_dataset(tools: Tools, slot: Slot) -> dict[str, Any]:
    """Return the registry row of the newest dataset of a slot.

    Raises:
        TrainingError: there is none.
    """
    rows = [
        row
        for row in tools.store.rows("datasets", kind=slot.layer, persona_id=slot.persona)
        if row["week"] == slot.week and row["skill"] == slot.skill
    ]
    if not rows:
        raise TrainingError(f"no {slot.layer} dataset of {slot.persona} is registered: materialize it first")
    return max(rows, key=lambda row: row["created_at"])


def make_adapter(context: dg.AssetExecutionContext, tools: Tools, slot: Slot) -> dg.MaterializeResult:
    """Train an adapter, or find that this one was trained already; register it and report its losses."""
    from model_registry.files import behind, erased_of, note_training, sweep_trainings

    trainer, settings = tools.plugin("trainer"), tools.settings
    tools.fence.done()  # only an erasure of what it is trained on voids a training, however long it takes
    dataset = newest_dataset(tools, slot)
    asset = LAYERS[slot.layer].dataset
    verify(tools, tools.lake.collect(asset, LAKE_RECORDS[asset], [context.partition_key]))
    below = tools.adapter_book.newest("personality", slot.persona) if slot.layer != "personality" else None
    job, config = _job(tools, trainer, dataset, below)
    adapter_id = content_id(
        "a",
        dataset["dataset_id"],
        trainer.fingerprint,
        trainer.base(),
        *(json.dumps(config[name]) for name in ("start_from", "under", "replay") if config[name]),
    )
    path = Path("adapters") / adapter_id
    known = [
        row
        for row in tools.store.rows("adapters", adapter_id=adapter_id)
        if (settings.home / path / "adapter").is_dir() and row["status"] != "quarantined"
    ]
    if known:
        metrics = json.loads(known[0]["metrics"])
    else:
        job = TrainJob(**{**job.__dict__, "output": settings.home / path})
        # What the adapter below was trained on is in this one, too.
        used = {dataset["dataset_id"], *(config["replay"] or [])[:1], *behind(tools.store, below)}
        before = erased_of(tools.store, settings.home)
        sweep_trainings(tools.store, settings.home)
        note_training(settings.home / path, used)

        def is_erased() -> bool:
            if below is not None and tools.adapter_book.get(below["adapter_id"])["status"] == "quarantined":
                return True
            return bool(used & (erased_of(tools.store, settings.home) - before))

        def shown(row: dict[str, float]) -> None:
            if is_erased():
                raise TrainingError(ERASED)  # which ends its process
            context.log.info(" ".join(f"{key}={value:.4g}" for key, value in row.items()))

        try:
            metrics = train_apart(settings, job, shown)
            with tools.fence.committing():
                if is_erased():
                    raise TrainingError(ERASED)
                tools.store.register("adapters", _row(tools, adapter_id, slot, dataset, path, config, metrics))
        finally:
            known = tools.store.rows("adapters", adapter_id=adapter_id)
            if is_erased() and all(row["status"] == "quarantined" for row in known):
                shutil.rmtree(settings.home / path, ignore_errors=True)
    if slot.layer == "personality":
        tools.receipt_book.fulfil(persona=slot.persona)
    return dg.MaterializeResult(
        metadata={
            "adapter_id": adapter_id,
            "dataset_id": dataset["dataset_id"],
            "base": trainer.base(),
            "trained_now": not known,
            "path": dg.MetadataValue.path(str(path)),
            **{key: value for key, value in metrics.items() if value is not None},
            **loss_curve(settings.home / path / "metrics.jsonl"),
        }
    )


def _job(
    tools: Tools, trainer: Any, dataset: dict[str, Any], below: dict[str, Any] | None
) -> tuple[TrainJob, dict[str, Any]]:
    """Return the training of a dataset upon the adapter below it, and what of it the registry keeps.

    Raises:
        TrainingError: what would be replayed leads to a message that must not be trained on now.
    """
    from model_registry.files import read_manifest

    home, given = tools.settings.home, tools.settings.adapters
    config = {**trainer.config.model_dump(mode="json"), "start_from": None, "under": [], "replay": None}
    files = home / dataset["path"]
    if below is None:
        return TrainJob(files / "train.jsonl", files / "eval.jsonl", home), config
    continued = given.upon == "continued"
    config |= {"start_from": below["adapter_id"]} if continued else {"under": [below["adapter_id"]]}
    weights = tools.adapter_book.weights(below)
    earlier = tools.store.rows("datasets", dataset_id=below["dataset_id"])
    replay = home / earlier[0]["path"] / "train.jsonl" if earlier and given.replay_share else None
    if replay is not None and replay.exists():
        behind = read_manifest(home, earlier[0])
        if behind is None or withdrawn(tools, behind).any():
            raise TrainingError("layer 1 was trained on messages that must not be trained on now: train it again first")
        config["replay"] = [below["dataset_id"], given.replay_share]
    return (
        TrainJob(
            files / "train.jsonl",
            files / "eval.jsonl",
            home,
            start_from=weights if continued else None,
            under=() if continued else (weights,),
            replay=replay,
            replay_share=given.replay_share,
        ),
        config,
    )


def _row(
    tools: Tools,
    adapter_id: str,
    slot: Slot,
    dataset: dict[str, Any],
    path: Path,
    config: dict[str, Any],
    metrics: dict[str, Any],
) -> dict[str, Any]:
    from model_registry.files import WEIGHTS, adapter_row, manifest_hash
    from resources.files import file_hash

    trainer, weights = tools.plugin("trainer"), tools.settings.home / path / "adapter" / WEIGHTS
    return adapter_row(
        adapter_id,
        layer=slot.layer,
        persona_id=slot.persona,
        week=slot.week,
        skill=slot.skill,
        base_model=trainer.base(),
        dataset_id=dataset["dataset_id"],
        path=str(path),
        config=config,
        metrics=metrics,
        lineage={
            "manifest": manifest_hash(tools.settings.home, dataset),
            **({"weights": file_hash(weights)} if weights.exists() else {}),
            "trainer": trainer.fingerprint,
            "code": f"memory-assets {importlib.metadata.version('memory-assets')}, {LAYERS[slot.layer].adapter} {CODE}",
            "licence_of_the_base": trainer.licence(),
        },
        status="candidate",
    )


def evaluate(tools: Tools, slot: Slot, asset: str) -> dg.MaterializeResult:
    """Judge the newest adapter of a slot; write down what was found and whether it is approved."""
    row = newest_adapter(tools, slot)
    job = evaluation_job(tools, row)
    try:
        found = evaluate_apart(tools.settings, job)
    finally:
        if job.others is not None:
            job.others.unlink(missing_ok=True)  # what other personas said has no place beside this one's weights
    verdicts = found["verdicts"]
    reasons, missing = [one["name"] for one in verdicts if not one["passed"]], unmeasured(verdicts)
    passed = bool(verdicts) and not reasons
    status = tools.adapter_book.evaluated(
        row["adapter_id"], {"passed": passed, "reasons": reasons, "unmeasured": missing, **found}, passed=passed
    )
    columns = dict.fromkeys(("name", "bound", "missing"), pl.String) | {"value": pl.Float64, "base": pl.Float64}
    shown = [{"missing": "", **one} for one in verdicts]
    table = pl.DataFrame(shown, schema={**columns, "passed": pl.Boolean}).select(
        "name", "value", "base", "bound", "passed", "missing"
    )
    values: dict[str, Any] = {
        "adapter_id": row["adapter_id"],
        "status": status,
        "failed": ", ".join(reasons) or "nothing",
        "not_measured": ", ".join(missing) or "nothing",
        "verdicts": reports.table(table),
        **found["numbers"],
    }
    for verdict in verdicts:
        values[verdict["name"]] = "not measured" if verdict["value"] is None else verdict["value"]
        if verdict["base"] is not None:
            values[f"{verdict['name']}_base"] = verdict["base"]
    gate = dg.AssetCheckResult(
        check_name="gate", passed=passed, metadata=values, description=why_failed(verdicts) or None
    )
    return dg.MaterializeResult(metadata=values, check_results=[gate])


def deploy(tools: Tools, slot: Slot) -> dg.MaterializeResult:
    """Serve the newest adapter of a slot, if it is approved; a failing probe brings back what was served before."""
    tools.fence.done()
    row = newest_adapter(tools, slot)
    if row["status"] == "candidate" and tools.settings.adapters.approval == "person":
        raise dg.Failure(
            "a person is to approve this adapter: `memory promote`", metadata={"adapter_id": row["adapter_id"]}
        )
    if row["status"] not in ("approved", "deployed"):
        raise dg.Failure(f"the adapter is {row['status']}, only an approved one is deployed: see its evaluation")
    wanted = probe(tools) if tools.settings.adapters.probe else None
    made = tools.adapter_book.promote(row["adapter_id"], wanted)
    found = json.loads(made["probe"]) if made["probe"] else {}
    return dg.MaterializeResult(
        metadata={
            "adapter_id": row["adapter_id"],
            "target": made["target"],
            "path": made["place"],
            "tag": tools.adapter_book.deployment(row, serving=False).tag,
            **{f"probe_{key}": value for key, value in found.items() if isinstance(value, int | float)},
        }
    )


def loss_curve(path: Path) -> dict[str, Any]:
    """Return the curve of training and held-out loss as a picture and a table."""
    from plugins.training.progress import read_metrics

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
