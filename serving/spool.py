"""What could not be written into the store: kept in a file of the installation, line by line, until the store takes it in.

One line is one call, appended whole and flushed to disk before the call returns: a kill leaves at most a part of the last line, of
which nobody was told that it was kept. How lines are taken into the store does not belong here: see `serving.keeping`.
"""

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from records.errors import StoreError

LOCK_S = 2.0
"""Seconds that another process may append or claim before a line is kept in memory."""

POLL_S = 0.005

HEAD = 1_024
"""Bytes by which a file of the spool is known."""

HELD = 10_000
"""Lines that are kept in memory where the spool cannot be written either: some 10 MB."""


class Spool:
    """The spool of one installation: `waiting.jsonl` is appended to, `draining.jsonl` is being taken in."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "spool"
        self.waiting = self.folder / "waiting.jsonl"
        self.claimed = self.folder / "draining.jsonl"
        self.held: list[str] = []
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[bytes, int, list[dict[str, Any]]]] = {}

    def is_empty(self) -> bool:
        """Return whether nothing waits; two looks at the folder, some microseconds."""
        return not self.held and not self.waiting.exists() and not self.claimed.exists()

    def append(self, line: dict[str, Any]) -> None:
        """Keep a line, with those that are still in memory before it.

        Raises:
            StoreError: neither disk nor memory take it.
        """
        with self._lock:
            self.held.append(json.dumps(line, ensure_ascii=False))
            if self._written():
                return
            if len(self.held) > HELD:
                self.held.pop()
                raise StoreError(
                    f"the message cannot be kept: neither the store nor {self.folder} can be written, and {HELD} messages wait in "
                    "memory; make room on the disk"
                )

    def flush(self) -> bool:
        """Write what is in memory; return whether nothing is left there."""
        with self._lock:
            return not self.held or self._written()

    def oldest_held(self) -> str | None:
        """Return the oldest line that is in memory only."""
        with self._lock:
            return self.held[0] if self.held else None

    def drop_held(self, line: str) -> None:
        """Drop a line that the store has taken, unless it was written meanwhile."""
        with self._lock:
            if self.held and self.held[0] is line:
                del self.held[0]

    def _written(self) -> bool:
        data = "".join(f"{line}\n" for line in self.held).encode("utf-8", "replace")
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self.alone():
                is_new = not self.waiting.exists()
                handle = os.open(self.waiting, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
                try:
                    _append(handle, data)
                finally:
                    os.close(handle)
                if is_new:
                    _sync_folder(self.folder)
        except OSError:
            return False
        self.held.clear()
        return True

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep others from appending and claiming.

        Raises:
            OSError: it took too long, or the folder cannot be written.
        """
        from filelock import FileLock

        with FileLock(self.folder / ".lock", timeout=LOCK_S, poll_interval=POLL_S):
            yield

    @contextlib.contextmanager
    def draining(self, wait_s: float) -> Iterator[bool]:
        """Enter as the only one who takes lines in; give False where another one still does after ``wait_s`` seconds."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / ".draining", timeout=wait_s, poll_interval=0.05)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock.acquire()
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def claim(self) -> Path | None:
        """Return the file whose lines are to be taken in, oldest first, None when there is none: what a killed process claimed, else
        what waits. The caller is the one who drains, and removes it with `done`."""
        if self.claimed.exists():
            return self.claimed
        with self.alone():
            if not self.waiting.exists():
                return None
            self.waiting.rename(self.claimed)
        return self.claimed

    def done(self) -> None:
        """Remove what was claimed: all of it is in the store, or refused."""
        self.claimed.unlink(missing_ok=True)
        _sync_folder(self.folder)

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines that wait, oldest first; what is damaged is left out here. Of a file that grew the new ones are read."""
        found: list[dict[str, Any]] = []
        for path in (self.claimed, self.waiting):
            if not path.exists():
                self._read.pop(path, None)  # what was read of it is in the store, and may be erased there
                continue
            with contextlib.suppress(OSError), path.open("rb") as handle:
                # How it begins (when its first line was said, and under which ids) tells one file from the next, as no inode does.
                head = handle.read(HEAD)
                known, end, lines = self._read.get(path, (b"", 0, []))
                if not known or not head.startswith(known) or os.fstat(handle.fileno()).st_size < end:
                    end, lines = 0, []
                handle.seek(end)
                data = handle.read()
                whole = data[: data.rfind(b"\n") + 1]
                if whole:
                    new = whole.decode("utf-8", "replace").split("\n")[:-1]
                    lines = lines + [line for line in map(as_line, new) if line is not None]
                self._read[path] = (head, end + len(whole), lines)
                found += lines
        return found + [line for line in map(as_line, list(self.held)) if line is not None]

    def count(self) -> int:
        """Return how many messages wait."""
        return len({row.get("message_id") for row in self.messages()})

    def messages(self) -> list[dict[str, Any]]:
        """Return the messages that wait, as the record Messages has them, times as ISO text, with ``speaker_name``."""
        return [row for line in self.lines() for row in line.get("messages", ())]


def read_lines(path: Path) -> list[str]:
    """Return the whole lines of a file of the spool; a last one without its end was never kept."""
    return path.read_bytes().decode("utf-8", "replace").split("\n")[:-1]


def as_line(text: str) -> dict[str, Any] | None:
    """Return a line as what was kept, None where it is damaged."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("kind"), str) else None


def _append(handle: int, data: bytes) -> None:
    """Append whole lines, flushed to disk; whatever fails leaves the file as it was."""
    size = os.fstat(handle).st_size
    if size and os.pread(handle, 1, size - 1) != b"\n":
        # Whoever wrote this was killed before its call returned.
        whole = os.pread(handle, size, 0).rfind(b"\n") + 1
        os.ftruncate(handle, whole)
        size = whole
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(handle, size)
        raise


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
