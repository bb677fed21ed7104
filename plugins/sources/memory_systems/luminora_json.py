"""What LuminoraCore keeps as JSON, in a file or within a row of its database, as rows of one vocabulary."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from plugins.sources.fields import dig, first, identity, listing, mapping, mappings, string
from plugins.sources.reading import parsed
from records.ids import content_id

Row = dict[str, Any]
HISTORY = "conversation_history"
"""Category of the facts in which version 1.1 keeps its conversations, an exchange each."""

SESSION = ("session_id", "conversation_id", "sid")
USER = ("user_id", "user")
PERSONA = ("personality_name", "personality", "persona_id", "persona", "agent_id", "template_name")
TEXT = ("content", "text", "message", "message_text")
SPEAKER = ("speaker", "role", "sender")
TIME = ("timestamp", "created_at", "sent_at", "time", "date")


class Raw(NamedTuple):
    """A row of one kind: session, message, exchange, fact, episode, memory, affinity, mood, or odd (none of these)."""

    kind: str
    line: int
    row: Row


def session_rows(line: int, row: Row) -> Iterator[Raw]:
    """Yield a session, and its messages where they are kept within it as JSON."""
    whole: Any = None
    for key in ("session_data", "data", "messages"):
        if string(row.get(key)) is not None:
            try:
                whole = parsed(row[key])
            except ValueError:
                yield Raw("odd", line, {"reason": "a session whose messages are no JSON", **row})
                continue
            break
    if isinstance(whole, list):
        whole = {"messages": whole}
    own = {key: value for key, value in row.items() if key not in ("session_data", "data", "messages")}
    yield from _session({**own, **_unless_named(mapping(whole), own)}, line, None)


def _unless_named(whole: Row, own: Row) -> Row:
    return {key: value for key, value in whole.items() if own.get(key) in (None, "")}


def turn_rows(line: int, row: Row) -> Iterator[Raw]:
    try:
        turn = parsed(row["value"]) if isinstance(row.get("value"), str) else row.get("value")
    except ValueError:
        turn = None
    if not isinstance(turn, dict):
        yield Raw("odd", line, {"reason": "an exchange that is no JSON", **row})
        return
    # It is kept under the session's id, as if that were a user's.
    session = identity(first(row, *SESSION)) or identity(first(row, *USER))
    about = {"session_id": session, "key": row.get("key"), "created_at": row.get("created_at")}
    yield Raw("exchange", line, {**about, **{key: value for key, value in turn.items() if value is not None}})


# -- JSON -----------------------------------------------------------------------------------------------------------


def document_rows(value: Any, path: Path) -> Iterator[Raw]:
    if isinstance(value, list):
        spoken = [item for item in value if isinstance(item, dict) and "user_message" in item]
        if spoken:
            yield from _exchanges(spoken, {"session_id": _key(spoken, path)})
        else:
            for line, item in enumerate(value, start=1):
                yield from _session(item, line, path) if isinstance(item, dict) else iter((_odd(item, line),))
    elif not isinstance(value, dict):
        yield _odd(value, 1)
    elif "_snapshot_info" in value or "current_state" in value:
        yield from _snapshot(value)
    elif isinstance(value.get("sessions"), list | dict):
        yield from document_rows(value["sessions"], path)
    elif value.keys() & {"messages", "conversation", "session_info"}:
        yield from _session(value, 1, path)
    elif all(isinstance(item, dict) for item in value.values()):
        # The file of all sessions: id to session.
        for line, (key, item) in enumerate(value.items(), start=1):
            yield from _session({"session_id": key, **item}, line, path)
    else:
        yield _odd(value, 1)


def _odd(value: Any, line: int) -> Raw:
    return Raw("odd", line, {"reason": "no session of LuminoraCore", "value": value})


def _session(whole: Row, line: int, path: Path | None) -> Iterator[Raw]:
    """Yield a session and what was said in it.

    Args:
        path: Its file, for a session that has no id and no times.
    """
    inner = mapping(whole.get("conversation"))
    spoken = listing(whole.get("messages")) or listing(inner.get("messages")) or listing(whole.get("conversation"))
    around = (whole, inner, mapping(whole.get("session_info")), mapping(whole.get("context")), mapping(whole.get("config")),
              mapping(whole.get("metadata")))  # fmt: skip
    session = next((key for part in around if (key := identity(first(part, *SESSION, "id"))) is not None), None)
    session = session or (_key(spoken, path) if path is not None else None)
    started = next(
        (moment for part in around if (moment := first(part, "created_at", "started_at", "timestamp"))), None
    )
    about = {
        "session_id": session,
        "user_id": next((user for part in around if (user := identity(first(part, *USER))) is not None), None),
        "personality_name": next((name for part in around if (name := _persona(part)) is not None), None),
        "created_at": started,
    }
    empty = any(isinstance(part.get("messages"), list) for part in (whole, inner))
    if session is None or not (spoken or path is None or empty):
        yield _odd(whole, line)
        return
    yield Raw("session", line, about)
    if any(isinstance(item, dict) and "user_message" in item for item in spoken):
        yield from _exchanges(mappings(spoken), about)
        return
    for place, item in enumerate(spoken):
        if isinstance(item, dict):
            yield Raw("message", line, {**item, "session_id": session, "place": place})
        else:
            yield Raw("odd", line, {"reason": "no message: an object was expected", "value": item})


def _persona(part: Row) -> str | None:
    for key in PERSONA:
        value = part.get(key)
        name = identity(value) or string(dig(value, "persona", "name")) or string(mapping(value).get("name"))
        if name is not None:
            return name
    return None


def _exchanges(spoken: list[Row], about: Row) -> Iterator[Raw]:
    yield Raw("session", 1, about)
    for place, item in enumerate(spoken):
        yield Raw("exchange", place + 1, {**item, "session_id": about["session_id"]})


def _key(spoken: list[Any], path: Path) -> str:
    """Return the id of a session that has none: its first message, so that neither its length nor the file's name matters."""
    start = mapping(spoken[0] if spoken else None)
    when = first(start, *TIME)
    said = string(first(start, *TEXT, "user_message"))
    return content_id("s", when, said) if when is not None and said is not None else path.stem


def _snapshot(value: Row) -> Iterator[Raw]:
    """Yield the state in an exported snapshot of a persona."""
    info = mapping(value.get("_snapshot_info"))
    state = mapping(value.get("current_state")) or mapping(value.get("state"))
    about = {
        "session_id": identity(info.get("session_id")),
        "user_id": identity(first(info, *USER)),
        "personality_name": string(dig(value, "persona", "name")) or identity(info.get("template_name")),
        "created_at": info.get("created_at"),
    }
    yield Raw("session", 1, about)
    closeness, mood = mapping(state.get("affinity")), mapping(state.get("mood"))
    if (points := first(closeness, "points", "current")) is not None:
        yield Raw("affinity", 1, {**about, "affinity_points": points})
    if (name := string(mood.get("current"))) is not None:
        started = first(mood, "started_at") or about["created_at"]
        yield Raw(
            "mood",
            1,
            {**about, "current_mood": name, "mood_intensity": mood.get("intensity"), "mood_started_at": started},
        )
    for kind, key in (("fact", "learned_facts"), ("episode", "memorable_episodes")):
        for line, item in enumerate(mappings(first(state, key) or value.get(key)), start=1):
            yield Raw(kind, line, {**about, **item})
    messages = listing(first(state, "conversation_history") or value.get("messages"))
    for place, item in enumerate(messages):
        yield Raw("message", place + 1, {**mapping(item), "session_id": about["session_id"], "place": place})
