"""Running the graph from a person's command, in this process, recorded in the same Dagster instance the UI shows."""

import logging
import re
import signal
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from uuid import uuid4

import dagster as dg

from memory_assets.instances import FOLDER, PROCESS, folder_of, instance, told_of_databases, waits_aloud
from memory_assets.jobs import MEMORY
from memory_assets.layers import LAYERS, Slot
from memory_assets.operations.publishing import owing
from memory_assets.operations.retention import forget_old_runs
from memory_assets.partitions import persona_keys
from memory_assets.tools import Tools
from model_registry.files import sweep_trainings
from records.errors import MemoryAssetsError, StoreError
from records.weeks import weeks_between
from resources.lake import WHOLE
from resources.processes import this_process
from resources.settings import Settings

Step = Callable[..., None]

TABLES = tuple(name for name in MEMORY if name.endswith("_embeddings"))
OWN = re.compile(r"^records\.errors\.\w+: ")


def definitions_for(settings: Settings) -> dg.Definitions:
    """Return the code location for these settings."""
    from memory_assets.code_location import build_defs

    return build_defs(settings)


def ranges(weeks: Sequence[str], bridged: int = 3) -> list[tuple[str, str]]:
    """Return the weeks as runs of consecutive ones; gaps of up to ``bridged`` weeks belong to them, empty weeks cost little."""
    found: list[tuple[str, str]] = []
    for week in sorted(weeks):
        if found and len(weeks_between(found[-1][1], week)) <= bridged + 2:
            found[-1] = (found[-1][0], week)
        else:
            found.append((week, week))
    return found


def materialize_weeks(settings: Settings, weeks: Sequence[str], step: Step) -> dict[str, Any]:
    """Materialize the memory assets for the weeks, which may be none, and publish the analytics; return counts.

    Raises:
        MemoryAssetsError: a step failed; the message names it and where its log is.
    """
    defs = definitions_for(settings)
    spans = ranges(weeks)
    with instance(settings) as dagster, owing(Tools(settings)):
        register_personas(dagster, Tools(settings))
        job = defs.resolve_job_def("weekly_build")
        for number, (first, last) in enumerate(spans):
            _run(job, dagster, MEMORY, first, last)
            step((number + 1) / (len(spans) + 1), f"{first} to {last}")
        made_here(dagster, defs.resolve_job_def("analytics_build"))
        tidy(dagster, settings)
        step(1.0, "analytics")
    tools = Tools(settings)
    return {
        "message_vectors": tools.vectors.count("message_embeddings"),
        "episode_vectors": tools.vectors.count("episode_embeddings"),
        "unsynced": tools.sync.unsynced(),
        "analytics": str(settings.warehouse_path),
    }


def materialize_plan(settings: Settings, stale: Mapping[str, Collection[str]], step: Step) -> int:
    """Make exactly these partitions again, then what is made of all weeks, then the analytics; return the partitions made.

    What readers use (histories, vectors, analytics) is replaced at the end, in one step each: until then the old serves.

    Raises:
        MemoryAssetsError: a step failed.
    """
    defs = definitions_for(settings)
    weekly: dict[tuple[str, ...], list[str]] = {}
    for week in sorted({week for weeks in stale.values() for week in weeks} - {WHOLE}):
        weekly.setdefault(tuple(asset for asset, weeks in stale.items() if week in weeks), []).append(week)
    spans = [(assets, span) for assets, weeks in weekly.items() for span in ranges(weeks, bridged=0)]
    whole = [asset for asset, weeks in stale.items() if WHOLE in weeks]
    with instance(settings) as dagster, owing(Tools(settings)):
        register_personas(dagster, Tools(settings))
        job = defs.resolve_job_def("weekly_build")
        for number, (assets, (first, last)) in enumerate(spans):
            last_step = ("synced_messages",) if "raw_interactions" in assets else ()
            _run(job, dagster, (*assets, *last_step), first, last)
            step((number + 1) / (len(spans) + 2), f"{first} to {last}")
        if whole:
            week = Tools(settings).settings.first_week
            _run(job, dagster, tuple(whole), week, week)
        made_here(dagster, defs.resolve_job_def("analytics_build"))
        tidy(dagster, settings)
        step(1.0, "analytics")
    return sum(len(weeks) for weeks in stale.values())


def tidy(dagster: dg.DagsterInstance, settings: Settings) -> None:
    """Forget old runs, and remove what trainings wrote that an erasure voided, and what the vectors' last commits replaced.

    At the end of a command.
    """
    forget_old_runs(dagster, settings.keep_runs)
    tools = Tools(settings)
    sweep_trainings(tools.store, settings.home)
    tools.vectors.settle(TABLES)


def _run(job: Any, dagster: dg.DagsterInstance, assets: Sequence[str], first: str, last: str) -> None:
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    made_here(dagster, job, tags=tags, asset_selection=[dg.AssetKey(name) for name in assets])


def made_here(dagster: dg.DagsterInstance, job: Any, *, tags: Mapping[str, str] | None = None, **how: Any) -> None:
    """Make a run of a job in this process; what it waits for is said on standard error.

    Args:
        how: As ``JobDefinition.execute_in_process`` takes it.

    Raises:
        MemoryAssetsError: a step failed; the message names it.
    """
    run_id = str(uuid4())
    tags = {**(tags or {}), "memory/job": "command", PROCESS: this_process(), FOLDER: folder_of(dagster)}
    with quiet_logs(dagster), waits_aloud(dagster, run_id), told_of_databases():
        finish(job.execute_in_process(instance=dagster, run_id=run_id, tags=tags, raise_on_error=False, **how))


def register_personas(dagster: dg.DagsterInstance, tools: Tools) -> list[str]:
    """Add a partition for every agent that has spoken; return their ids."""
    personas = tools.store.personas()
    known = set(dagster.get_dynamic_partitions("persona"))
    dagster.add_dynamic_partitions("persona", [key for key in persona_keys(personas) if key not in known])
    return personas


def train_slot(
    settings: Settings, slot: Slot, step: Step, chosen: Mapping[str, list[str]] | None = None
) -> dict[str, Any]:
    """Make the dataset and the adapter of a slot, judge it and serve it if it passes; return the adapter's metrics.

    Args:
        chosen: What a skill is learned from (topics, words, emotions); default: as the settings say.

    Raises:
        StoreError: no such persona.
        MemoryAssetsError: a step failed, or the gate did not let the adapter pass.
    """
    import json

    tools = Tools(settings)
    if slot.persona not in tools.store.personas():
        raise StoreError(
            f"no agent {slot.persona!r} has said anything; there are {', '.join(tools.store.personas()) or 'none'}"
        )
    layer = LAYERS[slot.layer]
    key = layer.key(slot)
    config = {"ops": {layer.dataset: {"config": dict(chosen)}}} if chosen else None
    defs = definitions_for(settings)
    with instance(settings) as dagster:
        register_personas(dagster, tools)
        if slot.skill is not None and slot.skill not in dagster.get_dynamic_partitions("skill"):
            dagster.add_dynamic_partitions("skill", [slot.skill])
        made_here(dagster, defs.resolve_job_def(f"train_{layer.name}"), partition_key=key, run_config=config)
    step(1.0)
    newest = tools.adapter_book.newest(slot.layer, slot.persona, week=slot.week, skill=slot.skill)
    assert newest is not None
    judged = json.loads(newest["evaluation"] or "{}")
    return {
        "adapter_id": newest["adapter_id"],
        "status": newest["status"],
        "path": newest["path"],
        **json.loads(newest["metrics"]),
        "gate": {verdict["name"]: verdict["value"] for verdict in judged.get("verdicts", [])},
    }


class quiet_logs:
    """Keep Dagster's log off the terminal (it is in the instance, where the UI shows it), and its handlers of signals to itself.

    After a run Dagster gives SIGTERM the handler that SIGINT had before. In a background job of a script that one is "ignore": then
    the processes that copy the next run's output could not be stopped, and neither could this one.
    """

    def __init__(self, dagster: dg.DagsterInstance) -> None:
        self.dagster = dagster

    def __enter__(self) -> None:
        self.before = logging.root.manager.disable
        self.handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        logging.disable(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        logging.disable(self.before)
        if threading.current_thread() is threading.main_thread():
            for number, handler in self.handlers.items():
                signal.signal(number, handler)


def finish(result: Any) -> None:
    """Raise what made a run fail, in one sentence.

    Raises:
        MemoryAssetsError: the run failed.
    """
    if result.success:
        return
    checks = [
        f"{check.asset_key.to_user_string()}: check {check.check_name} failed{': ' * bool(check.description)}{check.description or ''}"
        for check in result.get_asset_check_evaluations()
        if not check.passed
    ]
    reasons = []
    for event in result.all_events:
        if not event.is_step_failure:
            continue
        error = event.step_failure_data.error
        cause = error.cause if error is not None and error.cause is not None else error
        if checks and cause is not None and cause.cls_name == "DagsterAssetCheckFailedError":
            continue  # the check says why
        # An error of this project is its sentence; of another the class tells more than nothing.
        said = OWN.sub("", cause.message.strip().splitlines()[0]) if cause else "failed"
        reasons.append(f"{event.step_key}: {said}")
    what = "; ".join([*reasons, *checks]) or "the run failed"
    raise MemoryAssetsError(f"{what} (run {result.run_id}, see it with `memory ui`)")
