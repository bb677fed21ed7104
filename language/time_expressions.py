"""When a question is about: time expressions in English and Spanish become spans of time.

"in May", "on 3 July 2023", "last summer", "two weeks before August 11", "hace dos semanas", "el verano pasado", "a finales de marzo".
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np

YEARS_BACK = 12
"""A month without a year is that month of any of the last years."""

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            ("january", "jan", "enero"),
            ("february", "feb", "febrero"),
            ("march", "mar", "marzo"),
            ("april", "apr", "abril"),
            ("may", "mayo"),
            ("june", "jun", "junio"),
            ("july", "jul", "julio"),
            ("august", "aug", "agosto"),
            ("september", "sept", "sep", "septiembre", "setiembre"),
            ("october", "oct", "octubre"),
            ("november", "nov", "noviembre"),
            ("december", "dec", "diciembre"),
        ),
        start=1,
    )
    for name in names
}
SEASONS = {  # northern hemisphere, first month
    "spring": 3, "primavera": 3, "summer": 6, "verano": 6, "autumn": 9, "fall": 9, "otoño": 9, "winter": 12, "invierno": 12,
}  # fmt: skip
WEEKDAYS = {
    name: number
    for number, names in enumerate(
        (
            ("monday", "lunes"),
            ("tuesday", "martes"),
            ("wednesday", "miércoles", "miercoles"),
            ("thursday", "jueves"),
            ("friday", "viernes"),
            ("saturday", "sábado", "sabado"),
            ("sunday", "domingo"),
        )
    )
    for name in names
}
UNITS = {
    "day": 1, "days": 1, "día": 1, "días": 1, "dia": 1, "dias": 1, "night": 1, "noche": 1,
    "week": 7, "weeks": 7, "semana": 7, "semanas": 7, "weekend": 7, "weekends": 7,
    "month": 30, "months": 30, "mes": 30, "meses": 30, "year": 365, "years": 365, "año": 365, "años": 365,
}  # fmt: skip
NUMBERS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "couple of": 2, "a couple of": 2, "few": 3, "a few": 3, "several": 4, "un": 1, "una": 1, "uno": 1, "dos": 2, "tres": 3,
    "cuatro": 4, "cinco": 5, "seis": 6, "siete": 7, "ocho": 8, "nueve": 9, "diez": 10, "un par de": 2, "unos": 3, "unas": 3,
    "the": 1, "el": 1, "la": 1,
}  # fmt: skip

_MONTH = "(?:" + "|".join(sorted(MONTHS, key=len, reverse=True)) + ")"
_UNIT = "(?:" + "|".join(sorted(UNITS, key=len, reverse=True)) + ")"
_NUMBER = r"(?:\d{1,3}|" + "|".join(sorted(NUMBERS, key=len, reverse=True)) + ")"
_DAY = r"(?:[12]\d|3[01]|0?[1-9])"
_YEAR = r"(?:19|20)\d\d"

_DATE = (
    rf"(?P<iso>{_YEAR}-\d\d-\d\d)"
    rf"|(?P<d1>{_DAY})(?:st|nd|rd|th)?\s+(?:of\s+|de\s+)?(?P<m1>{_MONTH})\b\.?,?(?:\s+(?:de\s+|del\s+)?(?P<y1>{_YEAR}))?"
    rf"|(?P<m2>{_MONTH})\s+(?P<d2>{_DAY})(?:st|nd|rd|th)?\b(?!\s*(?:people|years))(?:,?\s*(?P<y2>{_YEAR}))?"
    rf"|(?P<m3>{_MONTH})\.?,?\s+(?:of\s+|de\s+|del\s+)?(?P<y3>{_YEAR})"
    rf"|(?:in|during|of|by|since|around|late|early|mid|en|durante|de|desde)[ -]+(?:the\s+month\s+of\s+)?(?P<m4>{_MONTH})\b(?!\s+\d)"
)
_PART = (
    r"(?P<part>first half|second half|first week|second week|third week|last week|beginning|start|middle|end|early|mid|late"
    r"|primera mitad|segunda mitad|primera semana|segunda semana|tercera semana|última semana|principios|comienzos|mediados|finales|fines)"
)
_PARTS = {  # share of the period: from, to
    "first half": (0.0, 0.5), "primera mitad": (0.0, 0.5), "second half": (0.5, 1.0), "segunda mitad": (0.5, 1.0),
    "first week": (0.0, 0.25), "primera semana": (0.0, 0.25), "second week": (0.25, 0.5), "segunda semana": (0.25, 0.5),
    "third week": (0.5, 0.75), "tercera semana": (0.5, 0.75), "last week": (0.75, 1.0), "última semana": (0.75, 1.0),
    "beginning": (0.0, 0.33), "start": (0.0, 0.33), "early": (0.0, 0.33), "principios": (0.0, 0.33), "comienzos": (0.0, 0.33),
    "middle": (0.33, 0.67), "mid": (0.33, 0.67), "mediados": (0.33, 0.67),
    "end": (0.67, 1.0), "late": (0.67, 1.0), "finales": (0.67, 1.0), "fines": (0.67, 1.0),
}  # fmt: skip
_LAST = r"(?:last|past|previous)"
_GONE = r"(?:pasad[oa]s?|anterior)"


@dataclass(frozen=True)
class Moments:
    """What a question says of time: any of the spans, which end exclusively; ``words`` is the expression."""

    spans: tuple[tuple[datetime, datetime], ...]
    words: str

    def nearness(self, moments: np.ndarray) -> np.ndarray:
        """Return per time (datetime64[us], UTC) 1 inside a span, falling off to 0 outside of it.

        What is asked for a day is often told some days later, so that the fall is slower after a span than before it.
        """
        best = np.zeros(len(moments))
        stamps = moments.astype("datetime64[s]").astype(np.int64) / 86_400
        for start, end in self.spans:
            first, last = start.timestamp() / 86_400, end.timestamp() / 86_400
            length = max(last - first, 1.0)
            early = np.clip(first - stamps, 0.0, None) / (0.5 + 0.15 * length)
            late = np.clip(stamps - last, 0.0, None) / (1.5 + 0.25 * length)
            best = np.maximum(best, np.exp(-early - late))
        return best


def moments(question: str, now: datetime) -> Moments | None:
    """Return the spans that the first time expression of a question means, None if it has none.

    Args:
        now: What "last week" counts from; days, months and years are those of its time zone.
    """
    text = question.lower()
    for pattern, reader in _readers():
        match = pattern.search(text)
        if match:
            # Read as if the clock on the wall were UTC: a day has 24 hours there, whatever the zone does in that night.
            spans = reader(match, now.replace(tzinfo=UTC))
            if spans:
                return Moments(tuple((_back(start, now), _back(end, now)) for start, end in spans), match[0].strip())
    return None


def _back(wall: datetime, now: datetime) -> datetime:
    """Return the moment in UTC at which the clock on the wall of ``now`` shows a time."""
    return wall.replace(tzinfo=now.tzinfo, fold=0).astimezone(UTC)


Spans = list[tuple[datetime, datetime]]
Reader = Callable[[re.Match[str], datetime], Spans]


@lru_cache(maxsize=1)
def _readers() -> tuple[tuple[re.Pattern[str], "Reader"], ...]:
    """Return the expressions and what reads them, the most particular first; compiled when first needed."""
    table = (
        (rf"(?P<n>{_NUMBER})?\s*(?P<unit>{_UNIT})\s+(?P<side>before|after|earlier than|prior to|following|antes|después|despues)\s+(?:of\s+|del?\s+|el\s+|the\s+)*(?:{_DATE})", _beside),
        (rf"\b{_PART}\s+(?:of\s+|de\s+)?(?:the\s+month\s+of\s+)?(?:{_DATE.replace('(?:in|during|of|by|since|around|late|early|mid|en|durante|de|desde)[ -]+', '')})", _part),
        (rf"\b(?:{_DATE})", _dated),
        (rf"\b(?P<n>{_NUMBER})\s+(?P<unit>{_UNIT})\s+ago\b", _ago),
        (rf"\bhace\s+(?:como\s+|unos\s+|unas\s+)?(?P<n>{_NUMBER})\s+(?P<unit>{_UNIT})\b", _ago),
        (rf"\b(?:(?P<last>{_LAST})|(?P<this>this|next)|in\s+the|during\s+the|over\s+the)\s+(?P<season>spring|summer|autumn|fall|winter)(?:\s+of)?(?:\s+(?P<y>{_YEAR}))?", _season),
        (rf"\b(?:(?P<this>este|esta|próximo|próxima)|el|la|en)\s+(?P<season>primavera|verano|otoño|invierno)(?:\s+(?P<last>{_GONE}))?(?:\s+de(?:l)?\s+(?P<y>{_YEAR}))?", _season),
        (r"\b(?P<word>day before yesterday|yesterday|last night|today|tonight|this morning|anteayer|antes de ayer|ayer|anoche|hoy|esta mañana|esta noche)\b", _word),
        (rf"\b(?:(?P<last>{_LAST})|(?P<this>this))\s+(?P<unit>week|month|year|weekend)s?\b", _period),
        (rf"\b(?:(?P<this>este|esta)\s+)(?P<unit>semana|mes|año)\b|\b(?:el|la)\s+(?P<unit2>fin de semana|semana|mes|año)\s+(?P<last>{_GONE})", _period),
        (rf"\b(?:last|on|this)\s+(?P<weekday>{'|'.join(w for w in WEEKDAYS if w.endswith('day'))})\b", _weekday),
        (rf"\bel\s+(?P<weekday>{'|'.join(w for w in WEEKDAYS if not w.endswith('day'))})\b", _weekday),
        (rf"\b(?:in|during|of|by|since|before|en|durante|de|desde|año|year)\s+(?P<y>{_YEAR})\b", _year),
    )  # fmt: skip
    return tuple((re.compile(pattern), reader) for pattern, reader in table)


def _day(year: int, month: int, day: int, length: float = 1) -> tuple[datetime, datetime] | None:
    try:
        start = datetime(year, month, day, tzinfo=UTC)
    except ValueError:  # 31 June
        return None
    return start, start + timedelta(days=length)


def _month(year: int, month: int, count: int = 1) -> tuple[datetime, datetime]:
    end = month - 1 + count
    return datetime(year, month, 1, tzinfo=UTC), datetime(year + end // 12, end % 12 + 1, 1, tzinfo=UTC)


def _dated(match: re.Match[str], now: datetime) -> Spans:
    found = match.groupdict()
    if found["iso"]:
        year, month, day = (int(part) for part in found["iso"].split("-"))
        return [span] if month <= 12 and (span := _day(year, month, day)) else []
    for d, m, y in (("d1", "m1", "y1"), ("d2", "m2", "y2"), (None, "m3", "y3"), (None, "m4", None)):
        if not found[m]:
            continue
        month = MONTHS[found[m]]
        years = [int(found[y])] if y and found[y] else range(now.year, now.year - YEARS_BACK, -1)
        spans = [_day(year, month, int(found[d])) if d else _month(year, month) for year in years]
        return [span for span in spans if span is not None]
    return []


def _beside(match: re.Match[str], now: datetime) -> Spans:
    days = _number(match["n"]) * UNITS[match["unit"]]
    step = timedelta(days=-days if match["side"] in ("before", "earlier than", "prior to", "antes") else days)
    margin = timedelta(days=max(1.0, days / 7) - 1)
    return [(start + step - margin, end + step + margin) for start, end in _dated(match, now)]


def _part(match: re.Match[str], now: datetime) -> Spans:
    low, high = _PARTS[match["part"]]
    return [(start + low * (end - start), start + high * (end - start)) for start, end in _dated(match, now)]


def _ago(match: re.Match[str], now: datetime) -> Spans:
    days = _number(match["n"]) * UNITS[match["unit"]]
    margin = timedelta(days=max(0.5, 0.5 * UNITS[match["unit"]]))
    middle = now - timedelta(days=days)
    return [(middle - margin, middle + margin)]


def _season(match: re.Match[str], now: datetime) -> Spans:
    month = SEASONS[match["season"]]
    if match["y"]:
        return [_month(int(match["y"]), month, 3)]
    past = [_month(year, month, 3) for year in range(now.year, now.year - YEARS_BACK, -1)]
    past = [span for span in past if span[0] <= now]
    if match["this"]:
        return [_month(now.year, month, 3)]
    if match["last"]:
        return [next(span for span in past if span[1] <= now)]
    return past


def _word(match: re.Match[str], now: datetime) -> Spans:
    back = {
        "yesterday": 1,
        "ayer": 1,
        "last night": 1,
        "anoche": 1,
        "day before yesterday": 2,
        "anteayer": 2,
        "antes de ayer": 2,
    }
    start = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=back.get(match["word"], 0))
    return [(start, start + timedelta(days=1))]


def _period(match: re.Match[str], now: datetime) -> Spans:
    unit = match.groupdict().get("unit") or match.groupdict().get("unit2")
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    back = 0 if match["this"] else 1
    if unit in ("month", "mes"):
        months = now.year * 12 + now.month - 1 - back
        return [_month(months // 12, months % 12 + 1)]
    if unit in ("year", "año"):
        return [_month(now.year - back, 1, 12)]
    monday = midnight - timedelta(days=midnight.weekday() + 7 * back)
    if unit in ("weekend", "fin de semana"):
        return [(monday + timedelta(days=5), monday + timedelta(days=7))]
    return [(monday, monday + timedelta(days=7))]


def _weekday(match: re.Match[str], now: datetime) -> Spans:
    back = (now.weekday() - WEEKDAYS[match["weekday"]]) % 7 or 7
    start = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=back)
    return [(start, start + timedelta(days=1))]


def _year(match: re.Match[str], now: datetime) -> Spans:
    return [_month(int(match["y"]), 1, 12)]


def _number(word: str | None) -> int:
    return int(word) if word and word.isdigit() else NUMBERS.get(word or "a", 1)
