"""Discord channels as DiscordChatExporter writes them in JSON."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.batches import day_of, in_batches
from plugins.sources.direction import runs_backwards
from plugins.sources.fields import identity, mapping, string
from plugins.sources.messengers.discord_people import Cast
from plugins.sources.messengers.discord_text import extras, is_speech, said, unsaid
from plugins.sources.messengers.replies import beside
from plugins.sources.normalise import reject
from plugins.sources.reading import read_json
from plugins.sources.times import parse_time
from records.errors import SourceError
from records.ids import content_id

SNOWFLAKE = 15
"""Digits from which an id of Discord tells the time."""


class Discord(Source):
    """A channel or thread, also a private one; a session is a day (UTC) of it.

    The only bot is the agent, or the speaker that ``--agent`` names (see `plugins.sources.discord_people.Cast`).
    """

    name = "discord"
    suffixes = (".json",)

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether it has a guild, a channel and what the exporter says beside."""
        return (
            path.suffix.lower() in self.suffixes
            and '"guild"' in head
            and '"channel"' in head
            and any(key in head for key in ('"dateRange"', '"isBot"', '"messages"'))
        )

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches; notices, and messages without words, are rejects.

        Raises:
            SourceError: it is no such export, or nobody in it is the agent and ``--agent`` names none.
        """
        path = Path(target)
        data = mapping(read_json(path, options.encoding))
        messages = data.get("messages")
        if not isinstance(messages, list) or not isinstance(data.get("channel"), dict):
            raise SourceError(f"{path.name}: not a Discord export: no 'channel' and 'messages'")
        if not messages:
            yield SourceBatch()
            return
        cast = Cast((m for m in messages if isinstance(m, dict) and is_speech(m)), options, path.name)
        yield from in_batches(
            self._found(messages, cast, _channel(data, cast), path.name, options), len(messages), cast.notes
        )

    def _found(
        self, messages: list[Any], cast: Cast, channel: dict[str, Any], file: str, options: SourceOptions
    ) -> Iterator[dict[str, Any]]:
        numbered = list(enumerate(messages, start=1))
        if _is_newest_first(messages, options):
            numbered.reverse()
        in_order = beside(
            numbered,
            own=lambda item: identity(mapping(item[1]).get("id")),
            answers=lambda item: _answers(item[1], cast),
            speaker=lambda item: identity(mapping(mapping(item[1]).get("author")).get("id")),
            place=lambda item: _day(mapping(item[1]).get("timestamp"), options),
        )
        for number, message in in_order:
            row = self._row(message, cast, channel, options)
            yield reject(self.name, file, number, row, message) if isinstance(row, str) else {"line": number, **row}

    def _row(self, message: Any, cast: Cast, channel: dict[str, Any], options: SourceOptions) -> dict[str, Any] | str:
        """Return a message as a row, or why it is none."""
        if not isinstance(message, dict):
            return "not a message"
        if not is_speech(message):
            return "a notice of Discord, nobody said it"
        author = mapping(message.get("author"))
        speaker = cast.speaker(author)
        if speaker is None:
            return "no author: who said it is not known"
        by_person = author.get("isBot") is not True
        text = said(message, cast.name_of, by_person=by_person)
        if text is None:
            return unsaid(message)
        when, ref = message.get("timestamp"), identity(message.get("id"))
        speaker_id, role, shown = speaker
        return {
            "session_id": f"discord/{channel['id']}/{_day(when, options)}",
            "agent_id": cast.agent,
            "user_id": cast.user,
            "speaker_id": speaker_id,
            "speaker_name": shown,
            "role": role,
            "text": text,
            "metadata": {**extras(message, by_person=by_person), **channel["told"]},
            "occurred_at": when,
            "edited_at": _readable(message.get("timestampEdited"), options),
            "source_ref": ref,
            "is_id": ref is not None,
            "group": cast.is_group,
        }


def _channel(data: dict[str, Any], cast: Cast) -> dict[str, Any]:
    """Return the id of a channel, of what is known about it, and what of that each message keeps."""
    channel = mapping(data.get("channel"))
    name, guild = string(channel.get("name")), string(mapping(data.get("guild")).get("name"))
    known = identity(channel.get("id")) or (name and f"{guild or ''}/{name}")
    return {
        "id": known or content_id("c", *sorted(cast.authors))[:16],
        "told": {key: value for key, value in (("guild", guild), ("channel", name)) if value},
    }


def _answers(message: Any, cast: Cast) -> str | None:
    """Return what a bot's message is a reply to."""
    values = mapping(message)
    reference = mapping(values.get("reference"))
    if not values or not is_speech(values) or reference.get("type") == "Forward":
        return None
    speaker = cast.speaker(mapping(values.get("author")))
    return identity(reference.get("messageId")) if speaker is not None and speaker[1] == "agent" else None


def _is_newest_first(messages: list[Any], options: SourceOptions) -> bool:
    """Return whether the exporter was told to write the newest message first: Discord's ids grow with time."""
    ids = [identity(mapping(message).get("id")) for message in messages]
    if all(known is not None and known.isdecimal() and len(known) >= SNOWFLAKE for known in ids):
        return runs_backwards((int(known) for known in ids if known is not None), fewest=1)
    return runs_backwards(_readable(mapping(message).get("timestamp"), options) for message in messages)


def _day(when: Any, options: SourceOptions) -> str:
    """Return the day of the chat that a time belongs to."""
    try:
        return day_of(parse_time(when, options))
    except ValueError:
        return "unknown"


def _readable(when: Any, options: SourceOptions) -> datetime | None:
    """Return a time that can be read, else None: a wrong time of an edit must not cost the message."""
    try:
        return None if when in (None, "") else parse_time(when, options)
    except (ValueError, TypeError):
        return None
