"""A message of Telegram Desktop's export: who wrote it, when, and what in it is speech."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from plugins.contracts import SourceOptions
from plugins.sources.batches import day_of, kept
from plugins.sources.fields import first, identity, listing, mapping, mappings, string, whole
from plugins.sources.people import the_other
from plugins.sources.times import Clock, parse_time
from records.names import cleaned

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
DEEPEST = 20
"""Levels of blocks inside of blocks."""


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


def author_of(item: dict[str, Any], chat: Chat) -> tuple[str, str | None]:
    """Return a stable id and the shown name; accounts that were deleted have no name, but an id still."""
    name = string(item.get("from"))
    name = cleaned(name).strip() if name else None
    number = whole(item.get("from_id"))
    speaker = f"user{number}" if number is not None else identity(item.get("from_id"))
    if speaker is None and name is None and chat.kind.endswith("_channel"):
        return f"channel{chat.id}", chat.name or None
    return cleaned(speaker or name or DELETED), name


def row_of(item: Any, chat: Chat, options: SourceOptions, clock: Clock) -> dict[str, Any]:
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
    text, place = _text(item.get("text")) or _text(item.get("text_entities")) or rich_text(item), _place(item)
    text = "\n".join(part for part in (text, _choices(item)) if part) or _instead(item, place)
    moment = _moment(item, "date", options, clock)
    speaker, name = author_of(item, chat)
    agent, people = speaker in chat.agent_ids, chat.people
    return {
        "session_id": f"{chat.session}/{day_of(moment)}",
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


def rich_text(item: dict[str, Any]) -> str:
    """Return the text of a message that was composed of blocks (headings, lists, tables, quotes), a line each."""
    lines = "".join(_rich(mapping(item.get("rich_message")), 0)).split("\n")
    return "\n".join(line.strip() for line in lines if line.strip())


def _rich(value: Any, depth: int) -> Iterator[str]:
    """Yield pieces of text; what is no part of a line begins a new one."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value if depth < DEEPEST else ():
            yield from _rich(part, depth + 1)
    elif isinstance(value, dict) and depth < DEEPEST:
        for key in ("text", "markdown", "question"):
            yield from _rich(value.get(key), depth + 1)
        for key in ("blocks", "items", "rows", "cells", "options", "caption"):
            for part in listing(value.get(key)) or [mapping(value.get(key))]:
                if part:
                    yield "\n"
                    yield from _rich(part, depth + 1)


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
