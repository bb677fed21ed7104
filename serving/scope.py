"""The wall around a memory: what of the stores belongs to an agent, and to one of its users; and who is meant by a name."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from records.errors import StoreError
from records.names import as_id, in_world, nearest
from resources.people import People
from resources.vectors import quoted
from serving.capture import conversation

HELD = 10_000
"""Names whose ids are kept in memory."""


@dataclass(frozen=True)
class Scope:
    """Whose memory is read.

    Attributes:
        agent_id: Always given: nothing is read across agents. That of an agent in a world names the world, too.
        user_id: If given, only what belongs to this person.
        world_id: The world that was asked for, None outside of worlds.
    """

    agent_id: str
    user_id: str | None = None
    world_id: str | None = field(default=None, compare=False)

    def where(self) -> str:
        """Return the filter of Lance tables."""
        mine = f"agent_id = {quoted(self.agent_id)}"
        return mine if self.user_id is None else f"{mine} AND user_id = {quoted(self.user_id)}"


@dataclass(frozen=True)
class Asked:
    """Whose memory was asked for.

    Attributes:
        unknown: A sentence for each name that nobody has, with the nearest ones.
        begun: Whether there is such a conversation; a bot asks for context in one that is about to begin.
    """

    scope: Scope
    session: str | None = None
    unknown: list[str] = field(default_factory=list)
    begun: bool = True

    def known(self) -> "Asked":
        """Return itself.

        Raises:
            StoreError: a name that nobody has; the message says the nearest ones.
        """
        if self.unknown:
            raise StoreError("; ".join(self.unknown))
        return self


class ScopeFinder:
    """Finds scopes by names.

    Who was found under the exact id is kept. A name that is only alike is looked up each time: somebody else may have come who is
    called exactly so, or who is alike, too.

    Args:
        erased: Returns whether a subject of this kind and id was erased: whoever was is nobody else either.
    """

    def __init__(self, people: People, erased: Callable[[str, str], bool]) -> None:
        self.people = people
        self._erased = erased
        self._held: OrderedDict[tuple[str | None, ...], str] = OrderedDict()
        self._meant: OrderedDict[tuple[str | None, ...], tuple[str | None, ...]] = OrderedDict()

    def as_known(self, agent: str, user: str | None, *, session: str | None = None, world: str | None = None) -> Asked:
        """Return the scope without asking the store: who was meant by these names before, else the names as they are written."""
        named, world = as_id(agent), (as_id(world) or None) if world is not None else None
        named = in_world(named, world) if world is not None else named
        meant = self._meant.get((named, user, session))
        if meant is None:
            meant = (named, None if user is None else as_id(user), None if session is None else as_id(session))
        return Asked(Scope(str(meant[0]), meant[1], world), meant[2])

    def find(self, agent: str, user: str | None, *, session: str | None = None, world: str | None = None) -> Asked:
        """Return the scope; a name that nobody has is taken as it is, so that nothing is found under it, and said."""
        people, unknown = self.people, []
        named, world = as_id(agent), (as_id(world) or None) if world is not None else None
        named = in_world(named, world) if world is not None else named
        agent_id = self._known(("agent", named), named, lambda: people.agent(agent, world))
        if agent_id is None:
            unknown.append(f"there is no agent {agent!r}{_hint(agent, people.agents())}")
            agent_id = named
        user_id = session_id = None
        begun = True
        if user is not None:
            called = as_id(user)
            user_id = self._known(("user", called, agent_id), called, lambda: people.user(called, agent_id))
            if user_id is None or (user_id != called and self._erased("user", called)):
                user_id = called
                if not unknown:
                    unknown.append(f"{agent_id} knows no user {user!r}{_hint(user, people.users(agent_id))}")
        if session is not None:
            called = as_id(session)
            session_id = self._known(("session", called, agent_id), called, lambda: people.session(called, agent_id))
            begun = session_id is not None
            alike = session_id is not None and session_id != called
            gone = alike and (
                self._erased("session", called) or self._erased("conversation", conversation(agent_id, called))
            )
            session_id = called if session_id is None or gone else session_id
        if not unknown and begun:
            self._meant[named, user, session] = (agent_id, user_id, session_id)
            while len(self._meant) > HELD:
                self._meant.popitem(last=False)
        return Asked(Scope(agent_id, user_id, world), session_id, unknown, begun)

    def _known(self, key: tuple[str | None, ...], exact: str, look: Callable[[], str | None]) -> str | None:
        found = self._held.get(key) or look()
        if found is not None and found == exact:
            self._held[key] = found
            while len(self._held) > HELD:
                self._held.popitem(last=False)
        return found


def _hint(name: str, known: list[str]) -> str:
    close = nearest(name, known)
    if close:
        return f"; did you mean {' or '.join(map(repr, close))}?"
    return f"; there are {', '.join(known[:5])}{' …' if len(known) > 5 else ''}" if known else "; there is none yet"
