"""The messages of a WhatsApp chat one after the other, with the lines that belong to each.

People paste lines of other chats into their messages. Such a line looks like the beginning of a message; it is recognised by
another format, a date that does not exist in this one, or a time far away from what stands around it, and stays where it was.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from plugins.sources.whatsapp.headers import FIRST_YEAR, LAST_YEAR, Shape, day_of, half_of_day, hour_of, pattern_of
from plugins.sources.whatsapp.order import Order, Written, fits
from plugins.sources.whatsapp.said import Reader, name_of

FAR = timedelta(days=3)
"""From here on a message lies far from its neighbours; less is a phone that was offline."""
FAR_FOR_A_STRANGER = timedelta(days=1)
"""The same for somebody who was not heard before."""
DAY = timedelta(days=1)
AHEAD = 40
"""Messages within which a chat returns from lines that were pasted."""
AFTER_A_LEAP = 6
"""Messages that say whether a leap forward was one of the chat."""
TIMES_KEPT = 100_000
MOST_LEAPS = 2_000
"""Leaps that are looked at; a chat with more of them leaps by itself."""


@dataclass
class Style:
    """How one kind of header of a chat is read; a ``guest`` is one that few lines have."""

    shape: Shape
    order: Order
    beside: frozenset[tuple[str, str]]
    """What was seen before and after a time."""
    guest: bool = False
    strangers: frozenset[str] = frozenset()
    """Names that occur only beside dates written differently."""
    pattern: re.Pattern[str] = field(init=False)
    days: dict[Written, date | None] = field(default_factory=dict)
    times: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """By the text of a header from the hour on; with what stands beside it there are at most as many as seconds of a day."""

    def __post_init__(self) -> None:
        self.pattern = pattern_of(self.shape, self.beside)

    def day(self, written: Written) -> date | None:
        """Return the day that is meant, None where there is none."""
        if written not in self.days:
            if len(self.days) > 10_000:
                self.days.clear()
            day = day_of(written, self.order.order)
            self.days[written] = day if day is not None and FIRST_YEAR <= day.year < LAST_YEAR else None
        return self.days[written]

    def time(self, clock: str, found: re.Match[str]) -> tuple[int, int, int] | None:
        """Return hour, minute and second of a header, None for a time that there is not."""
        if clock in self.times:
            return self.times[clock]
        hour, minute, second, before, after = found.group("h", "m", "s", "before", "after")
        half, hours, minutes, seconds = half_of_day(before, after), int(hour), int(minute), int(second or 0)
        if half is None or hours > 24 or minutes > 59 or seconds > 59:
            return None
        if len(self.times) > TIMES_KEPT:
            self.times.clear()
        time = self.times[clock] = (hour_of(hours, half), minutes, seconds)
        return time

    def is_foreign(self, written: Written) -> bool:
        """Return whether a date that does not exist here exists where day and month change places."""
        swapped = self.order.order.translate(str.maketrans("dm", "md"))
        return not self.order.forced and day_of(written, swapped) is not None


class Entry:
    """A message as the file has it: its line from 1, its local time, who signed it, and its text."""

    __slots__ = ("at", "body", "guest", "line", "more", "name", "raw")

    def __init__(self, line: int, at: datetime | None, name: str | None, body: str, raw: str) -> None:
        self.line = line
        self.at = at
        self.name = name
        self.body = body
        self.raw = raw
        self.more: list[str] = []
        self.guest = False

    @property
    def text(self) -> str:
        """All of its lines."""
        return "\n".join([self.body, *self.more]) if self.more else self.body


class Names:
    """Who signed a line, or that nobody did; each way of writing is looked at once."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.known: dict[str, str | None] = {}

    def split(self, rest: str) -> tuple[str | None, str]:
        """Return a line without its header as a name and what follows, or None and all of it."""
        colon = rest.find(": ")
        if colon < 0:
            if not rest.endswith(":"):
                return None, rest
            colon = len(rest) - 1
        raw = rest[:colon]
        try:
            name = self.known[raw]
        except KeyError:
            name = None if not colon or self.reader.is_notice(rest) else name_of(raw)
            self.known[raw] = name or None
        return (None, rest) if not name else (name, rest[colon + 2 :])


class Chat:
    """Reads the entries of a file in one of the passes over it."""

    def __init__(self, styles: list[Style], names: Names) -> None:
        self.styles = styles
        self.names = names
        self.pasted = 0
        self.before: list[str] = []
        """Lines before the first message."""

    def entries(self, lines: Iterable[str], *, settled: bool) -> Iterator[Entry]:
        """Yield the messages in the order of the file; ``settled``: look out for lines that were pasted."""
        found = self._begun(lines)
        return self._settled(found) if settled else found

    def _begun(self, lines: Iterable[str]) -> Iterator[Entry]:
        main, others = self.styles[0], self.styles[1:]
        match, split, known, names = main.pattern.match, self.names.split, main.times, self.names.known
        current: Entry | None = None
        written: Written = ("", "", "")
        day: date | None = None
        for number, line in enumerate(lines, start=1):
            style, found = main, match(line)
            if found is None and others:
                style, found = next(((s, m) for s in others if (m := s.pattern.match(line))), (main, None))
            if found is None:
                (self.before if current is None else current.more).append(line)
                continue
            a, b, c, clock = found.group("a", "b", "c", "clock")
            time = (known.get(clock) if style is main else None) or style.time(clock, found)
            if time is None:
                (self.before if current is None else current.more).append(line)
                continue
            if style is not main or (a, b, c) != written:
                written = (a, b, c)
                day = style.day(written)
            rest = line[found.end() :]
            colon = rest.find(": ")
            name = names.get(rest[:colon]) if colon > 0 else None
            if name is not None:  # nearly always: a call less for every message
                body = rest[colon + 2 :]
            else:
                name, body = split(rest)
            if current is not None:
                if (day is None and style.is_foreign(written)) or (
                    name in style.strangers and not fits(written, style.order.zeros)
                ):
                    self.pasted += 1
                    current.more.append(line)
                    continue
                yield current
            at = None if day is None else datetime(day.year, day.month, day.day, *time)
            current = Entry(number, at, name, body, line)
            current.guest = style.guest
        if current is not None:
            yield current

    def _settled(self, found: Iterator[Entry]) -> Iterator[Entry]:
        window = Window(found)
        held: Entry | None = None
        for entry in window:
            if held is not None and window.is_pasted(entry):
                self.pasted += 1
                held.more.append(entry.raw)
                held.more.extend(entry.more)
                continue
            if held is not None:
                yield held
            held = entry
            window.accept(entry)
        if held is not None:
            yield held


class Window:
    """Entries with a look at those to come, asked for only where time leaps."""

    def __init__(self, found: Iterator[Entry]) -> None:
        self.found = found
        self.ahead: deque[Entry] = deque()
        self.last: datetime | None = None
        self.heard: set[str | None] = {None}
        self.left = MOST_LEAPS

    def __iter__(self) -> Iterator[Entry]:
        while True:
            entry = self.ahead.popleft() if self.ahead else next(self.found, None)
            if entry is None:
                return
            yield entry

    def accept(self, entry: Entry) -> None:
        """Take an entry for one of the chat."""
        if entry.at is not None:
            self.last = entry.at
        self.heard.add(entry.name)

    def is_pasted(self, entry: Entry) -> bool:
        """Return whether an entry belongs to the text of the one before it."""
        at, last = entry.at, self.last
        if at is None or last is None:
            return False
        if entry.guest:
            return not self._fits_in(entry, at, last)
        far = FAR if entry.name in self.heard else FAR_FOR_A_STRANGER
        if -far <= at - last <= far or self.left <= 0:
            return False
        return self._leaps_forward(entry, at, last, far) if at > last else self._leaps_back(entry, last)

    def _peek(self, place: int) -> Entry | None:
        while len(self.ahead) <= place:
            entry = next(self.found, None)
            if entry is None:
                return None
            self.ahead.append(entry)
        return self.ahead[place]

    def _times(self, count: int) -> Iterator[datetime]:
        for place in range(count):
            entry = self._peek(place)
            if entry is None:
                return
            if entry.at is not None:
                yield entry.at

    def _leaps_forward(self, entry: Entry, at: datetime, last: datetime, far: timedelta) -> bool:
        following = next(self._times(1), None)
        if following is None or following >= at - DAY:
            return False
        self.left -= 1
        times = list(self._times(AFTER_A_LEAP))
        stays = sum(time >= at - DAY for time in times)
        returns = sum(last - DAY <= time < at - far for time in times)
        return returns > stays or (returns == stays > 0 and entry.name not in self.heard)

    def _leaps_back(self, entry: Entry, last: datetime) -> bool:
        self.left -= 1
        seen = 0
        for time in self._times(AHEAD):
            if time >= last - DAY:
                return True
            seen += 1
        # The file ends before it comes back, or another export begins here.
        return seen < AHEAD and entry.name not in self.heard

    def _fits_in(self, entry: Entry, at: datetime, last: datetime) -> bool:
        """Return whether an entry of another format stands where its time belongs and is by somebody of this chat."""
        if entry.name is None or entry.name not in self.heard or at < last:
            return False
        following = None
        for place in range(AHEAD):
            following = self._peek(place)
            if following is None or not following.guest:
                break
        return following is None or following.at is None or at <= following.at
