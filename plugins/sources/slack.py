"""Slack's export: a folder (or archive) of users, channels and a file a day for each channel; or one such file."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.batches import in_batches, kept
from plugins.sources.fields import dig, first, flag, identity, listing, mapping, mappings, string, whole
from plugins.sources.normalise import cleaned, reject
from plugins.sources.people import is_agent, named_agent, nobody_is, the_other
from plugins.sources.reading import head_of, read_json
from plugins.sources.slack_text import Markup, shown_by_bot
from records.errors import SourceError

TS = re.compile(r"(\d{9,11})(?:\.(\d{1,9}))?")
DAY_FILE = re.compile(r'"ts"\s*:\s*"\d{10}\.\d{6}"')
DAY_NAME = re.compile(r"\d{4}-\d{2}-\d{2}\.json", re.IGNORECASE)
LISTS = ("channels.json", "groups.json", "mpims.json", "dms.json")

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

NAMES = ("display_name", "real_name", "name", "display_name_normalized", "real_name_normalized", "first_name")


class Channel(NamedTuple):
    """A channel, a group or a direct conversation; members are ids of users, None where nobody says who they are."""

    id: str
    name: str
    members: list[str] | None
    direct: bool


class Workspace:
    """Who and what the ids of an export mean; empty where only a day's file is there."""

    def __init__(self, folder: Path | None, encoding: str | None) -> None:
        self.names: dict[str, list[str]] = {}
        self.channels: dict[str, Channel] = {}
        if folder is None:
            return
        for user in mappings(_list(folder / "users.json", encoding)):
            number = identity(user.get("id"))
            if number is not None:
                self.names[number] = _names(mapping(user.get("profile"))) + _names(user)
        for name in LISTS:
            for item in mappings(_list(folder / name, encoding)):
                number, shown = identity(item.get("id")), string(item.get("name"))
                members = [member for each in listing(item.get("members")) if (member := identity(each))] or None
                if number is not None:
                    # The folder of a direct conversation is called by its id.
                    channel = Channel(number, shown or number, members, direct=name == "dms.json")
                    self.channels[shown or number] = channel

    def shown(self, user: str) -> str | None:
        """Return the name that a user shows."""
        return next(iter(self.names.get(user, ())), None)

    def channel_name(self, number: str) -> str | None:
        """Return the name of a channel by its id."""
        return next((channel.name for channel in self.channels.values() if channel.id == number), None)


class Slack(Source):
    """Slack's export, whole or a day; a session is a day of a channel, a message is known by channel and ``ts``."""

    name = "slack"
    suffixes = (".json",)

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether it is a list of messages with Slack's timestamps."""
        return (
            path.suffix.lower() in self.suffixes
            and head.lstrip().startswith("[")
            and '"type"' in head
            and bool(DAY_FILE.search(head))
        )

    def sniff_folder(self, folder: Path) -> bool:
        """Return whether users and at least one list of channels lie in it, or in the only folder in it."""
        return _root(folder) is not None

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches, channel by channel and day by day."""
        path = Path(target)
        if path.is_dir():
            root = _root(path)
            if root is None:
                raise SourceError(f"{path.name}: no Slack export: users.json and channels.json are not in it")
            days = [day for folder in sorted(p for p in root.iterdir() if p.is_dir()) for day in _days(folder)]
        else:
            root = _root(path.parent.parent) if DAY_NAME.fullmatch(path.name) else None
            days = [path]
        space = Workspace(root, options.encoding)
        reader = Reader(space, options, self.name)
        last = SourceBatch()
        for number, day in enumerate(days):
            try:
                messages = _messages(day, options.encoding)
            except SourceError as error:
                if len(days) == 1:
                    raise
                last.rejects.append(reject(self.name, day.name, 0, str(error), ""))
                continue
            if options.agent is None:
                named_agent(
                    options, reader.speakers(messages, [names[0] for names in space.names.values() if names]), path.name
                )
            for batch in in_batches(reader.rows(day, messages, known=root is not None), len(messages)):
                batch.done = (number + batch.done) / len(days)
                yield batch
        if not reader.found:
            note = nobody_is(options, [*(names[0] for names in space.names.values() if names), *reader.seen], path.name)
            last.notes = [note] if note is not None else []
        yield last


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

    def rows(self, day: Path, messages: list[Any], *, known: bool) -> Iterator[dict[str, Any]]:
        """Yield the rows and rejects of a day's file, in the order of their exact timestamps."""
        channel = self._channel(day, messages, known)
        deleted = {
            identity(item.get("deleted_ts")) for item in mappings(messages) if item.get("subtype") == "message_deleted"
        }
        # Replies may stand behind the day's other messages: the timestamp is the place in the conversation.
        for number, item in sorted(enumerate(messages, start=1), key=lambda pair: (_place(pair[1]), pair[0])):
            try:
                row = self._row(item, channel, deleted)
            except ValueError as error:
                yield reject(self.source, day.name, number, str(error), item)
                continue
            yield row | {"line": number}

    def _channel(self, day: Path, messages: list[Any], known: bool) -> Channel:
        if known:
            folder = day.parent.name
            return self.space.channels.get(folder) or Channel(folder, folder, None, direct=False)
        # A file alone does not say which channel it is of: its first message does not come twice.
        first_ts = min((ts for item in mappings(messages) if (ts := identity(item.get("ts")))), default="-")
        speakers = dict(self._who(item) for item in mappings(messages) if _is_speech(item))
        members = sorted(speaker for speaker, names in speakers.items() if not self._is_agent(speaker, names))
        return Channel(f"from-{first_ts}", "", members, direct=False)

    def _who(self, item: dict[str, Any]) -> tuple[str, list[str]]:
        """Return the id of who speaks, and the names they go by; the shown one first."""
        user, bot = identity(item.get("user")), identity(item.get("bot_id"))
        profiles = (mapping(item.get("user_profile")), mapping(item.get("bot_profile")))
        own = string(item.get("username"))
        names = [cleaned(own).strip()] if own else []
        names += self.space.names.get(user or "", []) + [name for profile in profiles for name in _names(profile)]
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
        if changed:
            item = mapping(item.get("message"))
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
            "session_id": f"slack/{channel.id}/{moment:%Y-%m-%d}",
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


def _names(profile: dict[str, Any]) -> list[str]:
    return [cleaned(name).strip() for key in NAMES if (name := string(profile.get(key)))]


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


def _list(path: Path, encoding: str | None) -> Any:
    return read_json(path, encoding) if path.is_file() else []


def _messages(path: Path, encoding: str | None) -> list[Any]:
    data = read_json(path, encoding)
    if not isinstance(data, list):
        raise SourceError(f"{path.name}: no day of a Slack channel: not a list of messages")
    return data


def _root(folder: Path) -> Path | None:
    """Return where the export's lists lie: the folder, or the only folder in it."""
    inner = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    for root in (folder, *(inner if len(inner) == 1 else ())):
        if (root / "users.json").is_file() and any((root / name).is_file() for name in LISTS):
            return root
    return None


def _days(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.glob("*.json") if DAY_NAME.fullmatch(path.name) or DAY_FILE.search(head_of(path))
    )
