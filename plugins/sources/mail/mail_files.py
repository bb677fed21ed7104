"""Cutting an mbox into its mails, one at a time: a file of any size is read in pieces, and never written to or locked."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser, BytesParser
from email.policy import compat32
from pathlib import Path

from plugins.sources.reading import checked
from records.errors import SourceError

SEPARATOR = re.compile(
    rb"From (?:\S{1,250} |- ?)?(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? .{4,30}\d\d:\d\d.{0,40}|\d{4}-\d\d-\d\d[T ]\d\d:\d\d.{0,20})?\s*"
)
"""``From ana@example.org Sat Jan  4 10:11:12 2025``; some programs leave out all but the first word."""

FIELD = re.compile(rb">?[A-Za-z][A-Za-z0-9_-]{0,70}:")
"""The line behind it: without one, somebody wrote a sentence that starts with From."""

ESCAPED = re.compile(rb">+From ")
HEADER = re.compile(
    r"(?m)^(?:From|To|Subject|Date|Message-ID|Received|Return-Path|Delivered-To|MIME-Version|X-[\w-]+): ?",
    re.IGNORECASE,
)
LARGEST = 32 << 20
"""Bytes of a mail that are read; the text stands before the attachments."""

LARGEST_HEAD = 1 << 18
LONGEST_LINE = 1 << 20


@dataclass
class Letter:
    """A mail as it stands in the file, and the time on the line before it."""

    stamp: str
    data: bytes

    def parsed(self) -> Message:
        """Return it taken apart."""
        return BytesParser(policy=compat32).parsebytes(self.data)


def is_mail(path: Path, head: str) -> bool:
    """Return whether a file starts as an mbox does, or (.eml) as a mail does."""
    lines = head.lstrip("\ufeff").split("\n", 2)
    suffix = path.suffix.lower()
    headers = HEADER.findall(head[:8_000])
    if SEPARATOR.fullmatch(lines[0].encode("utf-8", "replace")):
        return len(headers) >= 2
    return suffix == ".eml" and len(headers) >= 3 and re.match(r"[A-Za-z][\w-]*:", lines[0]) is not None


def letters(path: Path) -> Iterator[Letter]:
    """Yield the mails of a file in their order.

    Raises:
        SourceError: it cannot be opened, or is empty.
    """
    stamp, size, started = "", 0, False
    lines: list[bytes] = []
    for line, starts in _lines(path):
        if starts:
            if started:
                yield Letter(stamp, b"".join(lines))
            stamp, lines, size = line.decode("utf-8", "replace").strip()[5:].partition(" ")[2], [], 0
            started = True
        else:
            started = started or bool(line.strip())
            size += len(line)
            if started and size <= LARGEST:
                lines.append(line[1:] if ESCAPED.match(line) else line)
    if started:
        yield Letter(stamp, b"".join(lines))


def headers_of(path: Path) -> Iterator[Message]:
    """Yield the headers of each mail alone.

    Raises:
        SourceError: it cannot be opened, or is empty.
    """
    parser = BytesHeaderParser(policy=compat32)
    lines: list[bytes] = []
    size, inside = 0, True
    for line, starts in _lines(path):
        if starts:
            if lines:
                yield parser.parsebytes(b"".join(lines))
            lines, size, inside = [], 0, True
        elif inside:
            inside = bool(line.strip()) or not lines
            size += len(line)
            if inside and line.strip() and size <= LARGEST_HEAD:
                lines.append(line)
    if lines:
        yield parser.parsebytes(b"".join(lines))


def _lines(path: Path) -> Iterator[tuple[bytes, bool]]:
    """Yield the lines and whether each starts a mail: a separator at the start or behind an empty line, a header behind it."""
    with checked(path).open("rb") as handle:
        blank = True
        try:
            # A line without an end would be the whole file.
            line = handle.readline(LONGEST_LINE).removeprefix(b"\xef\xbb\xbf")
            while line:
                behind = handle.readline(LONGEST_LINE)
                starts = blank and line.startswith(b"From ") and SEPARATOR.fullmatch(line) is not None
                yield line, starts and FIELD.match(behind) is not None
                blank, line = not line.strip(), behind
        except OSError:
            raise SourceError(f"{path.name}: cannot be read") from None
