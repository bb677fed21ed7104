"""Erasing from the tables of the store: what a subject said, what is known of it, and where others' rows name it."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import sqlalchemy as sa

from resources.store import IDS, InteractionStore, chunks
from serving.capture import of_conversation

Count = Callable[[str, int], None]
"""Takes a table's name and how many rows of it were removed or changed."""

SHORTEST_NAME = 3
"""Letters from which on a name is looked for where others wrote: "Al" stands in too many words."""


NAMES_AT_ONCE = 200
"""Names that one query looks for: an expression of SQLite has at most 1,000 levels."""


@dataclass(frozen=True)
class Named:
    """How a subject is called.

    Attributes:
        ids: Its own id and, of a user, those under which they spoke, then those of the conversations that are theirs alone.
        by_agent: Agent to the names under which it knows a user, and nobody else.
        speaking: How many of the ids are the user's own.
    """

    ids: tuple[str, ...]
    by_agent: dict[str, tuple[str, ...]] = field(default_factory=dict)
    speaking: int = 1

    @property
    def own(self) -> tuple[str, ...]:
        """Return the ids of the subject itself."""
        return self.ids[: self.speaking]

    def all(self) -> list[str]:
        """Return ids and names, each once."""
        return list(dict.fromkeys([*self.ids, *(name for names in self.by_agent.values() for name in names)]))


def named(store: InteractionStore, kind: str, value: str) -> Named:
    """Return how a subject is called, as long as the store knows it."""
    if kind == "conversation":
        return Named((of_conversation(value)[1],))
    if kind != "user":
        return Named((value,))
    names, sessions = store.meta.tables["speaker_names"], store.meta.tables["sessions"]
    speakers = [value, *speakers_of(store, value)]
    other = names.alias()
    shared = sa.exists().where(
        other.c.agent_id == names.c.agent_id,
        other.c.display_name == names.c.display_name,
        other.c.speaker_id.not_in(speakers),
    )
    query = sa.select(names.c.agent_id, names.c.display_name).where(names.c.speaker_id.in_(speakers), ~shared)
    m = store.meta.tables["messages"]
    others = sa.exists().where(
        m.c.agent_id == sessions.c.agent_id, m.c.session_id == sessions.c.session_id, m.c.user_id != value
    )
    own = sa.select(sessions.c.session_id).where(sessions.c.user_id == value, ~others).distinct()
    by_agent: dict[str, tuple[str, ...]] = {}
    with store.engine.connect() as connection:
        for agent, name in connection.execute(query.order_by(names.c.agent_id, names.c.display_name)):
            if name not in (value, agent, *by_agent.get(agent, ())):
                by_agent[agent] = (*by_agent.get(agent, ()), name)
        talks = sorted(connection.execute(own).scalars())
    return Named((*speakers, *talks), by_agent, len(speakers))


def speakers_of(store: InteractionStore, user: str) -> list[str]:
    """Return the ids of other speakers who are this user: they said something, and nothing that does not belong to the user."""
    m = store.meta.tables["messages"]
    said = sa.select(m.c.speaker_id).where(m.c.user_id == user, m.c.role == "user", m.c.speaker_id != user).distinct()
    with store.engine.connect() as connection:
        found = sorted(connection.execute(said).scalars())
        elsewhere = sa.select(m.c.speaker_id).where(
            m.c.speaker_id.in_(found), sa.or_(m.c.user_id.is_distinct_from(user), m.c.role == "agent")
        )
        shared = set(connection.execute(elsewhere.distinct()).scalars()) if found else set()
    return [speaker for speaker in found if speaker not in shared]


def messages_that_name(store: InteractionStore, kind: str, called: Named) -> pl.DataFrame:
    """Return message_id, week, participants of messages that list a user among those who were present; of others nobody does."""
    table, found = store.meta.tables["messages"], []
    if kind == "user":
        # As it stands in JSON, within quotes: a name that is part of another one is not that one.
        names = {*called.own, *(name for known in called.by_agent.values() for name in known)}
        written = sorted({json.dumps(name, ensure_ascii=escaped) for name in names for escaped in (False, True)})
        within = sa.func.instr if store.is_sqlite else sa.func.strpos
        columns = table.c.message_id, table.c.agent_id, table.c.week, table.c.participants
        rows: dict[str, Any] = {}
        with store.engine.connect() as connection:
            for batch in chunks(written, NAMES_AT_ONCE):
                listed = sa.or_(*(within(table.c.participants, text) > 0 for text in batch))
                query = sa.select(*columns).where(table.c.participants.is_not(None), listed)
                rows.update((row["message_id"], row) for row in connection.execute(query).mappings())
            for row in rows.values():
                theirs = {*called.own, *called.by_agent.get(row["agent_id"], ())}
                present = json.loads(row["participants"])
                left = [one for one in present if one not in theirs]
                if len(left) < len(present):
                    found.append((row["message_id"], row["week"], json.dumps(left, ensure_ascii=False)))
    return pl.DataFrame(found, schema=dict.fromkeys(("message_id", "week", "participants"), pl.String), orient="row")


def core_memory_that_names(store: InteractionStore, kind: str, called: Named) -> list[dict[str, Any]]:
    """Return the entries of core memory that name a user by its id, or as their agent calls it."""
    if kind != "user":
        return []
    found = []
    for row in store.rows("core_memory"):
        theirs = [*called.own, *called.by_agent.get(row["agent_id"], ())]
        names = [re.escape(name) for name in theirs if len(name) >= SHORTEST_NAME]
        whole = rf"(?<!\w)(?:{'|'.join(names)})(?!\w)"
        if names and any(re.search(whole, str(row[column])) for column in ("category", "key", "value")):
            found.append(row)
    return found


def erase_what_was_said(store: InteractionStore, kind: str, value: str, ids: Sequence[str], count: Count) -> None:
    """Erase messages, what was said of them, and what is known of the subject, in one transaction."""
    tables = store.meta.tables
    m, feedback = tables["messages"], tables["feedback"]
    called = named(store, kind, value)
    naming = messages_that_name(store, kind, called)
    # As long as it is known how the subject is called: an erasure that is killed here begins with this once more.
    _erase_core_memory(store, core_memory_that_names(store, kind, called), count)
    with store.writer.begin() as connection:
        relink(connection, m, ids)
        _keep_agents_known(store, connection, kind, value)
        for batch in chunks(ids):
            connection.execute(sa.delete(feedback).where(feedback.c.message_id.in_(batch)))
            connection.execute(sa.delete(m).where(m.c.message_id.in_(batch)))
        for message, _, present in naming.iter_rows():
            changed = sa.update(m).where(m.c.message_id == message)
            connection.execute(changed.values(participants=None if present == "[]" else present))
        count("participants", naming.height)
        if kind in ("session", "conversation"):
            agent, session = of_conversation(value) if kind == "conversation" else (None, value)
            for table in (tables["moods"], tables["sessions"]):
                whose = [table.c.session_id == session] + ([table.c.agent_id == agent] if agent is not None else [])
                connection.execute(sa.delete(table).where(*whose))
        if kind == "user":
            for speaker in called.own:
                _erase_user(store, connection, speaker)


def _keep_agents_known(store: InteractionStore, connection: sa.Connection, kind: str, value: str) -> None:
    """Let an agent whose last conversation goes stay known, so that nobody is taken for it who is called almost so."""
    sessions = store.meta.tables["sessions"]
    here = sessions.c.user_id == value if kind == "user" else sessions.c.session_id == value
    here = sessions.c.session_id == of_conversation(value)[1] if kind == "conversation" else here
    agents = set(connection.execute(sa.select(sessions.c.agent_id).where(here).distinct()).scalars()) - {value}
    known = [{"speaker_id": agent, "kind": "agent", "opt_out_training": False} for agent in sorted(agents)]
    if known:
        as_agent = store.upsert(store.meta.tables["speakers"])
        as_agent = as_agent.on_conflict_do_update(index_elements=["speaker_id"], set_={"kind": "agent"})
        connection.execute(as_agent, known)


def _erase_user(store: InteractionStore, connection: sa.Connection, user: str) -> None:
    tables = store.meta.tables
    m, sessions, moods, names = tables["messages"], tables["sessions"], tables["moods"], tables["speaker_names"]
    speakers, affinity = tables["speakers"], tables["affinity"]
    theirs = sa.select(sessions.c.agent_id, sessions.c.session_id).where(sessions.c.user_id == user)
    connection.execute(sa.delete(moods).where(sa.tuple_(moods.c.agent_id, moods.c.session_id).in_(theirs)))
    connection.execute(sa.delete(affinity).where(affinity.c.user_id == user))
    # A session in which others have said something stays theirs.
    same = sa.and_(m.c.agent_id == sessions.c.agent_id, m.c.session_id == sessions.c.session_id)
    left = sa.select(sa.func.min(m.c.user_id)).where(same).scalar_subquery()
    shared = sa.update(sessions).where(sessions.c.user_id == user, sa.exists().where(same))
    connection.execute(shared.values(user_id=left, metadata=None))
    connection.execute(sa.delete(sessions).where(sessions.c.user_id == user))
    # An agent may have the name of a person: what it is called, and what is known of it, is its own.
    spoke = sa.select(m.c.agent_id).where(m.c.speaker_id == user)
    connection.execute(sa.delete(names).where(names.c.speaker_id == user, names.c.agent_id.not_in(spoke)))
    own = sa.update(speakers) if connection.execute(spoke.limit(1)).first() else sa.delete(speakers)
    own = own.values(kind="agent", opt_out_training=False) if isinstance(own, sa.Update) else own
    connection.execute(own.where(speakers.c.speaker_id == user))


def _erase_core_memory(store: InteractionStore, rows: Sequence[dict[str, Any]], count: Count) -> None:
    """Delete entries, those that are guarded, too: a person's right to be forgotten goes before an agent's to stay as it is."""
    table = store.meta.tables["core_memory"]
    for row in rows:
        whole = [table.c[name] == row[name] for name in ("agent_id", "category", "key")]
        with store.unguarded() as connection:
            count("core_memory", connection.execute(sa.delete(table).where(*whole)).rowcount)


def erase_use(store: InteractionStore, memories: Sequence[str]) -> None:
    """Drop what is known of how often memories were recalled, and with whom they were shared."""
    with store.writer.begin() as connection:
        for name in ("recalled", "shared_memories"):
            table = store.meta.tables[name]
            for batch in chunks(memories):
                connection.execute(sa.delete(table).where(table.c.memory_id.in_(batch)))


def erase_rejects(store: InteractionStore, called: Sequence[str], texts: Sequence[str], count: Count) -> None:
    """Drop kept rejects that name the subject or hold its words: a line that could not be read was still somebody's."""
    rejects = store.frame("SELECT reject_id, raw, file, reason FROM rejects").cast(pl.String)
    wanted = [name for name in called if len(name) >= 2] + [text for text in texts if len(text) >= 20]
    if rejects.is_empty() or not wanted:
        return
    forms = {form for one in wanted for form in (one, json.dumps(one)[1:-1], json.dumps(one, ensure_ascii=False)[1:-1])}
    said = pl.concat_str("raw", "file", "reason", separator="\n", ignore_nulls=True)
    found = rejects.filter(said.str.contains_any(sorted(forms)))["reject_id"].to_list()
    table = store.meta.tables["rejects"]
    with store.writer.begin() as connection:
        for batch in chunks(found, IDS):
            count("rejects", connection.execute(sa.delete(table).where(table.c.reject_id.in_(batch))).rowcount)


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
