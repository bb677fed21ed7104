"""Capture: messages into the store, from files by source plugins and from a bot one by one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from plugins.contracts import Source, SourceOptions
from plugins.registry import PluginRegistry
from plugins.sources.normalise import normalise
from plugins.sources.reading import head_of
from records.errors import SourceError
from resources.keys import Keys
from resources.store import InteractionStore


@dataclass
class ImportSummary:
    """What an import did."""

    format: str = ""
    read: int = 0
    new: int = 0
    known: int = 0
    rejected: int = 0
    erased: int = 0
    weeks: set[str] = field(default_factory=set)
    reasons: dict[str, int] = field(default_factory=dict)


def choose_source(registry: PluginRegistry, target: str, name: str | None) -> Source:
    """Return the source plugin for a target: the named one, or the one that recognises the file.

    Raises:
        SourceError: no format fits.
    """
    if name is not None:
        source: Source = registry.create("source", name=name)
        return source
    if "://" in target:
        return registry.create("source", name="sql")
    path = Path(target)
    if not path.exists():
        raise SourceError(f"{target}: no such file")
    if path.is_dir():
        raise SourceError(f"{target}: a folder; name a file in it")
    if path.stat().st_size == 0:
        raise SourceError(f"{path.name}: the file is empty")
    head = head_of(path)
    fitting = [
        source
        for source in (registry.create("source", name=known) for known in registry.names("source"))
        if source.sniff(path, head)
    ]
    if not fitting:
        raise SourceError(
            f"{path.name}: no format recognises this file; name one with --format: {', '.join(registry.names('source'))}"
        )
    # The most particular format wins: plain tables recognise a suffix only.
    return min(fitting, key=lambda source: (source.name in ("jsonl", "csv"), source.name))


def import_target(
    store: InteractionStore,
    registry: PluginRegistry,
    keys: Keys,
    target: str,
    options: SourceOptions,
    *,
    name: str | None = None,
    progress: Callable[[float], None] | None = None,
) -> ImportSummary:
    """Import a file or a table; importing it again, whole or in pieces, in any order, changes nothing.

    Raises:
        SourceError: the target as a whole cannot be read.
    """
    source = choose_source(registry, target, name)
    file = target.rsplit("@", 1)[-1] if "://" in target else Path(target).name  # a URL's password is not kept
    summary = ImportSummary(format=source.name)
    erased = Erased(store, keys)
    for batch in source.read(target, options):
        messages, sessions, speakers, rejects = normalise(batch.rows, options, source.name, file)
        messages, left_out = erased.without(messages)
        sessions = sessions.filter(pl.col("session_id").is_in(messages["session_id"].implode()))
        speakers = speakers.filter(pl.col("speaker_id").is_in(messages["speaker_id"].implode()))
        new = store.write(messages, sessions, speakers) if messages.height else 0
        rejected = batch.rejects + rejects.to_dicts()
        store.insert_once("rejects", rejected)
        summary.read += messages.height + left_out
        summary.new += new
        summary.known += messages.height - new
        summary.erased += left_out
        summary.rejected += len(rejected)
        summary.weeks.update(messages["week"].unique())
        for row in rejected:
            reason = row["reason"].split(":")[0]
            summary.reasons[reason] = summary.reasons.get(reason, 0) + 1
        if progress is not None:
            progress(batch.done)
    if summary.read == 0 and summary.rejected == 0:
        raise SourceError(f"{file}: nothing in it could be read as {source.name}")
    return summary


class Erased:
    """Who and what was erased and must not come back."""

    def __init__(self, store: InteractionStore, keys: Keys) -> None:
        self.keys = keys
        self.hashes = {row["subject_hash"] for row in store.rows("tombstones")}

    def subject(self, kind: str, value: str) -> str:
        """Return the keyed hash under which an erased subject is known."""
        return self.keys.erased(kind, value)

    def without(self, messages: pl.DataFrame) -> tuple[pl.DataFrame, int]:
        """Return the messages of nobody erased, and how many were left out."""
        if not self.hashes or messages.is_empty():
            return messages, 0
        gone = pl.lit(value=False)
        for kind, columns in (
            ("user", ("user_id", "speaker_id")),
            ("session", ("session_id",)),
            ("message", ("message_id",)),
        ):
            for column in columns:
                values = [
                    value
                    for value in messages[column].drop_nulls().unique()
                    if self.subject(kind, value) in self.hashes
                ]
                gone = gone | pl.col(column).is_in(values).fill_null(value=False)
        kept = messages.filter(~gone)
        return kept, messages.height - kept.height
