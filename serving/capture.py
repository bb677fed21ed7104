"""Capture: messages into the store, from files by source plugins and from a bot one by one."""

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from plugins.contracts import SourceOptions
from plugins.registry import PluginRegistry
from plugins.sources.normalise import Normalised, Normaliser
from plugins.sources.opening import Offer, choose_source, offers
from plugins.sources.reading import one_sentence
from records.errors import AgentNeeded, ErasedMeanwhile, SourceError
from records.ids import content_id
from records.names import as_id, world_and_name
from resources.fence import generation
from resources.keys import Keys
from resources.people import People
from resources.store import InteractionStore

__all__ = ["Erased", "ImportSummary", "Preview", "choose_source", "import_target", "keep", "preview"]

SHOWN = 10
"""Rows and rejects that a preview shows."""

REJECTS_KEPT = 100_000
"""Rejects of one import that are kept; those beyond are counted. A few kB of an archive can be millions of empty lines."""

REFUSED_AT_FIRST = 300_000
"""Rows of a file, all refused, after which no more of it are read: it is something else than it was taken for."""

TURN_S = 0.0005
"""Seconds after which a thread that computes gives way to another during an import."""

FAILURES_TOLD = 20
"""Files of an archive or a folder of which it is told why they cannot be read."""


@dataclass
class ImportSummary:
    """What an import did.

    Attributes:
        notes: What the formats decided, or could not, for the person who imports.
        oldest: Day of the oldest message that lies before the first week, if one does.
    """

    format: str = ""
    read: int = 0
    new: int = 0
    known: int = 0
    rejected: int = 0
    erased: int = 0
    weeks: set[str] = field(default_factory=set)
    reasons: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    oldest: str | None = None

    def count_rejects(self, rows: Sequence[dict[str, Any]]) -> None:
        """Count rejects by their reason."""
        self.rejected += len(rows)
        for row in rows:
            reason, _, day = row["reason"].partition(":")
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
            if reason.startswith("before the first week"):
                self.oldest = min(self.oldest or day.strip(), day.strip())


@dataclass
class Preview:
    """What an import would take: formats, who speaks how often, the first messages and rejects."""

    summary: ImportSummary
    agents: dict[str, int] = field(default_factory=dict)
    speakers: dict[str, int] = field(default_factory=dict)
    sessions: int = 0
    first: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)


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
    """Import a file, a folder, an archive or a table; importing it again, whole or in pieces, in any order, changes nothing.

    Raises:
        SourceError: the target as a whole cannot be read.
    """
    options = _with_known_agent(store, options)
    erased = Erased(store, keys)
    summary = ImportSummary()
    kept = 0

    def written(taken: Normalised, refused: list[dict[str, Any]]) -> None:
        nonlocal kept
        messages, new = keep(store, taken, erased)
        left_out = taken.messages.height - messages.height
        store.insert_once("rejects", erased.without_rejects(refused[: max(0, REJECTS_KEPT - kept)]))
        kept += len(refused)
        summary.read += messages.height + left_out
        summary.new += new
        summary.known += messages.height - new
        summary.erased += left_out
        summary.weeks.update(messages["week"].unique())

    # While one batch is written the next one is read: the database works outside of Python for most of its time.
    with (
        _one_sentence_each(),
        _short_turns(),
        offers(registry, target, name) as found,
        ThreadPoolExecutor(1, thread_name_prefix="memory-import") as writer,
    ):
        writing: Future[None] | None = None
        for taken, refused, done in _read(found, options, summary):
            if writing is not None:
                writing.result()
            writing = writer.submit(written, taken, refused)
            if progress is not None:
                progress(done)
        if writing is not None:
            writing.result()
        _refuse_nothing(summary, found)
    if summary.rejected > REJECTS_KEPT:
        summary.notes.append(f"of {summary.rejected} rejects the first {REJECTS_KEPT} are kept")
    return summary


def preview(
    store: InteractionStore, registry: PluginRegistry, target: str, options: SourceOptions, *, name: str | None = None
) -> Preview:
    """Return what `import_target` would take, without keeping anything.

    Raises:
        SourceError: the target as a whole cannot be read.
    """
    options = _with_known_agent(store, options)
    shown = Preview(ImportSummary())
    sessions: set[tuple[str, str]] = set()
    with _one_sentence_each(), offers(registry, target, name) as found:
        for taken, refused, _ in _read(found, options, shown.summary):
            messages = taken.messages
            called = dict(taken.names.select("speaker_id", "display_name").iter_rows())
            shown.summary.read += messages.height
            shown.summary.weeks.update(messages["week"].unique())
            sessions.update(messages.select("agent_id", "session_id").unique().iter_rows())
            for agent, count in messages.group_by("agent_id").len().iter_rows():
                shown.agents[agent] = shown.agents.get(agent, 0) + count
            for speaker, role, count in messages.group_by("speaker_id", "role").len().iter_rows():
                who = f"{called.get(speaker, speaker)} ({role})"
                shown.speakers[who] = shown.speakers.get(who, 0) + count
            for row in messages.head(SHOWN - len(shown.first)).to_dicts() if len(shown.first) < SHOWN else ():
                shown.first.append({**row, "speaker_name": called.get(row["speaker_id"], row["speaker_id"])})
            shown.rejects += refused[: SHOWN - len(shown.rejects)] if len(shown.rejects) < SHOWN else []
        _refuse_nothing(shown.summary, found)
    shown.sessions = len(sessions)
    return shown


@contextlib.contextmanager
def _short_turns() -> Iterator[None]:
    """Let threads take turns quickly: after every statement the writer would wait 5 ms for the reader, as long as one takes."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, TURN_S))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextlib.contextmanager
def _one_sentence_each() -> Iterator[None]:
    """Make errors of sources ones that can be shown, whatever the file and its speakers are called."""
    try:
        yield
    except SourceError as error:
        error.args = (one_sentence(str(error)), *error.args[1:])
        if isinstance(error, AgentNeeded):
            error.speakers = [one_sentence(name) for name in error.speakers]
        raise


def _read(
    found: list[Offer], options: SourceOptions, summary: ImportSummary
) -> Iterator[tuple[Normalised, list[dict[str, Any]], float]]:
    """Yield per batch what it says, what was refused, and how far the target is read; the summary counts rejects and notes."""
    summary.format = ", ".join(sorted({offer.source.name for offer in found}))
    failed: list[SourceError] = []
    for place, offer in enumerate(found):
        own = dataclasses.replace(options, called=offer.called) if offer.called is not None else options
        normaliser = Normaliser(own, offer.source.name, offer.file, in_order=offer.source.in_order)
        count = left_out = 0
        try:
            for batch in offer.source.read(offer.target, own):
                taken = normaliser.frames(batch.rows)
                refused = batch.rejects + taken.rejects.to_dicts()
                count, left_out = count + taken.messages.height, left_out + len(refused)
                if not count and left_out >= REFUSED_AT_FIRST:
                    why = refused[-1]["reason"].partition(":")[0]
                    raise SourceError(
                        f"{offer.file}: its first {left_out} rows were all refused ({why}); is it {offer.source.name}?"
                    )
                summary.count_rejects(refused)
                for note in map(one_sentence, batch.notes):
                    if note not in summary.notes:
                        summary.notes.append(note)
                yield taken, refused, (place + batch.done) / len(found)
        except SourceError as error:
            if len(found) == 1:
                raise
            # One file of an archive that cannot be read does not keep the others out.
            failed.append(error)
            if len(failed) <= FAILURES_TOLD:
                summary.notes.append(one_sentence(str(error)))
    if failed and len(failed) == len(found):
        raise failed[0]
    if len(failed) > FAILURES_TOLD:
        summary.notes.append(f"{len(failed) - FAILURES_TOLD} more files could not be read")


def _refuse_nothing(summary: ImportSummary, found: list[Offer]) -> None:
    if summary.read == 0 and summary.rejected == 0:
        file = found[0].called or found[0].file
        raise SourceError(f"{file}: nothing in it could be read as {summary.format}")


def _with_known_agent(store: InteractionStore, options: SourceOptions) -> SourceOptions:
    """Return the options with the names of agent and world as the store knows them: ``lumi`` and ``Lumi`` are one."""
    people = People(store)
    agent, user, session, world = (
        as_id(name or "") or None for name in (options.agent, options.user, options.session, options.world)
    )
    known = None if agent is None else people.agent(agent, world)
    if known is not None:
        world, agent = world_and_name(known)
    elif world is not None:
        world = people.world(world)
    return dataclasses.replace(options, agent=agent, user=user, session=session, world=world)


def keep(store: InteractionStore, taken: Normalised, erased: "Erased") -> tuple[pl.DataFrame, int]:
    """Write what a batch says of nobody erased; return the messages that were kept, and how many of them are new."""
    while True:
        messages, _ = erased.without(taken.messages)
        try:
            return messages, write(store, taken, messages, erased)
        except ErasedMeanwhile:
            erased.read()


def write(store: InteractionStore, taken: Normalised, messages: pl.DataFrame, looked: "Erased") -> int:
    """Write those messages of a batch, and what belongs to them, without the names of the erased; return how many are new.

    Args:
        looked: Who was erased when it was found that nobody of these was.

    Raises:
        ErasedMeanwhile: something was erased since.
    """
    if messages.is_empty():
        return 0
    messages = looked.without_presence(messages)
    spoken = messages.select("agent_id", "session_id", "speaker_id").unique()
    kept = set(messages["message_id"]) if taken.feedback else set()
    return store.write(
        messages,
        looked.without_owners(taken.sessions.join(spoken, on=["agent_id", "session_id"], how="semi"), messages),
        taken.speakers.join(spoken, on="speaker_id", how="semi"),
        taken.names.join(spoken, on=["agent_id", "speaker_id"], how="semi"),
        [_feedback(row) for row in taken.feedback or () if row["message_id"] in kept],
        since=looked.generation,
    )


def _feedback(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the record Feedback; the same source gives the same one."""
    said = {name: row.get(name) for name in ("rating", "correct", "correction", "quality_override")}
    return {
        "feedback_id": content_id("fb", row["message_id"], *said.values()),
        "message_id": row["message_id"],
        **said,
        "given_at": row["given_at"],
    }


def conversation(agent: str, session: str) -> str:
    """Return the name of one agent's conversation among the subjects of an erasure."""
    return json.dumps([agent, session], ensure_ascii=False)


def of_conversation(value: str) -> tuple[str, str]:
    """Return agent and session of what `conversation` named."""
    agent, session = json.loads(value)
    return str(agent), str(session)


class Erased:
    """Who and what was erased and must not come back: a person, a session (of all agents, or of one), a message."""

    def __init__(self, store: InteractionStore, keys: Keys) -> None:
        self.store, self.keys = store, keys
        self.read()

    def read(self) -> None:
        """Look who was erased by now."""
        # First the number: what is erased between the two raises it, and is noticed when something is written.
        self.generation = generation(self.store)
        rows = self.store.rows("tombstones")
        self.hashes = {row["subject_hash"] for row in rows}
        self.kinds = {row["kind"] for row in rows}

    def subject(self, kind: str, value: str) -> str:
        """Return the keyed hash under which an erased subject is known."""
        return self.keys.erased(kind, value)

    def is_user(self, value: str) -> bool:
        """Return whether a user of this id was erased."""
        return "user" in self.kinds and self.subject("user", value) in self.hashes

    def without_presence(self, messages: pl.DataFrame) -> pl.DataFrame:
        """Return messages without the erased among those who were present."""
        if "user" not in self.kinds or messages["participants"].is_null().all():
            return messages
        listed = messages["participants"].drop_nulls().unique().to_list()
        left = {one: [who for who in json.loads(one) if not self.is_user(str(who))] for one in listed}
        changed = {one: json.dumps(who, ensure_ascii=False) for one, who in left.items() if who != json.loads(one)}
        present = pl.col("participants").replace(changed)
        return messages.with_columns(participants=pl.when(present != "[]").then(present))

    def without_owners(self, sessions: pl.DataFrame, messages: pl.DataFrame) -> pl.DataFrame:
        """Return conversations of several people of which the erased are not the owners: then whoever of the others comes first."""
        gone = [user for user in sessions["user_id"].drop_nulls().unique() if self.is_user(user)]
        if not gone:
            return sessions
        others = messages.group_by("agent_id", "session_id").agg(_other=pl.col("user_id").min())
        owner = pl.when(pl.col("user_id").is_in(gone)).then("_other").otherwise("user_id")
        joined = sessions.join(others, on=["agent_id", "session_id"], how="left", maintain_order="left")
        return joined.with_columns(user_id=owner).drop("_other")

    def without_rejects(self, refused: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return refused lines without those that say by an id that they are of an erased user or conversation."""
        if not self.kinds & {"user", "session"}:
            return refused
        return [row for row in refused if not any(map(self._is_named, _values(row.get("raw"))))]

    def _is_named(self, value: str) -> bool:
        return any(self.subject(kind, value) in self.hashes for kind in ("user", "session") if kind in self.kinds)

    def without(self, messages: pl.DataFrame) -> tuple[pl.DataFrame, int]:
        """Return the messages of nobody erased, and how many were left out.

        What an agent said is not that of a person who has the same name.
        """
        if not self.hashes or messages.is_empty():
            return messages, 0
        person = pl.when(pl.col("role") != "agent").then("speaker_id")
        frame = messages.with_columns(_person=person, _row=pl.int_range(pl.len()))
        gone: set[int] = set()
        for kind, columns in (
            ("user", ["user_id"]),
            ("user", ["_person"]),
            ("session", ["session_id"]),
            ("conversation", ["agent_id", "session_id"]),
            ("message", ["message_id"]),
        ):
            if kind not in self.kinds:
                continue
            known = frame.select(columns).unique().drop_nulls()
            named = [conversation(*row) if len(row) > 1 else row[0] for row in known.rows()]
            erased = known.filter(
                pl.Series([self.subject(kind, one) in self.hashes for one in named], dtype=pl.Boolean)
            )
            gone.update(frame.join(erased, on=columns, how="semi")["_row"])
        kept = messages.filter(~pl.int_range(pl.len()).is_in(sorted(gone)))
        return kept, messages.height - kept.height


def _values(raw: str | None) -> list[str]:
    """Return the texts of a refused line that is an object of JSON."""
    try:
        line = json.loads(raw or "")
    except ValueError:
        return []
    return [as_id(value) for value in line.values() if isinstance(value, str)] if isinstance(line, dict) else []
