"""Rows of a Slack channel's day: who speaks, what in a message is speech, and where it stands."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from plugins.contracts import SourceOptions
from plugins.sources.batches import day_of, kept
from plugins.sources.fields import dig, first, flag, identity, listing, mapping, mappings, string, whole
from plugins.sources.messengers.slack_text import Markup, shown_by_bot
from plugins.sources.messengers.slack_workspace import Channel, Workspace, names_of
from plugins.sources.normalise import reject
from plugins.sources.people import is_agent, the_other
from records.names import cleaned

TS = re.compile(r"(\d{9,11})(?:\.(\d{1,9}))?")
SPEECH = (
    None,
    "bot_message",
    "me_message",
    "thread_broadcast",
    "reply_broadcast",
    "file_share",
    "file_comment",
    "slackbot_response",
)
"""Subtypes of messages that somebody wrote; every other one is the app's."""


class Reader:
    """Rows of day files; it remembers whether the agent spoke."""

    def __init__(self, space: Workspace, options: SourceOptions, source: str) -> None:
        self.space, self.options, self.source = space, options, source
        self.found = False
        self.seen: set[str] = set()
        self._members: dict[str, list[str]] = {}

    def speakers(self, messages: list[Any], known: list[str]) -> list[str]:
        """Return the names of those who speak, and those of the workspace."""
        return [*known, *(self._who(item)[1][0] for item in mappings(messages) if self._who(item)[1])]

    def rows(
        self, day: Path, messages: list[Any], named: str | None = None, *, known: bool
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows and rejects of a day's file, in the order of their exact timestamps; a thread stands where it begins."""
        channel = self._channel(day, messages, named, known)
        changed = {
            identity(dig(item, "message", "ts")): number
            for number, item in enumerate(messages, start=1)
            if mapping(item).get("subtype") == "message_changed"
        }
        deleted = {
            identity(item.get("deleted_ts")) for item in mappings(messages) if item.get("subtype") == "message_deleted"
        }
        # Replies may stand behind the day's other messages: the timestamp is the place in the conversation, which a thread is.
        by_time = sorted(enumerate(messages, start=1), key=lambda pair: (_place(_latest(pair[1])), pair[0]))
        threads: dict[str | None, int] = {}
        for place, (number, item) in enumerate(by_time):
            threads.setdefault(_thread(item) or str(number), place)
        for number, item in sorted(by_time, key=lambda pair: threads[_thread(pair[1]) or str(pair[0])]):
            try:
                row = self._row(item, channel, deleted)
                if changed.get(row["source_ref"], number) != number:
                    raise ValueError("an earlier text of an edited message")
            except ValueError as error:
                yield reject(self.source, day.name, number, str(error), item)
                continue
            yield row | {"line": number}

    def _channel(self, day: Path, messages: list[Any], named: str | None, known: bool) -> Channel:
        if known:
            folder = day.parent.name
            return self.space.channels.get(folder) or Channel(folder, folder, None, direct=False)
        # A file alone does not say which channel it is of: its first message does not come twice.
        first_ts = min((ts for item in mappings(messages) if (ts := identity(item.get("ts")))), default="-")
        speakers = dict(self._who(item) for item in mappings(messages) if _is_speech(item))
        members = sorted(speaker for speaker, names in speakers.items() if not self._is_agent(speaker, names))
        return Channel(named or f"from-{first_ts}", "", members, direct=False)

    def _who(self, item: dict[str, Any]) -> tuple[str, list[str]]:
        """Return the id of who speaks, and the names they go by; the shown one first."""
        user, bot = identity(item.get("user")), identity(item.get("bot_id"))
        profiles = (mapping(item.get("user_profile")), mapping(item.get("bot_profile")))
        own = string(item.get("username"))
        names = [cleaned(own).strip()] if own else []
        names += self.space.names.get(user or "", []) + [name for profile in profiles for name in names_of(profile)]
        names += self.space.names.get(bot or "", [])
        speaker = user or bot or own or string(dig(item, "comment", "user")) or "somebody"
        return cleaned(speaker).strip(), names

    def _is_agent(self, speaker: str, names: list[str]) -> bool:
        return any(is_agent(name, self.options) for name in (speaker, *names))

    def _people(self, channel: Channel) -> list[str]:
        """Return the ids of the members of a channel who are not the agent."""
        if channel.id not in self._members:
            self._members[channel.id] = [
                member
                for member in channel.members or ()
                if not self._is_agent(member, self.space.names.get(member, []))
            ]
        return self._members[channel.id]

    def _row(self, item: Any, channel: Channel, deleted: set[str | None]) -> dict[str, Any]:
        """Return the row of a message.

        Raises:
            ValueError: nobody says anything in it.
        """
        if not isinstance(item, dict):
            raise ValueError("not a message")
        changed = item.get("subtype") == "message_changed"
        item = _latest(item)
        if item.get("subtype") in ("message_deleted", "tombstone") or identity(item.get("ts")) in deleted:
            raise ValueError("deleted by who wrote it")
        if not _is_speech(item):
            raise ValueError("a notice of the app, nobody said it")
        speaker, names = self._who(item)
        text = self._text(item)
        if not text:
            raise ValueError("a file, no text" if first(item, "files", "file", "upload") else "no text")
        moment = _moment(item.get("ts"))
        agent = self._is_agent(speaker, names)
        self.found |= agent
        if not agent and names:
            self.seen.add(names[0])
        people = self._people(channel)
        group = channel.members is None or len(people) > 1
        edited = mapping(item.get("edited")).get("ts")
        return {
            "session_id": f"slack/{channel.id}/{day_of(moment)}",
            "agent_id": self.options.agent,
            "user_id": None if group else the_other(self.options, people),
            "speaker_id": self.options.agent if agent else speaker,
            "speaker_name": names[0] if names else None,
            "role": "agent" if agent else "user",
            "text": text,
            "occurred_at": moment,
            "edited_at": _moment(edited) if _is_ts(edited) else None,
            "metadata": self._metadata(item, channel, changed),
            "source_ref": identity(item.get("ts")),
            "is_id": True,
            "group": group,
        }

    def _text(self, item: dict[str, Any]) -> str:
        markup = Markup(self.space.shown, self.space.channel_name)
        text = markup.plain(string(item.get("text")) or "")
        if item.get("subtype") == "file_comment":
            text = markup.plain(string(dig(item, "comment", "comment")) or "") or text
        if not text or text == "This content can't be displayed.":
            text = markup.plain(shown_by_bot(item))
        if not text:
            files = [*mappings(item.get("files")), mapping(item.get("file"))]
            said = (string(first(file, "alt_txt")) or string(dig(file, "initial_comment", "comment")) for file in files)
            text = "\n".join(markup.plain(comment) for comment in said if comment)
        return text

    @staticmethod
    def _metadata(item: dict[str, Any], channel: Channel, changed: bool) -> dict[str, Any]:
        thread, ts = identity(item.get("thread_ts")), identity(item.get("ts"))
        return kept(
            chat=channel.name if not channel.direct else None,
            thread=thread if thread != ts else None,
            edited=True if changed or item.get("edited") else None,
            files=len(listing(item.get("files"))) or None,
            reactions={
                name: whole(reaction.get("count")) or 1
                for reaction in mappings(item.get("reactions"))
                if (name := string(reaction.get("name")))
            },
        )


def _is_speech(item: dict[str, Any]) -> bool:
    subtype = item.get("subtype")
    return (
        (subtype is None or subtype in SPEECH)
        and not flag(item.get("hidden"))
        and item.get("type", "message") == "message"
    )


def _latest(item: Any) -> Any:
    """Return a message as it is after a change, where the item tells of one."""
    return mapping(item.get("message")) if mapping(item).get("subtype") == "message_changed" else item


def _thread(item: Any) -> str | None:
    """Return the thread of a message: that of its first message, which is one by itself until somebody replies."""
    latest = mapping(_latest(item))
    return identity(latest.get("thread_ts")) or identity(latest.get("ts"))


def _is_ts(value: Any) -> bool:
    return isinstance(value, str) and TS.fullmatch(value) is not None


def _place(item: Any) -> tuple[int, str]:
    found = TS.fullmatch(identity(mapping(item).get("ts")) or "")
    return (int(found[1]), (found[2] or "").ljust(9, "0")) if found else (1 << 62, "")


def _moment(ts: Any) -> datetime:
    """Return the time of a timestamp, to the microsecond.

    Raises:
        ValueError: it is none.
    """
    found = TS.fullmatch(identity(ts) or "")
    if found is None:
        raise ValueError("a time that cannot be read")
    return datetime.fromtimestamp(int(found[1]), UTC) + timedelta(microseconds=int((found[2] or "0")[:6].ljust(6, "0")))
