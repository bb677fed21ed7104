"""Lists that begin with the newest message, as many programs and interfaces give them: they are read from their end.

Sources hand over rows in the order in which they were said; a list that runs the other way would turn talks around.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from plugins.contracts import SourceOptions
from plugins.sources.times import parse_time

FEWEST = 5
"""Steps back in time from which a list runs backwards; a few are clocks that were wrong."""

ONE_IN = 10
"""Of how many steps one may go forth all the same."""


def runs_backwards(moments: Iterable[datetime | int | None], fewest: int = FEWEST) -> bool:
    """Return whether nearly all steps from one message to the next go back in time, and there are some."""
    back = forth = 0
    before: Any = None
    for moment in moments:
        if moment is None:
            continue
        if before is not None:
            back += moment < before
            forth += moment > before
        before = moment
    return back >= fewest and forth * ONE_IN <= back


class Direction:
    """Turns the batches of a list around, each in itself, where the first one runs backwards in time: rows of one time stay in order."""

    def __init__(self, options: SourceOptions) -> None:
        self.options = options
        self._backwards: bool | None = None

    def arranged(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows of a batch as they were said; the two sides of an exchange stay one after the other."""
        if self._backwards is None and rows:
            self._backwards = runs_backwards(_moment(row, self.options) for row in rows)
        if not self._backwards:
            return rows
        turned: list[dict[str, Any]] = []
        end = len(rows)
        while end:
            start = end - 1
            while start and rows[start - 1].get("line") == rows[end - 1].get("line"):
                start -= 1
            turned += rows[start:end]
            end = start
        return turned


def _moment(row: dict[str, Any], options: SourceOptions) -> datetime | None:
    try:
        return None if row.get("occurred_at") in (None, "") else parse_time(row["occurred_at"], options)
    except (ValueError, TypeError):
        return None
