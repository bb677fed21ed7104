"""Edits in Messenger and Instagram: the message stands there twice, the second time with "(edited)" behind it.

It is one message, with its last words at its first place: what was answered to it stands behind that.
"""

from difflib import SequenceMatcher
from typing import Any

from plugins.sources.fields import mapping, number, string

MARK = " (edited)"
WITHIN = 15 * 60 * 1000 + 60_000
"""Milliseconds in which a message can be edited, and a little more."""

AHEAD = 20
"""Messages of the chat between the two at most."""

ALIKE = 0.5
"""Share of the words of a message that its edit keeps."""


def with_edits(messages: list[Any]) -> list[Any]:
    """Return messages, from the oldest on, those that were edited with their last words and ``edited``; each edit is marked as one."""
    found = list(messages)
    for place, item in enumerate(messages):
        text, who = string(mapping(item).get("content")), string(mapping(item).get("sender_name"))
        if text is None or who is None or not text.endswith(MARK):
            continue
        new = text.removesuffix(MARK).strip()
        for earlier in range(place - 1, max(-1, place - 1 - AHEAD), -1):
            before = mapping(found[earlier])
            if before.get("sender_name") != who or before.get("edits") or not _is_of(item, before, new):
                continue
            found[earlier] = {**before, "content": new, "edited": True}
            found[place] = {**item, "edits": True}
            break
    return found


def _is_of(edit: dict[str, Any], before: dict[str, Any], new: str) -> bool:
    """Return whether a message may be what an edit was made of."""
    old = string(before.get("content"))
    then, now = number(before.get("timestamp_ms")), number(edit.get("timestamp_ms"))
    if old is None or then is None or now is None or not 0 <= now - then <= WITHIN:
        return False
    old = old.removesuffix(MARK).strip()
    return old != new and SequenceMatcher(None, old[:500], new[:500], autojunk=False).ratio() >= ALIKE
