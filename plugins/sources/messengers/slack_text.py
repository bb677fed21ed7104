"""Slack's markup as text: mentions, links and escapes of mrkdwn, and what a bot shows in blocks and attachments."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from plugins.sources.fields import dig, listing, mapping, mappings, string

TOKEN = re.compile(r"<([^<>\n]{1,3000})>")
DEEPEST = 12
"""Levels of blocks inside blocks; Slack makes four."""


class Markup:
    """Writes mrkdwn as plain text, with the names that a workspace has for ids."""

    def __init__(self, user: Callable[[str], str | None], channel: Callable[[str], str | None]) -> None:
        self._user, self._channel = user, channel

    def plain(self, text: str) -> str:
        """Return a text with names for ids, links readable and escapes undone."""
        text = TOKEN.sub(lambda match: self._token(match[1]), text)
        return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").strip()

    def _token(self, token: str) -> str:
        target, _, label = token.partition("|")
        if target.startswith("@"):
            return f"@{self._user(target[1:]) or label or target[1:]}"
        if target.startswith("#"):
            return f"#{label or self._channel(target[1:]) or target[1:]}"
        if target.startswith("!subteam"):
            return label or "@group"
        if target.startswith("!"):
            return label or f"@{target[1:].partition('^')[0]}"
        address = target.removeprefix("mailto:").removeprefix("tel:")
        if (
            not label
            or label == address
            or address.removeprefix("https://").removeprefix("http://").rstrip("/") == label.rstrip("/")
        ):
            return label or address
        return f"{label} ({address})"


def shown_by_bot(item: dict[str, Any]) -> str:
    """Return the text of a message's blocks, else of its attachments."""
    blocks = [text for block in mappings(item.get("blocks")) if (text := _block(block))]
    if blocks:
        return "\n".join(blocks)
    return "\n".join(text for attachment in mappings(item.get("attachments")) if (text := _attachment(attachment)))


def _block(block: dict[str, Any]) -> str:
    if block.get("type") == "rich_text":
        return "".join(_rich(block.get("elements"), 0)).strip()
    parts = [_said(block.get("text")), *(_said(each) for each in mappings(block.get("fields")))]
    if block.get("type") == "context":
        parts += [_said(each) for each in mappings(block.get("elements"))]
    parts += [string(block.get("alt_text")) or ""] if block.get("type") == "image" else []
    return "\n".join(part for part in parts if part)


def _said(value: Any) -> str:
    return string(value) or string(mapping(value).get("text")) or ""


def _rich(elements: Any, depth: int) -> Iterator[str]:
    """Yield the text of rich text; sections, quotes and items of lists end with a line."""
    for element in mappings(elements) if depth < DEEPEST else ():
        kind, inner = element.get("type"), listing(element.get("elements"))
        if inner:
            bullet = "- " if depth and kind == "rich_text_section" else ""
            yield bullet + "".join(_rich(inner, depth + 1)).rstrip("\n") + "\n"
        elif kind == "user":
            yield f"<@{string(element.get('user_id')) or ''}>"
        elif kind == "channel":
            yield f"<#{string(element.get('channel_id')) or ''}>"
        elif kind == "emoji":
            yield f":{string(element.get('name')) or ''}:"
        elif kind == "broadcast":
            yield f"@{string(element.get('range')) or 'here'}"
        else:
            text = element.get("text")
            yield text if isinstance(text, str) and text else string(element.get("url")) or ""


def _attachment(attachment: dict[str, Any]) -> str:
    fields = (
        ": ".join(part for part in (_said(field.get("title")), _said(field.get("value"))) if part)
        for field in mappings(attachment.get("fields"))
    )
    parts = [_said(attachment.get(key)) for key in ("pretext", "title", "text")]
    parts += [*fields, *(_block(block) for block in mappings(attachment.get("blocks")))]
    shown = "\n".join(part for part in parts if part)
    return shown or _said(attachment.get("fallback")) or _said(dig(attachment, "message_blocks", 0, "message"))
