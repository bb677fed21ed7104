"""Weeks: Monday 00:00 UTC to the next Monday, named by their Monday as ``YYYY-MM-DD``."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import polars as pl

from records.errors import SettingsError


def week_of(moment: datetime) -> str:
    """Return the week of a UTC moment, e.g. ``2025-03-03`` for Sunday 2025-03-09."""
    return _monday(moment.astimezone(UTC).date())


@lru_cache(maxsize=4096)
def _monday(day: date) -> str:
    return (day - timedelta(days=day.weekday())).isoformat()


def week_expr(column: str) -> pl.Expr:
    """Return the week of a UTC datetime column, as a string."""
    return pl.col(column).dt.truncate("1w").dt.strftime("%Y-%m-%d")


def parse_week(text: str) -> date:
    """Return the Monday that ``text`` names.

    Raises:
        SettingsError: ``text`` is no date, or no Monday; the message names the Monday of that week.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"week {text!r} is no date: write the week's Monday as YYYY-MM-DD") from None
    monday = day - timedelta(days=day.weekday())
    if day != monday:
        raise SettingsError(f"week {text} is a {day:%A}: weeks are named by their Monday, here {monday}")
    return day


def weeks_between(first: str, last: str) -> list[str]:
    """Return every week from ``first`` to ``last``, both included."""
    start, end = parse_week(first), parse_week(last)
    return [(start + timedelta(weeks=n)).isoformat() for n in range((end - start).days // 7 + 1)]
