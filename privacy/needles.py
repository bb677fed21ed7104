"""What the leak test of an erasure is to look for, kept from its first moment until the test has looked: a kill in between loses nothing.

It lies among the installation's keys, readable by their owner only, where nothing is searched and nothing is copied to.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from resources.files import aside_of


@dataclass(frozen=True)
class Subject:
    """An erasure whose leak test has not been run: its kind and value, as `Erasure.forget` takes them, and what is looked for."""

    kind: str
    value: str
    needles: tuple[str, ...]


class Sought:
    """The erasures of one installation that are not verified yet."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "keys" / "erasing"

    def keep(self, subject: str, kind: str, value: str, needles: Iterable[str]) -> list[str]:
        """Keep what is looked for under the hash of a subject, with what was kept before; return all of it."""
        known = self._read(self._path(subject))
        together = list(dict.fromkeys((*(known.needles if known is not None else ()), *needles)))
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = aside_of(self._path(subject))
        aside.touch(mode=0o600)
        aside.write_text(json.dumps([kind, value, together], ensure_ascii=False), encoding="utf-8")
        aside.replace(self._path(subject))
        return together

    def drop(self, subject: str) -> None:
        """Forget it: the test has looked."""
        self._path(subject).unlink(missing_ok=True)

    def all(self) -> Iterator[Subject]:
        """Yield the erasures that are not verified yet."""
        for path in sorted(self.folder.glob("*.json")):
            found = self._read(path)
            if found is not None:
                yield found

    def _path(self, subject: str) -> Path:
        return self.folder / f"{subject}.json"

    @staticmethod
    def _read(path: Path) -> Subject | None:
        with contextlib.suppress(OSError, ValueError):
            kind, value, needles = json.loads(path.read_text(encoding="utf-8"))
            return Subject(kind, value, tuple(needles))
        return None
