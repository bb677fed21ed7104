"""What assets work with: the installation as the resource ``tools``, and a week's rows."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from records.errors import DamagedError
from serving.installation import Installation

if TYPE_CHECKING:
    from memory_assets.lineage import Stamps


class Tools(Installation):
    """One installation, passed to assets as the resource ``tools``.

    It is a plain object and no ConfigurableResource: Dagster shows the configuration of those in its UI and stores it with
    every run, and a store's URL may hold a password.
    """

    @cached_property
    def stamps(self) -> Stamps:
        """Return what says how partitions were made."""
        from memory_assets.lineage import Stamps

        return Stamps(self)

    def as_it_stands(self, asset: str, week: str) -> pl.DataFrame | None:
        """Return a week of an asset as it was made before: what would be made of the same is taken over; None where it is new
        or cannot be read."""
        from memory_assets.tables import LAKE_RECORDS

        if not self.lake.exists(asset, week):
            return None
        try:
            return self.lake.collect(asset, LAKE_RECORDS[asset], [week])
        except DamagedError:
            return None


def by_week(frame: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """Return (week, its rows) in order. What is made of a week depends on that week alone, in one run or in many."""
    return sorted((str(week), part) for (week,), part in frame.partition_by("week", as_dict=True).items())
