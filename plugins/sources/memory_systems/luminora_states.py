"""Who is who in LuminoraCore's files, how close a persona is to people, and its moods."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from plugins.contracts import SourceOptions
from plugins.sources.fields import first, identity, number, string
from plugins.sources.memory_systems.derived import Owners, Row
from plugins.sources.memory_systems.luminora_files import (
    check,
    files_of,
    raw_rows,
)
from plugins.sources.memory_systems.luminora_json import PERSONA, SESSION, USER, Raw
from plugins.sources.people import named_agent


class Affinity(NamedTuple):
    """How close a persona is to a person: points from 0 to 100."""

    user: str
    agent: str
    points: float


class Mood(NamedTuple):
    """The mood of a persona in a conversation; ``started`` as the file writes it."""

    session: str
    agent: str
    user: str | None
    name: str
    intensity: float
    started: Any


class Known:
    """Who is who in a file or a folder: the persona and the user of each session, and who knows whom.

    Attributes:
        started: Session to when it began.
        states: How many states of affinity and mood there are.
    """

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self.files = files_of(path)
        self.started: dict[str, Any] = {}
        self.states = 0
        self._sessions: dict[str, tuple[str | None, str | None]] = {}
        self._met: dict[str | None, set[str]] = {}
        found = {self._note(raw) for file in self.files for raw in raw_rows(file, options)}
        self.agents = Owners(options.agent, (agent for _, agent in found))
        self.users = Owners(options.user, (user for user, _ in found))
        if self.agents.of(None) is None and len(self.agents.names) < 2:
            named_agent(options, self.users.names, path.name)
        for user, agent in found:
            if agent is not None:
                self._met.setdefault(self.users.of(user), set()).add(self.agents.of(agent) or agent)

    def _note(self, raw: Raw) -> tuple[str | None, str | None]:
        row, session = raw.row, identity(first(raw.row, *SESSION))
        user, agent = identity(first(row, *USER)), identity(first(row, *PERSONA))
        if raw.kind in ("session", "exchange") and session is not None:
            before = self._sessions.get(session, (None, None))
            self._sessions[session] = (user or before[0], agent or before[1])
            if raw.kind == "session" and row.get("created_at") is not None:
                self.started.setdefault(session, row["created_at"])
        self.states += raw.kind in ("affinity", "mood")
        return (user, agent) if raw.kind in ("session", "exchange", "affinity", "fact", "episode") else (None, None)

    def of(self, session: str, row: Row) -> tuple[str, str | None]:
        """Return user and agent of a conversation; a message may name them itself."""
        user, agent = self._sessions.get(session, (None, None))
        agent = agent or identity(first(row, "personality_name"))
        # Version 1.1 keeps what it learned in a session without user under the session's id.
        user = user or identity(row.get("user_id")) or (session if session in self.users.names else None)
        return self.users.of(user) or f"user of {session}", self.agents.of(agent)

    def knowing(self, row: Row) -> tuple[str | None, list[str | None]]:
        """Return the user that something was learned of, and the personas that know this user."""
        session = self._sessions.get(identity(first(row, *SESSION)) or "", (None, None))
        user = self.users.of(identity(first(row, *USER)) or session[0])
        own = identity(first(row, "personality_name")) or session[1]
        met = sorted(self._met.get(user, ()))
        return user, list(met) or [self.agents.of(own)]


def states(path: Path, options: SourceOptions) -> Iterator[Affinity | Mood]:
    """Yield the affinity and the moods that a file or a folder holds; what has no person, persona or number is left out.

    Raises:
        SourceError: nothing of LuminoraCore is in it.
    """
    check(path)
    known = Known(path, options)
    for file in known.files:
        for raw in raw_rows(file, options):
            row = raw.row
            if raw.kind == "affinity":
                user, agent = (
                    known.users.of(identity(first(row, *USER))),
                    known.agents.of(identity(first(row, *PERSONA))),
                )
                points = number(first(row, "affinity_points", "points", "affinity"))
                if user is not None and agent is not None and points is not None:
                    yield Affinity(user, agent, min(100.0, max(-100.0, points)))
            elif raw.kind == "mood":
                made = _mood(row, known)
                if made is not None:
                    yield made


def _mood(row: Row, known: Known) -> Mood | None:
    session = identity(first(row, *SESSION))
    name = string(first(row, "current_mood", "mood_type", "mood", "name"))
    if session is None or name is None:
        return None
    user, agent = known.of(session, row)
    intensity = number(first(row, "mood_intensity", "intensity"))
    started = first(row, "mood_started_at", "started_at", "created_at", "updated_at")
    if agent is None:
        return None
    return Mood(session, agent, user, name, min(1.0, max(0.0, 1.0 if intensity is None else intensity)), started)
