"""Forgetting: a user, a session or a message leaves the store, the lake, the vectors, the datasets and the analytics for good.

A user is forgotten by every agent; an agent of the same name is somebody else. A session is that of every agent that uses its id, a
conversation (see `serving.capture.conversation`) that of one.

What is to be erased is written down before the first row goes, so that an erasure that was killed goes on where it was. What was
made of other people's part in the same sessions goes with it, and is made again by the next run of those weeks.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl
import sqlalchemy as sa

from records.ids import text_hash
from records.interactions import AnonymizedInteractions, RawInteractions, ScoredInteractions
from records.memory import Episodes, Facts, MemoryStrength, Relationships
from records.names import named_by_file
from resources.exports import exports_of, remove_exports
from resources.files import ERRORS, sweep_asides
from resources.scrub import empty_journal, scrub_file, scrub_store
from resources.store import chunks
from resources.sync import SyncState
from resources.training_files import adapters_of, datasets_of, unregistered
from resources.vector_erasure import erase
from serving.capture import Erased, of_conversation
from serving.leaks import Leaks, needles_of, search, without_shared
from serving.receipts import ANALYTICS_AGAIN, Work, delete_by_hand, train_again, week_again, weeks_again
from serving.sought import Sought
from serving.trace import LAKE_TABLES

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


class Erasure:
    """Erases from one installation."""

    def __init__(self, installation: "Installation") -> None:
        self.of = installation
        installation.keeper.drained()  # what waits for the store would come in afterwards, and nobody would look for it
        self.store, self.lake = installation.store, installation.lake
        self.receipts = installation.receipt_book
        self.sought = Sought(installation.settings.home)

    def forget(self, kind: str, value: str) -> Forgotten:
        """Erase a subject; asked twice it is quiet, killed half-way the next call does the rest.

        The receipt is signed when nothing of it is left; ``pending`` names what is to be made again of what others said.
        """
        self.of.keeper.drained()
        erased = Erased(self.store, self.of.keys)
        subject = erased.subject(kind, value)
        # From here on nothing of it comes in any more.
        self.store.insert_once("tombstones", [{"subject_hash": subject, "kind": kind, "erased_at": datetime.now(UTC)}])
        work = self._work(kind, value)
        done = Forgotten()
        begun = [row for row in self.store.rows("receipts", subject_hash=subject) if row["done_at"] is None]
        if not work.messages and not begun:
            self._from_store(kind, value, [], done)  # a person who is known and has said nothing
            last = self.receipts.newest(subject)
            # Erased earlier, and killed before all was made again or looked for.
            if last is not None and (weeks_again(last["pending"]) or last["leaks"] is None):
                done.receipt, done.pending = last["receipt_id"], last["pending"]
                done.weeks = weeks_again(done.pending)
            return done
        done.receipt, work = self.receipts.open(kind, subject, work)
        done.messages, done.weeks, done.personas = len(work.messages), work.weeks, work.personas
        done.count("unfinished", sweep_asides(self.of.settings.home))
        done.count("errors", self._from_errors())
        self._from_lake(work, done)
        for table, (column, source) in EMBEDDED.items():
            done.count(table, erase(self.of.vectors, table, column, work.derived.get(source, [])))
        self._from_bonds(work, value if kind == "user" else None, done)
        self._from_training(work, done)
        outside = self._from_exports(work, done)
        if self.of.vault is not None:
            done.count("vault", self.of.vault.drop(work.derived.get("anonymized_interactions", [])))
        done.count("analytics", self._from_analytics())
        self._from_store(kind, value, work.messages, done)
        self._from_use(work)
        self._from_rejects(self.names(kind, value)[0], done)
        scrub_store(self.store)
        # What the anonymizer remembers says where names stood in a text, and nothing of the text.
        reader = self.of.plugin("anonymizer").fingerprint
        self.of.memo.clear(keep=[reader])
        self.of.memo.drop(reader, work.remembered)
        scrub_file(self.of.memo.path)
        for week in work.weeks:
            SyncState(self.store).reopen(week)
        done.pending = [week_again(week) for week in work.weeks]
        done.pending += [ANALYTICS_AGAIN] if done.removed.get("analytics") else []
        done.pending += [train_again(persona) for persona in work.personas]
        done.pending += outside
        self.receipts.close(done.receipt, done.removed, done.pending)
        # The work named the subject until now; pages are overwritten at deletion, so that the journal is all that is left.
        empty_journal(self.store)
        return done

    def extent(self, kind: str, value: str) -> tuple[int, int, int]:
        """Return how many messages and conversations an erasure would take, and how many adapters were trained on them."""
        rows = self._messages(kind, value)
        datasets = datasets_of(self.store, self.of.settings.home, rows["message_id"]) if rows.height else []
        talks = rows.select("agent_id", "session_id").n_unique() if rows.height else 0
        return rows.height, talks, len(adapters_of(self.store, datasets)) if datasets else 0

    def is_known(self, kind: str, value: str) -> bool:
        """Return whether a subject without messages is known all the same: somebody who said nothing, or was erased before."""
        if self._subject(kind, value) in Erased(self.store, self.of.keys).hashes:
            return True
        tables = {"user": (("speakers", "speaker_id"), ("sessions", "user_id"), ("affinity", "user_id")),
                  "session": (("sessions", "session_id"), ("moods", "session_id"))}  # fmt: skip
        if kind == "conversation":
            agent, session = of_conversation(value)
            return bool(self.store.rows("sessions", agent_id=agent, session_id=session))
        return any(bool(self.store.rows(table, **{column: value})) for table, column in tables.get(kind, ()))

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
        messages = self._messages(kind, value)
        names = self.names(kind, value)
        if kind == "user":
            names += [str(row["display_name"]) for row in self.store.rows("speaker_names", speaker_id=value)]
            names += messages.filter(pl.col("user_id") == value)["session_id"].unique().to_list()
        return needles_of(messages["text"].to_list(), names)

    @staticmethod
    def names(kind: str, value: str) -> list[str]:
        """Return the id by which a subject is called."""
        return [of_conversation(value)[1] if kind == "conversation" else value]

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

    def _work(self, kind: str, value: str) -> Work:
        rows = self._messages(kind, value)
        ids = rows["message_id"].sort().to_list()
        work = Work(value, messages=ids, weeks=rows["week"].unique().sort().to_list())
        if not ids:
            return work
        # What was made of other messages of the same sessions may name the subject (who was present, what stood beside): it is
        # erased, too, and made again.
        affected = [*ids, *self._beside(rows)]
        work.derived["raw_interactions"] = affected
        texts = set(rows["text"])
        for asset, record in LAKE_TABLES.items():
            key = record.primary_key()[0]
            spoken = [name for name in ("input_text", "output_text") if name in record.column_names()]
            for partition in self._partitions(asset, work.weeks):
                rows_of = self.lake.read(asset, record, [partition]).filter(_touched(asset, work))
                touched = rows_of.select(key, *spoken).collect()
                if touched.is_empty():
                    continue
                for name in spoken:
                    texts.update(touched[name])
                if asset != "raw_interactions":
                    work.derived.setdefault(asset, []).extend(touched[key].to_list())
                if asset.endswith("_dataset"):
                    work.personas.append(named_by_file(partition.partition("|")[0], self.store.personas()))
        work.remembered = sorted({text_hash(text) for text in texts})
        work.datasets = datasets_of(self.store, self.of.settings.home, rows["message_id"])
        made_for = {row["persona_id"] for row in self.store.rows("datasets") if row["dataset_id"] in work.datasets}
        work.personas = sorted({*work.personas, *made_for})
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
        for asset, record in LAKE_TABLES.items():
            for partition in self._partitions(asset, work.weeks):
                frame = self.lake.read(asset, record, [partition]).collect()
                kept = frame.filter(~_touched(asset, work))
                if kept.height < frame.height:
                    done.count(asset, frame.height - kept.height)
                    self.lake.write(asset, partition, kept)

    def _from_bonds(self, work: Work, user: str | None, done: Forgotten) -> None:
        """Drop the strength of what is gone and the relationships with a forgotten user, which name no message."""
        episodes = work.derived.get("episodes", [])
        for asset, record, gone in (
            ("memory_strength", MemoryStrength, pl.col("memory_id").is_in(episodes)),
            ("relationships", Relationships, pl.col("other_id") == user if user is not None else pl.lit(value=False)),
        ):
            for partition in self.lake.partitions(asset):
                frame = self.lake.read(asset, record, [partition]).collect()
                kept = frame.filter(~gone)
                if kept.height < frame.height:
                    done.count(asset, frame.height - kept.height)
                    self.lake.write(asset, partition, kept)

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
            shutil.rmtree(folder, ignore_errors=True)
        done.count("datasets", len(work.datasets))
        done.count("unfinished", len(left))

    def _from_exports(self, work: Work, done: Forgotten) -> list[str]:
        """Remove exported files that hold the messages; return what is to be done by hand of those that were moved or changed."""
        home = self.of.settings.home
        exported = exports_of(self.store, home, pl.Series(work.messages, dtype=pl.String))
        kept = remove_exports(self.store, home, exported)
        done.count("exports", len(exported))
        return [delete_by_hand(export.path) for export in kept]

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
        tables = self.store.meta.tables
        m, feedback, sessions = tables["messages"], tables["feedback"], tables["sessions"]
        with self.store.writer.begin() as connection:
            relink(connection, m, ids)
            # An agent whose last conversation goes stays known, so that nobody is taken for it who is called almost so.
            here = sessions.c.user_id == value if kind == "user" else sessions.c.session_id == value
            here = sessions.c.session_id == of_conversation(value)[1] if kind == "conversation" else here
            agents = set(connection.execute(sa.select(sessions.c.agent_id).where(here).distinct()).scalars()) - {value}
            known = [{"speaker_id": agent, "kind": "agent", "opt_out_training": False} for agent in sorted(agents)]
            if known:
                as_agent = self.store.upsert(tables["speakers"])
                connection.execute(
                    as_agent.on_conflict_do_update(index_elements=["speaker_id"], set_={"kind": "agent"}), known
                )
            for batch in chunks(ids):
                connection.execute(sa.delete(feedback).where(feedback.c.message_id.in_(batch)))
                done.count("messages", connection.execute(sa.delete(m).where(m.c.message_id.in_(batch))).rowcount)
            moods, names = tables["moods"], tables["speaker_names"]
            if kind in ("session", "conversation"):
                agent, session = of_conversation(value) if kind == "conversation" else (None, value)
                for table in (moods, sessions):
                    whose = [table.c.session_id == session] + ([table.c.agent_id == agent] if agent is not None else [])
                    connection.execute(sa.delete(table).where(*whose))
            if kind == "user":
                speakers, affinity = tables["speakers"], tables["affinity"]
                theirs = sa.select(sessions.c.agent_id, sessions.c.session_id).where(sessions.c.user_id == value)
                connection.execute(sa.delete(moods).where(sa.tuple_(moods.c.agent_id, moods.c.session_id).in_(theirs)))
                connection.execute(sa.delete(affinity).where(affinity.c.user_id == value))
                # A session in which others have said something stays theirs.
                same = sa.and_(m.c.agent_id == sessions.c.agent_id, m.c.session_id == sessions.c.session_id)
                left = sa.select(sa.func.min(m.c.user_id)).where(same).scalar_subquery()
                shared = sa.update(sessions).where(sessions.c.user_id == value, sa.exists().where(same))
                connection.execute(shared.values(user_id=left, metadata=None))
                connection.execute(sa.delete(sessions).where(sessions.c.user_id == value))
                # An agent may have the name of a person: what it is called, and what is known of it, is its own.
                spoke = sa.select(m.c.agent_id).where(m.c.speaker_id == value)
                connection.execute(sa.delete(names).where(names.c.speaker_id == value, names.c.agent_id.not_in(spoke)))
                own = sa.update(speakers) if connection.execute(spoke.limit(1)).first() else sa.delete(speakers)
                own = own.values(kind="agent", opt_out_training=False) if isinstance(own, sa.Update) else own
                connection.execute(own.where(speakers.c.speaker_id == value))

    def _from_use(self, work: Work) -> None:
        """Drop what is known of how often the memories were recalled, and with whom they were shared."""
        memories = [*work.messages, *work.derived.get("episodes", []), *work.derived.get("facts", [])]
        with self.store.writer.begin() as connection:
            for name in ("recalled", "shared_memories"):
                table = self.store.meta.tables[name]
                for batch in chunks(memories):
                    connection.execute(sa.delete(table).where(table.c.memory_id.in_(batch)))

    def _from_rejects(self, name: str, done: Forgotten) -> None:
        """Drop kept rejects that name the subject: a line that could not be read was still somebody's."""
        rejects = self.store.frame("SELECT reject_id, raw, file FROM rejects").cast(pl.String)
        if rejects.is_empty() or len(name) < 2:
            return
        named = rejects.filter(
            pl.concat_str("raw", "file", separator="\n", ignore_nulls=True).str.contains(name, literal=True)
        )["reject_id"].to_list()
        table = self.store.meta.tables["rejects"]
        with self.store.writer.begin() as connection:
            for batch in chunks(named):
                done.count("rejects", connection.execute(sa.delete(table).where(table.c.reject_id.in_(batch))).rowcount)


def relink(connection: sa.Connection, messages: sa.Table, gone: Sequence[str]) -> None:
    """Let what follows a message that goes follow what that one followed: order stays, and no id of it is left."""
    sessions: set[tuple[str, str]] = set()
    for batch in chunks(gone):
        query = sa.select(messages.c.agent_id, messages.c.session_id).where(messages.c.message_id.in_(batch)).distinct()
        sessions.update((row[0], row[1]) for row in connection.execute(query))
    erased, links = set(gone), {}
    for agent, session in sorted(sessions):
        query = sa.select(messages.c.message_id, messages.c.follows).where(
            messages.c.session_id == session, messages.c.agent_id == agent, messages.c.follows.is_not(None)
        )
        links.update({row[0]: row[1].split(" ") for row in connection.execute(query)})
    for message_id, follows in links.items():
        if message_id in erased or erased.isdisjoint(follows):
            continue
        left, seen, ahead = [], set(), list(follows)
        while ahead:
            one = ahead.pop()
            if one in erased and one not in seen:
                seen.add(one)
                ahead += links.get(one, [])
            elif one not in erased and one != message_id:
                left.append(one)
        value = " ".join(sorted(set(left))) or None
        connection.execute(sa.update(messages).where(messages.c.message_id == message_id).values(follows=value))


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
