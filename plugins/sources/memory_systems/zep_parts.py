"""What lies in an answer of Zep or Graphiti: messages, facts, episodes and nodes, where they were, and who says them."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from plugins.contracts import SourceOptions
from plugins.sources.fields import first, identity, listing, mapping, string
from plugins.sources.memory_systems.derived import (
    Row,
    oldest_first,
)

SESSIONS = ("sessions", "threads", "users", "conversations")
FACTS = ("facts", "relevant_facts", "edges", "relationships")
ROLES = {
    "user": "user",
    "human": "user",
    "assistant": "agent",
    "ai": "agent",
    "system": "system",
    "tool": "system",
    "function": "system",
}
"""Zep's types of roles; "norole" says nothing."""

NAMELESS = {*ROLES, "agent", "bot", "norole", "model"}
"""What stands for a name where there is none."""

SPOKEN = re.compile(
    r"^(?P<name>[^\n:()]{0,80}?)\s?(?:\((?P<type>user|assistant|system|tool|norole)\))?\s?:(?P<text>.*\S.*)$",
    re.DOTALL,
)
"""An episode of Graphiti that is a message: ``Ana(user): hello`` or ``user: hello``."""

DEEPEST = 6


class Place(NamedTuple):
    """Where in the file something was found.

    Attributes:
        session: Id of the session or thread around it.
        user: Whose it is.
    """

    session: str | None = None
    user: str | None = None


class Found(NamedTuple):
    """A message, a fact, an episode, or something unknown, and where it was."""

    kind: str
    item: Any
    place: Place


class Said(NamedTuple):
    """Who said what in a message.

    Attributes:
        role: user, agent or system; None: neither the type nor the name says it.
        name: The speaker's name, if it has one.
    """

    role: str | None
    name: str | None
    text: Any


def parts_of(value: Any, place: Place, options: SourceOptions, depth: int = 0) -> Iterator[Found]:
    """Yield what is in a value that the API returned, in its order."""
    if isinstance(value, list):
        for item in oldest_first(value, lambda item: first(item, "created_at", "valid_at"), options):
            yield from parts_of(item, place, options, depth + 1)
        return
    if not isinstance(value, dict) or depth > DEEPEST:
        yield Found("unknown", "not valid JSON" if value is ... else value, place)
        return
    place = _inside(value, place)
    if "fact" in value or (isinstance(value.get("content"), str) and "rating" in value):
        yield Found("fact", value, place)
    elif "content" in value and (value.keys() & {"source_description", "source", "entity_edges"}):
        yield Found("episode", value, place)
    elif "content" in value and (value.keys() & {"role", "role_type"}):
        yield Found("message", value, place)
    elif value.keys() & {*SESSIONS, *FACTS, "messages", "episodes", "memory", "summary", "nodes"}:
        yield from _contents(value, place, options, depth)
    elif value.keys() & {"labels", "summary"}:
        yield Found("node", value, place)
    elif value.keys() & {"session_id", "thread_id", "user_id", "email"}:
        return  # a session or a person of whom nothing was saved
    else:
        yield Found("unknown", value, place)


def _contents(value: Row, place: Place, options: SourceOptions, depth: int) -> Iterator[Found]:
    for key in (*SESSIONS, "memory", "messages", "episodes"):
        if isinstance(value.get(key), list | dict):
            yield from parts_of(value[key], place, options, depth + 1)
    for key in FACTS:
        for item in listing(value.get(key)):
            # Older versions list a session's facts as sentences; they have the session's time.
            dated = (
                {"fact": item, "created_at": first(value, "updated_at", "created_at")}
                if isinstance(item, str)
                else item
            )
            yield from parts_of(dated, place, options, depth + 1)
    if string(mapping(value.get("summary")).get("content")) or string(value.get("summary")):
        yield Found("summary", value.get("summary"), place)
    for item in listing(value.get("nodes")):
        yield Found("node", mapping(item), place)


def _inside(value: Row, place: Place) -> Place:
    session = identity(first(value, "session_id", "thread_id")) or place.session
    user = identity(first(value, "user_id", "group_id")) or place.user
    return Place(session, user)


def said_in(part: Found) -> Said | None:
    """Return who said what; None for data that nobody said."""
    item = part.item
    kind, name = string(item.get("role_type")), string(item.get("role"))
    text = item.get("content")
    if kind is None and name is not None and name.lower() in NAMELESS:
        kind, name = name, string(item.get("name")) if part.kind == "message" else None
    if part.kind == "episode" and kind is None and name is None:
        if item.get("source") == "json":
            return None
        spoken = SPOKEN.match(text.strip()) if isinstance(text, str) and item.get("source") == "message" else None
        if spoken is not None:
            kind, name, text = spoken["type"], spoken["name"].strip() or None, spoken["text"]
            if kind is None and name is not None and name.lower() in NAMELESS:
                kind, name = name, None
    if name is not None and name.lower() in NAMELESS:
        name = None
    return Said(ROLES.get((kind or "").lower()), name, text)
