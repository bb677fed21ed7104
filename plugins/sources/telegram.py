"""Telegram Desktop's result.json: the history of one chat, or the export of a whole account with all of its chats."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.batches import in_batches, kept
from plugins.sources.fields import dig, first, identity, listing, mapping, mappings, string, whole
from plugins.sources.normalise import cleaned, reject
from plugins.sources.people import is_agent, named_agent, nobody_is, the_other
from plugins.sources.reading import parsed, read_json, read_text
from plugins.sources.times import Clock, parse_time
from records.errors import SourceError

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

MEDIA = {
    "photo": "a photo",
    "file": "a file",
    "contact_information": "a contact card",
    "location_information": "a place without a name",
    "invoice_information": "an invoice",
    "game_title": "a game",
    "giveaway_information": "a giveaway",
}
MEDIA_TYPES = {
    "sticker": "a sticker",
    "voice_message": "a voice message",
    "video_message": "a video message",
    "video_file": "a video",
    "audio_file": "a sound",
    "animation": "an animation",
}
DELETED = "deleted account"


@dataclass
class Chat:
    """A chat of the export, who speaks in it by id, and which of them is the agent."""

    id: str
    kind: str
    name: str
    messages: list[Any]
    agent: str | None = None
    agent_ids: set[str] = field(default_factory=set)
    names: dict[str, set[str]] = field(default_factory=dict)
    owner: str | None = None
    """Id of the account that was exported, where the export says it."""

    @cached_property
    def people(self) -> list[str]:
        """Return the ids of those who are not the agent, once it is known who that is."""
        return sorted(set(self.names) - self.agent_ids)

    @cached_property
    def session(self) -> str:
        """Return what its sessions begin with.

        A private chat goes by the id of the other one: everybody's chat with one bot has the bot's number, so that the
        account it belongs to stands with it.
        """
        peer = f"user{self.id}"
        owner = self.owner or next((person for person in self.people if person != peer), None)
        return f"telegram/{self.id}-{owner}" if owner and peer in self.agent_ids else f"telegram/{self.id}"


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
            for item in chat.messages:
                number += 1
                try:
                    yield {"line": number} | _row(item, chat, options, clock)
                except ValueError as error:
                    yield reject(self.name, file, number, str(error), item)


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
            speaker, name = _author(item, chat)
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


def _author(item: dict[str, Any], chat: Chat) -> tuple[str, str | None]:
    """Return a stable id and the shown name; accounts that were deleted have no name, but an id still."""
    name = string(item.get("from"))
    name = cleaned(name).strip() if name else None
    number = whole(item.get("from_id"))
    speaker = f"user{number}" if number is not None else identity(item.get("from_id"))
    if speaker is None and name is None and chat.kind.endswith("_channel"):
        return f"channel{chat.id}", chat.name or None
    return cleaned(speaker or name or DELETED), name


def _row(item: Any, chat: Chat, options: SourceOptions, clock: Clock) -> dict[str, Any]:
    """Return the row of a message.

    Raises:
        ValueError: nobody says anything in it.
    """
    if not isinstance(item, dict):
        raise ValueError("not a message")
    if item.get("type") == "service":
        raise ValueError("a notice of the app, nobody said it")
    if item.get("type") == "unsupported":
        raise ValueError("a kind of message that the export does not hold")
    text, place = _text(item.get("text")) or _text(item.get("text_entities")), _place(item)
    text = "\n".join(part for part in (text, _choices(item)) if part) or _instead(item, place)
    moment = _moment(item, "date", options, clock)
    speaker, name = _author(item, chat)
    agent, people = speaker in chat.agent_ids, chat.people
    return {
        "session_id": f"{chat.session}/{moment:%Y-%m-%d}",
        "agent_id": chat.agent,
        "user_id": the_other(options, people) if len(people) < 2 else None,
        "speaker_id": chat.agent if agent else speaker,
        "speaker_name": name,
        "role": "agent" if agent else "user",
        "text": text,
        "location": place,
        "metadata": _metadata(item, chat),
        "occurred_at": moment,
        "edited_at": _edited(item, options),
        "source_ref": identity(item.get("id")),
        "is_id": True,
        "group": len(people) > 1,
    }


def _moment(item: dict[str, Any], key: str, options: SourceOptions, clock: Clock) -> datetime:
    """Return a time in UTC: that of Unix where there is one, as the other is of the computer that exported."""
    unix = whole(item.get(f"{key}_unixtime"))
    if unix is not None:
        return parse_time(unix, options)
    shown = item.get(key)
    if isinstance(shown, str):
        try:
            local = datetime.fromisoformat(shown.strip()[:64])
        except ValueError:
            raise ValueError("a date that does not exist") from None
        return parse_time(local, options) if local.tzinfo is not None else clock.utc(local)
    return parse_time(shown, options)


def _edited(item: dict[str, Any], options: SourceOptions) -> datetime | None:
    if first(item, "edited", "edited_unixtime") is None:
        return None
    try:
        return _moment(item, "edited", options, Clock(options))
    except ValueError:
        return None


def _text(value: Any) -> str:
    """Return the text of a message: a string, or a list of strings and of entities (bold, link, mention …)."""
    if isinstance(value, str):
        return value.strip()
    parts = (part if isinstance(part, str) else mapping(part).get("text") for part in listing(value))
    return "".join(part for part in parts if isinstance(part, str)).strip()


def _choices(item: dict[str, Any]) -> str:
    """Return a poll, or a list of tasks, with its answers."""
    asked = mapping(first(item, "poll", "todo_list"))
    lines = [_text(first(asked, "question", "title"))]
    lines += [f"- {text}" for answer in mappings(asked.get("answers")) if (text := _text(answer.get("text")))]
    return "\n".join(line for line in lines if line)


def _place(item: dict[str, Any]) -> str | None:
    return ", ".join(text for key in ("place_name", "address") if (text := _text(item.get(key)))) or None


def _media(item: dict[str, Any]) -> str | None:
    kind = MEDIA_TYPES.get(str(item.get("media_type")))
    return kind or next((shown for key, shown in MEDIA.items() if item.get(key) is not None), None)


def _instead(item: dict[str, Any], place: str | None) -> str:
    """Return what a message without text says.

    Raises:
        ValueError: nothing.
    """
    said = place or (_text(item.get("sticker_emoji")) if item.get("media_type") == "sticker" else None)
    if said:
        return said
    media = _media(item)
    raise ValueError(f"{media}, no text" if media else "no text")


def _metadata(item: dict[str, Any], chat: Chat) -> dict[str, Any]:
    forwarded = "forwarded_from" in item
    reactions = mappings(item.get("reactions"))
    return kept(
        chat=chat.name if chat.kind not in ("personal_chat", "bot_chat", "saved_messages") else None,
        reply_to=identity(item.get("reply_to_message_id")),
        forwarded_from=(string(item.get("forwarded_from")) or DELETED) if forwarded else None,
        via_bot=string(item.get("via_bot")),
        signed=string(item.get("author")),
        media=_media(item),
        reactions={
            emoji: whole(reaction.get("count")) or 1
            for reaction in reactions
            if (emoji := string(first(reaction, "emoji", "type")))
        },
    )
