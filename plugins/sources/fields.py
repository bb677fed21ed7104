"""Values out of parsed JSON whose shape nobody promises: each accessor gives the kind asked for, or says that there is none.

What a format means by its keys does not belong here.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from plugins.contracts import SourceOptions
from plugins.sources.times import parse_time
from records.names import cleaned

__all__ = [
    "dig",
    "first",
    "flag",
    "identity",
    "listing",
    "mapping",
    "mappings",
    "moment",
    "number",
    "string",
    "whole",
    "without",
]

LONGEST_ID = 200


def mapping(value: Any) -> dict[str, Any]:
    """Return a JSON object, or an empty one where there is something else."""
    return value if isinstance(value, dict) else {}


def listing(value: Any) -> list[Any]:
    """Return a JSON array, or an empty one where there is something else."""
    return value if isinstance(value, list) else []


def mappings(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a JSON array, in order, without what else lies between them."""
    return [item for item in listing(value) if isinstance(item, dict)]


def string(value: Any) -> str | None:
    """Return text that says something, without what no store takes; None for blank text and for anything else."""
    if not isinstance(value, str):
        return None
    text = cleaned(value)
    return text if text.strip() else None


def number(value: Any) -> float | None:
    """Return a finite number, also one that is written as text; None for anything else (true and false are no numbers)."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def whole(value: Any) -> int | None:
    """Return a whole number, also one that is written as text or with a fraction of zero; None for anything else."""
    found = number(value)
    if found is None or found != int(found):
        return None
    return value if isinstance(value, int) else int(found)


def moment(value: Any, options: SourceOptions) -> datetime | None:
    """Return a time in UTC; None where there is none (also 0, which some exports write instead) or none that can be read."""
    if value in (None, "", 0) or not isinstance(value, str | int | float):
        return None
    try:
        return parse_time(value, options)
    except ValueError:
        return None


def flag(value: Any) -> bool:
    """Return whether something is marked: true, 1, or the text "true"."""
    return (
        value is True
        or (isinstance(value, int) and value == 1)
        or (isinstance(value, str) and value.strip().lower() in ("true", "1"))
    )


def identity(value: Any) -> str | None:
    """Return an id as text, whether it is written as text or as a whole number; None where it is neither, or no id is that long."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**40 else None
    text = string(value)
    return text.strip() if text is not None and len(text) <= LONGEST_ID else None


def first(values: Mapping[str, Any], *keys: str) -> Any:
    """Return the value of the first of the keys that has one; null and blank text are none."""
    for key in keys:
        value = values.get(key)
        if value is not None and not (isinstance(value, str) and not value.strip()):
            return value
    return None


def without(text: str, start: str, end: str) -> str:
    """Return a text without what stands between two marks, and without these; one that does not end stays."""
    pieces: list[str] = []
    place = 0
    while (begins := text.find(start, place)) >= 0 and (ends := text.find(end, begins + len(start))) >= 0:
        pieces.append(text[place:begins])
        place = ends + len(end)
    return "".join((*pieces, text[place:]))


def dig(value: Any, *keys: str | int) -> Any:
    """Return what lies under keys (of objects) and places (of arrays) one inside the other; None where any is missing."""
    for key in keys:
        if isinstance(key, int):
            value = value[key] if isinstance(value, list) and -len(value) <= key < len(value) else None
        else:
            value = mapping(value).get(key)
    return value
