"""How assets are partitioned: by week, by persona, or by both. Users and sessions are columns, never partitions.

A persona's partition is called after it as a file is (`records.names.file_name`): a bar in an id would be taken for the next dimension's.
"""

from collections.abc import Iterable

import dagster as dg

from records.names import file_name

ONE_RUN = dg.BackfillPolicy.single_run()
"""A backfill of many weeks is one run: every asset of a job has this policy, and each step handles a range of weeks."""

PERSONAS = dg.DynamicPartitionsDefinition(name="persona")
SKILLS = dg.DynamicPartitionsDefinition(name="skill")
PERSONA_SKILLS = dg.MultiPartitionsDefinition({"persona": PERSONAS, "skill": SKILLS})


def persona_keys(personas: Iterable[str]) -> dict[str, str]:
    """Return partition key to persona, in order of the personas."""
    return {file_name(persona): persona for persona in personas}


def weekly_partitions(first_week: str) -> dg.WeeklyPartitionsDefinition:
    """Return Monday weeks in UTC, the running one included."""
    return dg.WeeklyPartitionsDefinition(start_date=first_week, day_offset=1, end_offset=1)


def persona_weeks(weekly: dg.WeeklyPartitionsDefinition) -> dg.MultiPartitionsDefinition:
    """Return persona × week."""
    return dg.MultiPartitionsDefinition({"persona": PERSONAS, "week": weekly})
