"""Opening files of strangers: empty, binary, truncated, wrongly encoded or bottomless ones give one clear sentence each."""

import json
import lzma
import math
import os
import stat
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from records.errors import SourceError
from records.names import cleaned

HEAD_BYTES = 65_536

LARGEST_JSON = 1 << 30
"""Bytes of a file that is read as one JSON value: it takes about six times as much memory."""

FEW_VALUES = 5_000_000
FEWEST_BYTES = 8
"""Bytes that a value of a larger JSON file has at least, on the average: one of empty lists takes twenty times its size as memory."""

DEEPEST = 320
"""Levels of JSON within JSON; what is deeper would overflow the stack wherever it is looked at."""

DEEPEST_FOLDER = 40
"""Folders within folders that are looked through; exports have four."""

LARGEST_ARCHIVE = 8 << 30
"""Bytes that all texts of an archive may have when unpacked."""

DENSEST = 200
"""Times that the texts of a large archive may be larger than the archive; chats shrink to a tenth, bombs to a thousandth."""

MOST_MEMBERS = 200_000
"""Files that an archive may hold."""

TEXTS = (".txt", ".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".html", ".mbox", ".parquet", ".md")
"""Suffixes of what is taken out of an archive; pictures, sounds and videos stay in it."""

MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
"""Byte order marks; the longer ones first."""


def encoding_of(path: Path, encoding: str | None = None) -> str:
    """Return the encoding to read a text file with: that of its byte order mark, the one that was given, or UTF-8.

    UTF-16 without a mark is recognised by its zeros.

    Raises:
        SourceError: the file is missing, empty or no regular file, or there is no such encoding.
    """
    with checked(path).open("rb") as handle:
        return _encoding_in(handle.read(HEAD_BYTES), encoding)


def _encoding_in(head: bytes, encoding: str | None = None) -> str:
    for mark, name in MARKS:
        if head.startswith(mark):
            return name
    if encoding is not None:
        try:
            "".encode(encoding)
        except (LookupError, UnicodeError):
            raise SourceError(f"{encoding!r} is no encoding; write e.g. utf-8 or latin-1") from None
        return encoding
    even, odd = head[0:4096:2].count(0), head[1:4096:2].count(0)
    some = min(len(head), 4096) // 2
    if some and max(even, odd) > 0.4 * some and min(even, odd) < 0.05 * some:
        return "utf-16-be" if even > odd else "utf-16-le"
    return "utf-8"


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder; false also where no path can be like that."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def files_in(folder: Path, *ends: str) -> list[Path]:
    """Return the files in a folder and all folders in it, in order of their paths; links, pipes and devices are none.

    Args:
        folder: Where to look.
        ends: How their names end (in lower case), e.g. a suffix; none: all of them.
    """
    found: list[str] = []
    waiting = [(str(folder), 0)]
    while waiting:
        place, depth = waiting.pop()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if depth < DEEPEST_FOLDER:
                            waiting.append((entry.path, depth + 1))
                    elif entry.name.lower().endswith(ends or ("",)) and entry.is_file(follow_symlinks=False):
                        found.append(entry.path)
        except OSError:
            continue  # a folder that may not be looked into holds nothing for us
    return [Path(path) for path in sorted(found, key=lambda path: path.split(os.sep))]


def one_sentence(text: str, longest: int = 1_000) -> str:
    """Return a message that any terminal and any store can hold, whatever the file is called that it names: one line, not endless."""
    if len(text) <= longest and text.isascii() and text.isprintable():
        return text
    shown = " ".join(cleaned(text[: 4 * longest]).split())
    return shown if len(shown) <= longest else f"{shown[:longest]}…"


def checked(path: Path) -> Path:
    """Return the path of a regular file that is there, may be read and is not empty.

    Raises:
        SourceError: it is something else: a pipe or a device would never end.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise SourceError(f"{path}: no such file") from None
    except (OSError, ValueError):
        raise SourceError(f"{path}: cannot be opened") from None
    if stat.S_ISDIR(found.st_mode):
        raise SourceError(f"{path}: a folder; name a file in it")
    if not stat.S_ISREG(found.st_mode):
        raise SourceError(f"{path}: no regular file (a pipe or a device); write it into a file first")
    if not found.st_size:
        raise SourceError(f"{path.name}: the file is empty")
    try:
        with path.open("rb"):
            return path
    except PermissionError:
        raise SourceError(f"{path}: no permission to read it") from None


def read_text(path: Path, encoding: str | None = None) -> str:
    """Return the text of a file, without its byte order mark.

    Raises:
        SourceError: it is missing, empty, binary, or not in this encoding.
    """
    name = encoding_of(path, encoding)
    data = read_bytes(path)
    if b"\x00" in data[:HEAD_BYTES] and not name.startswith(("utf-16", "utf-32")):
        raise SourceError(f"{path.name}: this is a binary file, not text")
    try:
        return data.decode(name)
    except (UnicodeDecodeError, UnicodeError) as error:
        start = getattr(error, "start", 0)
        raise _misread(path, name, start, data.count(b"\n", 0, start) + 1) from None


def lines_of(path: Path, encoding: str | None = None) -> Iterator[str]:
    r"""Yield the lines of a text file without their ends, one at a time: memory does not grow with the file.

    Lines end at ``\n`` or ``\r\n`` only: chats hold U+2028 and lone carriage returns within a line.

    Raises:
        SourceError: as `read_text`.
    """
    name = encoding_of(path, encoding)
    with path.open("rb") as handle:
        if b"\x00" in handle.read(HEAD_BYTES) and not name.startswith(("utf-16", "utf-32")):
            raise SourceError(f"{path.name}: this is a binary file, not text")
    number = 0
    with path.open(encoding=name, newline="\n") as handle:
        try:
            for line in handle:
                number += 1
                yield line.rstrip("\n").removesuffix("\r")
        except (UnicodeDecodeError, UnicodeError) as error:
            raise _misread(path, name, getattr(error, "start", 0), number + 1) from None


def _misread(path: Path, encoding: str, byte: int, line: int) -> SourceError:
    return SourceError(
        f"{path.name}: not {encoding.removesuffix('-sig')}: byte {byte} near line {line} does not fit; "
        "give the file's encoding with --encoding, e.g. --encoding latin-1"
    )


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file that is there and not empty."""
    data = checked(path).read_bytes()
    if not data.strip():
        raise SourceError(f"{path.name}: the file is empty")
    return data


def parsed(text: str) -> Any:
    """Return the value of a JSON text; numbers that are none (NaN, Infinity, 1e999) are null, endless integers are text.

    Raises:
        ValueError: it is no JSON, nested too deeply, or holds more values than a chat of its size can.
    """
    containers = text.count("[") + text.count("{")
    values = containers + text.count(",")
    if values > FEW_VALUES and values * FEWEST_BYTES > len(text):
        raise ValueError("more values than a chat can hold")
    try:
        if containers <= DEEPEST:
            return DECODER.decode(text)
        return _deep_in_stack(_levels_left(), lambda: DECODER.decode(text))
    except RecursionError:
        raise ValueError("nested too deeply to be a chat") from None


def _levels_left() -> int:
    """Return how many calls to make so that the parser stops at about `DEEPEST` levels: it counts them as the interpreter does."""
    frame, depth = sys._getframe(), 0
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    return max(0, min(sys.getrecursionlimit(), 10_000) - depth - DEEPEST)


def _deep_in_stack(levels: int, call: Callable[[], Any]) -> Any:
    return call() if levels <= 0 else _deep_in_stack(levels - 1, call)


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) < 40 else digits


def _real(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


DECODER = json.JSONDecoder(parse_int=_whole, parse_float=_real, parse_constant=lambda _: None)
"""Made once: to make one takes longer than to read a line with it."""


def read_json(path: Path, encoding: str | None = None) -> Any:
    """Return the content of a JSON file.

    Raises:
        SourceError: it is no JSON; a file that stops in the middle is called truncated.
    """
    if checked(path).stat().st_size > LARGEST_JSON:
        raise SourceError(f"{path.name}: more than {LARGEST_JSON >> 30} GiB of JSON in one piece; split the export")
    text = read_text(path, encoding)
    try:
        return parsed(text)
    except json.JSONDecodeError as error:
        rest = text[error.pos :].strip()
        what = (
            "the file ends in the middle (truncated?)" if not rest or error.pos >= len(text.rstrip()) - 1 else error.msg
        )
        raise SourceError(f"{path.name}: not valid JSON at line {error.lineno}, column {error.colno}: {what}") from None
    except ValueError as error:
        raise SourceError(f"{path.name}: {error}") from None


def head_of(path: Path) -> str:
    """Return the first 64 kB of a file as text, for recognising its format."""
    if not path.is_file():
        return ""
    with path.open("rb") as handle:
        data = handle.read(HEAD_BYTES)
    return data.decode(_encoding_in(data), errors="replace").lstrip("\ufeff")


def is_archive(path: Path) -> bool:
    """Return whether a file is a zip archive by its content, whatever it is called."""
    with path.open("rb") as handle:
        return handle.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def unpacked(path: Path, folder: Path) -> list[Path]:
    """Take the texts of an archive into a folder, under their own names; return the files in order.

    Raises:
        SourceError: it is damaged, locked by a password, or larger than an export can be.
    """
    files: list[Path] = []
    left = LARGEST_ARCHIVE
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if not m.is_dir() and m.filename.lower().endswith(TEXTS)]
            left = min(left, max(LARGEST_JSON // 4, DENSEST * path.stat().st_size))
            if len(members) > MOST_MEMBERS or sum(m.file_size for m in members) > left:
                raise SourceError(f"{path.name}: the archive holds more than an export can")
            for member in members:
                parts = [p for p in member.filename.replace("\\", "/").split("/") if p not in ("", ".", "..")]
                if not parts or parts[0] == "__MACOSX" or any(len(part.encode()) > 250 for part in parts):
                    continue
                if len(parts) > DEEPEST_FOLDER:
                    continue
                target = folder.joinpath(*parts)
                try:
                    target.parent.mkdir(parents=True, exist_ok=True)
                except (FileExistsError, NotADirectoryError):
                    continue  # one name for a file and a folder: the first one counts
                if target.is_dir():
                    continue
                with archive.open(member) as packed, target.open("wb") as out:
                    while part := packed.read(1 << 20):
                        left -= len(part)
                        if left < 0:  # a header may lie about the size
                            raise SourceError(f"{path.name}: the archive holds more than an export can")
                        out.write(part)
                files.append(target)
    except NotImplementedError:
        raise SourceError(
            f"{path.name}: the archive is packed in a way that cannot be read here; unpack it first"
        ) from None
    except RuntimeError:
        raise SourceError(f"{path.name}: the archive is locked by a password; unpack it first") from None
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, ValueError):
        raise SourceError(f"{path.name}: the archive is damaged or truncated") from None
    return sorted(set(files))
