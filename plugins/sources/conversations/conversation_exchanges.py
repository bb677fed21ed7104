"""Conversations that are lists of exchanges, not of messages: pairs, objects with both sides, and an instruction with its answer.

Where in a file these lie does not belong here (see `plugins.sources.conversations.conversation_records`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from plugins.sources.fields import listing, mapping, string

SIDES = (
    ("human", "assistant"),
    ("user", "assistant"),
    ("human", "bot"),
    ("user", "bot"),
    ("prompt", "response"),
    ("prompt", "completion"),
    ("question", "answer"),
    ("query", "response"),
    ("input", "output"),
    ("instruction", "output"),
)
"""Keys of what was asked and of what was answered."""

SPEAKS = ("role", "from", "sender", "author", "speaker", "content", "value", "text", "parts")
"""Keys of a message: with one of them an object is no exchange."""

ANSWERS = ("output", "response", "answer", "completion", "chosen")
CONTEXTS = ("input", "context")
NOTHING_ASKED = "<|BEGIN-VISIBLE-CHAT|>"
"""Stands in the logs of text-generation-webui where the character begins."""


def exchanged(items: Sequence[Any]) -> list[dict[str, Any]] | None:
    """Return the messages of a list of exchanges, None where it is something else."""
    sides = [_sides(item) for item in items]
    found = [side for side in sides if side is not None]
    if not found or len(found) < len(sides):
        return None
    return [
        {"role": role, "content": said}
        for asked, answered in found
        for role, said in (("user", asked), ("assistant", answered))
        if said is not None and said != NOTHING_ASKED
    ]


def instructed(part: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return what was asked in a record of an instruction, what it is about, and an answer: with the exchanges before, if it has them."""
    instruction = string(part.get("instruction"))
    if instruction is None or all(string(part.get(key)) is None and not listing(part.get(key)) for key in ANSWERS):
        return None
    contexts = (string(part.get(key)) for key in CONTEXTS)
    asked = "\n".join([instruction, *(context for context in contexts if context is not None)])
    return [*(exchanged(listing(part.get("history"))) or []), {"role": "user", "content": asked}]


def _sides(item: Any) -> tuple[str | None, str | None] | None:
    if isinstance(item, list):
        if len(item) != 2 or not all(side is None or isinstance(side, str) for side in item):
            return None
        return string(item[0]), string(item[1])
    values = mapping(item)
    if not values or any(key in values for key in SPEAKS):
        return None
    for asked, answered in SIDES:
        if isinstance(values.get(asked), str) and isinstance(values.get(answered), str):
            return string(values[asked]), string(values[answered])
    return None
