"""Telegram Desktop's result.json: the history of one chat, or the export of a whole account with all of its chats."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.batches import in_batches
from plugins.sources.fields import dig, identity, listing, mapping, mappings, string, whole
from plugins.sources.messengers.replies import beside
from plugins.sources.messengers.telegram_message import Chat, author_of, row_of
from plugins.sources.normalise import reject
from plugins.sources.people import is_agent, named_agent, nobody_is
from plugins.sources.reading import parsed, read_json, read_text
from plugins.sources.times import Clock
from records.errors import SourceError
from records.names import cleaned

KINDS = (
    "personal_chat",
    "bot_chat",
    "saved_messages",
    "private_group",
    "private_supergroup",
    "public_supergroup",
    "private_channel",
    "public_channel",
    "replies",
    "verify_codes",
)
KIND = re.compile(rf'"type"\s*:\s*"({"|".join(KINDS)})"')
AUTHOR = re.compile(r'"(from|actor)_id"\s*:\s*"(user|channel|chat)\d+"')
BROKEN_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\x([0-9A-Fa-f]{2})")
r"""Telegram writes control characters as ``\x0B``, which JSON does not know."""


class Telegram(Source):
    """Telegram Desktop's JSON export; a session is a day of a chat.

    In a chat with a bot the bot is the agent. What somebody forwards, a sticker's emoji, a poll with its answers and the
    name of a place are kept as said; calls, pins and media without a caption are not.
    """

    name = "telegram"
    suffixes = (".json",)

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether it has a kind of chat, a form of author or the head of an account's export as Telegram has them."""
        if path.suffix.lower() not in self.suffixes:
            return False
        account = '"about"' in head and '"personal_information"' in head and '"user_id"' in head
        return account or bool(KIND.search(head) or AUTHOR.search(head))

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches, chat by chat in the order of the file."""
        path = Path(target)
        chats = _chats(path, options.encoding)
        for chat in chats:
            _who(chat, options, alone=len(chats) == 1)
        speakers = {name for chat in chats for names in chat.names.values() for name in names}
        if not any(chat.agent for chat in chats):
            named_agent(options, speakers, path.name)
        left_out = sum(1 for chat in chats if chat.agent is None)
        notes = [
            nobody_is(options, speakers, path.name) if not any(chat.agent_ids for chat in chats) else None,
            f"{path.name}: {left_out} chats without a bot were left out: name the agent with --agent to read them"
            if left_out
            else None,
        ]
        yield from in_batches(self._found(chats, options, path.name), sum(len(c.messages) for c in chats), notes)

    def _found(self, chats: list[Chat], options: SourceOptions, file: str) -> Iterator[dict[str, Any]]:
        number = 0
        for chat in chats:
            if chat.agent is None:
                raw = {"type": chat.kind, "messages": len(chat.messages)}
                yield reject(self.name, file, number + 1, "a chat without a bot, and no --agent was named", raw)
                number += len(chat.messages)
                continue
            clock = Clock(options)
            numbered = list(enumerate(chat.messages, start=number + 1))
            number += len(chat.messages)
            for line, item in _in_order(numbered, chat):
                try:
                    yield {"line": line} | row_of(item, chat, options, clock)
                except ValueError as error:
                    yield reject(self.name, file, line, str(error), item)


def _in_order(numbered: list[tuple[int, Any]], chat: Chat) -> list[tuple[int, Any]]:
    """Return the messages of a chat, what the agent replied to somebody behind what it answers."""

    def speaker(item: tuple[int, Any]) -> str | None:
        return author_of(item[1], chat)[0] if isinstance(item[1], dict) and item[1].get("type") != "service" else None

    return beside(
        numbered,
        own=lambda item: identity(mapping(item[1]).get("id")),
        answers=lambda item: identity(item[1].get("reply_to_message_id")) if speaker(item) in chat.agent_ids else None,
        speaker=speaker,
        place=lambda item: str(mapping(item[1]).get("date"))[:10],
    )


def _chats(path: Path, encoding: str | None) -> list[Chat]:
    """Return the chats of an export.

    Raises:
        SourceError: it holds none.
    """
    data = _content(path, encoding)
    found = [data] if isinstance(mapping(data).get("messages"), list) else []
    if not found:
        found = [chat for key in ("chats", "left_chats") for chat in mappings(dig(data, key, "list"))]
    if not found:
        raise SourceError(
            f"{path.name}: no Telegram export: neither 'messages' nor 'chats'; "
            "export again in the format 'Machine-readable JSON'"
        )
    chats = []
    owner = whole(dig(data, "personal_information", "user_id"))
    for number, chat in enumerate(found, start=1):
        name = cleaned(string(chat.get("name")) or "").strip()
        chats.append(
            Chat(
                id=identity(chat.get("id")) or name or str(number),
                kind=string(chat.get("type")) or "",
                name=name,
                messages=listing(chat.get("messages")),
                owner=None if owner is None else f"user{owner}",
            )
        )
    return chats


def _content(path: Path, encoding: str | None) -> Any:
    try:
        return read_json(path, encoding)
    except SourceError:
        text = read_text(path, encoding)
        mended = BROKEN_ESCAPE.sub(r"\1\\u00\2", text)
        if mended == text:
            raise
        try:
            return parsed(mended)
        except ValueError as error:
            raise SourceError(f"{path.name}: not valid JSON: {error}") from None


def _who(chat: Chat, options: SourceOptions, *, alone: bool) -> None:
    """Find who speaks in a chat and who of them is the agent: by name or id, else the bot of a chat with a bot."""
    for item in mappings(chat.messages):
        if item.get("type") != "service":
            speaker, name = author_of(item, chat)
            chat.names.setdefault(speaker, set()).add(name or speaker)
    chat.agent = options.agent
    chat.agent_ids = {
        speaker
        for speaker, names in chat.names.items()
        if is_agent(speaker, options) or any(is_agent(name, options) for name in names)
    }
    # In an account's export there are many bots: there it is the one that has the agent's name.
    if chat.kind == "bot_chat" and not chat.agent_ids and (alone or options.agent is None):
        chat.agent = options.agent or chat.name or f"bot {chat.id}"
        by_name = {speaker for speaker, names in chat.names.items() if chat.name in names}
        chat.agent_ids = {f"user{chat.id}"} if f"user{chat.id}" in chat.names else by_name
