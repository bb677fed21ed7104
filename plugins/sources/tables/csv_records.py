"""The records of a CSV file, one at a time: its delimiter, its quotes over several lines, and quotes that are never closed.

What the fields mean does not belong here.
"""

import csv
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from plugins.sources.reading import HEAD_BYTES, lines_of, read_text

DELIMITERS = (",", ";", "\t", "|")

LONGEST_FIELD = 1 << 26
"""Characters of a field; the csv module itself stops at 131,072, which a long story has."""

MOST_LINES = 20_000
"""Lines of one record: a quote that is open for longer was never meant as one."""

FEWEST_LINES = 50
"""Lines of one record in a table that is full of such quotes: each of them would read the whole file again."""

READ_AGAIN = 50_000_000
"""Characters that may be read again for them, beside four times what was read."""


class Record(NamedTuple):
    """A record of a CSV file.

    Attributes:
        line: Where it begins, from 1.
        fields: Its fields.
        length: Characters that it takes.
        broken: Why it is none, None where it is one.
    """

    line: int
    fields: list[str]
    length: int
    broken: str | None = None


def records(path: Path, encoding: str | None = None) -> Iterator[Record]:
    """Yield the records of a file, the header first; empty lines are none.

    Raises:
        SourceError: it cannot be read.
    """
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_FIELD))
    lines = _Lines(_lines(path, encoding))
    delimiter = _delimiter(path, lines)
    reader = csv.reader(lines, delimiter=delimiter)
    width = 0
    while True:
        first = lines.begin()
        try:
            fields, broken = next(reader, None), None
        except csv.Error:
            fields, broken = [], "cannot be parted into fields"
        taken = lines.taken
        if not taken:
            return
        if not fields and broken is None:
            continue
        fields = fields or []
        # A quote that was never meant as one swallows the lines after it: they are given back.
        odd = lines.ended and sum(line.count('"') for line in taken) % 2 == 1
        if len(taken) > 1 and width and (odd or len(fields) != width):
            broken = "a quote that is never closed, or another number of fields than the header"
        if broken is not None:
            lines.give_back(taken[1:])
            reader = csv.reader(lines, delimiter=delimiter)
            yield Record(first, [taken[0].rstrip("\n")], len(taken[0]), broken)
            continue
        width = width or len(fields)
        yield Record(first, fields, sum(map(len, taken)))


class _Lines:
    """Lines of a file for a reader, numbered, of which some may be given back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._back: deque[str] = deque()
        self._number = self._read = self._again = 0
        self.taken: list[str] = []
        self.ended = False

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if len(self.taken) >= FEWEST_LINES and len(self.taken) >= self._most():
            self.ended = True
            raise StopIteration
        line = self._back.popleft() if self._back else next(self._lines, None)
        if line is None:
            self.ended = True
            raise StopIteration
        self.taken.append(line)
        return line

    def begin(self) -> int:
        """Begin a record; return the number of its first line."""
        self._number += len(self.taken)
        self._read += sum(map(len, self.taken))
        self.taken, self.ended = [], False
        return self._number + 1

    def give_back(self, lines: list[str]) -> None:
        """Take lines of the record again."""
        self._again += sum(map(len, lines))
        self._back.extendleft(reversed(lines))
        self.taken = self.taken[: len(self.taken) - len(lines)]

    def _most(self) -> int:
        return MOST_LINES if self._again <= READ_AGAIN + 4 * self._read else FEWEST_LINES

    def peek(self) -> str | None:
        """Return the next line without taking it."""
        if not self._back:
            line = next(self._lines, None)
            if line is None:
                return None
            self._back.append(line)
        return self._back[0]

    def skip(self) -> None:
        """Pass over the next line."""
        self._back.popleft()
        self._number += 1


def _lines(path: Path, encoding: str | None) -> Iterator[str]:
    """Yield lines with their ends, also where they end in a carriage return only, as old spreadsheets write."""
    with path.open("rb") as handle:
        head = handle.read(HEAD_BYTES)
    if b"\r" in head and b"\n" not in head:
        text = read_text(path, encoding)
        yield from (f"{line}\n" for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
        return
    for line in lines_of(path, encoding):
        yield f"{line}\n"


def _delimiter(path: Path, lines: _Lines) -> str:
    """Return what parts the fields of the header; a line ``sep=;`` before it, as Excel writes, is passed over."""
    head = lines.peek()
    while head is not None and not head.strip():
        lines.skip()
        head = lines.peek()
    if head is None:
        return ","
    told = head.strip().strip('"')
    if told.lower().startswith("sep=") and len(told) == 5:
        lines.skip()
        return told[4]
    widths = {delimiter: _width(head, delimiter) for delimiter in DELIMITERS}
    preferred = "\t" if path.suffix.lower() == ".tsv" else ","
    return max(DELIMITERS, key=lambda delimiter: (widths[delimiter], delimiter == preferred))


def _width(head: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([head], delimiter=delimiter), []))
    except csv.Error:
        return 0
