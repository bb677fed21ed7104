"""LuminoraCore 1.0 and 1.1: what was said becomes messages; facts, episodes and memories become derived ones.

How close a persona is to a person, and its moods, are no messages: `states` gives them, and the migration sets them.
Sessions and people keep their ids, so that a bot goes on in them. A user's facts go to every persona that knows this user, as
LuminoraCore shares them.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.batches import in_batches
from plugins.sources.fields import first, flag, identity, listing, mapping, number, string
from plugins.sources.memory_systems.derived import Row, memory_row, refuse
from plugins.sources.memory_systems.luminora_files import (
    DATABASES,
    check,
    is_folder_of,
    raw_rows,
    recognised,
)
from plugins.sources.memory_systems.luminora_json import SESSION, SPEAKER, TEXT, TIME, Raw
from plugins.sources.memory_systems.luminora_states import Known
from plugins.sources.reading import parsed
from plugins.sources.times import parse_time
from plugins.sources.values import ROLE_NAMES
from records.names import same_name

LEARNED = ("first_mentioned", "created_at", "timestamp", "date", "updated_at", "last_updated")

THREADS = {"fact": "facts", "episode": "episodes", "memory": "memories"}


class Luminora(Source):
    """Databases, session files, snapshots and exports of LuminoraCore."""

    name = "luminora"
    suffixes = (*DATABASES, ".json")

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether it has LuminoraCore's tables, or sessions of a persona."""
        return recognised(path, head)

    def sniff_folder(self, folder: Path) -> bool:
        """Return whether it is a folder of session files."""
        return is_folder_of(folder)

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches, file by file; messages without time are a second apart from the start of their session.

        Raises:
            SourceError: nothing of LuminoraCore is in it, or nothing says whose memory it is.
        """
        path = Path(target)
        check(path)
        options = replace(options, timezone=options.timezone or "UTC")  # which it writes without saying so
        known = Known(path, options)
        notes = []
        if known.states:
            notes.append(f"{known.states} states (affinity, moods) are no messages: `memory migrate` sets them, too")
        yield from in_batches(
            (entry for file in known.files for entry in self._file(file, known, options)), notes=notes
        )

    def _file(self, path: Path, known: "Known", options: SourceOptions) -> Iterator[Row]:
        for raw in raw_rows(path, options):
            if raw.kind == "message":
                yield self._message(path, raw, known, options)
            elif raw.kind == "exchange":
                yield from self._exchange(path, raw, known)
            elif raw.kind in ("fact", "episode", "memory"):
                yield from self._derived(path, raw, known, options)
            elif raw.kind == "odd":
                yield refuse(self.name, path, raw.line, str(raw.row.get("reason")), raw.row)

    def _message(self, path: Path, raw: Raw, known: "Known", options: SourceOptions) -> Row:
        row = raw.row
        session = identity(first(row, *SESSION)) or "-"
        user, agent = known.of(session, row)
        speaker = string(first(row, *SPEAKER)) or ""
        role = "agent" if same_name(speaker, agent) else ROLE_NAMES.get(speaker.strip().lower(), "user")
        if role == "system":
            return refuse(self.name, path, raw.line, "an instruction or a tool's answer, nobody said it", row)
        text, own = first(row, *TEXT), _object(row.get("metadata"))
        if string(text) is None:
            return refuse(self.name, path, raw.line, "no text", row)
        ref = identity(first(row, "id", "message_id"))
        when = first(row, *TIME)
        is_named = role == "user" and speaker.strip().lower() not in ROLE_NAMES and bool(speaker)
        return {
            "line": raw.line,
            "session_id": session,
            "agent_id": agent,
            "user_id": user,
            "speaker_id": agent if role == "agent" else user,
            "speaker_name": speaker if is_named else None,
            "role": role,
            "text": text,
            "emotion": string(first(row, "emotion", "detected_emotion")) or string(own.get("emotion")),
            "occurred_at": when if when is not None else _placed(known.started.get(session), row.get("place"), options),
            "model_version": string(first(row, "model", "model_version")) or string(own.get("model")),
            "source_ref": ref,
            "is_id": ref is not None,
            "metadata": own or None,
        }

    def _exchange(self, path: Path, raw: Raw, known: "Known") -> Iterator[Row]:
        row = raw.row
        session = identity(first(row, *SESSION)) or "-"
        user, agent = known.of(session, row)
        answer = next((value for key, value in row.items() if key.endswith("_response") or key == "response"), None)
        for role, text in (("user", row.get("user_message")), ("agent", answer)):
            if string(text) is None:
                yield refuse(self.name, path, raw.line, "no text", row)
                continue
            yield {
                "line": raw.line,
                "session_id": session,
                "agent_id": agent,
                "user_id": user,
                "speaker_id": agent if role == "agent" else user,
                "role": role,
                "text": text,
                "occurred_at": first(row, *TIME),
            }

    def _derived(self, path: Path, raw: Raw, known: "Known", options: SourceOptions) -> Iterator[Row]:
        row = raw.row
        text, about = _told(raw.kind, row)
        if text is None or (row.get("is_active") is not None and not flag(row["is_active"])):
            yield refuse(
                self.name, path, raw.line, f"a {raw.kind} without text, or one that does not hold any more", row
            )
            return
        user, agents = known.knowing(row)
        importance = number(row.get("importance"))
        key = identity(row.get("id")) or identity(first(row, "key", "fact_key", "memory_key"))
        ref = None if key is None else f"{raw.kind}/{string(row.get('category')) or '-'}/{key}"
        for agent in agents:
            made = memory_row(
                "luminora", text, options=options, agent=agent, user=user, when=first(row, *LEARNED), ref=ref,
                thread=THREADS[raw.kind], edited=first(row, "updated_at", "last_updated"), line=raw.line,
                kind=f"imported_{raw.kind}", about=about,
            )  # fmt: skip
            # LuminoraCore rates episodes from 0 to 10.
            yield {**made, "importance": None if importance is None else min(1.0, max(0.0, importance / 10))}


def _placed(start: Any, place: Any, options: SourceOptions) -> Any:
    """Return the time of a message without one: seconds after the start of its session, as many as were said before."""
    if not isinstance(place, int) or (start is None and options.at is None):
        return start
    try:
        return parse_time(start, options) + timedelta(seconds=place)
    except (ValueError, OverflowError):
        return start


def _told(kind: str, row: Row) -> tuple[str | None, Row]:
    """Return what a fact, an episode or a memory says as a line, and what is kept of it as metadata."""
    if kind == "episode":
        title, summary = string(row.get("title")), string(row.get("summary"))
        parts = [part.strip() for part in (title, summary) if part is not None]
        about = {
            "category": string(first(row, "episode_type", "type")),
            "score": number(row.get("importance")),
            "sentiment": string(row.get("sentiment")),
            "tags": _list(row.get("tags")),
            "session": identity(first(row, *SESSION)),
        }
        return (". ".join(part.rstrip(".") if part is title else part for part in parts) or None), about
    key, value = (
        string(first(row, "key", "fact_key", "memory_key")),
        _plain(first(row, "value", "fact_value", "memory_value")),
    )
    about = {
        "category": string(row.get("category")),
        "key": key,
        "value": value,
        "score": number(row.get("confidence")),
        "first_mentioned": string(row.get("first_mentioned")),
        "message": identity(row.get("source_message_id")),
        "tags": _list(row.get("tags")),
        "expires": string(row.get("expires_at")),
    }
    if key is None or value is None:
        return None, about
    return f"{key.replace('_', ' ')}: {value}", about


def _plain(value: Any) -> str | None:
    """Return a value, which may be written as JSON, as text."""
    if isinstance(value, str):
        try:
            value = parsed(value)
        except ValueError:
            return string(value)
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return ", ".join(str(item) for item in value) or None
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str) if value else None
    return None if value is None else string(str(value))


def _list(value: Any) -> list[Any]:
    return listing(_loaded(value))


def _object(value: Any) -> Row:
    return mapping(_loaded(value))


def _loaded(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return parsed(value)
    except ValueError:
        return None
