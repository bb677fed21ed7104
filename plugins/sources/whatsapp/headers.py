"""The beginning of a WhatsApp message: a date, a time, and where what was said starts.

A phone writes one shape of it, by its language and region; there are hundreds. `Header` is one such beginning taken apart,
`Shape` what all of one export have in common. Which number is the day is not decided here.
"""

import re
from collections.abc import Iterable
from datetime import date, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from plugins.sources.whatsapp.words import MARK, MARKS, squeezed, words

M = f"[{MARKS}]*"
SEPARATOR = r"(\.\s|[/.\-‑]|年|년\s?)"
SECOND_SEPARATOR = r"(\.\s|[/.\-‑]|月|월\s?)"
NUMBERS = rf"(\d{{1,4}}){M}{SEPARATOR}{M}(\d{{1,2}}){M}{SECOND_SEPARATOR}{M}(R?\d{{1,4}})"
TIME = rf"(\d{{1,2}})([:.٫]|\s?h\s?){M}(\d{{2}})(?:[:.٫]{M}(\d{{2}}))?"
BETWEEN = r"([^\d\[\]\n:]{1,24}?)"
BESIDE = r"([^\d\[\]\n:]{0,20}?)"
START = rf"^{M}(?:(\[){M})?"
ENDED_BY = r"(?:\s|$|(?<=\]))"
END = rf"((?(1)\]|(?:\s[-–—]|[:;]))){ENDED_BY}"
ENDED = rf"{BESIDE}{END}"

DATE_FIRST = re.compile(START + NUMBERS + BETWEEN + TIME + ENDED)
TIME_FIRST = re.compile(START + TIME + BETWEEN + NUMBERS + ENDED)
MONTH = r"([^\W\d_]{3,12})"
DAY_NAMED = re.compile(rf"{START}(\d{{1,2}})(?:\.|º)?\s(?:de\s)?{MONTH}\.?,?\s(?:de\s)?(\d{{4}}){BETWEEN}{TIME}{ENDED}")
MONTH_NAMED = re.compile(rf"{START}{MONTH}\.?\s(\d{{1,2}}),?\s(\d{{4}}){BETWEEN}{TIME}{ENDED}")
MAY_START = re.compile(rf"{M}(?:\[{M})?\d")
FIRST_YEAR, LAST_YEAR = 2009, 2100
"""WhatsApp's first year, and one that no message is of."""
JALALI = (1380, 1430)
"""Years of the Persian calendar that can be meant; 1403 began on 20 March 2024."""
BUDDHIST = (2500, 2600)
LONGEST = 120
"""Characters at the start of a line in which its header ends."""


class Shape(NamedTuple):
    """What the headers of one export have in common.

    Kind is ``date``, ``time`` (first), ``day`` or ``month`` (by name); ``marks``: invisible ones stand within it.
    """

    kind: str
    bracket: bool
    separators: tuple[str, str]
    year_first: bool
    long_year: bool
    colon: str
    seconds: bool
    end: str
    marks: bool


class Header(NamedTuple):
    """The beginning of a message: three numbers of a date as written, the time, and where the rest begins."""

    shape: Shape
    date: tuple[str, str, str]
    hour: int
    minute: int
    second: int
    beside: tuple[str, str]
    half: str
    end: int


@lru_cache(maxsize=4096)
def half_of_day(before: str, after: str) -> str | None:
    """Return am, pm, noon or nothing for what stands before and after a time, None where it does not belong there."""
    known = words()
    found = ""
    for text in (before, after):
        word = squeezed(text).strip("日일月-–—")
        if word in known.between:
            continue
        half = known.halves.get(word, None if word else "")
        if half is None:  # "at 7 PM" is one word for each
            first = next((w for w in known.between if word.startswith(w) and word[len(w) :] in known.halves), None)
            if first is None:
                return None
            half = known.halves[word[len(first) :]]
        found = half or found
    return found


def header(line: str) -> Header | None:
    """Return the header that a line begins with, whatever its shape, else None."""
    line = line[:LONGEST]
    if MAY_START.match(line) is None:
        found = MONTH_NAMED.match(line) if line[:1].isalpha() or line[:1] == "[" else None
        if found is None:
            return None
        bracket, month, day, year, *rest = found.groups()
        return _named("month", bracket, (day, month, year), rest, found)
    found = DATE_FIRST.match(line)
    if found is not None:
        bracket, a, first, b, other, c, before, hour, colon, minute, second, after, end = found.groups()
        kind = "date"
    else:
        found = TIME_FIRST.match(line)
        if found is None:
            found = DAY_NAMED.match(line)
            if found is None:
                return None
            bracket, day, month, year, *rest = found.groups()
            return _named("day", bracket, (day, month, year), rest, found)
        bracket, hour, colon, minute, second, before, a, first, b, other, c, after, end = found.groups()
        kind = "time"
    shape = _shape(
        kind,
        bracket is not None,
        (first, other),
        len(a) > 2,
        len(c) > 2 and not c.startswith("R"),
        colon.strip(),
        second is not None,
        end[-1],
        not found[0].isascii() and _is_marked(found[0]),
    )
    return _timed(shape, (a, b, c), (before, hour, minute, second, after), found.end())


@lru_cache(maxsize=256)
def _shape(*parts: Any) -> Shape:
    return Shape(*parts)


def _is_marked(text: str) -> bool:
    return MARK.search(text.lstrip("\u200e\u200f\u202a\ufeff")) is not None


def _named(
    kind: str, bracket: str | None, day: tuple[str, str, str], rest: list[str], found: re.Match[str]
) -> Header | None:
    month = words().months.get(squeezed(day[1]))
    if month is None:
        return None
    before, hour, colon, minute, second, after, end = rest
    shape = _shape(
        kind,
        bracket is not None,
        ("", ""),
        False,
        True,
        colon.strip(),
        second is not None,
        end[-1],
        _is_marked(found[0]),
    )
    return _timed(shape, (day[0], str(month), day[2]), (before, hour, minute, second, after), found.end())


def _timed(shape: Shape, day: tuple[str, str, str], rest: tuple[str, ...], stop: int) -> Header | None:
    before, hour, minute, second, after = rest
    half = half_of_day(before, after)
    hours, minutes, seconds = int(hour), int(minute), int(second or 0)
    if half is None or hours > 24 or minutes > 59 or seconds > 59:
        return None
    return Header(shape, day, hours, minutes, seconds, (before, after), half, stop)


def hour_of(hour: int, half: str) -> int:
    """Return the hour of the day of 0 to 23 for an hour beside am, pm, noon or nothing."""
    if half == "am":
        return hour % 12 if hour <= 12 else hour % 24
    if half == "pm" or (half == "noon" and hour < 11):
        return hour % 12 + 12 if hour <= 12 else hour % 24
    return hour % 24


def pattern_of(shape: Shape, beside: Iterable[tuple[str, str]]) -> re.Pattern[str]:
    """Return the pattern of one shape alone, several times faster than asking for all.

    Its groups are the three numbers of the date, hour, minute, second, and what stands before and after the time.
    """
    before = "|".join(sorted({re.escape(b) for b, _ in beside}, key=lambda b: (-len(b), b)))
    after = "|".join(sorted({re.escape(a) for _, a in beside}, key=lambda a: (-len(a), a)))
    m = M if shape.marks else ""
    start = rf"{M}\[{m}" if shape.bracket else M
    first, other = (m + re.escape(separator) + m for separator in shape.separators)
    a, c = (r"\d{3,4}" if shape.year_first else r"\d{1,2}"), (r"\d{3,4}" if shape.long_year else r"R?\d{1,2}")
    day = rf"(?P<a>{a}){first}(?P<b>\d{{1,2}}){other}(?P<c>{c})"
    if shape.kind == "day":
        day = r"(?P<a>\d{1,2})(?:\.|º)?\s(?:de\s)?(?P<b>[^\W\d_]{3,12})\.?,?\s(?:de\s)?(?P<c>\d{4})"
    elif shape.kind == "month":
        day = r"(?P<b>[^\W\d_]{3,12})\.?\s(?P<a>\d{1,2}),?\s(?P<c>\d{4})"
    second = rf"[:.٫]{m}(?P<s>\d{{2}})" if shape.seconds else "(?P<s>)"
    colon = r"\s?h\s?" if shape.colon == "h" else re.escape(shape.colon)
    time = rf"(?P<h>\d{{1,2}}){colon}{m}(?P<m>\d{{2}}){second}"
    end = {"]": r"\]", ":": ":", ";": ";"}.get(shape.end, r"\s[-–—]")
    around, after = rf"(?P<before>{before})", rf"(?P<after>{after})"
    if shape.kind == "time":
        return re.compile(rf"{start}(?P<clock>{time}{around}){day}{after}{end}{ENDED_BY}")
    return re.compile(rf"{start}{day}(?P<clock>{around}{time}{after}){end}{ENDED_BY}")


def day_of(written: tuple[str, str, str], order: str) -> date | None:
    """Return the date that three numbers name when read in an order such as ``dmy``, None where there is no such day."""
    part = dict(zip(order, written, strict=True))
    try:
        month = int(part["m"]) if part["m"].isdecimal() else words().months[squeezed(part["m"])]
        year, day = part["y"], int(part["d"])
        if year.startswith("R"):  # era of Japan's present emperor, which began in 2019
            return date(2018 + int(year[1:]), month, day)
        number = int(year) + (2000 if len(year) <= 2 else 0)
        if JALALI[0] <= number <= JALALI[1]:
            return _from_jalali(number, month, day)
        return date(number - 543 if BUDDHIST[0] <= number <= BUDDHIST[1] else number, month, day)
    except (KeyError, ValueError, OverflowError):
        return None


def _from_jalali(year: int, month: int, day: int) -> date:
    """Return a day of the Persian calendar, by its cycle of 33 years with 8 leap years, which holds in these centuries.

    Raises:
        ValueError: there is no such day.
    """
    if not (1 <= month <= 12 and 1 <= day <= (31 if month <= 6 else 30)):
        raise ValueError("no such day")
    months = (month - 1) * 31 if month <= 6 else 186 + (month - 7) * 30
    leap_days = (year + 1595) // 33 * 8 + ((year + 1595) % 33 + 3) // 4
    start = 365 * (year + 1595) + leap_days
    return date.fromordinal(start - JALALI_TO_ORDINAL + months + day)


JALALI_TO_ORDINAL = (
    365 * (1403 + 1595)
    + (1403 + 1595) // 33 * 8
    + ((1403 + 1595) % 33 + 3) // 4
    + 1
    - datetime(2024, 3, 20).toordinal()
)
"""Where the count of days of `_from_jalali` stands to that of Python, by 1 Farvardin 1403, which was 20 March 2024."""
