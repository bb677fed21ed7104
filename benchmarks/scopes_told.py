"""What is said in the installation of `benchmarks.scopes`: to whom, by whom, and so who may read it again.

Ids are odd on purpose. Every message holds a word of its own, which stands nowhere else.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from records.names import fold, in_world, world_and_name
from records.weeks import week_of

TOKEN = re.compile(r"zq[a-y]{8}")
MONDAYS = [datetime(2025, 1, 6, 9, tzinfo=UTC), datetime(2025, 1, 13, 9, tzinfo=UTC)]

NFC, NFD = unicodedata.normalize("NFC", "née"), unicodedata.normalize("NFD", "née")
LONG = "x" * 300
NAMES = [
    *("lumi", "Lumi", "LUMI", "lumi\u200e", "ana", "Ana", NFC, NFD, "nee", "ＬＵＭＩＮＡ", "lumina", "guard", "Guard"),
    *("o'brien", "O'Brien", "''", '"', 'say "hi"', "x' OR '1'='1", "x'; DROP TABLE messages; --", "') OR 1=1 --"),
    *("%", "_", "100%", "a_b", "axb", "a%b", "a/b", "a\\b", "a|b", "a||b", "a|2025-01-06", "../../etc", "..", ".", "...", ".hidden"),
    *("🦊", "👩\u200d🚀", "مرحبا", "\u202eabc", "cba", "a\tb", "a\nb", "a\x1fb", "null", "None", "-", "0", "true", "default", "s"),
    *(LONG, LONG[:-1] + "y", "🦊" * 80, "world:", "world:tavern", "world:tavern/", "World:tavern/guard", "world:a%2fb/guard", "tavern/guard"),
]  # fmt: skip
WORLDS = ["tavern", "Tavern", "a/b", "a%2Fb", "100%", NFC, NFD, "o'brien", "🦊", "tavern/guard"]
IN_WORLDS = ["guard", "Guard", "ana", "b/c", NFC, "o'brien", "world:tavern/guard"]
USERS = [
    "ana",
    "Ana",
    "ANA",
    "lumi",
    "guard",
    "o'brien",
    "a/b",
    "a|b",
    "%",
    "_",
    "a_b",
    "axb",
    NFC,
    NFD,
    "🦊",
    "-",
    "x' OR '1'='1",
    LONG,
]
SESSIONS = ["default", "s", "S", "ana", "lumi", "a/b", "a|b", "%", "o'brien", NFC, NFD, "a\x1fb", "b\x1fdefault"]

SAID = [
    "I am so happy and so afraid today, it is all about {t} and my mother!",
    "I decided that {t} is what I live for, honestly.",
    "I live in {T}.",
    "My dog is called {T}, and I love him so much!",
    "My sister {T} is a nurse and she said yes, congratulations to her!",
    "I feel terribly sad since {t} died, I cried all night.",
]
ANSWERED = [
    "That is wonderful, tell me more about {t}!",
    "I am so sorry about {t}, that must hurt a lot.",
    "I will think of {t} tomorrow, I am excited!",
]


@dataclass(frozen=True)
class Line:
    """One message as it is to be said.

    Attributes:
        owner: The person whom what is made of it belongs to: ``user``, or in a conversation of one person that one.
    """

    token: str
    agent: str
    world: str | None
    user: str | None
    owner: str | None
    session: str
    speaker: str
    role: str
    text: str
    at: datetime

    @property
    def agent_id(self) -> str:
        """Return the id of the agent whose memory it belongs to."""
        return in_world(self.agent, self.world) if self.world is not None else self.agent

    @property
    def talk(self) -> tuple[str, str, str | None]:
        """Return agent, session and owner: whose part in which conversation it is."""
        return self.agent_id, self.session, self.owner

    def row(self) -> dict[str, Any]:
        """Return it as a line of a JSONL file."""
        return {
            "agent_id": self.agent,
            "world_id": self.world,
            "user_id": self.user,
            "session_id": self.session,
            "speaker_id": self.speaker,
            "role": self.role,
            "text": self.text,
            "importance": 0.9,
            "occurred_at": self.at.isoformat(),
        }


@dataclass
class Ledger:
    """What was said and is not forgotten, and who may read it.

    Attributes:
        lines: Token to the line that holds it.
        ids: Message id to token.
        told: Agent to the episodes it was told, each with its tokens and its person.
        agents, users: Who was ever there, by exact id.
        opted_out: Persons, and agent and session, whose words must not be trained on.
        erased: Agent (None: all) and session of conversations that were forgotten: who asks for one is not given another.
    """

    lines: dict[str, Line] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    told: dict[str, dict[str, tuple[frozenset[str], str | None]]] = field(default_factory=dict)
    agents: set[str] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    opted_out: set[tuple[str, ...]] = field(default_factory=set)
    erased: set[tuple[str | None, str]] = field(default_factory=set)
    affinity: dict[tuple[str, str], float] = field(default_factory=dict)
    moods: dict[tuple[str, str], str] = field(default_factory=dict)
    levels: dict[str, str] = field(default_factory=dict)
    _by_agent: dict[str, dict[str, Line]] = field(default_factory=dict)
    _speaking: dict[tuple[str, str, str | None], set[str]] = field(default_factory=dict)

    def add(self, message_id: str, line: Line) -> None:
        """Take down a message that is kept."""
        self.lines[line.token] = line
        self.ids[message_id] = line.token
        self._by_agent.setdefault(line.agent_id, {})[line.token] = line
        if line.role == "agent":
            self._speaking.setdefault(line.talk, set()).add(line.speaker)
        self.agents |= {line.agent_id} | ({line.speaker} if line.role == "agent" else set())
        self.users |= {user for user in (line.user, line.speaker if line.role == "user" else None) if user is not None}

    def of(self, agent: str | None, user: str | None = None, session: str | None = None) -> dict[str, Line]:
        """Return the lines of a scope by token; None for an agent is nobody."""
        return {
            token: line
            for token, line in self._by_agent.get(agent or "", {}).items()
            if user in (None, line.user) and session in (None, line.session)
        }

    def may_read(self, token: str, agent: str | None, user: str | None, *, derived: bool) -> bool:
        """Return whether a scope may see a token.

        An agent sees all of its memory; of one person, what belongs to this one. Episodes also hold the answers to this person that
        name nobody; they are seen by agents that spoke in them, of the same world, and by those whom they were told.
        """
        line = self.lines.get(token)
        if line is None or agent is None:
            return False
        if line.agent_id == agent and user in (None, line.user):
            return True
        if not derived:
            return False
        if user in (None, line.owner) and (line.agent_id == agent or agent in self.present(line)):
            return True
        told = self.told.get(agent, {}).values()
        return any(token in tokens and user in (None, whose) for tokens, whose in told)

    def present(self, line: Line) -> set[str]:
        """Return the other agents of the same world that spoke in a line's part of its conversation."""
        home = world_and_name(line.agent_id)[0]
        return {who for who in self._speaking.get(line.talk, set()) if world_and_name(who)[0] == home}

    def agent(self, name: str, world: str | None) -> str | None:
        """Return who is meant: the exact one, else the only one that is alike, in the world that is meant; None for nobody."""
        wanted = in_world(name, world) if world else name.strip()
        if wanted in self.agents:
            return wanted
        place, called = world_and_name(wanted)
        places = {world_and_name(agent)[0] for agent in self.agents}
        if place is not None and place not in places:
            place = _only(place, (where for where in places if where is not None))
            if place is None:
                return None
        here = {world_and_name(agent)[1]: agent for agent in self.agents if world_and_name(agent)[0] == place}
        return here.get(called) or here.get(_only(called, here) or "")

    def user(self, name: str, agent: str | None) -> str | None:
        """Return which person of an agent is meant, None for nobody: whoever is known by exactly this id is nobody else."""
        wanted = name.strip()
        told = {whose for _, whose in self.told.get(agent or "", {}).values()}
        own = {line.user for line in self.of(agent).values() if line.user is not None}
        if wanted in told:  # an agent that never met somebody may have been told of them
            return wanted
        if wanted in own:
            return wanted
        return None if wanted in self.users else _only(wanted, own)

    def session(self, name: str, agent: str | None) -> str | None:
        """Return which conversation of an agent is meant, None for none."""
        own, wanted = {line.session for line in self.of(agent).values()}, name.strip()
        there = wanted in own or not self.erased.isdisjoint({(None, wanted), (agent, wanted)})
        return wanted if there else _only(wanted, own)

    def forget(self, gone: Iterable[str]) -> None:
        """Take tokens out."""
        for token in list(gone):
            del self._by_agent[self.lines.pop(token).agent_id][token]
        self.ids = {message: token for message, token in self.ids.items() if token in self.lines}


def _only(name: str, known: Iterable[str]) -> str | None:
    alike = {other for other in known if fold(other) == fold(name)}
    return alike.pop() if len(alike) == 1 else None


class Teller:
    """Makes up what is said, by chance."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self._tokens: set[str] = set()
        self._starts: dict[tuple[str, str | None, str], datetime] = {}

    def token(self) -> str:
        """Return a word that nobody has said."""
        while True:
            token = "zq" + "".join(self.random.choices("abcdefghijklmnopqrstuvwxy", k=8))
            if token not in self._tokens:
                self._tokens.add(token)
                return token

    def exchange(
        self,
        agent: str,
        world: str | None,
        user: str | None,
        session: str,
        at: datetime,
        *,
        speaker: str | None = None,
        answers_for: str | None = None,
    ) -> list[Line]:
        """Return what a person says and what is answered.

        Args:
            speaker: Who says it, if that is nobody's conversation.
            answers_for: Whom the answer says it belongs to; None: to nobody.
        """
        home = in_world(agent, world) if world is not None else agent
        lines = []
        for role, who, whose, texts in (
            ("user", user or speaker or "somebody", user, SAID),
            ("agent", home, answers_for, ANSWERED),
        ):
            token = self.token()
            text = self.random.choice(texts).format(t=token, T=token.capitalize())
            lines.append(Line(token, agent, world, whose, user, session, who, role, text, at))
            at += timedelta(seconds=20)
        return lines

    def conversation(self, agent: str, world: str | None, user: str, session: str, **how: Any) -> Iterator[Line]:
        """Yield a person's part in a conversation: some exchanges within minutes, beside those of others."""
        start = self._starts.setdefault((agent, world, session), self.random.choice(MONDAYS))
        start += timedelta(hours=self.random.random() < 0.2, seconds=self.random.randrange(40))
        for number in range(self.random.randint(2, 4)):
            at = start + timedelta(minutes=number, microseconds=self.random.randrange(10**6))
            yield from self.exchange(agent, world, user, session, at, **{"answers_for": user, **how})

    def scopes(self, agents: int | None = None) -> list[tuple[str | None, str, str, str]]:
        """Return world, agent, user and session of every conversation of one person, in which ids meet as badly as they can.

        Args:
            agents: How many agents there are; default: all with odd ids.
        """
        random, found = self.random, set()
        places = [(None, name) for name in NAMES] + [(world, name) for world in WORLDS for name in IN_WORLDS]
        for world, agent in places if agents is None else random.sample(places, min(agents, len(places))):
            users = random.sample(USERS, 2) + ([agent] if agent in USERS else []) + ["ana"] * (random.random() < 0.5)
            shared = random.choice(SESSIONS[:3])
            for user in dict.fromkeys(users):
                for session in {shared, random.choice(SESSIONS)}:
                    found.add((world, agent, user, session))
        return sorted(found, key=repr)

    def written(self, name: str) -> str:
        """Return a name as somebody may write it: mostly as it is."""
        random = self.random
        ways = [
            lambda: f" {name}\t",
            name.upper,
            name.lower,
            name.swapcase,
            lambda: unicodedata.normalize("NFD", name),
            lambda: unicodedata.normalize("NFC", name),
            lambda: name + "\u200e",
            lambda: name + "\x00",
            lambda: name + "\ud800",
            lambda: name.replace("'", "''"),
            lambda: random.choice([*NAMES, *USERS, *SESSIONS, "", " ", "nobody"]),
        ]
        return name if random.random() < 0.55 else random.choice(ways)()


def week(line: Line) -> str:
    """Return the week of a line."""
    return week_of(line.at)
