"""Times as SillyTavern and its relatives have written them over the years: in words, with letters between, ISO 8601, Unix numbers.

All but those with an offset are local times of the computer that it ran on.
"""

import re
from datetime import datetime, timedelta, timezone
from typing import Any

from plugins.contracts import SourceOptions
from plugins.sources.times import Clock, in_utc, parse_time
from records.names import fold

CLOCK = r"(?P<hour>\d{1,2})[:.](?P<minute>\d{2})(?:[:.](?P<second>\d{2}))?"
HALF = r"(?:\s?(?P<half>[ap])\.?\s?m\.?)?(?:\s(?:GMT|UTC)?(?P<offset>[+-]\d{2}:?\d{2})(?:\s\([^)]*\))?)?"
FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        # 2024-4-26 @06h 05m 12s 100ms, 2024-04-26@06h05m12s, 2024-04-26 06-05-12
        r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})\s?[@T\s]\s?"
        r"(?P<hour>\d{1,2})\s?[h:.-]\s?(?P<minute>\d{1,2})(?:\s?[m:.-]\s?(?P<second>\d{1,2}))?\s?[ms]?"
        r"(?:[\s.,]?(?P<ms>\d{1,3})\s?(?:ms)?)?",
        # April 26, 2024 6:06am, Fri Apr 26 2024 06:05:12 GMT+0200 (Central European Summer Time)
        rf"(?:[^\W\d]{{2,12}}\.?,?\s)?(?P<name>[^\W\d]{{3,12}})\.?\s(?P<day>\d{{1,2}}),?\s(?P<year>\d{{4}}),?\s{CLOCK}{HALF}",
        # 26 de abril de 2024 6:06, 26 April 2024 06:06
        rf"(?P<day>\d{{1,2}})\.?\s(?:de\s)?(?P<name>[^\W\d]{{3,12}})\.?\s(?:del?\s)?(?P<year>\d{{4}}),?\s{CLOCK}{HALF}",
    )
)
MONTHS = (
    "jan ene gen",
    "feb fev",
    "mar",
    "apr abr avr",
    "may mai mag",
    "jun giu juin",
    "jul lug juil",
    "aug ago aou",
    "sep set",
    "oct okt out ott",
    "nov",
    "dec dic dez",
)
"""How the months begin in English, Spanish, Portuguese, Italian, German and French."""

BEGINNINGS = {name: number for number, names in enumerate(MONTHS, start=1) for name in names.split()}
LONGEST = 100


def sent_at(value: Any, clock: Clock, options: SourceOptions) -> datetime | None:
    """Return when a message was sent, in UTC; None where the file does not say (null, "", 0).

    Raises:
        ValueError: there is something that is no time.
    """
    if value in (None, "", 0):
        return None
    if not isinstance(value, str):
        if isinstance(value, dict | list):
            raise ValueError("a time that cannot be read: a list or an object")
        return parse_time(value, options)
    text = " ".join(value[:LONGEST].split())
    if text.isdigit() and len(text) >= 9:
        return parse_time(text, options)
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        local = _in_words(text)
    return clock.utc(local) if local.tzinfo is None else in_utc(local, options)


def _in_words(text: str) -> datetime:
    found = next((found for form in FORMS if (found := form.fullmatch(text)) is not None), None)
    if found is None:
        raise ValueError("a time that cannot be read: none of the forms that SillyTavern writes")
    part = found.groupdict()
    month = int(part["month"]) if "month" in part else _month(part["name"])
    hour, half, offset = int(part["hour"]), part.get("half"), part.get("offset")
    if half is not None:
        hour = hour % 12 + (12 if half.lower() == "p" else 0)
    second, fraction = int(part["second"] or 0), int(part.get("ms") or 0) * 1000
    try:
        zone = _offset(offset)
        return datetime(int(part["year"]), month, int(part["day"]), hour, int(part["minute"]), second, fraction, zone)
    except ValueError:
        raise ValueError("a date that does not exist") from None


def _month(name: str) -> int:
    folded = fold(name)
    number = BEGINNINGS.get(folded[:4]) or BEGINNINGS.get(folded[:3])
    if number is None:
        raise ValueError("a time that cannot be read: a month in a language that is not known")
    return number


def _offset(text: str | None) -> timezone | None:
    if text is None:
        return None
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))
