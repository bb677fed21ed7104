"""How assets are partitioned: by week, by persona, or by both. Users and sessions are columns, never partitions."""

import dagster as dg

ONE_RUN = dg.BackfillPolicy.single_run()
"""A backfill of many weeks is one run: every asset of a job has this policy, and each step handles a range of weeks."""

PERSONAS = dg.DynamicPartitionsDefinition(name="persona")
SKILLS = dg.DynamicPartitionsDefinition(name="skill")
PERSONA_SKILLS = dg.MultiPartitionsDefinition({"persona": PERSONAS, "skill": SKILLS})


def weekly_partitions(first_week: str) -> dg.WeeklyPartitionsDefinition:
    """Return Monday weeks in UTC, the running one included."""
    return dg.WeeklyPartitionsDefinition(start_date=first_week, day_offset=1, end_offset=1)


def persona_weeks(weekly: dg.WeeklyPartitionsDefinition) -> dg.MultiPartitionsDefinition:
    """Return persona × week."""
    return dg.MultiPartitionsDefinition({"persona": PERSONAS, "week": weekly})
