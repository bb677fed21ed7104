"""From rows as a source gives them to messages, sessions and speakers as the store takes them.

A row needs a text and a time; everything else has a default. A row that cannot be taken becomes a reject with its line and reason.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from plugins.contracts import SourceOptions
from records.errors import SourceError
from records.ids import content_id
from records.interactions import ROLES
from records.store import Messages, Rejects, Sessions, Speakers
from records.weeks import week_of

COLUMNS = (
    "session_id",
    "agent_id",
    "user_id",
    "speaker_id",
    "speaker_name",
    "role",
    "text",
    "emotion",
    "turn",
    "location",
    "participants",
    "model_version",
    "metadata",
    "occurred_at",
    "source_ref",
    "opt_out_training",
)
"""What a row may hold, beside ``line``; interactions as one row (input_text, output_text) are split before."""

ROLE_NAMES = {
    "user": "user",
    "human": "user",
    "customer": "user",
    "person": "user",
    "agent": "agent",
    "assistant": "agent",
    "bot": "agent",
    "gpt": "agent",
    "character": "agent",
    "ai": "agent",
    "model": "agent",
    "chatgpt": "agent",
    "system": "system",
    "tool": "system",
    "function": "system",
}
CLOCK_SKEW = timedelta(minutes=5)
RAW_KEPT = 2_000


def normalise(
    rows: Sequence[dict[str, Any]], options: SourceOptions, source: str, file: str
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return frames of the records Messages, Sessions, Speakers and Rejects."""
    messages: list[dict[str, Any]] = []
    sessions: dict[str, dict[str, Any]] = {}
    speakers: dict[str, dict[str, Any]] = {}
    rejects: list[dict[str, Any]] = []
    for row in rows:
        try:
            message, session, speaker = _one(row, options, source)
        except ValueError as error:
            rejects.append(reject(source, file, int(row.get("line") or 0), str(error), row))
            continue
        messages.append(message)
        speakers[speaker["speaker_id"]] = _merged(speakers.get(speaker["speaker_id"]), speaker)
        known = sessions.get(session["session_id"])
        if known is None:
            sessions[session["session_id"]] = session
        else:
            known["started_at"] = min(known["started_at"], session["started_at"])
            known["opt_out_training"] |= session["opt_out_training"]
    return (
        _frame(messages, Messages),
        _frame(list(sessions.values()), Sessions),
        _frame(list(speakers.values()), Speakers),
        _frame(rejects, Rejects),
    )


def reject(source: str, file: str, line: int, reason: str, raw: Any) -> dict[str, Any]:
    """Return a row of the record Rejects."""
    shown = raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False, default=str)
    return {
        "reject_id": content_id("r", source, file, line, reason, shown),
        "source": source,
        "file": file,
        "line": line,
        "reason": reason,
        "raw": shown[:RAW_KEPT],
    }


def _one(
    row: dict[str, Any], options: SourceOptions, source: str
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    text = row.get("text")
    if text is None or not str(text).strip():
        raise ValueError("no text")
    text = str(text).replace("\x00", "").strip()
    moment = parse_time(row.get("occurred_at"), options)
    if moment > options.now + CLOCK_SKEW:
        raise ValueError(f"date in the future: {moment:%Y-%m-%d}")
    week = week_of(moment)
    if week < options.first_week:
        raise ValueError(f"before the first week {options.first_week} (setting first_week): {moment:%Y-%m-%d}")
    role = _role(row.get("role"))
    agent, user = _text(row.get("agent_id")) or options.agent, _text(row.get("user_id")) or options.user
    speaker = _text(row.get("speaker_id")) or _text(row.get("speaker_name"))
    if role is None:
        role = "agent" if speaker is not None and speaker == agent else "user"
    speaker = speaker or (agent if role == "agent" else user)
    if agent is None:
        raise ValueError("no agent: name it with --agent")
    if speaker is None:
        raise ValueError("no speaker: the row has no speaker_id and no --user was given")
    if user is None and role == "user" and not row.get("group"):
        user = speaker
    session_id = _text(row.get("session_id")) or f"{agent}/{user or '-'}/{moment:%Y-%m-%d}"
    opt_out = _flag(row.get("opt_out_training")) or options.opt_out
    turn, ref = _whole(row.get("turn")), _text(row.get("source_ref"))
    message = {
        "message_id": content_id(
            "m", agent, session_id, speaker, moment.isoformat(), text, ref if ref is not None else turn
        ),
        "session_id": session_id,
        "agent_id": agent,
        "user_id": user,
        "speaker_id": speaker,
        "role": role,
        "text": text,
        "emotion": _text(row.get("emotion")),
        "turn": turn,
        "location": _text(row.get("location")),
        "participants": _names(row.get("participants")),
        "model_version": _text(row.get("model_version")),
        "metadata": _json(row.get("metadata")),
        "occurred_at": moment,
        "week": week,
        "source": source,
        "source_ref": ref,
    }
    session = {
        "session_id": session_id,
        "agent_id": agent,
        "user_id": user,
        "opt_out_training": opt_out,
        "started_at": moment,
        "ended_at": None,
        "source": source,
        "metadata": None,
    }
    person = {
        "speaker_id": speaker,
        "kind": "agent" if role == "agent" else "user",
        "display_name": _text(row.get("speaker_name")) or speaker,
        "opt_out_training": False,
    }
    return message, session, person


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
        moment = value
    elif isinstance(value, int | float) or (
        isinstance(value, str) and value.strip().lstrip("-").replace(".", "", 1).isdigit() and len(value.strip()) >= 9
    ):
        moment = _from_epoch(float(value))
    else:
        try:
            moment = datetime.fromisoformat(str(value).strip().replace(" UTC", "+00:00"))
        except ValueError:
            raise ValueError("a time that cannot be read: write ISO 8601, e.g. 2025-03-01T18:30:00Z") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone(options.timezone))
    return moment.astimezone(UTC)


def _from_epoch(number: float) -> datetime:
    for limit, unit in ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6)):
        if abs(number) < limit:
            return datetime.fromtimestamp(number / unit, UTC)
    raise ValueError("a time that cannot be read: no Unix time is that large")


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name.

    Raises:
        SourceError: no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise SourceError(f"{name!r} is no time zone; write an IANA name such as Europe/Madrid") from None


def _role(value: Any) -> str | None:
    if value is None or value == "":
        return None
    role = ROLE_NAMES.get(str(value).strip().lower())
    if role is None:
        raise ValueError(f"unknown role; known are {', '.join(ROLES)}")
    return role


def _text(value: Any) -> str | None:
    return None if value is None or str(value).strip() == "" else str(value).strip()


def _whole(value: Any) -> int | None:
    if value is None or value == "":
        return None
    try:
        number = int(float(value))
    except (TypeError, ValueError, OverflowError):
        raise ValueError("turn is no number") from None
    if number < 0:
        raise ValueError("turn is negative")
    return number


def _flag(value: Any) -> bool:
    return value is True or str(value).strip().lower() in ("1", "true", "yes", "t")


def _names(value: Any) -> str | None:
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            raise ValueError("participants is no JSON list") from None
    if value is None or value == "":
        return None
    names = value.split("|") if isinstance(value, str) else list(value)
    return json.dumps(sorted({str(name) for name in names}), ensure_ascii=False)


def _json(value: Any) -> str | None:
    if value in (None, "", {}):
        return None
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _merged(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    if old is None:
        return new
    names = {name for name in (old["display_name"], new["display_name"]) if name != new["speaker_id"]}
    return {**new, "kind": min(old["kind"], new["kind"]), "display_name": min(names) if names else new["speaker_id"]}


def _frame(rows: list[dict[str, Any]], record: Any) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=record.polars_schema(), orient="row") if rows else record.create_empty()
