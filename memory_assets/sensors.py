"""Sensors: what runs because something was said.

The count and the watermark come from the store; how messages are marked does not belong here: see `memory_assets.assets.synced`.
"""

import itertools
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from memory_assets.assets.synced import LEFT_TAG
from memory_assets.layers import LAYERS, Slot
from memory_assets.operations.retention import forget_old_runs
from memory_assets.partitions import PERSONAS, persona_keys
from memory_assets.tools import Tools
from records.names import file_name
from records.weeks import week_of

MAX_ATTEMPTS = 3
"""Runs in vain per week and watermark; a message that arrives later starts anew."""


def build(jobs: dict[str, Any]) -> list[dg.SensorDefinition]:
    """Return the sensors."""

    @dg.sensor(
        job=jobs["sync"],
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Starts a sync of every week that holds unsynced messages of an agent and user with 25 or more of them.",
    )
    def unsynced_messages_sensor(
        context: dg.SensorEvaluationContext, tools: dg.ResourceParam[Tools]
    ) -> dg.SensorResult | dg.SkipReason:
        return evaluate(context.instance, tools)

    @dg.sensor(
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.STOPPED,
        job=jobs["train_personality"],
        description="Adds a partition for every agent that has spoken.",
    )
    def persona_sensor(
        context: dg.SensorEvaluationContext, tools: dg.ResourceParam[Tools]
    ) -> dg.SensorResult | dg.SkipReason:
        known = context.instance.get_dynamic_partitions("persona")
        new = sorted(set(persona_keys(tools.store.personas())) - set(known))
        if not new:
            return dg.SkipReason("no new persona")
        return dg.SensorResult(dynamic_partitions_requests=[PERSONAS.build_add_request(new)])

    @dg.sensor(
        job=jobs["train_personality"],
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Trains again the persona whose adapter an erasure removed, once its weeks are made again.",
    )
    def retraining_sensor(
        context: dg.SensorEvaluationContext, tools: dg.ResourceParam[Tools]
    ) -> dg.SensorResult | dg.SkipReason:
        return retraining(context.instance, tools)

    @dg.sensor(
        job=jobs["train_episodic"],
        minimum_interval_seconds=300,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Trains a persona's episodic adapter of a week that has ended, once it holds enough that may be learned.",
    )
    def episodic_sensor(
        context: dg.SensorEvaluationContext, tools: dg.ResourceParam[Tools]
    ) -> dg.SensorResult | dg.SkipReason:
        return episodic(context.instance, tools, datetime.now(UTC))

    return [unsynced_messages_sensor, persona_sensor, retraining_sensor, episodic_sensor]


def episodic(instance: dg.DagsterInstance, tools: Tools, now: datetime) -> dg.SensorResult | dg.SkipReason:
    """Return one run per persona and ended week with enough samples; the same content of a week is asked for once.

    The dataset's blocking check stands between the run's first step and its training.
    """
    from memory_assets.operations.learnable import learnable_by_week

    known, running = set(instance.get_dynamic_partitions("persona")), week_of(now)
    least, requests, notes = tools.settings.adapters.min_samples, [], []
    for persona, week, samples, digest in learnable_by_week(tools):
        if file_name(persona) not in known or week >= running or samples < least:
            continue
        if tools.adapter_book.newest("personality", persona) is None:
            notes.append(f"{week}: a persona has no layer 1 yet")
            continue
        key = LAYERS["episodic"].key(Slot("episodic", persona, week=week))
        requests.append(dg.RunRequest(run_key=f"{key}:{digest}", partition_key=key))
    if not requests:
        return dg.SkipReason("; ".join(sorted(set(notes))) or f"no ended week of a persona has {least} samples")
    return dg.SensorResult(run_requests=requests)


def retraining(instance: dg.DagsterInstance, tools: Tools) -> dg.SensorResult | dg.SkipReason:
    """Return one run per persona and receipt that asks for it; a run that fails is for a person to look at."""
    known = set(instance.get_dynamic_partitions("persona"))
    asked = {
        file_name(persona): receipt
        for persona, receipt in sorted(tools.receipt_book.retraining().items())
        if file_name(persona) in known
    }
    if not asked:
        return dg.SkipReason("no erasure asks for a training")
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=f"{key}:{receipt}", partition_key=key) for key, receipt in asked.items()]
    )


def evaluate(instance: dg.DagsterInstance, tools: Tools) -> dg.SensorResult | dg.SkipReason:
    """Return the runs to ask for: one per due week that none is working on, at most `MAX_ATTEMPTS` per watermark.

    While nothing is due, old runs are forgotten.
    """
    tools.keeper.drain()
    threshold = tools.settings.unsynced_threshold
    due = tools.sync.due(threshold)
    if not due:
        forget_old_runs(instance, tools.settings.keep_runs, at_most=20)
        return dg.SkipReason(f"{tools.sync.largest_pair()} of {threshold} unsynced")
    requests, notes = [], []
    for item in due:
        tags = {"memory/week": item.week, "memory/watermark": str(item.watermark)}
        runs = instance.get_runs(dg.RunsFilter(tags={"memory/week": item.week, "memory/job": "sync"}), limit=50)
        if any(not run.is_finished for run in runs):
            notes.append(f"{item.week}: a sync is under way")
            continue
        same = [run for run in runs if run.tags.get("memory/watermark") == str(item.watermark)]
        # A run that succeeded and still left messages unsynced counts, too: it must not start for ever. One that left none does not:
        # what it synced was rated, edited or erased from since.
        vain = list(itertools.takewhile(lambda run: run.tags.get(LEFT_TAG) != "0", same))
        if len(vain) >= MAX_ATTEMPTS:
            notes.append(f"{item.week}: {len(vain)} runs did not sync it, waiting for a new message; see their logs")
            continue
        requests.append(
            dg.RunRequest(run_key=f"{item.week}:{item.watermark}:{len(same)}", partition_key=item.week, tags=tags)
        )
    if not requests:
        return dg.SkipReason("; ".join(notes))
    return dg.SensorResult(run_requests=requests)
