"""What a message of a Discord export says, and what else is worth keeping of it.

Who said it does not belong here (see `plugins.sources.messengers.discord_people`).
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from plugins.sources.fields import dig, identity, mapping, mappings, number, string

SPEECH = ("default", "reply", "chatinputcommand", "contextmenucommand", "0", "19", "20", "23")
"""Types of messages that somebody wrote; the number where the exporter has no name for it. All others are notices."""

RAW_MARK = re.compile(r"<(?:(@&|@!?|#)(\d+)|a?(:[^:<>\s]+:)\d+|t:(-?\d+)(?::\w)?|(/[^:<>]+):\d+)>")
"""Mentions, emoji, times and commands as Discord itself writes them, in exports made without formatting."""

SHOWN_LINKS = 5


def is_speech(message: Mapping[str, Any]) -> bool:
    """Return whether somebody wrote it: pins, joins, calls and the like are written by Discord in somebody's name."""
    kind = message.get("type")
    if isinstance(kind, bool) or not isinstance(kind, str | int):
        return True
    return str(kind).strip().lower() in SPEECH


def said(message: Mapping[str, Any], name_of: Callable[[str], str | None], *, by_person: bool) -> str | None:
    """Return the words of a message: its content, what it forwards, and the embeds that bots answer with.

    Args:
        message: As the exporter writes it.
        name_of: Name of a user id.
        by_person: True where its embeds are previews of links that somebody posted.
    """
    content = string(message.get("content"))
    parts = [content]
    forwarded = mapping(message.get("forwardedMessage"))
    parts.append(string(forwarded.get("content")))
    parts += [embed_text(embed) for embed in _own_embeds(forwarded, by_person)]
    parts += [embed_text(embed) for embed in _own_embeds(message, by_person)]
    parts += [string(item.get("description")) for item in mappings(message.get("attachments"))]
    parts.append(_poll(message))
    text = "\n".join(part.strip() for part in parts if part)
    return readable(text, _mentioned(message), name_of).strip() or None


def embed_text(embed: Mapping[str, Any]) -> str:
    """Return title, description, fields and footer of an embed, a line each."""
    lines = [string(embed.get("title")), string(embed.get("description"))]
    for field in mappings(embed.get("fields")):
        # A name that is not to be seen is a zero-width space in Discord.
        said = [(string(field.get(key)) or "").strip("\u200b \n") for key in ("name", "value")]
        lines.append(": ".join(part for part in said if part))
    lines.append(string(dig(embed, "footer", "text")))
    return "\n".join(line for line in (part.strip("\u200b \n") for part in lines if part) if line)


def readable(text: str, mentioned: Mapping[str, str], name_of: Callable[[str], str | None]) -> str:
    """Return a text with names where Discord's own marks hold ids."""

    def shown(found: re.Match[str]) -> str:
        mark, target, emoji, moment, command = found.groups()
        if emoji or command:
            return emoji or command
        if moment:
            try:
                return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%d %H:%M UTC")
            except (ValueError, OverflowError, OSError):
                return ""
        if mark == "#":
            return "#channel"
        return "@" + ("role" if mark == "@&" else mentioned.get(target) or name_of(target) or "somebody")

    return RAW_MARK.sub(shown, text) if "<" in text else text


def unsaid(message: Mapping[str, Any]) -> str:
    """Return why a message has no words."""
    if mapping(message.get("reference")).get("type") == "Forward" or message.get("forwardedMessage"):
        return "a forwarded message without words"
    if mappings(message.get("stickers")):
        return "a sticker, nothing said"
    if mappings(message.get("attachments")):
        return "a file without words"
    return "no text"


def extras(message: Mapping[str, Any], *, by_person: bool) -> dict[str, Any]:
    """Return what is kept beside the words: reply_to, forwarded, command, reactions, names of files and stickers, links."""
    reference, forwarded = mapping(message.get("reference")), mapping(message.get("forwardedMessage"))
    command = mapping(message.get("interaction"))
    is_forward = bool(forwarded) or reference.get("type") == "Forward"
    reactions = {
        name: int(number(reaction.get("count")) or 1)
        for reaction in mappings(message.get("reactions"))
        if (name := string(dig(reaction, "emoji", "name")))
    }
    previews = [
        string(embed.get("title"))
        for embed in mappings(message.get("embeds"))
        if embed not in _own_embeds(message, by_person)
    ]
    found = {
        "reply_to": None if is_forward else identity(reference.get("messageId")),
        "forwarded": is_forward or None,
        "forwarded_at": string(forwarded.get("timestamp")),
        "command": string(command.get("name")),
        "command_by": identity(dig(command, "user", "id")),
        "reactions": reactions,
        "files": [name for item in mappings(message.get("attachments")) if (name := string(item.get("fileName")))],
        "stickers": [name for item in mappings(message.get("stickers")) if (name := string(item.get("name")))],
        "links": [title for title in previews if title][:SHOWN_LINKS],
        "pinned": message.get("isPinned") is True or None,
    }
    return {key: value for key, value in found.items() if value}


def _own_embeds(message: Mapping[str, Any], by_person: bool) -> list[dict[str, Any]]:
    """Return the embeds that are the message itself; others only show what a link in it leads to."""
    content = string(message.get("content")) or ""
    embeds = mappings(message.get("embeds"))
    if by_person and content:
        return []
    return [embed for embed in embeds if not ((url := string(embed.get("url"))) and url in content)]


def _poll(message: Mapping[str, Any]) -> str | None:
    poll = mapping(message.get("poll"))
    question = string(dig(poll, "question", "text")) or string(poll.get("question"))
    if question is None:
        return None
    answers = [
        string(dig(answer, "poll_media", "text")) or string(answer.get("text"))
        for answer in mappings(poll.get("answers"))
    ]
    return "\n".join([question, *(f"- {answer}" for answer in answers if answer)])


def _mentioned(message: Mapping[str, Any]) -> dict[str, str]:
    return {
        user: name
        for person in mappings(message.get("mentions"))
        if (user := identity(person.get("id")))
        and (name := string(person.get("nickname")) or string(person.get("name")))
    }
