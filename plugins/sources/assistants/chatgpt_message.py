"""One message of ChatGPT: whether somebody said it, and its words as the page shows them.

Conversations and files do not belong here.
"""

import re
from typing import Any

from plugins.sources.fields import dig, flag, listing, mapping, string
from plugins.sources.reading import parsed

BY_TOOL = "what a tool gave back, nobody said it"
TO_TOOL = "a call to a tool, nobody said it"
INSTRUCTIONS = "custom instructions, nobody said them in the chat"
THINKING = "the assistant's thinking, not said"
HIDDEN = "hidden from the conversation by the app"
NO_AUTHOR = "no author that is known"
NOTICE = "instructions or a notice of the app, nobody said it"
NOT_SAID = {
    "user_editable_context": INSTRUCTIONS,
    "model_editable_context": INSTRUCTIONS,
    "thoughts": THINKING,
    "reasoning_recap": THINKING,
    "execution_output": BY_TOOL,
    "computer_output": BY_TOOL,
    "citable_code_output": BY_TOOL,
    "tether_browsing_display": BY_TOOL,
    "tether_quote": BY_TOOL,
    "sonic_webpage": BY_TOOL,
    "system_error": NOTICE,
    "app_pairing_content": NOTICE,
}
"""Content types that are no speech, whoever is their author."""

MARK = re.compile(
    "\ue200([^\ue200\ue201]*)\ue201"
    r"|【[^【】\n]{0,80}†[^【】\n]{0,80}】|【oaicite:\d{1,9}】|:contentReference\[oaicite:\d{1,9}\]\{index=\d{1,9}\}"
)
"""What stands for a source in a text; the page shows a number or a link there."""

LEFTOVER = re.compile("[\ue200-\ue206]")


def said(message: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return what was said and None, or None and why it is no speech; "" where there is nothing to speak of."""
    role, content = dig(message, "author", "role"), message.get("content")
    kind, text = dig(content, "content_type"), _words(content)
    why = _why_not(message, role, kind)
    if why is not None:
        # The tree's root and the placeholders around it are empty.
        return None, "" if text is None and (not message or why in (NOTICE, HIDDEN)) else why
    if text is None:
        media = any(isinstance(part, dict) for part in listing(dig(content, "parts")))
        return None, "a picture, a sound or a file without words" if media else "no text"
    return text, None


def _why_not(message: dict[str, Any], role: Any, kind: Any) -> str | None:
    if role not in ("user", "assistant"):
        return NOTICE if role == "system" or not message else BY_TOOL if role == "tool" else NO_AUTHOR
    if isinstance(kind, str) and kind in NOT_SAID:
        return NOT_SAID[kind]
    if flag(dig(message, "metadata", "is_visually_hidden_from_conversation")):
        return HIDDEN
    recipient = string(message.get("recipient"))
    to_tool = role == "assistant" and (kind == "code" or (recipient is not None and recipient != "all"))
    return TO_TOOL if to_tool else None


def _words(content: Any) -> str | None:
    """Return what a content says in words; a sound counts through its transcription."""
    if isinstance(content, str):
        return string(_plain(content))
    parts = [part if isinstance(part, str) else dig(part, "text") for part in listing(mapping(content).get("parts"))]
    texts = [part for part in parts or [dig(content, "text")] if isinstance(part, str) and part.strip()]
    return string("\n".join(_plain(text) for text in texts))


def _plain(text: str) -> str:
    """Return a text without the marks that stand for its sources; names that a mark wraps stay."""
    pieces: list[str] = []
    place = 0
    for mark in MARK.finditer(text):
        before, shown = text[place : mark.start()], _shown(mark[1])
        follows = text[mark.end() : mark.end() + 1]
        pieces += [before if shown or follows.isalnum() else before.rstrip(" "), shown]
        place = mark.end()
    return LEFTOVER.sub("", "".join((*pieces, text[place:])))


def _shown(mark: str | None) -> str:
    """Return what the page shows as text of a mark: the name of an entity, the words of a link; nothing of a citation."""
    kind, *rest = (mark or "").split("\ue202")
    if kind == "entity" and rest:
        try:
            return string(dig(parsed(rest[0]), 1)) or ""
        except ValueError:
            return ""
    return rest[0] if kind == "url" and len(rest) > 1 else ""
