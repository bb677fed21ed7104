"""The first pass over a WhatsApp chat: how its headers are written and its dates read, who speaks, and which chat it is.

What is kept are counts, names and changes of date, so that memory does not grow with the file. Rows are made in a second pass.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from plugins.contracts import SourceOptions
from plugins.sources.whatsapp.entries import Chat, Names, Style
from plugins.sources.whatsapp.headers import Header, Shape, header, hour_of, pattern_of
from plugins.sources.whatsapp.order import Change, Order, Written, fits, order_of
from plugins.sources.whatsapp.said import NO_CONTACT, NOTICE, Reader
from plugins.sources.whatsapp.words import LEFT_TO_RIGHT, words

MOST_CHANGES = 50_000
"""Changes of date that are kept to decide how dates are read."""
MOST_SHAPES = 40
MOST_BESIDE = 64
"""Ways of writing what stands beside a time that one chat can have."""
DOMINATES = 10
"""Times that another shape must be more frequent than that of the first line to be the chat's."""
BLOCK, BLOCK_SHARE = 20, 0.25
"""Headers, and their share, from which another shape is a second export in the same file rather than pasted lines."""
LEAPS, LEAPS_SHARE = 50, 0.25
"""Steps back, and their share among changes of date, above which a chat is not in the order of time at all."""
FEW = 2
"""Messages up to which somebody can be a name in pasted lines."""
MARKED_ANYWAY, MARKED_LEAST = 0.9, 10
"""Share and number of messages that begin with a left-to-right mark where the mark shows nothing."""


@dataclass
class Voice:
    """What is known of a name: messages, whether it spoke, and whether it sent anything at all."""

    count: int = 0
    spoke: bool = False
    shared: bool = False


@dataclass
class People:
    """Who is in a chat and what it is called.

    Attributes:
        voices: Those who signed anything.
        group_name: First name that a notice gives the group.
        signer: Who signed the first line: newer iPhones sign notices with the name of the contact or the group.
        is_group: A notice says something that only groups have.
        first: Name and text of the first message that somebody said.
        since: Its time.
    """

    voices: dict[str, Voice] = field(default_factory=dict)
    group_name: str | None = None
    signer: str | None = None
    is_group: bool = False
    first: tuple[str, str] | None = None
    since: datetime | None = None
    lines: int = 0

    def hear(self, name: str | None, body: str, reader: Reader, at: datetime | None = None) -> None:
        """Take note of a message; its text is looked at only as long as something can be learned from it."""
        self.lines += 1
        if name is None:
            self._notice(body, reader)
            return
        if self.lines == 1:
            self.signer = name
        voice = self.voices.get(name)
        if voice is None:
            voice = self.voices[name] = Voice()
        voice.count += 1
        if voice.spoke:  # and so there is a first message
            return
        text, reason, _ = reader.said(body)
        if reason == NOTICE:
            self._notice(body, reader)
            return
        voice.shared = True
        voice.spoke |= reason is None
        if self.first is None and text:
            self.first, self.since = (name.removeprefix(NO_CONTACT), text), at

    def _notice(self, body: str, reader: Reader) -> None:
        if self.group_name is None:
            self.group_name = reader.group_name(body)
        if not self.is_group:
            self.is_group = reader.is_of_a_group(body)

    @property
    def participants(self) -> list[str]:
        """Everybody who said or sent something."""
        return sorted(name for name, voice in self.voices.items() if voice.shared)


class Seen:
    """What one shape of header showed."""

    def __init__(self, shape: Shape, line: int) -> None:
        self.shape = shape
        self.line = line
        self.count = 0
        self.marked = 0
        self.american = False
        self.beside: set[tuple[str, str]] = set()
        self.changes: list[Change] = []
        self.written: Written = ("", "", "")
        self.names = Names(Reader(words(), marks=shape.bracket))
        self.people = People()
        self.first: Header | None = None
        self.pattern: re.Pattern[str] | None = None

    def take(self, found: Header, line: str) -> None:
        """Take note of a header and what follows it."""
        if found.beside not in self.beside and len(self.beside) < MOST_BESIDE:
            self.beside.add(found.beside)
            self.american |= found.beside[1].strip() in ("AM", "PM") and self.shape.separators[0] == "/"
            self.pattern = pattern_of(self.shape, self.beside) if self.shape.kind in ("date", "time") else None
        self.hear(found.date, line, found.end)

    def hear(self, written: Written, line: str, end: int) -> None:
        """Take note of who says what under a date."""
        self.count += 1
        name, body = self.names.split(line[end:])
        if written != self.written:
            self.written = written
            if len(self.changes) < MOST_CHANGES:
                self.changes.append(Change(written, name))
        if body.startswith(LEFT_TO_RIGHT):
            self.marked += 1
        self.people.hear(name, body, self.names.reader)
        if self.first is None and self.people.first is not None:
            self.first = header(line)


@dataclass
class Survey:
    """What the first pass found; ``settled``: lines may have been pasted, so that the second has to look out for them."""

    styles: list[Style]
    names: Names
    people: People
    lines: int
    settled: bool


def survey(lines: Callable[[], Iterable[str]], options: SourceOptions) -> Survey | None:
    """Return what a file shows, None where no line of it begins a message; ``lines`` opens it."""
    shapes: dict[Shape, Seen] = {}
    number, last = 0, None
    for number, line in enumerate(lines(), start=1):
        # Nearly all headers have the shape of the one before: that alone is asked for first, at a third of the cost.
        if last is not None and last.pattern is not None:
            match = last.pattern.match(line)
            if match is not None:
                last.hear((match["a"], match["b"], match["c"]), line, match.end())
                continue
        found = header(line)
        if found is None:
            continue
        last = shapes.get(found.shape)
        if last is None:
            if len(shapes) >= MOST_SHAPES:
                continue
            last = shapes[found.shape] = Seen(found.shape, number)
        last.take(found, line)
    if not shapes:
        return None
    main, others = _sorted(list(shapes.values()))
    styles = [_style(main, options), *_others(main, others, options)]
    order = styles[0].order
    irregular = len(styles) > 1 or bool(order.wrong or order.backwards or styles[0].strangers)
    irregular |= len(main.changes) >= MOST_CHANGES
    if order.forced or order.backwards > max(LEAPS, LEAPS_SHARE * order.changes):
        # Where time leaps all through a file, leaps say nothing of single lines.
        styles, settled = [style for style in styles if not style.guest], False
    else:
        settled = irregular
    marks = main.shape.bracket and not (main.marked >= MARKED_LEAST and main.marked > MARKED_ANYWAY * main.count)
    names = main.names
    names.reader.marks = marks
    result = Survey(styles, names, main.people, number, settled)
    if irregular or marks != main.shape.bracket:
        result.people = _people(result, lines())  # names of pasted lines are known only once dates are read
    elif main.first is not None and (day := styles[0].day(main.first.date)) is not None:
        hour = hour_of(main.first.hour, main.first.half)
        main.people.since = datetime(day.year, day.month, day.day, hour, main.first.minute, main.first.second)
    _as_contacts(result)
    return result


def _as_contacts(found: Survey) -> None:
    """Take the tilde from the names of those who are no contacts, unless a contact has the same name: they are two people."""
    voices, known = found.people.voices, found.names.known
    bare = {n: n.removeprefix(NO_CONTACT) for n in voices if n.startswith(NO_CONTACT)}
    renamed = {name: other for name, other in bare.items() if other not in voices}
    found.people.voices = {renamed.get(name, name): voice for name, voice in voices.items()}
    found.names.known = {raw: renamed.get(name, name) if name else None for raw, name in known.items()}
    if found.people.signer is not None:
        found.people.signer = renamed.get(found.people.signer, found.people.signer)


def _others(main: Seen, others: list[Seen], options: SourceOptions) -> Iterator[Style]:
    """Yield styles for the other shapes of a file: those of a second export in it, and guests."""
    for seen in others:
        known = set(seen.people.participants) & set(main.people.participants)
        if not known:
            continue
        style = _style(seen, options)
        style.guest = seen.count < max(BLOCK, BLOCK_SHARE * main.count)
        yield style


def _sorted(seen: list[Seen]) -> tuple[Seen, list[Seen]]:
    """Return the shape of a chat and the others: that of its first line, as nothing was pasted before it."""
    first = min(seen, key=lambda s: s.line)
    most = max(seen, key=lambda s: s.count)
    main = most if most.count > DOMINATES * first.count else first
    return main, [s for s in seen if s is not main]


def _style(seen: Seen, options: SourceOptions) -> Style:
    counts: Counter[str] = Counter({name: voice.count for name, voice in seen.people.voices.items()})
    order = order_of(seen.shape, seen.changes, counts, options, american=seen.american)
    return Style(seen.shape, order, frozenset(seen.beside), strangers=_strangers(seen, order))


def _strangers(seen: Seen, order: Order) -> frozenset[str]:
    """Return the names that stand only beside dates that write their zeros unlike all others."""
    usual = {change.speaker for change in seen.changes if fits(change.written, order.zeros)}
    foreign = {change.speaker for change in seen.changes if not fits(change.written, order.zeros)}
    if len(usual) < 2:
        return frozenset()
    return frozenset(n for n in foreign - usual if n is not None and seen.people.voices[n].count <= FEW)


def _people(found: Survey, lines: Iterable[str]) -> People:
    people = People()
    for entry in Chat(found.styles, found.names).entries(lines, settled=found.settled):
        people.hear(entry.name, entry.body, found.names.reader, entry.at)
    return people
