"""Who there is in a store: agents, users and sessions, found by their names as people write them."""

from typing import Any

import sqlalchemy as sa

from records.names import as_id, in_world, like, world_and_name
from resources.store import InteractionStore


class People:
    """Agents, users and sessions of a store. Whoever is asked for by the exact id is that one; else case and accents do not matter."""

    def __init__(self, store: InteractionStore) -> None:
        self.store = store

    # -- lists ----------------------------------------------------------------------------------------------------

    def agents(self) -> list[str]:
        """Return the ids of all agents: whose memory holds something, who spoke as one, was described, or was told something."""
        tables = self.store.meta.tables
        speakers = tables["speakers"]
        queries = [sa.select(tables[name].c.agent_id) for name in ("sessions", "core_memory", "shared_memories")]
        queries.append(sa.select(speakers.c.speaker_id).where(speakers.c.kind == "agent"))
        return self._column(sa.union(*queries))

    def users(self, agent: str | None = None) -> list[str]:
        """Return the ids of the persons that conversations and messages belong to, of all agents or of one."""
        tables = self.store.meta.tables
        queries = []
        for table in (tables["sessions"], tables["messages"]):
            query = sa.select(table.c.user_id).where(table.c.user_id.is_not(None)).distinct()
            queries.append(query if agent is None else query.where(table.c.agent_id == agent))
        return self._column(sa.union(*queries))

    def sessions(self, agent: str | None = None, user: str | None = None) -> list[dict[str, Any]]:
        """Return agent_id, session_id, user_id, started_at of conversations, the newest first.

        Of one that several persons have a part in, ``user_id`` is the one who was asked for, else the one it began with.
        """
        s, m = self.store.meta.tables["sessions"], self.store.meta.tables["messages"]
        whose = s.c.user_id if user is None else sa.literal(user).label("user_id")
        query = sa.select(s.c.agent_id, s.c.session_id, whose, s.c.started_at)
        query = query if agent is None else query.where(s.c.agent_id == agent)
        if user is not None:
            part = sa.select(m.c.agent_id, m.c.session_id).where(m.c.user_id == user)
            query = query.where(sa.or_(s.c.user_id == user, sa.tuple_(s.c.agent_id, s.c.session_id).in_(part)))
        with self.store.engine.connect() as connection:
            found = connection.execute(query.order_by(s.c.started_at.desc(), s.c.session_id)).mappings()
            return [dict(row) for row in found]

    # -- one ------------------------------------------------------------------------------------------------------

    def agent(self, name: str, world: str | None = None) -> str | None:
        """Return the id of the agent of that name (in that world), None if there is none or several are alike.

        A world that is there by exactly this name is that one, even where only one that is written alike has such an agent.
        """
        name, world = as_id(name), as_id(world) if world is not None else None
        wanted = in_world(name, world) if world else name
        sessions = self.store.meta.tables["sessions"]
        if self._there(sa.select(1).where(sessions.c.agent_id == wanted)):
            return wanted
        place, called = world_and_name(wanted)
        outside, worlds = self._outside_and_worlds()
        return like(called, outside if place is None else like(place, worlds) or {})

    def world(self, name: str) -> str:
        """Return the name of the world that is meant: the known one that has it, whatever case or accents, else the name itself."""
        known = {world: world for world in self._outside_and_worlds()[1]}
        return like(as_id(name), known) or as_id(name)

    def _outside_and_worlds(self) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        """Return name to id of the agents outside of worlds, and the same of those in each world."""
        outside: dict[str, str] = {}
        worlds: dict[str, dict[str, str]] = {}
        for agent in self.agents():
            world, name = world_and_name(agent)
            (outside if world is None else worlds.setdefault(world, {}))[name] = agent
        return outside, worlds

    def user(self, name: str, agent: str) -> str | None:
        """Return the id of an agent's user of that name, None if there is none or several are alike.

        Whoever is known by exactly this id, be it to another agent, is nobody else.
        """
        m, s = self.store.meta.tables["messages"], self.store.meta.tables["sessions"]
        wanted = as_id(name)
        if self._there(sa.select(1).where(m.c.user_id == wanted, m.c.agent_id == agent)):
            return wanted
        if self._there(sa.select(1).where(s.c.user_id == wanted, s.c.agent_id == agent)):
            return wanted
        speakers = self.store.meta.tables["speakers"]
        persons = sa.select(1).where(speakers.c.speaker_id == wanted, speakers.c.kind == "user")
        for elsewhere in (
            sa.select(1).where(m.c.user_id == wanted),
            persons,
            sa.select(1).where(s.c.user_id == wanted),
        ):
            if self._there(elsewhere):
                return None
        return like(wanted, {user: user for user in self.users(agent)})

    def anybody(self, name: str) -> str | None:
        """Return the id of the person of that name, whoever's user, None if there is none or several are alike."""
        speakers, messages = self.store.meta.tables["speakers"], self.store.meta.tables["messages"]
        wanted = as_id(name)
        for table in (speakers.c.speaker_id, messages.c.user_id):
            if self._there(sa.select(1).where(table == wanted)):
                return wanted
        return like(wanted, {person: person for person in self.persons()})

    def persons(self) -> list[str]:
        """Return the ids of all persons who said something, or to whom a conversation belongs."""
        speakers = self.store.meta.tables["speakers"]
        spoken = self._column(sa.select(speakers.c.speaker_id).where(speakers.c.kind == "user"))
        return sorted({*spoken, *self.users()})

    def session(self, name: str, agent: str) -> str | None:
        """Return the id of an agent's conversation of that name, None if there is none or several are alike."""
        sessions = self.store.meta.tables["sessions"]
        wanted = as_id(name)
        if self._there(sa.select(1).where(sessions.c.agent_id == agent, sessions.c.session_id == wanted)):
            return wanted
        known = self._column(sa.select(sessions.c.session_id).where(sessions.c.agent_id == agent))
        return like(wanted, {session: session for session in known})

    def speakers(self, name: str, agent: str) -> list[str]:
        """Return the ids of the speakers in an agent's memory who are meant by a name: the one with this id, else all who go by it."""
        m, names = self.store.meta.tables["messages"], self.store.meta.tables["speaker_names"]
        wanted = as_id(name)
        if self._there(sa.select(1).where(m.c.speaker_id == wanted, m.c.agent_id == agent)):
            return [wanted]
        called = sa.select(names.c.speaker_id).where(names.c.agent_id == agent, names.c.display_name == wanted)
        return self._column(called) or [wanted]

    def _there(self, query: sa.Select[Any]) -> bool:
        return self.store.scalar(query.limit(1)) is not None

    def _column(self, query: Any) -> list[str]:
        with self.store.engine.connect() as connection:
            return sorted(connection.execute(query).scalars())
