"""The lines of a WhatsApp chat, of which those inside of a message are told by how they end.

An iPhone ends each message with a carriage return and a line feed, and the lines inside of one with a line feed alone: so what
somebody pasted of another chat is part of a message, however much it looks like one. Files that were edited mix both, too: there
the lines inside are later than the message that they would belong to.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from itertools import islice
from pathlib import Path

from plugins.sources.reading import encoding_of, lines_of
from plugins.sources.whatsapp.headers import Header, day_of, header

INSIDE = "\x00"
"""Put before a line inside of a message that looks like the beginning of one; no text keeps it."""

NEARLY_ALL = 0.95
PIECE = 1 << 20

LOOKED_AT = 50_000
"""Lines that decide it."""


def lines_of_chat(path: Path, encoding: str | None) -> Callable[[], Iterable[str]]:
    """Return what opens the lines of a chat; a line inside of a message begins none.

    Raises:
        SourceError: it cannot be read.
    """
    if not (_is_mixed(path) and _ends_tell(_with_ends(path, encoding))):
        return lambda: lines_of(path, encoding)
    return lambda: _marked(path, encoding)


def _is_mixed(path: Path) -> bool:
    """Return whether a file has lines that end in both ways."""
    with path.open("rb") as handle:
        both = feeds = 0
        last = b""
        while piece := handle.read(PIECE):
            both += (last + piece).count(b"\r\n")
            feeds += piece.count(b"\n")
            last = piece[-1:] if piece.endswith(b"\r") else b""
    return 0 < both < feeds


def _ends_tell(lines: Iterable[tuple[str, bool]]) -> bool:
    """Return whether ends of lines tell messages apart: nearly all that follow a whole one begin one, and no other is later."""
    starts = begun = inside = later = 0
    current: Header | None = None
    is_start = True
    for line, is_whole in islice(lines, LOOKED_AT):
        found = header(line)
        if is_start:
            starts += 1
            begun += found is not None
            current = found or current
        elif found is not None:
            inside += 1
            later += current is not None and _is_later(found, current)
        is_start = is_whole
    return bool(inside) and begun >= NEARLY_ALL * starts and inside <= starts and later <= (1 - NEARLY_ALL) * inside


def _is_later(one: Header, other: Header) -> bool:
    """Return whether a header is later than another, however their dates are read."""
    if one.date == other.date:
        return one.half == other.half and (one.hour, one.minute, one.second) > (other.hour, other.minute, other.second)
    days = [(day_of(one.date, order), day_of(other.date, order)) for order in ("dmy", "mdy", "ymd")]
    known: list[tuple[date, date]] = [(a, b) for a, b in days if a is not None and b is not None]
    return bool(known) and all(a > b for a, b in known)


def _with_ends(path: Path, encoding: str | None) -> Iterator[tuple[str, bool]]:
    """Yield lines, each with whether it ends in a carriage return and a line feed."""
    with path.open(encoding=encoding_of(path, encoding), newline="\n", errors="replace") as handle:
        for line in handle:
            yield line.rstrip("\n").removesuffix("\r"), line.endswith("\r\n")


def _marked(path: Path, encoding: str | None) -> Iterator[str]:
    is_start = True
    for line, (_, is_whole) in zip(lines_of(path, encoding), _with_ends(path, encoding), strict=True):
        yield line if is_start or header(line) is None else INSIDE + line
        is_start = is_whole
