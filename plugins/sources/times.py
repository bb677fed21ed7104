"""Times as files write them: ISO 8601, Unix numbers of several units, and the forms of known applications."""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from plugins.contracts import SourceOptions
from records import zones

SEVENTH_DIGIT = re.compile(r"(\.\d{6})\d+")
"""Fractions of a second beyond microseconds, as .NET writes them."""


def parse_time(value: Any, options: SourceOptions) -> datetime:
    """Return a UTC time from ISO 8601 text, a datetime, or Unix seconds, milliseconds or microseconds.

    Raises:
        ValueError: there is none, or it cannot be read.
    """
    if value is None or value == "":
        if options.at is None:
            raise ValueError("no time: the format has none, give that of the first message with --at")
        return options.at
    if isinstance(value, datetime):
        if value.tzinfo is UTC:
            return value
        moment = value
    elif isinstance(value, bool):
        raise ValueError("a time that cannot be read: write ISO 8601, e.g. 2025-03-01T18:30:00Z")
    elif isinstance(value, int | float) or (
        isinstance(value, str) and value.strip().lstrip("-").replace(".", "", 1).isdigit() and len(value.strip()) >= 9
    ):
        moment = _from_epoch(value)
    else:
        try:
            text = SEVENTH_DIGIT.sub(r"\1", str(value)[:64].strip().replace(" UTC", "+00:00"))
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError("a time that cannot be read: write ISO 8601, e.g. 2025-03-01T18:30:00Z") from None
    return in_utc(moment, options)


def in_utc(moment: datetime, options: SourceOptions) -> datetime:
    """Return a moment in UTC; one without offset is of the options' time zone.

    Raises:
        ValueError: it lies outside of the years 1 to 9999.
    """
    return zones.in_utc(moment, options.zone)


def _from_epoch(value: Any) -> datetime:
    try:
        number = float(value)
    except (OverflowError, ValueError):
        number = math.inf
    for limit, unit in ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6)):
        if abs(number) < limit:
            try:
                return datetime.fromtimestamp(number / unit, UTC)
            except (OverflowError, ValueError, OSError):
                break
    raise ValueError("a time that cannot be read: no Unix time is that large")


class Clock:
    """Local times of one chat in the order it was written, made UTC: the hour that comes twice in autumn is told apart.

    A clock that goes back by up to an hour where the zone has that hour twice is the second one. Anything else that runs
    backwards is kept as it is: somebody was offline.
    """

    def __init__(self, options: SourceOptions) -> None:
        self.zone = zones.zone(options.zone)
        self._before: datetime | None = None
        self._fold = 0

    def utc(self, local: datetime) -> datetime:
        """Return the UTC time of a naive local one.

        Raises:
            ValueError: it lies outside of the years 1 to 9999.
        """
        first, second = local.replace(tzinfo=self.zone, fold=0), local.replace(tzinfo=self.zone, fold=1)
        try:
            if first.utcoffset() == second.utcoffset():
                self._fold = 0
            elif self._before is not None and timedelta() < self._before - local <= timedelta(hours=1):
                self._fold = 1
            self._before = local
            return (second if self._fold else first).astimezone(UTC)
        except (OverflowError, ValueError):
            raise ValueError("a date that does not exist") from None
