"""Messages of an iPhone or a Mac as imessage-exporter writes them, in text or HTML."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.batches import counted, in_batches, kept
from plugins.sources.normalise import reject
from plugins.sources.phones import imazing
from plugins.sources.phones.cast import Cast, notes
from plugins.sources.phones.imessage_html import Page
from plugins.sources.reading import lines_of
from plugins.sources.times import Clock
from records.errors import SourceError
from records.names import cleaned

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
TIME = re.compile(
    rf"(?P<month>{'|'.join(MONTHS)}) (?P<day>\d\d), (?P<year>\d{{4}}) {{1,4}}"
    r"(?P<hour>\d{1,2}):(?P<minute>\d\d):(?P<second>\d\d) (?P<half>[AP])M"
)
HEADER = re.compile(rf"(?P<indent> *){TIME.pattern}(?P<rest>.*)")
"""``May 17, 2022  5:29:42 PM (Read by you after 1 hour, 49 seconds)``; hours below ten have a space more."""

READ = re.compile(r"(?:\((?:Read|Delivered|Played) .*\))?")
EDIT = re.compile(r"Edited (?P<after>.{1,80}?) later: (?P<text>.*)")
SPAN = re.compile(r"(\d{1,9}) (day|hour|minute|second)s?\b")
REACTION = re.compile(r" *(?P<what>.{1,40}) by (?P<who>.{1,120})")
ATTACHMENT = re.compile(
    r"(?:\.{1,2}/)?attachments/\S.*|(?:~?/|[A-Za-z]:\\).*(?:attachments|StickerCache|Media).*|Attachment missing!"
    r"|[^\s/\\]{1,120}\.(?:heic|heif|jpe?g|png|gif|webp|mov|mp4|m4v|3gp|m4a|caf|amr|aac|mp3|wav|pdf|vcf|pluginpayloadattachment)",
    re.IGNORECASE,
)
NOISE = re.compile(
    r"This message was deleted from the conversation!|Sent with .{1,30}|(?:.{0,20} )?[Ss]ticker from .{1,200}|Unable to format .{1,200}"
)
EVENT = re.compile(
    r"(?:Started|Stopped) sharing location!|SharePlay Message|Handwritten messages? .*|.{1,60} (?:deleted|unsent) (?:a|this) message.*"
)
REPLY = "This message responded to"
INDENT = "    "


@dataclass
class Entry:
    """What stands under a time: where, when (on the clock of the computer that exported), by whom (None: a notice), and its lines."""

    line: int
    local: datetime
    sender: str | None = None
    lines: list[str] = field(default_factory=list)


class IMessage(Source):
    """One conversation of an iPhone or a Mac, also from a table of iMazing; a session is a day of it.

    The person whose telephone it is goes by "Me". A reply stands twice in a text file, under what it answers and at its own
    time: the second is the message.
    """

    name = "imessage"
    suffixes = (".txt", ".csv", ".html")

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether it starts with a time as imessage-exporter writes it, or has the columns of iMazing."""
        suffix = path.suffix.lower()
        if suffix == ".csv":
            return imazing.is_table(head)
        if suffix == ".html":
            return 'class="timestamp"' in head and 'class="message' in head and TIME.search(head) is not None
        return suffix == ".txt" and any(HEADER.fullmatch(line.rstrip("\r")) for line in head.split("\n")[:3])

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches in the order of the file; it is read twice, as only its end shows who takes part."""
        path = Path(target)
        if path.suffix.lower() == ".csv":
            yield from imazing.read(path, options, self.name)
            return
        entries = list(_page(path, options)) if path.suffix.lower() == ".html" else None
        speakers = [(e.sender, e.sender) for e in entries or _entries(path, options) if e.sender is not None]
        if not speakers:
            raise SourceError(
                f"{path.name}: no message of imessage-exporter in it: no line such as 'May 17, 2022  5:29:42 PM'"
            )
        cast = Cast(path.name, options, speakers, self.name)
        found = self._found(entries or _entries(path, options), path.name, cast, Clock(options))
        yield from in_batches(found, len(speakers), notes([cast], path.name, options))

    def _found(
        self, entries: "list[Entry] | Iterator[Entry]", file: str, cast: Cast, clock: Clock
    ) -> Iterator[dict[str, Any]]:
        for entry in entries:
            try:
                if entry.sender is None:
                    raise ValueError("a notice of the app, nobody said it")
                said = Said(entry.lines)
                if not said.text:
                    raise ValueError(said.instead)
                moment = clock.utc(entry.local)
                edited = None if said.edited_after is None else moment + said.edited_after
            except (ValueError, OverflowError) as error:
                yield reject(self.name, file, entry.line, str(error), "\n".join(entry.lines))
                continue
            yield cast.row(entry.sender, moment) | {
                "line": entry.line,
                "text": said.text,
                "edited_at": edited,
                "metadata": kept(
                    reactions=counted(said.reactions), reply=said.reply or None, attachments=said.attachments or None
                ),
            }


def _entries(path: Path, options: SourceOptions) -> Iterator[Entry]:
    """Yield the entries of a text file; a time counts behind an empty line only, elsewhere somebody wrote it.

    Indented entries are replies shown under what they answer; they come again at their own time and are passed over.
    """
    entry: Entry | None = None
    blank, replies, reply = True, False, False
    for number, line in enumerate(lines_of(path, options.encoding), start=1):
        header = HEADER.fullmatch(line)
        local = _local(header) if header else None
        if header and local and not header["indent"] and blank:
            if entry is not None:
                yield entry
            notice = not READ.fullmatch(header["rest"].strip())
            # A time and a sentence in one line: "May 17, 2022  5:29:42 PM You named the conversation Trip".
            entry = Entry(number, local, lines=[header["rest"].strip()] if notice else [])
            replies = reply = False
            if notice:
                yield entry
                entry = None
        elif entry is None:
            pass
        elif header and header["indent"]:
            replies = reply = True
        elif entry.sender is None:
            entry.sender = cleaned(line).strip() or None
        elif not (reply and line.strip()) and not (replies and line.startswith(INDENT)):
            reply = False
            # The first text of an edited message has its time before it.
            entry.lines.append(header["rest"].strip() if header and local and not entry.lines else line)
        blank = not line.strip()
    if entry is not None:
        yield entry


def _page(path: Path, options: SourceOptions) -> Iterator[Entry]:
    """Yield the entries of a page of HTML."""
    page, number = Page(), 0
    for number, line in enumerate(lines_of(path, options.encoding), start=1):
        page.feed(f"{line}\n")
        yield from _of_page(page, number)
    page.close()
    yield from _of_page(page, number)


def _of_page(page: Page, number: int) -> Iterator[Entry]:
    for time, sender, lines in page.taken():
        header = HEADER.fullmatch(time)
        local = _local(header) if header else None
        if local is not None:
            yield Entry(number, local, sender, lines)


def _local(header: re.Match[str]) -> datetime | None:
    hour = int(header["hour"]) % 12 + (12 if header["half"] == "P" else 0)
    month = MONTHS.index(header["month"]) + 1
    try:
        return datetime(
            int(header["year"]), month, int(header["day"]), hour, int(header["minute"]), int(header["second"])
        )
    except ValueError:
        return None


class Said:
    """What the lines under a time say: the text, and beside it reactions, attachments, whether it is a reply, and its last edit."""

    def __init__(self, lines: list[str]) -> None:
        self.reactions: list[str] = []
        self.attachments = 0
        self.reply = False
        self.edited_after: timedelta | None = None
        self.instead = "no text"
        text: list[str] = []
        reacting = False
        for line in lines:
            shown = line.strip()
            edit, reaction = EDIT.fullmatch(shown), REACTION.fullmatch(line) if reacting else None
            if shown in ("Tapbacks:", "Reactions:"):
                reacting = True
            elif reaction:
                self.reactions.append(reaction["what"].strip())
            elif shown.startswith(REPLY):
                self.reply = True
            elif edit and (after := _span(edit["after"])) is not None:
                # Each later text of an edited message takes the place of the one before.
                text, self.edited_after = [edit["text"]], (self.edited_after or timedelta()) + after
            elif ATTACHMENT.fullmatch(shown):
                self.attachments += 1
                self.instead = "media, no text"
            elif EVENT.fullmatch(shown) and not any(text):
                self.instead = "a notice of the app, nobody said it"
                break
            elif not NOISE.fullmatch(shown):
                reacting = reacting and not shown
                text.append(line.rstrip())
        self.text = "\n".join(text).replace("\ufffc", "").strip()


def _span(text: str) -> timedelta | None:
    """Return "1 hour, 49 seconds" as a span, None where it is none."""
    parts = SPAN.findall(text)
    try:
        return sum((timedelta(**{f"{unit}s": int(count)}) for count, unit in parts), timedelta()) if parts else None
    except OverflowError:
        return None
