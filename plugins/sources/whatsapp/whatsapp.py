"""WhatsApp's "Export chat" file, of iPhone and Android, in any of its languages.

Reading a chat takes two passes: `survey` finds how it is written and who is in it, then every message becomes a row.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.batches import DAY_BEGINS
from plugins.sources.normalise import reject
from plugins.sources.times import Clock
from plugins.sources.whatsapp.chats import Known, known
from plugins.sources.whatsapp.entries import Chat, Entry
from plugins.sources.whatsapp.headers import FIRST_YEAR, LAST_YEAR, Header, day_of, header
from plugins.sources.whatsapp.lines import lines_of_chat
from plugins.sources.whatsapp.said import NOTICE, Reader
from plugins.sources.whatsapp.survey import Survey, survey
from plugins.sources.whatsapp.words import words
from records.errors import SourceError

BATCH = 20_000
LOOKED_AT = 1_000
HEAD_LINES = 20
"""Lines of a file in which the first message begins."""
LEVELS = (
    "trace",
    "debug",
    "info",
    "notice",
    "warn",
    "warning",
    "error",
    "critical",
    "fatal",
    "severe",
    "alert",
    "emergency",
)
"""What stands in a log where a chat has a name."""
LOGGER = re.compile(r"^[a-z][\w-]*[./_\[][\w./\[\]-]*$")
"""A module, a host or a process where a chat has a name."""


class WhatsApp(Source):
    """WhatsApp's "Export chat" file. A session is a day of the chat (from 04:00).

    The chat is known by the other person, or by the group's first name, so that a file that was renamed, or exported again when
    it was longer, is the same chat. Which of two numbers is the day is decided by the order of the whole file.
    """

    name = "whatsapp"
    suffixes = (".txt",)

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether one of the first lines begins a message of a chat, not an entry of a log."""
        if path.suffix.lower() not in (*self.suffixes, ""):
            return False
        lines = [line.removesuffix("\r") for line in head.split("\n")]
        found = [(line, start) for line in lines[:LOOKED_AT] if (start := header(line)) is not None]
        if not any(_is_plausible(start) for _, start in found) or found[0][0] not in lines[:HEAD_LINES]:
            return False
        if all(_is_of_a_log(start) for _, start in found):
            return False
        reader = Reader(words(), marks=True)
        rests = [line[start.end :] for line, start in found]
        names = [rest.partition(":")[0].strip() for rest in rests if ":" in rest and not reader.is_notice(rest)]
        if names:
            return 2 * sum(map(_is_a_logger, names)) <= len(names)
        return any(reader.said(rest)[1] == NOTICE or reader.is_of_a_group(rest) for rest in rests)

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches; what the application wrote, and media without a caption, are rejects."""
        path = Path(target)

        lines = lines_of_chat(path, options.encoding)
        found = survey(lines, options)
        if found is None:
            raise SourceError(f"{path.name}: no line looks like a WhatsApp message")
        who, note = known(found.people, options, path.name, path.stem)
        notes = [note] if note is not None else []
        notes.extend(_about_dates(found, path.name))
        yield from self._batches(found, who, lines, path.name, options, notes)

    def _batches(
        self,
        found: Survey,
        who: Known,
        lines: Callable[[], Iterable[str]],
        file: str,
        options: SourceOptions,
        notes: list[str],
    ) -> Iterator[SourceBatch]:
        rows = Rows(found, who, options)
        batch = SourceBatch(notes=notes)
        chat = Chat(found.styles, found.names)
        for entry in chat.entries(lines(), settled=found.settled):
            row, reason = rows.row(entry)
            if row is not None:
                batch.rows.append(row)
            else:
                shown = "\n".join([entry.raw, *entry.more])
                batch.rejects.append(reject(self.name, file, entry.line, reason or "", shown))
            if len(batch.rows) + len(batch.rejects) >= BATCH:
                batch.done = entry.line / found.lines
                yield batch
                batch = SourceBatch()
        before = "\n".join(chat.before).strip()
        if before:
            batch.rejects.append(reject(self.name, file, 1, "text before the first message", before))
        if chat.pasted:
            batch.notes.append(
                f"{file}: {chat.pasted} line(s) that look like messages of another chat stay where they were pasted"
            )
        yield batch


class Rows:
    """Makes rows of the messages of one chat, in its order."""

    def __init__(self, found: Survey, who: Known, options: SourceOptions) -> None:
        self.reader = found.names.reader
        self.who = who
        self.clock = Clock(options)
        self._offsets: dict[date, timedelta | None] = {}
        self._begins = self._next = datetime.min
        self._start: datetime | None = None
        self._session = ""

    def row(self, entry: Entry) -> tuple[dict[str, Any] | None, str | None]:
        """Return the row of a message, or None and why it is none."""
        if entry.name is None:
            return None, NOTICE
        text, reason, metadata = self.reader.said(entry.text)
        if reason is not None:
            return None, reason
        at, who = entry.at, self.who
        if at is None:
            return None, "a date that does not exist"
        if not self._begins <= at < self._next:
            self._begin((at - DAY_BEGINS).date())
        try:
            moment = self.clock.utc(at) if self._start is None else self._start + (at - self._begins)
        except (ValueError, OverflowError):
            return None, "a date that does not exist"
        is_agent = entry.name in who.written
        speaker = who.agent if is_agent else entry.name
        row = {
            "line": entry.line,
            "session_id": self._session,
            "agent_id": who.agent,
            "user_id": who.user,
            "speaker_id": speaker,
            "speaker_name": speaker,
            "role": "agent" if is_agent else "user",
            "text": text,
            "occurred_at": moment,
            "group": who.group,
        }
        if metadata is not None:
            row["metadata"] = metadata
        return row, None

    def _begin(self, day: date) -> None:
        """Note what all messages of a day have in common: their session, and when the day begins in UTC."""
        self._session = f"whatsapp/{self.who.chat}/{day:%Y-%m-%d}"
        self._begins = datetime(day.year, day.month, day.day) + DAY_BEGINS
        self._next = self._begins + timedelta(days=1)
        if day not in self._offsets:
            self._offsets[day] = _offset(day, self.clock.zone)
        offset = self._offsets[day]
        self._start = None if offset is None else self._begins.replace(tzinfo=UTC) - offset


def _offset(day: date, zone: tzinfo) -> timedelta | None:
    """Return the offset of a zone on a day of a chat, None where it changes around it, so that the order of messages matters."""
    start = datetime(day.year, day.month, day.day, tzinfo=zone)
    try:
        found = {
            (start + timedelta(hours=hours)).replace(fold=fold).utcoffset()
            for hours in range(0, 34, 3)
            for fold in (0, 1)
        }
    except (ValueError, OverflowError):
        return None
    return found.pop() if len(found) == 1 else None


def _is_plausible(found: Header) -> bool:
    return any(
        (day := day_of(found.date, order)) is not None and FIRST_YEAR <= day.year < LAST_YEAR
        for order in ("dmy", "mdy", "ymd")
    )


def _is_of_a_log(found: Header) -> bool:
    """Return whether a header is ``2025-01-01 10:00:00 - ``, as programs write it and no telephone does."""
    shape = found.shape
    plain = not found.half and not found.beside[0].strip()
    return plain and shape.year_first and shape.separators == ("-", "-") and shape.seconds and shape.end != "]"


def _is_a_logger(name: str) -> bool:
    return name.rpartition(".")[2].lower() in LEVELS or LOGGER.match(name) is not None


def _about_dates(found: Survey, file: str) -> Iterator[str]:
    """Yield what a person may want to correct of how dates are read."""
    order = found.styles[0].order
    first, other = ("day", "month") if order.order.startswith("d") else ("month", "day")
    if not order.certain:
        yield (
            f"{file}: nothing in it tells days from months: the {first} is taken to come first; "
            f"import it with --{other}-first if that is wrong"
        )
    elif order.forced:
        yield f"{file}: its dates fit better with the {other} first; import it with --{other}-first if that is meant"
