"""The JSON values of a file, whether it is one value in all or one a line, whatever its suffix says.

What the values mean does not belong here.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from plugins.sources.reading import lines_of, parsed, read_json
from records.errors import SourceError

TRUNCATED = "the last line ends in the middle (truncated?)"

ALMOST = 0.999
"""Share of a file that is read before its last value."""


class JsonValue(NamedTuple):
    """A value of a file, or a line that is none.

    Attributes:
        line: Where it begins, from 1.
        value: The value; the text of the line where it is none.
        broken: Why it is no value, None where it is one.
        done: Share of the file that was read, about; 1 for the last value.
    """

    line: int
    value: Any
    broken: str | None
    done: float


def json_values(path: Path, encoding: str | None = None, broken: str = "not valid JSON") -> Iterator[JsonValue]:
    """Yield the values of a file in its order: one a line without holding more, or the only one that it is.

    Args:
        path: The file.
        encoding: As in `plugins.sources.reading.encoding_of`.
        broken: Reason that is given for a line that is no JSON.

    Raises:
        SourceError: it cannot be read, or nothing in it is JSON.
    """
    if _is_one_value(path, encoding):
        try:
            yield JsonValue(1, read_json(path, encoding), None, 1.0)
            return
        except SourceError:
            if not _has_objects(path, encoding):
                raise
    yield from _by_line(path, encoding, broken)


def _by_line(path: Path, encoding: str | None, broken: str) -> Iterator[JsonValue]:
    size, read, found = max(path.stat().st_size, 1), 0, False
    last: JsonValue | None = None  # only of the last line is it known that it is that
    for number, line in enumerate(lines_of(path, encoding), start=1):
        read += len(line) + 1
        if not line.strip():
            continue
        if last is not None:
            yield last._replace(broken=broken) if last.broken == TRUNCATED else last
        done = min(ALMOST, read / size)
        try:
            last = JsonValue(number, parsed(line), None, done)
            found = True
        except json.JSONDecodeError as error:
            cut = error.msg.startswith("Unterminated") or error.pos >= len(line.rstrip()) - 1
            last = JsonValue(number, line, TRUNCATED if cut else broken, done)
        except ValueError as error:
            last = JsonValue(number, line, str(error), done)
    if not found:
        raise SourceError(f"{path.name}: no line of it is JSON")
    if last is not None:
        yield last._replace(done=1.0)


def _is_one_value(path: Path, encoding: str | None) -> bool:
    """Return whether the first line only begins a value."""
    first = next((line for line in lines_of(path, encoding) if line.strip()), "")
    if not first.lstrip().startswith(("{", "[")):
        return False
    try:
        parsed(first)
    except ValueError:
        return True
    return False


def _has_objects(path: Path, encoding: str | None) -> bool:
    """Return whether lines after the first are objects: then the first line is a broken one, not the beginning of all."""
    lines = (line.strip() for line in lines_of(path, encoding))
    if next((line for line in lines if line), "") in ("{", "["):
        return False
    for line in lines:
        if line.startswith("{") and line.endswith("}"):
            try:
                if parsed(line):
                    return True
            except ValueError:
                continue
    return False
