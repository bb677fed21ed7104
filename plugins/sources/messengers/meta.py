"""Facebook Messenger and Instagram: the JSON of "Download your information", and that of end-to-end encrypted chats."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.batches import counted, day_of, in_batches, kept
from plugins.sources.fields import dig, first, flag, listing, mapping, mappings, string
from plugins.sources.messengers.meta_edits import with_edits
from plugins.sources.messengers.meta_notices import is_notice
from plugins.sources.normalise import reject
from plugins.sources.people import is_agent, named_agent, nobody_is, the_other
from plugins.sources.reading import files_in, head_of, read_json
from plugins.sources.times import parse_time
from records.errors import SourceError
from records.ids import content_id
from records.names import cleaned

PART = re.compile(r"message(?:_(\d+))?\.json", re.IGNORECASE)
THREAD_NUMBER = re.compile(r"_(\d{5,})/?$")
MEDIA = {
    "photos": "a photo",
    "videos": "a video",
    "audio_files": "a voice message",
    "gifs": "a GIF",
    "files": "a file",
    "sticker": "a sticker",
    "media": "media",
}
MOST_THREADS_NAMED = 20
"""Threads whose speakers an error lists, when no agent was named."""


class Thread(NamedTuple):
    """A part of a conversation: who takes part, and its messages in the order they were said."""

    id: str
    title: str | None
    participants: list[str]
    messages: list[Any]


class Meta(Source):
    """Messenger and Instagram chats, a file or a folder of all; a session is a day of a thread.

    A thread is known by its number, so that it stays the same one when its title changes or it moves to the archive.
    """

    name = "meta"
    suffixes = (".json",)

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether it has the keys of a thread, in either spelling."""
        if path.suffix.lower() not in self.suffixes or '"participants"' not in head:
            return False
        older = '"sender_name"' in head and (
            '"timestamp_ms"' in head or '"thread_path"' in head or '"timestamp"' in head
        )
        return older or ('"senderName"' in head and '"threadName"' in head)

    def sniff_folder(self, folder: Path) -> bool:
        """Return whether parts of threads lie in it; encrypted chats are a file each, and need nothing around them."""
        return any(PART.fullmatch(path.name) and self.sniff(path, head_of(path)) for path in _parts(folder))

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches, thread by thread; the parts of a thread from the oldest on."""
        path = Path(target)
        files = [part for part in _parts(path) if self.sniff(part, head_of(part))] if path.is_dir() else [path]
        if not files:
            raise SourceError(f"{path.name}: no chat of Messenger or Instagram in it; export as JSON, not as HTML")
        if options.agent is None:
            speakers = [
                name for file in files[:MOST_THREADS_NAMED] for name in _speakers(_thread(file, options.encoding))
            ]
            named_agent(options, speakers, path.name)
        seen: set[str] = set()
        last = SourceBatch()
        for number, file in enumerate(files):
            try:
                thread = _thread(file, options.encoding)
            except SourceError as error:
                if len(files) == 1:
                    raise
                last.rejects.append(reject(self.name, file.name, 0, str(error), ""))
                continue
            seen.update(_speakers(thread))
            for batch in in_batches(self._found(thread, file.name, options), len(thread.messages)):
                batch.done = (number + batch.done) / len(files)
                yield batch
        # Who is in it is known when all of it was read.
        last.notes = [note for note in (nobody_is(options, seen, path.name),) if note is not None]
        yield last

    def _found(self, thread: Thread, file: str, options: SourceOptions) -> Iterator[dict[str, Any]]:
        names = _speakers(thread)
        people = [name for name in names if not is_agent(name, options)]
        user, group = the_other(options, people) if len(people) < 2 else None, len(people) > 1
        # A private thread may go by the number of the other one: two people's threads with one agent stay two.
        chat = f"{thread.id}-{content_id('u', people[0])[2:10]}" if len(people) == 1 else thread.id
        for number, item in enumerate(thread.messages, start=1):
            try:
                row = _row(item, thread, options)
            except ValueError as error:
                yield reject(self.name, file, number, str(error), item)
                continue
            agent = is_agent(row["speaker_id"], options)
            yield row | {
                "line": number,
                "session_id": f"meta/{chat}/{day_of(row['occurred_at'])}",
                "agent_id": options.agent,
                "user_id": user,
                "role": "agent" if agent else "user",
                "participants": names if group else None,
                "group": group,
            }


def repaired(text: str) -> str:
    r"""Return a text whose UTF-8 bytes were read as Latin-1 as it was meant: ``"Jos\u00c3\u00a9"`` is José; others as they are."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _parts(folder: Path) -> list[Path]:
    """Return the files of threads in a folder, those of one thread from its oldest part on: the largest number is the oldest."""

    def place(path: Path) -> tuple[str, int, str]:
        match = PART.fullmatch(path.name)
        return path.parent.as_posix(), -int((match[1] if match else None) or 0), path.name

    return sorted(files_in(folder, ".json"), key=place)


def _thread(path: Path, encoding: str | None) -> Thread:
    """Return the thread of a file.

    Raises:
        SourceError: it has none.
    """
    data = read_json(path, encoding)
    messages = mapping(data).get("messages")
    if not isinstance(messages, list):
        raise SourceError(f"{path.name}: no chat of Messenger or Instagram: no 'messages'")
    encrypted = "threadName" in data
    participants = [
        cleaned(name if encrypted else repaired(name)).strip()
        for item in listing(data.get("participants"))
        if (name := string(item) or string(mapping(item).get("name")))
    ]
    thread_path = string(data.get("thread_path"))
    title = string(first(data, "title", "threadName"))
    return Thread(
        id=_thread_id(thread_path, participants),
        title=(title if encrypted else repaired(title)) if title else None,
        participants=participants,
        messages=with_edits(_in_order(messages)),
    )


def _thread_id(thread_path: str | None, participants: list[str]) -> str:
    if thread_path is None:
        # Encrypted chats name nothing but the people in them.
        return f"encrypted-{content_id('p', *sorted(participants))[2:14]}"
    number = THREAD_NUMBER.search(thread_path)
    return number[1] if number else thread_path.strip("/")


def _in_order(messages: list[Any]) -> list[Any]:
    """Return messages as they were said: the newest is the first in the file, unless the times say otherwise."""
    times = [value for value in (_unix(item) for item in messages) if isinstance(value, int | float)]
    rising = sum(1 for one, other in pairwise(times) if one < other)
    falling = sum(1 for one, other in pairwise(times) if one > other)
    return messages if rising > falling else messages[::-1]


def _unix(item: Any) -> Any:
    return first(mapping(item), "timestamp_ms", "timestamp")


def _sender(item: dict[str, Any]) -> str | None:
    older, encrypted = string(item.get("sender_name")), string(item.get("senderName"))
    name = repaired(older) if older else encrypted
    return cleaned(name).strip() if name else None


def _speakers(thread: Thread) -> list[str]:
    """Return everybody who takes part or spoke (who left is no participant any more)."""
    spoke = {name for item in mappings(thread.messages) if (name := _sender(item))}
    return sorted({*thread.participants, *spoke})


def _row(item: Any, thread: Thread, options: SourceOptions) -> dict[str, Any]:
    """Return what a message says, when and by whom.

    Raises:
        ValueError: nobody says anything in it.
    """
    if not isinstance(item, dict):
        raise ValueError("not a message")
    encrypted = "senderName" in item
    speaker = _sender(item)
    if speaker is None:
        raise ValueError("a notice of the app, nobody said it")
    if item.get("edits") is True:
        raise ValueError("the edit of an earlier message, which has its words")
    if flag(first(item, "is_unsent", "isUnsent")):
        raise ValueError("deleted by who wrote it")
    if "call_duration" in item or string(item.get("type")) in ("Call", "Subscribe", "Unsubscribe", "placeholder"):
        raise ValueError("a notice of the app, nobody said it")
    said = string(item.get("text" if encrypted else "content"))
    text = (said if encrypted else repaired(said)).strip() if said else ""
    notice = is_notice(text, speaker)
    link, shared = string(dig(item, "share", "link")), string(dig(item, "share", "share_text"))
    if (not text or notice) and link is None:
        media = next((shown for key, shown in MEDIA.items() if item.get(key)), None)
        if media is not None:
            raise ValueError(f"{media}, no text")
        raise ValueError("a notice of the app, nobody said it" if notice else "no text")
    moment = parse_time(_unix(item), options)
    return {
        "speaker_id": speaker,
        "speaker_name": speaker,
        "text": link if not text or notice else text,
        "occurred_at": moment,
        "metadata": kept(
            chat=thread.title if len(thread.participants) > 2 else None,
            link=link if text and not notice and link != text else None,
            shared=repaired(shared)[:300] if shared else None,
            media=next((shown for key, shown in MEDIA.items() if item.get(key)), None),
            edited=item.get("edited") is True or None,
            reactions=counted(_reaction(each, encrypted) for each in mappings(item.get("reactions"))),
        ),
    }


def _reaction(item: dict[str, Any], encrypted: bool) -> str | None:
    shown = string(item.get("reaction"))
    return None if shown is None else shown if encrypted else repaired(shown)
