"""Schedules: what runs by the clock."""

from typing import Any

import dagster as dg


def build(jobs: dict[str, Any]) -> list[Any]:
    """Return the weekly build of the week that has just ended, Mondays at 03:15 UTC.

    The hours after midnight leave time for messages that arrive late.
    """
    return [
        dg.build_schedule_from_partitioned_job(
            jobs["weekly_build"],
            name="weekly_build_schedule",
            hour_of_day=3,
            minute_of_hour=15,
            day_of_week=1,
            default_status=dg.DefaultScheduleStatus.STOPPED,
        )
    ]
