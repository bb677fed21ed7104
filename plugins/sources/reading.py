"""Opening files of strangers: empty, binary, truncated and wrongly encoded ones give one clear sentence each."""

import json
from pathlib import Path
from typing import Any

from records.errors import SourceError

HEAD_BYTES = 65_536


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """Return the text of a file, without its byte order mark.

    Raises:
        SourceError: it is missing, empty, binary, or not in this encoding.
    """
    data = read_bytes(path)
    if b"\x00" in data[:HEAD_BYTES] and not encoding.lower().startswith("utf-16"):
        raise SourceError(f"{path.name}: this is a binary file, not text")
    try:
        return data.decode("utf-8-sig" if encoding.lower().replace("-", "") == "utf8" else encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SourceError(
            f"{path.name}: not {encoding}: byte {error.start} in line {line} does not fit; "
            "give the file's encoding with --encoding, e.g. --encoding latin-1"
        ) from None
    except LookupError:
        raise SourceError(f"{encoding!r} is no encoding; write e.g. utf-8 or latin-1") from None


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file that is there and not empty."""
    if not path.exists():
        raise SourceError(f"{path}: no such file")
    if path.is_dir():
        raise SourceError(f"{path}: a folder; name a file in it")
    try:
        data = path.read_bytes()
    except PermissionError:
        raise SourceError(f"{path}: no permission to read it") from None
    if not data.strip():
        raise SourceError(f"{path.name}: the file is empty")
    return data


def read_json(path: Path, encoding: str = "utf-8") -> Any:
    """Return the content of a JSON file.

    Raises:
        SourceError: it is no JSON; a file that stops in the middle is called truncated.
    """
    text = read_text(path, encoding)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        rest = text[error.pos :].strip()
        what = (
            "the file ends in the middle (truncated?)" if not rest or error.pos >= len(text.rstrip()) - 1 else error.msg
        )
        raise SourceError(f"{path.name}: not valid JSON at line {error.lineno}, column {error.colno}: {what}") from None
    except RecursionError:
        raise SourceError(f"{path.name}: nested too deeply to be a chat") from None


def head_of(path: Path) -> str:
    """Return the first 64 kB of a file as text, for recognising its format."""
    if not path.is_file():
        return ""
    with path.open("rb") as handle:
        return handle.read(HEAD_BYTES).decode("utf-8", errors="replace").lstrip("\ufeff")
