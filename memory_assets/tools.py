"""What assets work with: the installation as the resource ``tools``, and a week's rows."""

import polars as pl

from serving.installation import Installation


class Tools(Installation):
    """One installation, passed to assets as the resource ``tools``.

    It is a plain object and no ConfigurableResource: Dagster shows the configuration of those in its UI and stores it with
    every run, and a store's URL may hold a password.
    """


def by_week(frame: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """Return (week, its rows) in order. What is made of a week depends on that week alone, in one run or in many."""
    return sorted((str(week), part) for (week,), part in frame.partition_by("week", as_dict=True).items())
