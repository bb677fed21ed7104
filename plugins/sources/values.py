"""What a row says in one field, as the store holds it: text, ids, roles, numbers, flags, lists and free metadata."""

import json
import math
from collections.abc import Mapping
from typing import Any

from plugins.sources.reading import parsed
from records.interactions import ROLES
from records.names import cleaned

ROLE_NAMES = {
    "user": "user",
    "human": "user",
    "customer": "user",
    "person": "user",
    "prompter": "user",
    "agent": "agent",
    "assistant": "agent",
    "bot": "agent",
    "gpt": "agent",
    "character": "agent",
    "char": "agent",
    "ai": "agent",
    "model": "agent",
    "chatgpt": "agent",
    "system": "system",
    "developer": "system",
    "tool": "system",
    "function": "system",
    "function_call": "system",
    "tool_call": "system",
    "observation": "system",
}
LONGEST_ID = 1_000
"""Bytes of an id or a name; stores index them, and PostgreSQL's indexes hold two that are a little longer."""

NO_JSON = ("NaN", "Infinity")
"""Numbers that Python reads and writes as JSON, and nobody else."""

LARGEST = 2**63 - 1
"""Largest whole number that the stores hold."""


def as_text(value: Any) -> str | None:
    """Return a value as text without spaces around it, None for nothing; a list or an object is no text.

    Raises:
        ValueError: it is a list or an object.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        if isinstance(value, dict | list):
            raise ValueError("a list or an object where text is expected")
        value = str(value)
    if value.isascii() and "\x00" not in value:
        return value.strip() or None
    return cleaned(value).strip() or None


def as_name(value: Any) -> str | None:
    """Return an id or a name as text.

    Raises:
        ValueError: it is a list or an object, or longer than any name.
    """
    text = as_text(value)
    if text is not None and 4 * len(text) > LONGEST_ID and len(text.encode()) > LONGEST_ID:
        raise ValueError("a name or an id that is longer than any is")
    return text


def as_role(value: Any) -> str | None:
    """Return user, agent or system for what formats call them, None for nothing.

    Raises:
        ValueError: it is none of them.
    """
    if value is None or value == "":
        return None
    role = ROLE_NAMES.get(value) if isinstance(value, str) else None
    if role is None and isinstance(value, str | int | float):
        role = ROLE_NAMES.get(str(value).strip().lower())
    if role is None:
        raise ValueError(f"unknown role; known are {', '.join(ROLES)}")
    return role


def as_turn(value: Any) -> int | None:
    """Return a whole number from 0 to 2⁶³ - 1, None for nothing.

    Raises:
        ValueError: it is none.
    """
    if value is None or value == "":
        return None
    try:
        number = int(value) if isinstance(value, int) else int(float(value))
    except (TypeError, ValueError, OverflowError):
        raise ValueError("turn is no number") from None
    if not 0 <= number <= LARGEST:
        raise ValueError("turn is negative" if number < 0 else "turn is too large")
    return number


def as_importance(value: Any) -> float | None:
    """Return a number from 0 to 1, None for nothing.

    Raises:
        ValueError: it is none.
    """
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("importance is no number") from None
    if not 0 <= number <= 1:
        raise ValueError("importance is not between 0 and 1")
    return number


def as_flag(value: Any) -> bool:
    """Return whether a value says yes: true, 1, "yes"."""
    return value is True or (
        value is not None and value is not False and str(value).strip().lower() in ("1", "true", "yes", "t")
    )


def as_participants(value: Any) -> str | None:
    """Return who was there as a sorted JSON list, from a list, its JSON, or names with ``|`` between them.

    Raises:
        ValueError: it is none of these.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.startswith("["):
        try:
            value = parsed(value)
        except ValueError:
            raise ValueError("participants is no JSON list") from None
    names = value.split("|") if isinstance(value, str) else value
    if not isinstance(names, list | tuple | set):
        raise ValueError("participants is no list")
    told = {cleaned(str(name)) for name in names if isinstance(name, str | int | float)}
    return json.dumps(sorted(name for name in told if len(name) <= LONGEST_ID), ensure_ascii=False)


def as_metadata(value: Any, given: Mapping[str, Any]) -> str | None:
    """Return free metadata as JSON; what was given for all rows (``given``) stands under what the row says.

    Raises:
        ValueError: it cannot be written as JSON.
    """
    if not value and not given:
        return None
    own = value
    if isinstance(value, str):
        try:
            own = parsed(value)
        except json.JSONDecodeError:
            own = value  # words: kept as JSON's text
        except ValueError as error:
            raise ValueError(f"metadata: {error}") from None
        else:
            if not given and not any(word in value for word in NO_JSON):
                return cleaned(value)
    if given:
        own = {**given, **(own if isinstance(own, dict) else {} if own in (None, "") else {"source": own})}
    try:
        return cleaned(json.dumps(_finite(own), sort_keys=True, ensure_ascii=False, default=str, allow_nan=False))
    except (ValueError, RecursionError, TypeError):
        raise ValueError("metadata cannot be kept as JSON") from None


def _finite(value: Any) -> Any:
    """Return a value in which numbers that are none are null, as JSON has it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value
