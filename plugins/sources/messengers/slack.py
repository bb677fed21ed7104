"""Slack's export: a folder (or archive) of users, channels and a file a day for each channel; or one such file."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.batches import in_batches
from plugins.sources.fields import first, identity, listing, mapping
from plugins.sources.messengers.slack_reader import Reader
from plugins.sources.messengers.slack_workspace import LISTS, Workspace
from plugins.sources.normalise import reject
from plugins.sources.people import named_agent, nobody_is
from plugins.sources.reading import head_of, read_json
from records.errors import SourceError

DAY_FILE = re.compile(r'"ts"\s*:\s*"\d{10}\.\d{6}"')
DAY_NAME = re.compile(r"\d{4}-\d{2}-\d{2}\.json", re.IGNORECASE)


class Slack(Source):
    """Slack's export, whole or a day; a session is a day of a channel, a message is known by channel and ``ts``."""

    name = "slack"
    suffixes = (".json",)

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether it is a list of messages with Slack's timestamps."""
        return (
            path.suffix.lower() in self.suffixes
            and (head.lstrip().startswith("[") or '"messages"' in head)
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
                messages, channel = _messages(day, options.encoding)
            except SourceError as error:
                if len(days) == 1:
                    raise
                last.rejects.append(reject(self.name, day.name, 0, str(error), ""))
                continue
            if options.agent is None:
                named_agent(
                    options, reader.speakers(messages, [names[0] for names in space.names.values() if names]), path.name
                )
            for batch in in_batches(reader.rows(day, messages, channel, known=root is not None), len(messages)):
                batch.done = (number + batch.done) / len(days)
                yield batch
        if not reader.found:
            note = nobody_is(options, [*(names[0] for names in space.names.values() if names), *reader.seen], path.name)
            last.notes = [note] if note is not None else []
        yield last


def _messages(path: Path, encoding: str | None) -> tuple[list[Any], str | None]:
    """Return the messages of a file, and the id of the channel where it says that: an answer of Slack, or what slackdump saves."""
    data = read_json(path, encoding)
    messages = mapping(data).get("messages") if isinstance(data, dict) else data
    if not isinstance(messages, list):
        raise SourceError(f"{path.name}: no day of a Slack channel: not a list of messages")
    found: list[Any] = []
    for message in messages:
        found.append(message)
        found += listing(mapping(message).get("slackdump_thread_replies"))
    return found, identity(first(mapping(data), "channel_id", "channel"))


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
