"""Times without time zone: whose they are, and what they are in UTC."""

import os
import time
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from records.errors import SourceError

LOCALTIME = Path("/etc/localtime")


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name.

    Raises:
        SourceError: no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SourceError(f"{name!r} is no time zone; write an IANA name such as Europe/Madrid") from None


def local_zone() -> str:
    """Return the IANA name of this machine's time zone: that of ``TZ``, else that of ``/etc/localtime``.

    One that has no name is the fixed offset of its winter, or UTC where that is no whole number of hours.
    """
    given = os.environ.get("TZ", "").removeprefix(":")
    linked = str(LOCALTIME.resolve()).rpartition("zoneinfo/")[2] if LOCALTIME.is_symlink() else ""
    for name in (given.rpartition("zoneinfo/")[2], "" if given else linked.removeprefix("posix/")):
        if name and _is_zone(name):
            return name
    hours, rest = divmod(time.timezone, 3600)
    return "UTC" if rest or not hours else f"Etc/GMT{hours:+d}"


def in_utc(moment: datetime, name: str) -> datetime:
    """Return a moment in UTC; one without offset is of the named zone.

    An hour that comes twice in autumn is the first one, unless ``moment.fold`` says the second; a time that is left out in spring is
    as much later as the clock was put forward: 02:30 is 03:30.

    Raises:
        SourceError: no such zone.
        ValueError: it lies outside of the years 1 to 9999.
    """
    try:
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
        local = moment.replace(tzinfo=zone(name))
        found = local.astimezone(UTC)
        if moment.fold and found.astimezone(local.tzinfo).replace(tzinfo=None) != moment:
            return local.replace(fold=0).astimezone(UTC)
        return found
    except OverflowError:
        raise ValueError("a date that does not exist") from None


def _is_zone(name: str) -> bool:
    try:
        zone(name)
    except SourceError:
        return False
    return True
