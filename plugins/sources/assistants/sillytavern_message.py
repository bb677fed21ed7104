"""One line of a SillyTavern chat: whether somebody said it, under which name, its words, and the model that answered.

Who is who in the whole chat does not belong here.
"""

import re
from typing import Any

from plugins.sources.fields import dig, flag, listing, mapping, string, whole
from plugins.sources.reading import parsed
from records.names import fold

NOBODY = ("unused", "you", "user", "undefined", "null")
"""What stands in the place of a name that the application does not know or tell."""

NOTICES = (
    "help",
    "welcome",
    "welcome_prompt",
    "group",
    "empty",
    "generic",
    "bookmark_created",
    "bookmark_back",
    "slash_commands",
    "formatting",
    "hotkeys",
    "macros",
    "assistant_note",
    "assistant_message",
)
"""Types of messages that the application puts into a chat."""

BY_NAME = {"system": "narrator", "sillytavern system": "notice", "note": "comment"}
"""What messages without a type are that the application names so."""

THINKING = re.compile(r"\s*<(think|thinking)>.*?</\1>", re.DOTALL)
"""Reasoning that was not taken out of an answer."""


def item_of(line: str) -> dict[str, Any] | None:
    """Return the JSON object of a line, None where it is something else."""
    try:
        value = parsed(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def kind_of(item: dict[str, Any]) -> str:
    """Return whether a message was said, said and hidden from the model, narrated, or no speech (comment, notice)."""
    kind = dig(item, "extra", "type")
    if kind in ("narrator", "comment"):
        return str(kind)
    if isinstance(kind, str) and kind in NOTICES:
        return "notice"
    if not flag(item.get("is_user")) and (known := BY_NAME.get(fold(name_of(item) or ""))) is not None:
        return known
    return "hidden" if flag(item.get("is_system")) else "said"


def name_of(item: dict[str, Any]) -> str | None:
    """Return the name that a message is shown under."""
    name = string(item.get("name"))
    return name.strip() if name is not None else None


def real_name(name: Any) -> str | None:
    """Return a name that somebody has; None for what stands in its place."""
    text = string(name)
    return None if text is None or fold(text) in NOBODY else text.strip()


def words_of(item: dict[str, Any]) -> str | None:
    """Return the text that is shown, of several answers the chosen one, without reasoning."""
    chosen = dig(listing(item.get("swipes")), whole(item.get("swipe_id")) or 0)
    # Chub wraps texts in objects.
    texts = [string(dig(each, "message")) or string(each) for each in (item.get("mes"), chosen)]
    text = texts[0] or texts[1]
    if text is None or flag(item.get("is_user")):
        return text
    thinking = THINKING.match(text)
    return string(text[thinking.end() :]) if thinking else text


def model_of(item: dict[str, Any]) -> str | None:
    """Return the model that answered; what was typed in a character's name has none."""
    extra = mapping(item.get("extra"))
    if not extra:
        extra = mapping(dig(listing(item.get("swipe_info")), whole(item.get("swipe_id")) or 0, "extra"))
    return None if extra.get("api") == "manual" else string(extra.get("model"))
