"""Times of tables that are not ISO 8601, as spreadsheets and programs write them: 02/06/2025 10:00, 6/2/25 10:00 PM, 2-Jun-25.

Which of two numbers is the day is one decision for a whole table: a number above 12 makes it, else the reading under which the
rows run forward. What the columns of a table are does not belong here (see `plugins.sources.tables.columns`).
"""

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from plugins.contracts import SourceOptions
from plugins.sources.times import in_utc, parse_time
from plugins.sources.whatsapp.words import squeezed, words

CLOCK = (
    r"(?P<h>\d{1,2})[:h](?P<min>\d{2})(?::(?P<s>\d{2})(?:[.,](?P<f>\d{1,9}))?)?\s*(?P<half>[ap]\.?\s?m\.?)?"
    r"\s*(?P<zone>(?:UTC|GMT)?[+-]\d{2}:?\d{2}|Z|UTC|GMT)?(?:\s*\([^()]{1,40}\))?"
)
WEEKDAY = r"(?:[^\W\d_]{2,12}\.?,?\s+)?"
BETWEEN = r"(?:,?\s+(?:at\s+|-\s+|a las\s+)?|T|,)"
MONTH = r"(?P<month>[^\W\d_]{3,12})\.?"

NUMBERS = re.compile(
    rf"{WEEKDAY}(?P<a>\d{{1,4}})(?P<sep>[/.\-])(?P<b>\d{{1,2}})(?P=sep)(?P<c>\d{{1,4}})(?:{BETWEEN}{CLOCK})?",
    re.IGNORECASE,
)
TIME_FIRST = re.compile(
    rf"{CLOCK}{BETWEEN}(?P<a>\d{{1,4}})(?P<sep>[/.\-])(?P<b>\d{{1,2}})(?P=sep)(?P<c>\d{{1,4}})", re.IGNORECASE
)
DAY_NAMED = re.compile(
    rf"{WEEKDAY}(?P<day>\d{{1,2}})(?:st|nd|rd|th|º|\.)?[\s\-/](?:de\s)?{MONTH}[\s\-/,]\s?(?:de\s)?(?P<year>\d{{2,4}})(?:{BETWEEN}{CLOCK})?",
    re.IGNORECASE,
)
MONTH_NAMED = re.compile(
    rf"{WEEKDAY}{MONTH}\s(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s(?P<year>\d{{4}})(?:{BETWEEN}{CLOCK})?", re.IGNORECASE
)
YEAR_LAST = re.compile(rf"{WEEKDAY}{MONTH}\s+(?P<day>\d{{1,2}})\s+{CLOCK}\s+(?P<year>\d{{4}})", re.IGNORECASE)

LONGEST = 80
"""Characters of a time."""

LOOKED_AT = 50
"""Times that are all ISO 8601 or Unix before it is taken that the rest is, too."""


class TableTimes:
    """Reads the times of one table, once it has seen how they are written."""

    def __init__(self, options: SourceOptions) -> None:
        """Begin to look; ``day_first`` of the options is obeyed whatever the table says."""
        self.options = options
        self.day_first = options.day_first
        self._above = [0, 0]
        self._backwards = [0, 0]
        self._before = [date.min, date.min]
        self._seen = self._unclear = self._american = 0

    @property
    def is_settled(self) -> bool:
        """Whether no more times need to be seen."""
        return self.options.day_first is not None or (self._seen >= LOOKED_AT and not self._unclear)

    def see(self, value: Any) -> None:
        """Take note of how a time is written; rows come in the order of the table."""
        self._seen += 1  # whatever it is: a table without times is not read to its end
        if not isinstance(value, str):
            return
        text = " ".join(value[:LONGEST].split())
        found = NUMBERS.fullmatch(text) or TIME_FIRST.fullmatch(text)
        if found is None or len(found["a"]) > 2 or found["sep"] == ".":
            return
        self._unclear += 1
        self._american += bool(found["half"])
        for place, number in enumerate((found["a"], found["b"])):
            self._above[place] += int(number) > 12
        for place, first in enumerate((True, False)):
            try:
                day = day_of(found["a"], found["b"], found["c"], first)
            except ValueError:
                continue
            self._backwards[place] += day < self._before[place]
            self._before[place] = day

    def decide(self, name: str) -> list[str]:
        """Decide whether the first of two numbers is the day; return what a person may want to correct."""
        if self.options.day_first is not None or not self._unclear:
            return []
        for counts, is_day in ((self._above, True), (self._backwards, False)):
            if counts[0] != counts[1]:
                self.day_first = (counts[0] > counts[1]) is is_day
                return []
        self.day_first = 2 * self._american <= self._unclear
        first, other = ("day", "month") if self.day_first else ("month", "day")
        return [
            f"{name}: nothing in it tells days from months: the {first} is taken to come first; "
            f"import it with --{other}-first if that is wrong"
        ]

    def read(self, value: Any) -> Any:
        """Return a time in UTC where it is written in one of these ways, else the value as it is."""
        if not isinstance(value, str) or len(value) > LONGEST:
            return value
        try:
            return parse_time(value, self.options)
        except ValueError:
            pass
        try:
            return self._read(" ".join(value.split()))
        except (ValueError, OverflowError, KeyError):
            return value

    def _read(self, text: str) -> Any:
        found = NUMBERS.fullmatch(text) or TIME_FIRST.fullmatch(text)
        if found is not None:
            day = day_of(found["a"], found["b"], found["c"], self.day_first is not False or found["sep"] == ".")
        else:
            found = DAY_NAMED.fullmatch(text) or MONTH_NAMED.fullmatch(text) or YEAR_LAST.fullmatch(text)
            if found is None:
                return text
            day = date(_year(found["year"]), words().months[squeezed(found["month"])], int(found["day"]))
        hour, half = int(found["h"] or 0), (found["half"] or "").lower()[:1]
        if half and not 1 <= hour <= 12:
            return text
        hour = hour % 12 + (12 if half == "p" else 0) if half else hour
        fraction = int((found["f"] or "0")[:6].ljust(6, "0"))
        moment = datetime(day.year, day.month, day.day, hour, int(found["min"] or 0), int(found["s"] or 0), fraction)
        return in_utc(moment.replace(tzinfo=_zone(found["zone"])), self.options)


def day_of(one: str, two: str, three: str, day_first: bool) -> date:
    """Return the day of three numbers, of which the year is the first if it has four digits, else the last.

    Raises:
        ValueError: there is no such day.
    """
    if len(one) > 2:
        return date(int(one), int(two), int(three))
    day, month = (one, two) if day_first else (two, one)
    return date(_year(three), int(month), int(day))


def _year(text: str) -> int:
    return int(text) + (2000 if len(text) <= 2 else 0)


def _zone(text: str | None) -> timezone | None:
    if text is None:
        return None
    text = text.upper().removeprefix("UTC").removeprefix("GMT")
    if text[:1] not in ("+", "-"):
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-offset if text[0] == "-" else offset)
