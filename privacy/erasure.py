"""Forgetting: a user, a session or a message leaves the store, the lake, the vectors, the datasets and the analytics for good.

A user is forgotten by every agent; an agent of the same name is somebody else. A session is that of every agent that uses its id, a
conversation (see `serving.capture.conversation`) that of one.

What is to be erased is written down before the first row goes, so that an erasure that was killed goes on where it was. What was
made of other people's part in the same sessions goes with it, and is made again by the next run of those weeks.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from model_registry.exports import exports_of, remove_exports
from model_registry.files import adapters_of, clear, datasets_of, unregistered
from plugins.sources import scratch
from privacy.leak_test import Leaks, needles_of, search, without_shared
from privacy.needles import Sought
from privacy.receipts import ANALYTICS_AGAIN, SCRUB_AGAIN, Work, delete_by_hand, train_again, week_again, weeks_again
from privacy.store_rows import (
    core_memory_that_names,
    erase_rejects,
    erase_use,
    erase_what_was_said,
    messages_that_name,
    named,
)
from privacy.tombstones import Tombstones
from privacy.trace import LAKE_TABLES
from privacy.unreadable import Damaged
from records.base import Record
from records.ids import text_hash
from records.interactions import AnonymizedInteractions, RawInteractions, ScoredInteractions
from records.memory import Episodes, Facts, MemoryStrength, Relationships
from records.names import named_by_file
from resources.files import ERRORS, sweep_asides
from resources.scrub import PATIENCE_S, scrub_store
from resources.store import chunks
from resources.sync import SyncState
from serving.capture import Erased, conversation, of_conversation

if TYPE_CHECKING:
    from serving.installation import Installation

EMBEDDED = {
    "message_embeddings": ("message_id", "raw_interactions"),
    "fact_embeddings": ("fact_id", "facts"),
    "episode_embeddings": ("episode_id", "episodes"),
}
"""Vector table to its key, and to the lake's table of what it embeds."""


@dataclass
class Forgotten:
    """What was removed, in rows per table, and what has to be made again; nothing of the content."""

    receipt: str = ""
    messages: int = 0
    removed: dict[str, int] = field(default_factory=dict)
    quarantined: list[str] = field(default_factory=list)
    weeks: list[str] = field(default_factory=list)
    personas: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    leaks: int | None = None
    leaked_to: dict[str, int] = field(default_factory=dict)

    def count(self, table: str, rows: int) -> None:
        """Count rows removed from a table."""
        if rows:
            self.removed[table] = self.removed.get(table, 0) + rows

    def at_least(self, table: str, rows: int) -> None:
        """Count rows that are about to be removed from a table; those that a killed erasure counted are among them."""
        if rows:
            self.removed[table] = max(self.removed.get(table, 0), rows)


@dataclass(frozen=True)
class Extent:
    """How much an erasure takes: messages, their conversations, adapters trained on them, entries of core memory that name the subject."""

    messages: int
    conversations: int
    adapters: int
    core_memory: int


class Erasure:
    """Erases from one installation."""

    def __init__(self, installation: "Installation") -> None:
        self.of = installation
        installation.keeper.drained()  # what waits for the store would come in afterwards, and nobody would look for it
        self.store, self.lake = installation.store, installation.lake
        self.receipts = installation.receipt_book
        self.sought = Sought(installation.settings.home)
        self.tombstones = Tombstones(installation.settings.home, self.store)
        self.damaged = Damaged(installation)

    def forget(self, kind: str, value: str) -> Forgotten:
        """Erase a subject; asked twice it is quiet, killed half-way the next call does the rest.

        The receipt is signed when nothing of it is left; ``pending`` names what is to be made again of what others said.
        """
        self.of.keeper.drained()
        subject, self.damaged = self._subject(kind, value), Damaged(self.of)
        with self.of.fence.erasing():
            # From here on nothing of it comes in any more, and nothing that was made of it is committed.
            self.tombstones.add(kind, subject)
            done = self._erased(kind, value, subject)
        if done.receipt and self.scrub():
            done.pending = [entry for entry in done.pending if entry != SCRUB_AGAIN]
        return done

    def _erased(self, kind: str, value: str, subject: str) -> Forgotten:
        done, held = Forgotten(), self.receipts.begun(subject)
        if held is None and not self._has_rows(kind, value):
            last = self.receipts.newest(subject)
            # Erased earlier, and killed before all was made again or looked for.
            if last is not None and (weeks_again(last["pending"]) or last["leaks"] is None):
                done.receipt, done.pending = last["receipt_id"], last["pending"]
                done.weeks = weeks_again(done.pending)
            return done
        if held is None:
            self.receipts.open(kind, subject, Work(value))  # from now on a killed one is found and finished
        work = self._work(kind, value, held)
        done.removed = self.receipts.removed_so_far(subject)
        done.receipt = self.receipts.open(kind, subject, work)
        done.messages, done.weeks, done.personas = len(work.messages), work.weeks, work.personas
        home = self.of.settings.home
        unpacked = scratch.sweep(home / scratch.FOLDER)
        done.count("unfinished", sweep_asides(home) + unpacked + self._beside_exports())
        done.count("errors", self._from_errors())
        self._from_lake(work, done)
        self._from_vectors(work, done)
        self._from_bonds(work, value if kind == "user" else None, done)
        self.receipts.progress(done.receipt, done.removed)
        self._from_training(work, done)
        outside = self._from_exports(work, done)
        self.receipts.progress(done.receipt, done.removed)
        done.count("vault", self._from_vault(work))
        done.count("analytics", self._from_analytics())
        self.receipts.progress(done.receipt, done.removed)
        # What is told by texts and names goes before the rows that say which these are.
        self._from_rejects(work, self._messages(kind, value)["text"].to_list(), done)
        self._from_store(kind, value, work.messages, done)
        self._from_use(work)
        self.receipts.progress(done.receipt, done.removed)
        # What the anonymizer remembers says where names stood in a text, and nothing of the text.
        reader = self.of.plugin("anonymizer").fingerprint
        self.of.memo.clear(keep=[] if self.damaged.places else [reader])
        self.of.memo.drop(reader, work.remembered)
        self.of.memo.scrub()
        done.count("damaged", len(self.damaged.places))
        done.weeks = sorted({*work.weeks, *self.damaged.weeks})
        for week in done.weeks:
            SyncState(self.store).reopen(week)
        done.pending = [week_again(week) for week in done.weeks]
        done.pending += [ANALYTICS_AGAIN] if done.removed.get("analytics") else []
        done.pending += [train_again(persona) for persona in work.personas]
        done.pending += [*outside, SCRUB_AGAIN]
        # With it the work goes, which named the subject until now.
        self.receipts.close(done.receipt, done.removed, done.pending)
        return done

    def scrub(self, patience_s: float = PATIENCE_S) -> bool:
        """Overwrite what erasures freed in the store, and say so in their receipts; return whether nobody hindered it."""
        freed = self.receipts.scrub_pending()  # those of erasures that end meanwhile are not among what is overwritten
        done = scrub_store(self.store, patience_s)
        if done:
            self.receipts.fulfil(scrubbed=freed)
        return done

    def again(self) -> list[Forgotten]:
        """Erase once more what came back with a store that was restored from a backup; return what was erased."""
        lost = self.tombstones.lost()
        hashes, kinds = {row["subject_hash"] for row in lost}, {row["kind"] for row in lost}
        known = dict.fromkeys(self._subjects(kinds)) if lost else {}
        came_back = [subject for subject in known if self._subject(*subject) in hashes]
        # One at a time: killed in between, those that are left are still lost.
        done = [self.forget(kind, value) for kind, value in came_back]
        self.tombstones.restore(lost)
        return done

    def _subjects(self, kinds: set[str]) -> Iterator[tuple[str, str]]:
        """Yield every subject of these kinds that the store knows, as `forget` takes it."""
        if "user" in kinds:
            queries = (
                "SELECT user_id AS subject FROM messages UNION SELECT speaker_id FROM messages WHERE role <> 'agent' "
                "UNION SELECT user_id FROM sessions UNION SELECT speaker_id FROM speakers WHERE kind <> 'agent' "
                "UNION SELECT user_id FROM affinity"
            )
            yield from (("user", str(one)) for one in self.store.frame(queries)["subject"].drop_nulls())
        if kinds & {"session", "conversation"}:
            query = "SELECT agent_id, session_id FROM messages UNION SELECT agent_id, session_id FROM sessions"
            for agent, session in self.store.frame(query).iter_rows():
                yield "session", str(session)
                yield "conversation", conversation(str(agent), str(session))
        if "message" in kinds:
            yield from (
                ("message", str(one)) for one in self.store.frame("SELECT message_id FROM messages")["message_id"]
            )

    def extent(self, kind: str, value: str) -> Extent:
        """Return what an erasure would take."""
        rows = self._messages(kind, value)
        home, ids = self.of.settings.home, rows["message_id"]
        datasets = datasets_of(self.store, home, ids, or_damaged=True) if rows.height else []
        return Extent(
            rows.height,
            rows.select("agent_id", "session_id").n_unique() if rows.height else 0,
            len(adapters_of(self.store, datasets)) if datasets else 0,
            len(core_memory_that_names(self.store, kind, named(self.store, kind, value))),
        )

    def is_known(self, kind: str, value: str) -> bool:
        """Return whether a subject without messages is known all the same: somebody who said nothing, or was erased before."""
        return self._subject(kind, value) in Erased(self.store, self.of.keys).hashes or self._has_rows(kind, value)

    def _has_rows(self, kind: str, value: str) -> bool:
        """Return whether anything of a subject stands in the store."""
        if not self._messages(kind, value).is_empty():
            return True
        if kind == "conversation":
            agent, session = of_conversation(value)
            return any(
                bool(self.store.rows(name, agent_id=agent, session_id=session)) for name in ("sessions", "moods")
            )
        tables = {"user": ("sessions", "affinity"), "session": ("sessions", "moods")}.get(kind, ())
        if any(bool(self.store.rows(name, **{f"{kind}_id": value})) for name in tables):
            return True
        if kind != "user":
            return False
        if any(row["kind"] != "agent" for row in self.store.rows("speakers", speaker_id=value)):
            return True
        called = named(self.store, kind, value)
        return (
            bool(core_memory_that_names(self.store, kind, called))
            or not messages_that_name(self.store, kind, called).is_empty()
        )

    def seek(self, kind: str, value: str) -> list[str]:
        """Return what the leak test is to look for, and keep it until `verify` has looked; asked for before the erasure."""
        return self.sought.keep(self._subject(kind, value), kind, value, self.needles(kind, value))

    def seek_no_more(self, kind: str, value: str) -> None:
        """Forget what was to be looked for."""
        self.sought.drop(self._subject(kind, value))

    def _subject(self, kind: str, value: str) -> str:
        return self.of.keys.erased(kind, value)

    def needles(self, kind: str, value: str) -> list[str]:
        """Return what there is to look for as long as the subject is not erased."""
        return needles_of(self._messages(kind, value)["text"].to_list(), named(self.store, kind, value).all())

    def verify(self, done: Forgotten, needles: Sequence[str], pending: list[str]) -> Leaks:
        """Search everything for what was erased, and write the result into the receipt."""
        leaks = search(without_shared(needles, self.store), self.of.settings, self.store, self.of.vectors)
        done.leaks, done.leaked_to, done.pending = leaks.total, leaks.found, pending
        if done.receipt:
            self.receipts.note(done.receipt, pending=pending, leaks=leaks.total)
        return leaks

    # -- what is to be erased -------------------------------------------------------------------------------------

    def _messages(self, kind: str, value: str) -> pl.DataFrame:
        where = {
            "user": "user_id = ? OR (speaker_id = ? AND role <> 'agent')",
            "session": "session_id = ?",
            "conversation": "agent_id = ? AND session_id = ?",
            "message": "message_id = ?",
        }[kind]
        values = of_conversation(value) if kind == "conversation" else [value] * where.count("?")
        return self.store.frame(
            f"SELECT message_id, agent_id, session_id, user_id, week, text FROM messages WHERE {where}", list(values)
        ).cast(pl.String)

    def _work(self, kind: str, value: str, held: Work | None = None) -> Work:
        """Return what is to be erased: what the store and the lake lead to, and what an erasure that was killed knew of."""
        rows, called = self._messages(kind, value), named(self.store, kind, value)
        naming = messages_that_name(self.store, kind, called)
        weeks = sorted({*rows["week"], *naming["week"]})
        work = Work(value, rows["message_id"].sort().to_list(), weeks, called=called.all())
        work.prompted = sorted({row["agent_id"] for row in core_memory_that_names(self.store, kind, called)})
        # What was made of other messages of the same sessions may name the subject (who was present, what stood beside): it is
        # erased, too, and made again; so is what was made of messages that list it among those present.
        work.derived["raw_interactions"] = [*work.messages, *self._beside(rows), *naming["message_id"]]
        work = work.joined(held) if held is not None else work
        texts = set(rows["text"])
        for asset, record in LAKE_TABLES.items():
            key = record.primary_key()[0]
            spoken = [name for name in ("input_text", "output_text") if name in record.column_names()]
            for partition in self._partitions(asset, work.weeks):
                mine, wanted = _touched(asset, work), [key, *spoken]
                touched = self.damaged.rows(asset, record, partition, where=mine, columns=wanted)
                if touched is None and asset.endswith("_dataset"):
                    work.personas.append(self._persona(partition))
                if touched is None or touched.is_empty():
                    continue
                for name in spoken:
                    texts.update(touched[name])
                if asset != "raw_interactions":
                    work.derived.setdefault(asset, []).extend(touched[key].to_list())
                if asset.endswith("_dataset"):
                    work.personas.append(self._persona(partition))
        work.remembered = sorted({*work.remembered, *(text_hash(text) for text in texts)})
        gone = pl.Series(work.messages, dtype=pl.String)
        found = datasets_of(self.store, self.of.settings.home, gone, or_damaged=True)
        # The samples of an agent's datasets begin with its core memory.
        found += [row["dataset_id"] for row in self.store.rows("datasets") if row["persona_id"] in work.prompted]
        work.datasets = sorted({*work.datasets, *found})
        made_for = {row["persona_id"] for row in self.store.rows("datasets") if row["dataset_id"] in work.datasets}
        work.personas = sorted({*work.personas, *made_for})
        if self.damaged.places:  # what a table of the lake does not say any more, its vectors may
            for table, (column, source) in EMBEDDED.items():
                if source != "raw_interactions":
                    work.derived.setdefault(source, []).extend(
                        self.damaged.embedded(table, column, work.derived["raw_interactions"])
                    )
        for one, other in (("facts", "fact_history"), ("episodes", "consolidated_episodes")):
            work.derived[one] = sorted({*work.derived.get(one, []), *work.derived.get(other, [])})
        return work

    def _partitions(self, asset: str, weeks: Sequence[str]) -> list[str]:
        """Return the partitions that may lead to messages of these weeks: those of the weeks, and those that have no week."""
        weekly = RawInteractions, ScoredInteractions, AnonymizedInteractions, Facts, Episodes
        there = self.lake.partitions(asset)
        return [name for name in there if name in weeks] if LAKE_TABLES[asset] in weekly else there

    def _beside(self, rows: pl.DataFrame) -> list[str]:
        """Return the other messages of the same agents' sessions and weeks."""
        talks = rows.select("agent_id", "session_id").unique()
        weeks, found = rows["week"].unique().to_list(), []
        for batch in chunks(talks["session_id"].unique().sort().to_list()):
            marks = ", ".join("?" * len(batch))
            query = f"SELECT message_id, agent_id, session_id, week FROM messages WHERE session_id IN ({marks})"
            same = self.store.frame(query, list(batch)).cast(pl.String).filter(pl.col("week").is_in(weeks))
            found += same.join(talks, on=["agent_id", "session_id"], how="semi")["message_id"].to_list()
        return sorted(set(found) - set(rows["message_id"].to_list()))

    # -- where it is erased from ----------------------------------------------------------------------------------

    def _from_lake(self, work: Work, done: Forgotten) -> None:
        tables = []
        for asset, record in LAKE_TABLES.items():
            for partition in self._partitions(asset, work.weeks):
                whole = asset.endswith("_dataset") and self._persona(partition) in work.prompted
                tables.append((asset, record, partition, pl.lit(value=True) if whole else _touched(asset, work)))
        self._cut(tables, done)

    def _cut(self, tables: Iterable[tuple[str, type[Record], str, pl.Expr]], done: Forgotten) -> None:
        """Write partitions of the lake without rows; these are counted and noted before, so that a kill loses none of the counts."""
        found: Counter[str] = Counter()
        cut = []
        for asset, record, partition, gone in tables:
            frame = self.damaged.rows(asset, record, partition, remove=True)
            rows = 0 if frame is None else frame.filter(gone).height
            if rows:
                found[asset] += rows
                cut.append((asset, record, partition, gone))
        self._ahead(found, done)
        for asset, record, partition, gone in cut:
            frame = self.damaged.rows(asset, record, partition, remove=True)
            if frame is not None:
                self.lake.write(asset, partition, frame.filter(~gone))

    def _ahead(self, found: Mapping[str, int], done: Forgotten) -> None:
        """Note what is about to be removed."""
        for table, rows in found.items():
            done.at_least(table, rows)
        self.receipts.progress(done.receipt, done.removed)

    def _from_vectors(self, work: Work, done: Forgotten) -> None:
        gone = {table: (column, work.derived.get(source, [])) for table, (column, source) in EMBEDDED.items()}
        self._ahead({table: self.damaged.held(table, *ids) for table, ids in gone.items()}, done)
        for table, ids in gone.items():
            self.damaged.erase(table, *ids)

    def _persona(self, partition: str) -> str:
        """Return whose dataset a partition of the lake is."""
        return named_by_file(partition.partition("|")[0], self.store.personas())

    def _from_bonds(self, work: Work, user: str | None, done: Forgotten) -> None:
        """Drop the strength of what is gone and the relationships with a forgotten user, which name no message."""
        episodes = work.derived.get("episodes", [])
        of_user = pl.col("other_id") == user if user is not None else pl.lit(value=False)
        gone = (
            ("memory_strength", MemoryStrength, pl.col("memory_id").is_in(episodes)),
            ("relationships", Relationships, of_user),
        )
        tables = [(asset, record, part, rows) for asset, record, rows in gone for part in self.lake.partitions(asset)]
        self._cut(tables, done)

    def _from_training(self, work: Work, done: Forgotten) -> None:
        """Remove the files of datasets that hold the messages, and the weights of every adapter trained on them."""
        home = self.of.settings.home
        left = unregistered(self.store, home, work.datasets, pl.Series(work.messages, dtype=pl.String))
        # Datasets first: a training that ends meanwhile sees that its own is gone, or is seen here.
        for row in self.store.rows("datasets"):
            if row["dataset_id"] in work.datasets:
                shutil.rmtree(home / row["path"], ignore_errors=True)
        done.quarantined = self.of.adapter_book.quarantine(adapters_of(self.store, work.datasets), erase=True)
        for folder in left:
            clear(folder)
        done.count("datasets", len(work.datasets))
        done.count("unfinished", len(left))

    def _from_exports(self, work: Work, done: Forgotten) -> list[str]:
        """Remove exported files that hold the messages; return what is to be done by hand of those that were moved or changed."""
        home = self.of.settings.home
        exported = exports_of(self.store, home, pl.Series(work.messages, dtype=pl.String), or_damaged=True)
        kept = remove_exports(self.store, home, exported)
        done.count("exports", len(exported))
        return [delete_by_hand(export.path) for export in kept]

    def _from_vault(self, work: Work) -> int:
        """Forget what surrogates stand for; an interaction has one id from its scores to its anonymized text."""
        named = ("scored_interactions", "anonymized_interactions")
        ids = sorted({key for asset in named for key in work.derived.get(asset, [])})
        unread = [place for place in self.damaged.places for asset in named if place.startswith(f"lake/{asset}/")]
        return self.damaged.from_vault(ids, known=len(unread) < len(named))

    def _beside_exports(self) -> int:
        """Remove what killed exports left beside their targets; return how many."""
        folders = {Path(row["path"]).parent for row in self.store.rows("exports")}
        return sum(sweep_asides(folder, within=False) for folder in folders if folder.is_dir())

    def _from_errors(self) -> int:
        """Remove what failures of runs said: nobody can tell whose words stand in it. Return how many."""
        files = list((self.of.settings.home / ERRORS).glob("*.txt"))
        for path in files:
            path.unlink(missing_ok=True)
        return len(files)

    def _from_analytics(self) -> int:
        """Remove the published file and its kept versions: they are made again from what is left; return how many."""
        files = [path for path in self.of.warehouse.files() if path.exists()]
        for path in files:
            path.unlink(missing_ok=True)
        return len(files)

    def _from_store(self, kind: str, value: str, ids: list[str], done: Forgotten) -> None:
        self._ahead({"messages": len(ids)}, done)
        erase_what_was_said(self.store, kind, value, ids, done.count)

    def _from_use(self, work: Work) -> None:
        erase_use(self.store, [*work.messages, *work.derived.get("episodes", []), *work.derived.get("facts", [])])

    def _from_rejects(self, work: Work, texts: Sequence[str], done: Forgotten) -> None:
        erase_rejects(self.store, work.called, texts, done.count)


def _touched(asset: str, work: Work) -> pl.Expr:
    """Return which rows of a lake table lead to one of the messages, or to one that is made again with them.

    A sample of a dataset names nobody: only those made from the messages themselves go.
    """
    gone = pl.Series(
        work.messages if asset.endswith("_dataset") else work.derived["raw_interactions"], dtype=pl.String
    ).implode()
    if asset == "raw_interactions":
        return pl.col("message_id").is_in(gone)
    return pl.col("source_message_ids").list.eval(pl.element().is_in(gone)).list.any()
