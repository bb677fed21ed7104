"""Signal: its own export (main.jsonl), signal-export (data.json, chat.md), and the text files of signalbackup-tools.

How the lines of each of them are read stands here; who is who in a chat whose owner is "Me" stands in cast.py.
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.batches import counted, in_batches, kept
from plugins.sources.fields import dig, flag, listing, mapping, string
from plugins.sources.normalise import reject
from plugins.sources.phones import signal_backup
from plugins.sources.phones.cast import Cast, notes
from plugins.sources.reading import files_in, head_of, lines_of, parsed
from plugins.sources.times import Clock, parse_time
from records.errors import SourceError
from records.names import cleaned

MARKDOWN = re.compile(r"\[(\d{4}-\d\d-\d\d),? (\d\d:\d\d(?::\d\d)?)\] (.{1,120}?): ?(.*)")
PLAIN = re.compile(r"\[([A-Z][a-z]{2}) (\d\d), (\d{4}) (\d\d:\d\d:\d\d)\] (?:<(.{1,120}?)>|\*\*\*) (.*)")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

REACTIONS, REACTED = ("(- ", " -)"), (" (reaction: ", " (reactions: ")
STICKER = re.compile(r"\n?\(\( (.{1,40}?) \)\)[ \t]*$")
STICKER_LINK = re.compile(r"\[([^\]\n]{1,40})\]\(\.\./exported_stickers/[^)\n]{0,300}\)")
ATTACHMENT = re.compile(r"!?\[[^\]\n]{0,300}\]\((?:\./)?media/[^)\n]{0,300}\)")
QUOTE = re.compile(r"\A\s*((?:^> ?.*(?:\n|\Z))+)", re.MULTILINE)
CALL = re.compile(r"(?:Incoming|Outgoing|Missed) (?:voice |video |group )?call(?: \(.{1,60}\))?")
DELETED = "(This message was deleted)"
DEAF = "a notice of the app, nobody said it"


class Said(NamedTuple):
    """A message of a file: the line, who wrote it (None: a notice), when on the clock of the computer that exported, and what."""

    line: int
    sender: str | None
    time: str
    text: str
    about: dict[str, Any]
    nothing: str | None = None
    """Why it is no speech, where the file says so."""


class Signal(Source):
    """Chats of Signal; a session is a day of a chat. Who exported goes by "Me" where the file has no other name."""

    name = "signal"
    suffixes = (".jsonl", ".json", ".md", ".txt")

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether its first lines are those of one of the exports."""
        suffix = path.suffix.lower()
        if suffix == ".jsonl":
            return signal_backup.is_backup(head)
        # Other applications begin their lines of text with such times, too.
        reader = _reader(head)
        return reader is not None and reader is {".json": _lines, ".md": _markdown, ".txt": _plain}.get(suffix)

    def sniff_folder(self, folder: Path) -> bool:
        """Return whether chats of signal-export lie in it, which writes each of them several times, or Signal's own export."""
        return bool(_chats(folder))

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches in the order of the file; it is read twice, as only its end shows who takes part."""
        path = Path(target)
        files = _chats(path) if path.is_dir() else [path]
        if not files:
            raise SourceError(f"{path.name}: no export of Signal in it")
        if len(files) == 1:
            yield from self._file(files[0], options, [])
            return
        casts: list[Cast] = []
        last = SourceBatch()
        for number, file in enumerate(files):
            try:
                for batch in self._file(file, options, casts):
                    # Who is in the other chats is known when all of them were read.
                    batch.notes, batch.done = [], (number + batch.done) / len(files)
                    yield batch
            except SourceError as error:
                if options.agent is None:
                    raise
                last.rejects.append(reject(self.name, file.name, 0, str(error), ""))
        last.notes = [note for note in notes(casts, path.name, options) if note is not None]
        yield last

    def _file(self, path: Path, options: SourceOptions, casts: list[Cast]) -> Iterator[SourceBatch]:
        head = head_of(path)
        if signal_backup.is_backup(head):
            yield from signal_backup.read(path, options, self.name)
            return
        reader = _reader(head)
        if reader is None:
            raise SourceError(f"{path.name}: no export of Signal: no line such as '[2024-05-29 15:04:05] Me: text'")
        senders = [said.sender for said in reader(path, options) if said.sender is not None]
        cast = Cast(path.name, options, ((sender, sender) for sender in senders), self.name)
        casts.append(cast)
        found = self._found(reader(path, options), path.name, cast, options)
        yield from in_batches(found, len(senders), notes([cast], path.name, options))

    def _found(
        self, messages: Iterator[Said], file: str, cast: Cast, options: SourceOptions
    ) -> Iterator[dict[str, Any]]:
        clock = Clock(options)
        for said in messages:
            try:
                if said.nothing is not None or said.sender is None:
                    raise ValueError(said.nothing or DEAF)
                if not said.text:
                    raise ValueError("media, no text" if said.about.get("attachments") else "no text")
                moment = _moment(said.time, options, clock)
            except ValueError as error:
                yield reject(self.name, file, said.line, str(error), said.text)
                continue
            yield cast.row(said.sender, moment) | {"line": said.line, "text": said.text, "metadata": said.about}


def _chats(folder: Path) -> list[Path]:
    """Return a file for each chat: signal-export writes data.json, chat.md and a page; the first says the most."""
    own = [path for path in files_in(folder, "main.jsonl") if signal_backup.is_backup(head_of(path))]
    if own:
        return own
    found = {path.parent: path for path in files_in(folder, "chat.md") if _reader(head_of(path)) is _markdown}
    found |= {path.parent: path for path in files_in(folder, "data.json") if _reader(head_of(path)) is _lines}
    return [found[parent] for parent in sorted(found)]


def _reader(head: str) -> Callable[[Path, SourceOptions], Iterator[Said]] | None:
    """Return how a file that starts like this is read, None where it is no export of Signal."""
    start = head.lstrip("\ufeff \r\n").partition("\n")[0].rstrip("\r")
    if start.startswith("{"):
        keys = ('"date"', '"sender"', '"body"', '"quote"', '"reactions"', '"attachments"')
        return _lines if all(key in start for key in keys) else None
    if MARKDOWN.fullmatch(start):
        return _markdown
    return _plain if PLAIN.fullmatch(start) else None


def _moment(text: str, options: SourceOptions, clock: Clock) -> datetime:
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("a date that does not exist") from None
    if local.year < 1971:
        raise ValueError("a message without a time")
    return clock.utc(local) if local.tzinfo is None else parse_time(local, options)


def _lines(path: Path, options: SourceOptions) -> Iterator[Said]:
    """Yield the messages of data.json, an object a line."""
    for number, line in enumerate(lines_of(path, options.encoding), start=1):
        if not line.strip():
            continue
        try:
            item = parsed(line)
        except ValueError:
            yield Said(number, None, "", line, {}, "not valid JSON")
            continue
        sender = string(mapping(item).get("sender"))
        if sender is None or not isinstance(item, dict):
            yield Said(number, None, "", line, {}, "not a message")
            continue
        body = _body(string(item.get("body")) or "")
        sticker = string(dig(item, "sticker", "emoji")) or string(item.get("sticker"))
        nothing = "deleted by who wrote it" if flag(item.get("deleted")) or body == DELETED else None
        if nothing is None and (flag(item.get("call")) or CALL.fullmatch(body)):
            nothing = DEAF
        about = kept(
            reply_to=(string(item.get("quote")) or "").replace("> ", "").strip()[:200],
            attachments=len(listing(item.get("attachments"))) or None,
            reactions=counted(
                string(dig(each, 1)) or string(mapping(each).get("emoji")) for each in listing(item.get("reactions"))
            ),
        )
        yield Said(number, cleaned(sender).strip(), str(item.get("date")), body or sticker or "", about, nothing)


def _body(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.replace("\ufffc", "").split("\n")).strip()


def _markdown(path: Path, options: SourceOptions) -> Iterator[Said]:
    """Yield the messages of chat.md: a line with a time, the rest of the text below it."""
    for number, found, below in _blocks(path, options, MARKDOWN):
        text, about = _without(f"{found[4]}{below}")
        nothing = "deleted by who wrote it" if text == DELETED else DEAF if CALL.fullmatch(text) else None
        yield Said(number, cleaned(found[3]).strip(), f"{found[1]} {found[2]}", text, about, nothing)


def _without(text: str) -> tuple[str, dict[str, Any]]:
    """Return the text of a message alone, and what stood around it: a quote, reactions, attachments."""
    about: dict[str, Any] = {}
    text = text.rstrip()
    attachments = len(ATTACHMENT.findall(text))
    text = STICKER_LINK.sub(r"\1", ATTACHMENT.sub("", text)).rstrip()
    text = STICKER.sub(lambda match: match[1] if not text[: match.start()].strip() else "", text)
    before, start, reactions = text.rstrip().removesuffix(REACTIONS[1]).rpartition(REACTIONS[0])
    if start and text.rstrip().endswith(REACTIONS[1]):
        about["reactions"] = counted(each.rpartition(": ")[2].strip() for each in reactions.split(", "))
        text = before.removesuffix("\n")
    if quote := QUOTE.match(text):
        about["reply_to"] = "\n".join(line.removeprefix(">").strip() for line in quote[1].strip().split("\n"))[:200]
        text = text[quote.end() :]
    return _body(text), kept(**about, attachments=attachments or None)


def _plain(path: Path, options: SourceOptions) -> Iterator[Said]:
    """Yield the messages of a text file of signalbackup-tools; three stars stand before what the app says."""
    for number, found, text in _blocks(path, options, PLAIN):
        month = MONTHS.index(found[1]) + 1 if found[1] in MONTHS else 0
        time = f"{found[3]}-{month:02}-{found[2]} {found[4]}"
        nothing = None
        if found[5] is None:
            nothing = "media, no text" if re.match(r"<.{1,120}> sent file", found[6]) else DEAF
        body = f"{found[6]}{text}".rstrip()
        reacted = max(body.lower().rfind(start) for start in REACTED)
        if reacted >= 0 and body.endswith(")") and "\n" not in body[reacted:]:
            body = body[:reacted]
        yield Said(number, cleaned(found[5]).strip() if found[5] else None, time, _body(body), {}, nothing)


def _blocks(path: Path, options: SourceOptions, head: re.Pattern[str]) -> Iterator[tuple[int, re.Match[str], str]]:
    """Yield the number and the match of each line that starts a message, and the lines below it."""
    start: tuple[int, re.Match[str]] | None = None
    below: list[str] = []
    for number, line in enumerate(lines_of(path, options.encoding), start=1):
        match = head.fullmatch(line.lstrip("\ufeff"))
        if match is None:
            below.append(line)
            continue
        if start is not None:
            yield *start, "".join(f"\n{each}" for each in below)
        start, below = (number, match), []
    if start is not None:
        yield *start, "".join(f"\n{each}" for each in below)
