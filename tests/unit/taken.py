"""What a source takes from a file or a folder, as rows in its own order; and a fuzzer of JSON files."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plugins.contracts import Source, SourceOptions
from plugins.sources.normalise import Normaliser
from records.errors import SourceError


@dataclass
class Taken:
    """The messages as records, the rejects, and the notes."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sessions: list[dict[str, Any]] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def said(self) -> list[tuple[str, str]]:
        """Return who said what, in the source's order."""
        return [(message["speaker_id"], message["text"]) for message in self.messages]

    @property
    def texts(self) -> list[str]:
        """Return what was said, in the source's order."""
        return [message["text"] for message in self.messages]

    @property
    def ids(self) -> set[str]:
        """Return the ids of the messages."""
        return {message["message_id"] for message in self.messages}

    @property
    def reasons(self) -> list[str]:
        """Return why something was refused."""
        return [reject["reason"] for reject in self.rejects]

    def about(self, text: str) -> dict[str, Any]:
        """Return the metadata of the message that says this."""
        found = next(message for message in self.messages if message["text"] == text)
        return json.loads(found["metadata"] or "{}")

    def one(self, text: str) -> dict[str, Any]:
        """Return the message that says this."""
        return next(message for message in self.messages if message["text"] == text)


def take(source: Source, target: Path, **options: Any) -> Taken:
    """Return what a source reads, normalised as an import does it."""
    given = SourceOptions(**options)
    normaliser = Normaliser(given, source.name, target.name, in_order=source.in_order)
    taken = Taken()
    for batch in source.read(str(target), given):
        assert 0 <= batch.done <= 1
        assert len(batch.rows) + len(batch.rejects) <= 5_000
        frames = normaliser.frames(batch.rows)
        taken.messages += frames.messages.to_dicts()
        taken.sessions += frames.sessions.to_dicts()
        taken.names |= dict(frames.names.select("speaker_id", "display_name").iter_rows())
        taken.rejects += batch.rejects + frames.rejects.to_dicts()
        taken.notes += batch.notes
    return taken


ODD = (
    *(None, True, False, 0, -1, 10**400, 1e308, "", " ", "x", "\ud83d", "9" * 400, "2025-02-30T99:00:00"),
    *([], {}, [[[]]], {"a": {"b": []}}, ["text", 3]),
)
"""What stands in files that nobody's program wrote."""


def mutants(value: Any, count: int, seed: int = 7) -> Iterator[Any]:
    """Yield copies of a JSON value with something odd at a random place of each."""
    dice = random.Random(seed)
    for _ in range(count):
        copy = json.loads(json.dumps(value))
        places = list(_places(copy))
        for _ in range(dice.randint(1, 3)):
            holder, key = dice.choice(places)
            try:
                holder[key] = dice.choice(ODD)
            except (IndexError, KeyError):
                continue
        yield copy


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield value, key
            yield from _places(inner)


def holds(source: Source, target: Path, **options: Any) -> None:
    """Assert that a file, however broken, is read, or refused in one sentence."""
    refused = "no"
    try:
        take(source, target, **options)
    except SourceError as error:
        refused = str(error)
    assert refused
    assert "\n" not in refused
