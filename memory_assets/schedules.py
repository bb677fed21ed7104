"""Schedules: what runs by the clock."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from memory_assets.tools import Tools
from records.ids import text_hash
from records.names import file_name
from records.weeks import week_of


def build(jobs: dict[str, Any]) -> list[dg.ScheduleDefinition]:
    """Return the schedules; they are switched on in the UI."""

    @dg.schedule(
        job=jobs["weekly_build"],
        cron_schedule="15 3 * * 1",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Mondays 03:15 UTC: the week that has just ended, and earlier ones in which a message is still unsynced.",
    )
    def weekly_build_schedule(
        context: dg.ScheduleEvaluationContext, tools: dg.ResourceParam[Tools]
    ) -> list[dg.RunRequest]:
        now = context.scheduled_execution_time
        return [
            dg.RunRequest(run_key=f"{week}:{now:%Y-%m-%d}", partition_key=week, tags={"memory/week": week})
            for week in weeks_due(now, tools.sync.unsynced_weeks())
        ]

    @dg.schedule(
        job=jobs["train_personality"],
        cron_schedule="15 5 * * 1",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Mondays 05:15 UTC: layer 1 of every persona that has said something new which may be learned.",
    )
    def personality_schedule(
        context: dg.ScheduleEvaluationContext, tools: dg.ResourceParam[Tools]
    ) -> list[dg.RunRequest] | dg.SkipReason:
        return changed_personas(set(context.instance.get_dynamic_partitions("persona")), tools)

    return [weekly_build_schedule, personality_schedule]


def changed_personas(known: set[str], tools: Tools) -> list[dg.RunRequest] | dg.SkipReason:
    """Return a run per persona whose weeks are not those of its last training: nothing that has not changed is trained again."""
    from memory_assets.operations.learnable import learnable_by_week

    weeks: dict[str, list[str]] = {}
    for persona, week, samples, digest in learnable_by_week(tools):
        key = file_name(persona)
        if key in known and samples:
            weeks.setdefault(key, []).append(f"{week}:{digest}")
    requests = [
        dg.RunRequest(run_key=f"{key}:{text_hash(' '.join(sorted(said)))}", partition_key=key)
        for key, said in sorted(weeks.items())
    ]
    return requests or dg.SkipReason("no persona has said anything that may be learned")


def weeks_due(now: datetime, unsynced: list[str]) -> list[str]:
    """Return the week before ``now``'s and earlier unsynced ones; the running week is the sensor's business.

    The hours after midnight leave time for messages that arrive late.
    """
    running, ended = week_of(now), week_of(now.astimezone(UTC) - timedelta(weeks=1))
    return sorted({ended, *(week for week in unsynced if week < running)})
