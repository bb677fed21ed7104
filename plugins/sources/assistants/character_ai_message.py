"""One message of Character.AI, in all shapes that its interfaces and the tools for them have had.

A turn has candidates, of which one is the chosen answer; an older message has alternatives beside it; CAI Tools writes name and text.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from plugins.contracts import SourceOptions
from plugins.sources.fields import dig, first, flag, identity, mapping, mappings, moment, string
from records.names import fold

HUMAN = (
    ("author", "is_human"),
    ("src", "is_human"),
    ("src__is_human",),
    ("isHuman",),
    ("isUser",),
    ("is_human",),
    ("is_user",),
)
NAME = (("author", "name"), ("src", "name"), ("src__name",), ("name",), ("display_name",), ("participant__name",))
SIGNS = ("candidates", "src", "src__name", "src__is_human", "isHuman", "isUser", "is_human")
TEXT = ("text", "message", "raw_content", "content")
TIME = ("create_time", "created", "created_at", "timestamp", "date")
PICTURE = ("tti_image_rel_path", "image_rel_path")
REDACTED = re.compile(r"\[[A-Z_]*REDACTED\]")


@dataclass(frozen=True)
class Said:
    """What a message says; ``human`` is None where it does not say whether a person or a character spoke."""

    raw: Any
    human: bool | None
    name: str | None
    author: str | None
    text: str | None
    why_no_text: str
    time: datetime | None
    edited: datetime | None
    id: str | None
    alternative: bool
    pinned: bool

    @property
    def key(self) -> str | None:
        """Return what tells speakers apart: the author's id, else the name."""
        return self.author or (fold(self.name) if self.name is not None else None)


def looks_like_message(value: Any) -> bool:
    """Return whether a value is a message, as chats of any age have them."""
    return isinstance(value, dict) and any(key in value for key in SIGNS)


def time_of(value: Any, options: SourceOptions) -> datetime | None:
    """Return when a message was made, None where it does not say."""
    return moment(first(mapping(value), *TIME), options) or moment(_chosen(value).get("create_time"), options)


def said(value: Any, options: SourceOptions, encoded: bool = False) -> Said:
    """Return what a message says; ``encoded``: its text is written as in an address (%20)."""
    item, chosen = mapping(value), _chosen(value)
    human = next((dig(item, *path) for path in HUMAN if dig(item, *path) is not None), None)
    name = next((found for path in NAME if (found := string(dig(item, *path))) is not None), None)
    text = string(chosen.get("raw_content")) if chosen else string(first(item, *TEXT))
    made, given = time_of(item, options), moment(chosen.get("create_time"), options)
    changed = [time for time in (given, moment(item.get("last_update_time"), options)) if time is not None]
    return Said(
        raw=value,
        human=(False if "candidates" in item else None) if human is None else flag(human),
        name=name.strip() if name is not None and not REDACTED.fullmatch(name.strip()) else None,
        author=identity(dig(item, "author", "author_id")),
        text=string(unquote(text)) if encoded and text is not None else text,
        why_no_text=_why(value, item, chosen),
        time=made,
        edited=max((time for time in changed if made is not None and time > made), default=None),
        id=identity(first(mapping(item.get("turn_key")), "turn_id")) or identity(first(item, "uuid", "id")),
        alternative=flag(item.get("is_alternative")),
        pinned=flag(item.get("is_pinned")),
    )


def _chosen(value: Any) -> dict[str, Any]:
    """Return the candidate that the chat went on with, empty where a message has none."""
    candidates = mappings(dig(value, "candidates"))
    primary = identity(dig(value, "primary_candidate_id"))
    for candidate in candidates:
        if primary is not None and identity(candidate.get("candidate_id")) == primary:
            return candidate
    return candidates[0] if candidates else {}


def _why(value: Any, item: dict[str, Any], chosen: dict[str, Any]) -> str:
    if not isinstance(value, dict):
        return "not a JSON object"
    return "a picture without words" if first({**item, **chosen}, *PICTURE) is not None else "no text"
