"""Rows of tables: a message each, or an exchange (input_text, output_text), which is two messages one after the other.

What people thought of an answer stands in a row's ``feedback``: {"rating": -1…1, "correct": bool, "correction": text,
"quality_override": 0…1}, each only where the table has it; of an exchange it belongs to the answer. Which column is which does
not belong here (see `plugins.sources.tables.columns`).
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from plugins.contracts import SourceOptions
from plugins.sources.fields import number
from plugins.sources.people import is_agent
from plugins.sources.tables.columns import EXCHANGE, FEEDBACK, Taken
from plugins.sources.values import ROLE_NAMES
from records.names import same_name

UNIQUE = 16
"""Characters from which an id is taken to be one of its kind everywhere (a UUID, a snowflake), not a number within its table."""

TAG = re.compile(r"#\d{4}$")
"""What Discord once wrote behind names."""

HOUR = re.compile(r"\d{1,2}:\d{2}")

YES = {"1": True, "true": True, "yes": True, "t": True, "0": False, "false": False, "no": False, "f": False}

THUMBS = {"up": 1.0, "thumbs_up": 1.0, "like": 1.0, "good": 1.0, "👍": 1.0, "down": -1.0, "thumbs_down": -1.0, "dislike": -1.0,
          "bad": -1.0, "👎": -1.0}  # fmt: skip


def utterances(
    values: Mapping[str, Any],
    taken: Taken,
    line: int,
    options: SourceOptions,
    scale: tuple[float, float] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the message of a row of a table, or the two of an exchange in their order.

    Args:
        values: The row by the names of the table.
        taken: What they mean.
        line: Where it stands, from 1.
        options: Who is the agent, where a column of speakers says "bot".
        scale: Worst and best rating of the table; None: from -1 to 1.
    """
    row = {ours: plain(values.get(theirs)) for ours, theirs in taken.items()}
    row = {ours: value for ours, value in row.items() if not _is_blank(value)}
    given = {name: _feedback(name, row.pop(name, None), scale) for name in FEEDBACK}
    given["quality_override"] = given.pop("quality")
    feedback = {name: value for name, value in given.items() if value is not None}
    row["line"] = line
    if taken.hour is not None:
        row["occurred_at"] = when(values, taken)
    if "agent_id" in taken.guessed and options.agent is not None:
        row.pop("agent_id", None)  # whose memory it is was said
    if "source_ref" in taken.guessed:
        _identify(row)
    if _is_blank(row.get("input_text")) and _is_blank(row.get("output_text")):
        said = _speaking(row, options)
        is_users = ROLE_NAMES.get(str(said.get("role")).strip().lower()) == "user"
        yield {**said, **({"feedback": feedback} if feedback and not is_users else {})}
        return
    yield from _sides(row, feedback)


def when(values: Mapping[str, Any], taken: Taken) -> Any:
    """Return the time of a row as it is written; its day and its hour may stand in two columns."""
    day = plain(values.get(taken["occurred_at"])) if "occurred_at" in taken else None
    hour = "" if taken.hour is None else str(values.get(taken.hour)).strip()
    return f"{'' if day is None else day} {hour}".strip() if HOUR.match(hour) else day


def plain(value: Any) -> Any:
    """Return a value of a database or a Parquet file as one that a message takes."""
    if value is None or isinstance(value, str | int | list | dict | datetime):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value  # data frames write a missing number so
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    if isinstance(value, Decimal) and not (value.is_finite() and abs(value.adjusted()) < 400):
        return None
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _sides(row: dict[str, Any], feedback: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what was said and what was answered; only the answer has a model and feedback."""
    shared = {key: value for key, value in row.items() if key not in (*EXCHANGE, "role", "speaker_id", "speaker_name")}
    user = row.get("user_id", row.get("speaker_id", row.get("speaker_name")))
    model = shared.pop("model_version", None)
    turn, whole = shared.pop("turn", None), number(row.get("turn"))
    for place, (side, role) in enumerate((("input", "user"), ("output", "agent"))):
        said = row.get(f"{side}_text")
        if _is_blank(said):
            continue
        found = {
            **shared,
            "text": said,
            "role": role,
            "emotion": row.get(f"{side}_emotion", row.get("emotion")),
            "user_id": user,
            "speaker_id": row.get("agent_id") if role == "agent" else user,
            "source_ref": f"{row['source_ref']}/{side}" if "source_ref" in row else None,
            # What is no number is told so when the row is taken.
            "turn": turn if whole is None else 2 * int(whole) + place,
        }
        if role == "agent":
            found |= {"model_version": model, **({"feedback": feedback} if feedback else {})}
        else:
            found["speaker_name"] = row.get("speaker_name")
        yield found


def _speaking(row: dict[str, Any], options: SourceOptions) -> dict[str, Any]:
    """Return a message whose column of speakers may hold roles: "bot" is the agent, not somebody of that name."""
    name = row.get("speaker_name")
    if "role" in row or not isinstance(name, str):
        return row
    name = TAG.sub("", name)
    if is_agent(name, options) or same_name(name, _text(row.get("agent_id"))):
        return {
            **row,
            "role": "agent",
            "speaker_id": row.get("agent_id") or options.agent,
        }  # whatever number it has in the table
    if same_name(name, options.user):
        return {**row, "speaker_id": options.user}
    role = None if "speaker_id" in row else ROLE_NAMES.get(name.strip().lower())
    if role is None:
        return row
    row = {**row, "role": role}
    if role == "agent" or "user_id" in row or options.user is not None:
        del row["speaker_name"]
    return row


def _identify(row: dict[str, Any]) -> None:
    """Keep an id only where it names the message everywhere: numbers that begin anew in every table would make two messages one."""
    ref = str(row.get("source_ref", "")).strip()
    if len(ref) >= UNIQUE:
        row |= {"source_ref": ref, "is_id": True}
    else:
        row.pop("source_ref", None)


def _feedback(name: str, value: Any, scale: tuple[float, float] | None) -> Any:
    """Return a kind of feedback, None where there is none or it is not of its kind."""
    if _is_blank(value):
        return None
    if name == "correction":
        return str(value) if isinstance(value, str | int | float) else json.dumps(value, default=str)
    if name == "correct":
        return value if isinstance(value, bool) else YES.get(str(value).strip().lower())
    share = number(value)
    if name == "quality":
        return share if share is not None and 0 <= share <= 1 else None
    thumb = THUMBS.get(str(value).strip().lower())
    if thumb is not None or share is None:
        return thumb
    worst, best = scale or (-1.0, 1.0)
    return 2 * (share - worst) / (best - worst) - 1 if worst <= share <= best else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
