"""Worlds: how close agents are to people, what mood they are in, and what they told each other.

Affinity is permanent; a mood belongs to a session and fades with a half-life of half an hour.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import sqlalchemy as sa

from records.errors import StoreError
from records.names import as_id, file_name, in_world
from resources.reaching import at_most
from resources.store import InteractionStore
from serving.capture import conversation
from serving.reach import WAIT_S
from transforms.persona_template import DEFAULT_LEVELS, PersonaTemplate, affinity_change, load_persona

MOOD_HALF_LIFE_MINUTES = 30.0

SHARED_SECONDS = 2.0
"""How long it may take until another process's sharing is seen."""

MOODS = {
    "joy": "cheerful",
    "sadness": "melancholic",
    "anger": "irritated",
    "fear": "anxious",
    "surprise": "curious",
    "disgust": "reserved",
}
"""Emotion of what was said to the mood it leaves."""


class Worlds:
    """Affinity, moods, personas and shared memories of one installation.

    An agent is named as everywhere: by its id or name, and ``world`` where it lives in one. Of users and sessions the id counts.
    """

    def __init__(
        self,
        store: InteractionStore,
        personas_dir: Path | None = None,
        owner_of: Callable[[str], str | None] | None = None,
        agent_id: Callable[[str, str | None], str] | None = None,
        erased: Callable[[str, str], bool] | None = None,
    ) -> None:
        """Open them.

        Args:
            owner_of: Returns whose episode an id names, None when there is none; without it nothing can be shared.
            agent_id: Returns the id of an agent by its name and world; default: the exact id.
            erased: Returns whether a subject of this kind and id was erased: nothing is kept of one.
        """
        self.store = store
        self.personas_dir = personas_dir
        self._owner_of = owner_of
        self._agent_id = agent_id
        self._erased = erased or (lambda kind, value: False)
        self._shared: dict[str, tuple[float, list[str]]] = {}

    @cached_property
    def _tables(self) -> tuple[sa.Table, sa.Table, sa.Table]:
        tables = self.store.meta.tables
        return tables["affinity"], tables["moods"], tables["shared_memories"]

    def _agent(self, agent: str, world: str | None) -> str:
        if self._agent_id is not None:
            return self._agent_id(agent, world)
        return in_world(agent, world) if world else as_id(agent)

    def persona(self, agent: str, *, world: str | None = None) -> PersonaTemplate | None:
        """Return the agent's template, None if there is none.

        Raises:
            MemoryAssetsError: the file is no template.
        """
        return self._persona(self._agent(agent, world))

    def _persona(self, agent: str) -> PersonaTemplate | None:
        if self.personas_dir is None:
            return None
        path = self.personas_dir / f"{file_name(agent)}.json"
        try:
            return load_persona(path) if path.is_file() else None
        except OSError:  # a name that no file system takes
            return None

    # -- affinity -------------------------------------------------------------------------------------------------

    def affinity(self, user: str, agent: str, *, world: str | None = None) -> tuple[float, str]:
        """Return points (-100 to 100, 0 at first) and the name of the level."""
        return self._affinity(as_id(user), self._agent(agent, world))

    def _affinity(self, user: str, agent: str) -> tuple[float, str]:
        table, _, _ = self._tables
        with self.store.engine.connect() as connection:
            points = connection.execute(
                sa.select(table.c.points).where(table.c.user_id == user, table.c.persona_id == agent)
            ).scalar()
        value = float(points or 0.0)
        persona = self._persona(agent)
        return value, persona.level(value) if persona is not None else _level(value)

    def add_affinity(
        self, user: str, agent: str, change: float, *, world: str | None = None, now: datetime | None = None
    ) -> float:
        """Add points, within -100 and 100, in one statement that loses nothing when two happen at once; return the new points.

        Raises:
            StoreError: the user was erased.
        """
        table, _, _ = self._tables
        user, agent = as_id(user), self._agent(agent, world)
        if self._erased("user", user):
            raise StoreError("no closeness is kept: the user was erased")
        least = sa.func.min if self.store.is_sqlite else sa.func.least
        most = sa.func.max if self.store.is_sqlite else sa.func.greatest
        moment = now or datetime.now(UTC)
        first = max(-100.0, min(100.0, change))
        statement = self.store.upsert(table).values(user_id=user, persona_id=agent, points=first, updated_at=moment)
        statement = statement.on_conflict_do_update(
            index_elements=["user_id", "persona_id"],
            set_={"points": least(100.0, most(-100.0, table.c.points + change)), "updated_at": moment},
        )
        with at_most(WAIT_S), self.store.writer.begin() as connection:
            connection.execute(statement)
        return self._affinity(user, agent)[0]

    # -- mood -----------------------------------------------------------------------------------------------------

    def mood(
        self, session: str, agent: str | None = None, *, world: str | None = None, now: datetime | None = None
    ) -> tuple[str, float] | None:
        """Return the mood's name and what is left of its intensity, None when it has faded below 0.05.

        Args:
            agent: Whose mood; None: of the one agent that has such a conversation, and no mood where there are several.
        """
        return self._mood(as_id(session), None if agent is None else self._agent(agent, world), now)

    def _mood(self, session: str, agent: str | None, now: datetime | None = None) -> tuple[str, float] | None:
        whose = {} if agent is None else {"agent_id": agent}
        rows = self.store.rows("moods", session_id=session, **whose)
        if len(rows) != 1:
            return None
        minutes = max(0.0, ((now or datetime.now(UTC)) - rows[0]["started_at"]).total_seconds() / 60)
        left = float(rows[0]["intensity"]) * 2.0 ** (-minutes / MOOD_HALF_LIFE_MINUTES)
        return (str(rows[0]["name"]), round(left, 4)) if left >= 0.05 else None

    def set_mood(
        self,
        session: str,
        agent: str,
        name: str,
        intensity: float,
        *,
        world: str | None = None,
        now: datetime | None = None,
    ) -> None:
        """Set the mood of an agent in a conversation.

        Raises:
            StoreError: the intensity is not between 0 and 1, or the conversation was erased.
        """
        if not 0 <= intensity <= 1:
            raise StoreError("a mood's intensity lies between 0 and 1")
        _, table, _ = self._tables
        values = {"name": name, "intensity": intensity, "started_at": now or datetime.now(UTC)}
        whose = {"agent_id": self._agent(agent, world), "session_id": as_id(session)}
        talk = conversation(whose["agent_id"], whose["session_id"])
        if self._erased("session", whose["session_id"]) or self._erased("conversation", talk):
            raise StoreError("no mood is kept: the conversation was erased")
        statement = self.store.upsert(table).values(**whose, **values)
        with at_most(WAIT_S), self.store.writer.begin() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["agent_id", "session_id"], set_=values))

    def react(
        self,
        *,
        user: str,
        agent: str,
        session: str,
        emotion: str,
        valence: float,
        arousal: float,
        disclosed: bool = False,
        world: str | None = None,
        now: datetime | None = None,
    ) -> tuple[float, tuple[str, float] | None]:
        """Update affinity and mood by rule after an exchange; return the points and the mood.

        A mood takes over when it is at least as strong as what is left of the one before.
        """
        change = affinity_change(valence, arousal, disclosed=disclosed)
        points = self.add_affinity(user, agent, change, world=world, now=now)
        before, name = self.mood(session, agent, world=world, now=now), MOODS.get(emotion)
        if name is not None and (before is None or name == before[0] or arousal >= before[1]):
            self.set_mood(session, agent, name, min(1.0, max(0.0, arousal)), world=world, now=now)
        return points, self.mood(session, agent, world=world, now=now)

    def state(self, agent: str, user: str | None, session: str | None, *, world: str | None = None) -> tuple[str, str]:
        """Return mood and closeness in words for a prompt, empty where there is nothing to say."""
        agent = self._agent(agent, world)
        mood = self._mood(as_id(session), agent) if session is not None else None
        points, level = self._affinity(as_id(user), agent) if user is not None else (0.0, "")
        return (mood[0] if mood is not None else ""), (level if points else "")

    # -- what agents share ----------------------------------------------------------------------------------------

    def share(self, episode_id: str, *, by: str, with_agent: str, now: datetime | None = None) -> bool:
        """Let another agent recall an episode of this one; return whether it was new.

        Raises:
            StoreError: the agent has no such episode: nobody shares what is another's.
        """
        if self._owner_of is None or self._owner_of(episode_id) != by:
            raise StoreError(f"{by} has no such episode to share")
        row = {"memory_id": episode_id, "agent_id": with_agent, "shared_by": by, "shared_at": now or datetime.now(UTC)}
        self._shared.pop(with_agent, None)
        return bool(self.store.insert_once("shared_memories", [row]))

    def shared_with(self, agent: str) -> list[str]:
        """Return the episodes that others shared with an agent."""
        held = self._shared.get(agent)
        if held is not None and time.monotonic() - held[0] < SHARED_SECONDS:
            return held[1]
        _, _, table = self._tables
        with self.store.engine.connect() as connection:
            query = sa.select(table.c.memory_id).where(table.c.agent_id == agent).order_by(table.c.memory_id)
            found = list(connection.execute(query).scalars())
        if len(self._shared) > 10_000:
            self._shared.clear()
        self._shared[agent] = (time.monotonic(), found)
        return found


def _level(points: float) -> str:
    return [name for start, name in DEFAULT_LEVELS if points >= start][-1]
