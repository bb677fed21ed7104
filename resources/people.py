"""Who there is in a store: agents, users and sessions, found by their names as people write them."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from records.names import fold, in_world
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
        """Return the ids of the persons that sessions belong to, of all agents or of one."""
        sessions = self.store.meta.tables["sessions"]
        query = sa.select(sessions.c.user_id).where(sessions.c.user_id.is_not(None)).distinct()
        return self._column(query if agent is None else query.where(sessions.c.agent_id == agent))

    def sessions(self, agent: str | None = None, user: str | None = None) -> list[dict[str, Any]]:
        """Return agent_id, session_id, user_id, started_at of conversations, the newest first."""
        s = self.store.meta.tables["sessions"]
        query = sa.select(s.c.agent_id, s.c.session_id, s.c.user_id, s.c.started_at)
        query = query if agent is None else query.where(s.c.agent_id == agent)
        query = query if user is None else query.where(s.c.user_id == user)
        with self.store.engine.connect() as connection:
            found = connection.execute(query.order_by(s.c.started_at.desc(), s.c.session_id)).mappings()
            return [dict(row) for row in found]

    # -- one ------------------------------------------------------------------------------------------------------

    def agent(self, name: str, world: str | None = None) -> str | None:
        """Return the id of the agent of that name (in that world), None if there is none or several are alike."""
        wanted = name.strip() if world is None else in_world(name.strip(), world)
        sessions = self.store.meta.tables["sessions"]
        if self._there(sa.select(1).where(sessions.c.agent_id == wanted)):
            return wanted
        return _one(wanted, self.agents())

    def user(self, name: str, agent: str) -> str | None:
        """Return the id of an agent's user of that name, None if there is none or several are alike."""
        messages = self.store.meta.tables["messages"]
        wanted = name.strip()
        if self._there(sa.select(1).where(messages.c.user_id == wanted, messages.c.agent_id == agent)):
            return wanted
        return _one(wanted, self.users(agent))

    def session(self, name: str, agent: str) -> str | None:
        """Return the id of an agent's conversation of that name, None if there is none or several are alike."""
        sessions = self.store.meta.tables["sessions"]
        wanted = name.strip()
        if self._there(sa.select(1).where(sessions.c.agent_id == agent, sessions.c.session_id == wanted)):
            return wanted
        return _one(wanted, self._column(sa.select(sessions.c.session_id).where(sessions.c.agent_id == agent)))

    def _there(self, query: sa.Select[Any]) -> bool:
        return self.store.scalar(query.limit(1)) is not None

    def _column(self, query: Any) -> list[str]:
        with self.store.engine.connect() as connection:
            return sorted(connection.execute(query).scalars())


def _one(wanted: str, known: Iterable[str]) -> str | None:
    """Return the only name that says the same; the exact one where it is there."""
    known = list(known)
    if wanted in known:
        return wanted
    alike = [name for name in known if fold(name) == fold(wanted)]
    return alike[0] if len(alike) == 1 else None
