"""Whether anything of another agent, user, session or world is ever read.

    python -m benchmarks.scopes --tries 5000 --seed 1

An installation is filled with conversations whose ids meet as badly as they can (see `benchmarks.scopes_told`), and asked at random,
through two clients: recall in every way, context, facts, newest messages, counts, people, moods, closeness, personas; in between
things are said, told, forgotten and made again. What a scope may see is known beforehand: a word of another one in an answer, a
message that is kept elsewhere than where it was said, a forgotten one that is still there or one that went with it is a crossing.
A crash is an exception that is none of the project's own. ``missed`` counts own words that should have been found. What was found goes
to standard error.
"""

import argparse
import json
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import dagster as dg
import polars as pl

from benchmarks.erasure import HASHING
from benchmarks.installation import home
from benchmarks.scopes_told import MONDAYS, TOKEN, Ledger, Line, Teller
from memory_assets.assets.datasets import learnable
from memory_assets.instances import instance
from memory_assets.layers import LAYERS, Slot
from memory_assets.operations.materialize import definitions_for, finish, materialize_weeks, quiet_logs
from memory_assets.tools import Tools
from model_registry.files import opted_out_messages
from records.errors import MemoryAssetsError
from records.interactions import AnonymizedInteractions
from records.names import file_name, in_world
from resources.settings import Settings, load_settings
from serving.client import MemoryClient
from serving.recall import candidates
from serving.recall.recaller import KINDS, memory_dict

FORGOTTEN = 8
"""Subjects that are forgotten in a run, evenly among the tries."""

EVERYTHING = 10_000
QUESTIONS = [
    "what makes me happy?",
    "mother",
    "where do I live?",
    "is my dog all right?",
    "who died?",
    "tell me everything",
]


class Trial:
    """One installation and what was found in it."""

    def __init__(self, folder: Path, seed: int, *, agents: int | None = None) -> None:
        """Fill it.

        Args:
            agents: How many there are; default: all with odd ids.
        """
        self.random = Random(seed)
        self.teller, self.ledger = Teller(self.random), Ledger()
        self.found: Counter[str] = Counter()
        self.settings = _settings(folder)
        self.clients = [MemoryClient(self.settings), MemoryClient(self.settings, embedder=False)]
        self.scopes = self.teller.scopes(agents)
        self._fill(folder / "said.jsonl")
        self._make()

    @property
    def client(self) -> MemoryClient:
        """Return one of the clients."""
        return self.random.choice(self.clients)

    def wrong(self, what: str, detail: object) -> None:
        """Count what was found, and say what it was."""
        self.found[what] += 1
        shown = repr(detail)
        print(
            json.dumps({what: shown if len(shown) < 1_200 else f"{shown[:500]} … {shown[-700:]}"}),
            file=sys.stderr,
            flush=True,
        )

    # -- what is there --------------------------------------------------------------------------------------------

    def _fill(self, path: Path) -> None:
        """Import half of the conversations, say the others, and let agents describe themselves and meet in others' talks."""
        imported: list[Line] = []
        spoken: list[Line] = []
        for number, (world, agent, user, session) in enumerate(self.scopes):
            lines = list(self.teller.conversation(agent, world, user, session))
            known = any(line.agent_id == lines[0].agent_id for line in imported)
            (spoken if known and number % 2 else imported).extend(lines)
        imported += self._guests()
        path.write_text("".join(json.dumps(line.row()) + "\n" for line in self._shuffled(imported)), encoding="utf-8")
        self.client.import_file(str(path))
        self._kept(imported)
        for line in sorted(spoken, key=lambda line: line.at):
            self.say(line)
        for line in self._group():
            self.say(line)
        self.settings.personas_dir.mkdir(parents=True, exist_ok=True)
        for agent in self.random.sample(sorted(self.ledger.agents), min(12, len(self.ledger.agents))):
            level = self.teller.token()
            path = self.settings.personas_dir / f"{file_name(agent)}.json"
            path.write_text(json.dumps({"name": "x", "traits": {}, "levels": [{"name": level, "from": -100}]}))
            self.ledger.levels[agent] = level

    def _shuffled(self, lines: list[Line]) -> list[Line]:
        """Return the lines in any order; those of one conversation stay in theirs."""
        place = {talk: self.random.random() for talk in {line.talk for line in lines}}
        return sorted(lines, key=lambda line: place[line.talk])

    def _guests(self) -> list[Line]:
        """Return conversations in which other agents speak, and answers that name nobody."""
        lines: list[Line] = []
        for number, (world, agent, guest) in enumerate(
            [(None, "luna", "sol"), (None, "a/b", "a|b"), ("tavern", "guard", "ana"), (None, "luna", "world:tavern/guard"), (None, "lumi", "Ana")]
        ):  # fmt: skip
            session = f"guests-{number}"
            for line in self.teller.conversation(agent, world, "ana", session):
                speaks = line.role == "agent" and self.random.random() < 0.6
                speaker = (in_world(guest, world) if world is not None else guest) if speaks else line.speaker
                lines.append(Line(**{**line.__dict__, "speaker": speaker}))
        return lines

    def _group(self) -> Iterable[Line]:
        """Return what is said in groups, which belong to nobody, under ids that persons use as well; and answers that name nobody."""
        for agent, session in (("lumi", "default"), ("a|b", "s"), ("luna", "room")):
            for number in range(6):
                at = MONDAYS[0] + timedelta(minutes=number, seconds=7)
                lines = self.teller.exchange(agent, None, None, session, at, speaker=self.random.choice(["ana", "ben"]))
                yield from lines if session == "room" else lines[:1]
            told = self.teller.conversation(agent, None, "ana", f"unnamed {agent}", answers_for=None)
            yield from (Line(**{**line.__dict__, "owner": "ana"}) for line in told)

    def say(self, line: Line) -> None:
        """Keep a line through a client, and see that it is kept where it belongs."""
        given: dict[str, Any] = {} if line.role == "agent" else {"speaker": line.speaker}
        self.client.remember(
            line.text, agent=line.agent, world=line.world, user=line.user, session=line.session, role=line.role, importance=0.9,
            occurred_at=line.at, **given,
        )  # fmt: skip
        self._kept([line])

    def _kept(self, lines: list[Line]) -> None:
        wanted = {line.token: line for line in lines}
        store = self.clients[0].store
        rows = store.frame("SELECT message_id, agent_id, user_id, session_id, speaker_id, text FROM messages").cast(
            pl.String
        )
        for message_id, agent, user, session, speaker, text in rows.iter_rows():
            line = wanted.pop(TOKEN.findall(text.lower())[0], None)
            if line is None:
                continue
            if (agent, user, session, speaker) != (line.agent_id, line.user, line.session, line.speaker):
                self.wrong("crossings", ("kept elsewhere", line, agent, user, session, speaker))
            self.ledger.add(message_id, line)
        for line in wanted.values():
            self.wrong("missed", ("not kept", line))

    def _make(self) -> None:
        """Make every week that is not made yet."""
        materialize_weeks(self.settings, Tools(self.settings).sync.unsynced_weeks(), lambda *_: None)

    # -- what is asked --------------------------------------------------------------------------------------------

    def tried(self, number: int) -> None:
        """Do one thing by chance."""
        asked: list[tuple[Callable[[], None], int]] = [
            (self.recalls, 45), (self.contexts, 12), (self.facts, 8), (self.newest, 8), (self.counts, 6), (self.people, 5),
            (self.states, 8), (self.moves, 5), (self.says, 6), (self.tells, 3), (self.opts_out, 1), (self.meant, 4),
        ]  # fmt: skip
        todo = self.random.choices([what for what, _ in asked], [weight for _, weight in asked])[0]
        try:
            todo()
        except MemoryAssetsError:
            self.found["refused"] += 1
        self.found["tries"] += 1

    def _asked(self) -> tuple[dict[str, Any], str | None, str | None]:
        """Return how somebody asks for a scope, and which agent and user that is; None for nobody."""
        world, agent, user, _session = self.random.choice(self.scopes)
        asked: dict[str, Any] = {"agent": self.teller.written(agent)}
        if world is not None or self.random.random() < 0.05:
            asked["world"] = self.teller.written(world or "tavern")
        if self.random.random() < 0.65:
            asked["user"] = self.teller.written(user)
        where = asked.get("world")
        whose = self.ledger.agent(_taken(asked["agent"]), None if where is None else _taken(where) or None)
        person = self.ledger.user(_taken(asked["user"]), whose) if "user" in asked else None
        if "user" in asked and person is None:
            whose = None
        return asked, whose, person

    def _only(
        self, texts: Iterable[str], whose: str | None, person: str | None, asked: Any, *, derived: bool
    ) -> set[str]:
        """Return the words in an answer; those that the scope may not see are crossings."""
        seen = {token for text in texts for token in TOKEN.findall(text.lower())}
        for token in seen:
            if not self.ledger.may_read(token, whose, person, derived=derived):
                self.wrong(
                    "crossings", (asked, whose, person, derived, self.ledger.lines.get(token, f"forgotten: {token}"))
                )
        self.found["seen"] += len(seen)
        return seen

    def recalls(self) -> None:
        """Recall in some way."""
        random = self.random
        asked, whose, person = self._asked()
        asked |= {"kinds": random.sample(KINDS, random.randint(1, 3)), "k": random.choice([1, 10, EVERYTHING])}
        narrowed = random.random() < 0.5
        session, speakers = None, None
        if narrowed and random.random() < 0.5:
            asked["session"] = self.teller.written(random.choice(self.scopes)[3])
            session = self.ledger.session(_taken(asked["session"]), whose) or ""
        if narrowed and random.random() < 0.5:
            asked["participants"] = [random.choice(self.scopes)[2] for _ in range(random.randint(0, 2))]
            speakers = set(asked["participants"])
        if narrowed and random.random() < 0.2:
            asked["since"] = MONDAYS[1]
        question = random.choice([*QUESTIONS, random.choice(list(self.ledger.lines)), "", "\ud800 mother"])
        client = self.client
        if random.random() < 0.3:  # scopes that are too large to be read whole
            client, candidates.WHOLE = MemoryClient(self.settings, count_recalls=False), 2
        try:
            answer = client.recall(question, **asked)
        finally:
            candidates.WHOLE = WHOLE
        seen: set[str] = set()
        for memory in answer.memories:
            text = json.dumps(memory_dict(memory), ensure_ascii=False)
            derived = memory.kind == "episode"
            found = self._only([text], whose, person, asked, derived=derived)
            lines = [self.ledger.lines[token] for token in found if token in self.ledger.lines]
            sources = [self.ledger.ids.get(key, "") for key in memory.source_ids]
            if not all(self.ledger.may_read(token, whose, person, derived=derived) for token in sources):
                self.wrong(
                    "crossings",
                    (asked, "sources", memory.id, memory.kind, [self.ledger.lines.get(t, t) for t in sources]),
                )
            if session is not None and any(line.session != session or line.agent_id != whose for line in lines):
                self.wrong("crossings", (asked, "session", session, lines))
            if speakers is not None and lines and not any(line.speaker in speakers for line in lines) and not derived:
                self.wrong("crossings", (asked, "participants", lines))
            if memory.kind == "message":
                seen |= found
        whole = client is not self.client or candidates.WHOLE > 2
        if (
            whole
            and whose is not None
            and not narrowed
            and "message" in asked["kinds"]
            and asked["k"] == EVERYTHING
            and question.strip()
        ) and client in self.clients:
            missed = set(self.ledger.of(whose, person)) - seen
            if missed:
                self.wrong(
                    "missed",
                    (asked, whose, person, [self.ledger.lines[token] for token in missed][:2], len(missed)),
                )

    def contexts(self) -> None:
        """Ask for what is put into a prompt."""
        asked, whose, person = self._asked()
        if self.random.random() < 0.5:
            asked["session"] = self.teller.written(self.random.choice(self.scopes)[3])
        block = self.client.context(self.random.choice(QUESTIONS), budget=10**6, **asked)
        mood = self.ledger.moods.get(
            (
                whose or "",
                self.ledger.session(_taken(asked.get("session", "")), whose) or asked.get("session", "").strip(),
            )
        )
        own = {mood, self.ledger.levels.get(whose or "")}
        text = " ".join(word for word in block.text.split(" ") if word not in own)
        for said in own - {None}:
            text = text.replace(str(said), "")
        self._only([text], whose, person, asked, derived=True)

    def facts(self) -> None:
        """Ask for facts."""
        asked, whose, person = self._asked()
        rows = self.client.facts(history=self.random.random() < 0.5, **asked)
        self._only([repr(row) for row in rows.to_dicts()], whose, person, asked, derived=False)

    def newest(self) -> None:
        """Ask for the newest messages."""
        asked, whose, person = self._asked()
        session = None
        if self.random.random() < 0.4:
            asked["session"] = self.teller.written(self.random.choice(self.scopes)[3])
            session = self.ledger.session(_taken(asked["session"]), whose) or ""
        rows = self.client.recent(limit=40, **asked)
        seen = self._only(rows["text"], whose, person, asked, derived=False)
        own = self.ledger.of(whose, person, session)
        if not seen <= set(own):
            self.wrong(
                "crossings", (asked, "session", session, [self.ledger.lines.get(token) for token in seen - set(own)])
            )
        if len(seen) < min(40, len(own)):
            again = [(c.asked(**asked), c.recent(limit=40, **asked).height) for c in self.clients]
            self.wrong("missed", (asked, "newest", rows.height, len(seen), len(own), again, list(own.values())[:1]))

    def counts(self) -> None:
        """Ask how much there is."""
        asked, whose, person = self._asked()
        counted, own = self.client.stats(**asked)["messages"], len(self.ledger.of(whose, person))
        if counted != own:
            taken = [client.asked(**asked) for client in self.clients]
            self.wrong("crossings" if counted > own else "missed", (asked, "counted", counted, own, taken))

    def people(self) -> None:
        """Ask who there is."""
        world, agent, user, _ = self.random.choice(self.scopes)
        whose, people = in_world(agent, world) if world is not None else agent, self.client.people
        own = self.ledger.of(whose).values()
        users, sessions = {line.user for line in own} - {None}, {line.session for line in own if line.user == user}
        if set(people.users(whose)) != users:
            self.wrong("crossings", (whose, "users", people.users(whose), users))
        found = people.sessions(whose, user)
        if {row["session_id"] for row in found} != sessions or {row["user_id"] for row in found} - {user}:
            self.wrong("crossings", (whose, user, "sessions", found, sessions))

    def meant(self) -> None:
        """Ask who is meant."""
        asked, whose, person = self._asked()
        found = self.client.asked(**asked)
        if not found.unknown and (found.scope.agent_id, found.scope.user_id) != (whose, person):
            self.wrong("crossings", (asked, "meant", found.scope, whose, person))

    def states(self) -> None:
        """Ask for a mood, closeness and a persona."""
        worlds, ledger = self.client.worlds, self.ledger
        world, agent, user, session = self.random.choice(self.scopes)
        whose = in_world(agent, world) if world is not None else agent
        mood, (points, level) = worlds.mood(session, agent, world=world), worlds.affinity(user, agent, world=world)
        if (mood[0] if mood is not None else None) != ledger.moods.get((whose, session)):
            self.wrong("crossings", (agent, world, session, "mood", mood))
        if (
            points != ledger.affinity.get((user, whose), 0.0)
            or level != ledger.levels.get(whose, level)
            or (TOKEN.search(level) and whose not in ledger.levels)
        ):
            self.wrong("crossings", (agent, world, user, "closeness", points, level))
        alone = worlds.mood(session)
        if alone is not None and [name for (_, talk), name in ledger.moods.items() if talk == session] != [alone[0]]:
            self.wrong("crossings", (session, "mood of nobody in particular", alone))
        persona = worlds.persona(agent, world=world)
        if (persona.level(0) if persona is not None else None) != ledger.levels.get(whose):
            self.wrong("crossings", (agent, world, "persona", persona))
        self._only([" ".join(worlds.state(agent, user, session, world=world)).replace(ledger.moods.get((whose, session), "-"), "")
                    .replace(ledger.levels.get(whose, "-"), "")], whose, user, (agent, world, user, session, "state"), derived=False)  # fmt: skip

    def moves(self) -> None:
        """Change a mood or closeness."""
        world, agent, user, session = self.random.choice(self.scopes)
        whose = in_world(agent, world) if world is not None else agent
        if self.random.random() < 0.5:
            mood = self.teller.token()
            self.client.worlds.set_mood(
                session, agent, mood, 1.0, world=world, now=datetime.now(UTC) + timedelta(hours=9)
            )
            self.ledger.moods[whose, session] = mood
        else:
            change = float(self.random.randint(1, 9))
            points = self.client.worlds.add_affinity(user, agent, change, world=world)
            self.ledger.affinity[user, whose] = min(100.0, self.ledger.affinity.get((user, whose), 0.0) + change)
            if points != self.ledger.affinity[user, whose]:
                self.wrong("crossings", (agent, world, user, "closeness", points))

    def says(self) -> None:
        """Say something new, which no run has taken in yet."""
        world, agent, user, session = self.random.choice(self.scopes)
        at = MONDAYS[1] + timedelta(
            days=2, seconds=self.random.randrange(10_000), microseconds=self.random.randrange(10**6)
        )
        for line in self.teller.exchange(agent, world, user, session, at, answers_for=user):
            self.say(line)

    def tells(self) -> None:
        """Tell an episode to another agent; one that has no such episode is refused."""
        world, agent, _user, _ = self.random.choice(self.scopes)
        teller = in_world(agent, world) if world is not None else agent
        found = self.client.recall("mother", agent=teller, kinds=("episode",), k=50).memories
        if not found:
            return
        memory, listener = self.random.choice(found), self.random.choice(sorted(self.ledger.agents))
        # What is told is an episode with all that it was made of, not only what its text quotes.
        sources = {self.ledger.ids[key] for key in memory.source_ids if key in self.ledger.ids}
        tokens = frozenset(TOKEN.findall(memory.text.lower())) | sources
        whose = {self.ledger.lines[token].agent_id for token in tokens if token in self.ledger.lines}
        rows = self.client.recaller.memories.episodes_by_id([memory.id])
        owner = self.client.recaller.memories.owner_of(memory.id)
        stranger = self.random.choice(sorted(self.ledger.agents - {str(owner)}))
        try:
            self.client.share(memory.id, by=stranger, with_agent=listener)
            self.wrong("crossings", ("shared by a stranger", stranger, memory.id))
        except MemoryAssetsError:
            self.found["refused"] += 1
        if owner == teller and whose <= {teller} and self.client.share(memory.id, by=teller, with_agent=listener):
            self.ledger.told.setdefault(listener, {})[memory.id] = (tokens, rows["user_id"][0])

    def opts_out(self) -> None:
        """Opt out a person, or one agent's session; nothing else is opted out by it."""
        world, agent, user, session = self.random.choice(self.scopes)
        whose = in_world(agent, world) if world is not None else agent
        if self.random.random() < 0.5:
            self.client.opt_out(user=self.random.choice([user, f" {user} "]))
            self.ledger.opted_out.add((user,))
        else:
            self.client.opt_out(session=session, agent=agent, world=world)
            self.ledger.opted_out.add((whose, session))
        out = self.ledger.opted_out
        wanted = {
            message
            for message, token in self.ledger.ids.items()
            for line in [self.ledger.lines[token]]
            if (line.agent_id, line.session) in out
            or (line.user,) in out
            or (line.role != "agent" and (line.speaker,) in out)
        }
        found = set(opted_out_messages(self.clients[0].store))
        if found != wanted:
            lines = [self.ledger.lines[self.ledger.ids[key]] for key in found ^ wanted]
            self.wrong("crossings", ("opted out", len(found - wanted), len(wanted - found), out, lines[0]))

    # -- what is forgotten and made again -------------------------------------------------------------------------

    def forgets(self, number: int) -> None:
        """Forget a subject, and see that exactly this is gone."""
        world, agent, user, session = self.random.choice(self.scopes)
        whose = in_world(agent, world) if world is not None else agent
        lines = self.ledger.lines
        subject: dict[str, Any]
        if number % 4 == 0:
            subject = {"user": user}
            gone = {
                t for t, line in lines.items() if line.user == user or (line.speaker == user and line.role != "agent")
            }
            self.ledger.affinity = {key: points for key, points in self.ledger.affinity.items() if key[0] != user}
        elif number % 4 == 1:
            subject = {"session": session, "agent": agent, "world": world}
            gone = {token for token, line in lines.items() if (line.agent_id, line.session) == (whose, session)}
            self.ledger.moods.pop((whose, session), None)
        elif number % 4 == 2:
            message = self.random.choice(list(self.ledger.ids))
            subject, gone = {"message": message}, {self.ledger.ids[message]}
        else:
            subject = {"session": session}
            gone = {token for token, line in lines.items() if line.session == session}
            self.ledger.moods = {key: mood for key, mood in self.ledger.moods.items() if key[1] != session}
        begun = {(line.agent_id, line.session) for line in lines.values() if line.user == subject.get("user", ())}
        client = self.client
        done = client.forget(**subject)
        if "user" in subject:  # the mood of a conversation goes with the person it was had with
            left = {(row["agent_id"], row["session_id"]) for row in client.store.rows("moods")}
            self.ledger.moods = {
                key: mood for key, mood in self.ledger.moods.items() if key in left or key not in begun
            }
        self.ledger.forget(gone)
        if "session" in subject:
            self.ledger.erased.add((whose if "agent" in subject else None, session))
        self.scopes = [
            scope for scope in self.scopes
            if not ("user" in subject and scope[2] == user) and not ("session" in subject and scope[3] == session and (
                "agent" not in subject or scope[:2] == (world, agent)))
        ]  # fmt: skip
        if done.messages != len(gone):
            self.wrong("crossings", (subject, "forgotten", done.messages, len(gone)))
        self.kept_exactly(str(subject))

    def kept_exactly(self, after: str) -> None:
        """See that the store holds what is not forgotten, and nothing else."""
        kept = set(self.clients[0].store.frame("SELECT message_id FROM messages")["message_id"])
        if kept != set(self.ledger.ids):
            self.wrong(
                "crossings", (after, "kept", len(kept - set(self.ledger.ids)), "lost", len(set(self.ledger.ids) - kept))
            )

    def made_again(self) -> None:
        """Make all weeks again and see that the datasets of odd personas are their own."""
        self._make()
        self.kept_exactly("making again")
        tools = Tools(self.settings)
        interactions = tools.lake.read("anonymized_interactions", AnonymizedInteractions)
        shared = {line.talk[:2] for line in self.ledger.lines.values() if line.role == "agent" and line.owner is None}
        for persona in tools.store.personas():
            _, samples, _ = learnable(tools, interactions, persona, min_quality=0.0)
            for sources in samples["source_message_ids"]:
                lines = [self.ledger.lines[self.ledger.ids[key]] for key in sources if key in self.ledger.ids]
                talks = {line.talk[:2] if line.talk[:2] in shared else line.talk for line in lines}
                if len(lines) < len(sources) or len(talks) != 1 or persona not in {line.speaker for line in lines}:
                    self.wrong("crossings", (persona, "sample of", talks))

    def datasets(self, personas: Iterable[str]) -> None:
        """Make the datasets of some personas by the real step, and see that each is found under its own id."""
        defs, layer = definitions_for(self.settings), LAYERS["personality"]
        tools = Tools(self.settings)
        for persona in set(personas) & set(tools.store.personas()):
            with instance(self.settings) as dagster, quiet_logs(dagster):
                finish(
                    defs.resolve_job_def("train_personality").execute_in_process(
                        instance=dagster,
                        partition_key=layer.key(Slot("personality", persona)),
                        asset_selection=[dg.AssetKey(layer.dataset)],
                        raise_on_error=False,
                    )
                )
            if not tools.store.rows("datasets", persona_id=persona) or not tools.lake.exists(
                layer.dataset, file_name(persona)
            ):
                self.wrong("crossings", (persona, "dataset of another"))

    def line(self) -> dict[str, Any]:
        """Return the figures."""
        tools = Tools(self.settings)
        return {
            **{name: self.found[name] for name in ("tries", "crossings", "crashes", "missed", "refused", "seen")},
            "scopes": len({(line.agent_id, line.user, line.session) for line in self.ledger.lines.values()}),
            "messages": len(self.ledger.lines),
            "episodes": tools.vectors.count("episode_embeddings"),
            "facts": tools.vectors.count("fact_embeddings"),
        }


WHOLE = candidates.WHOLE


def _taken(name: str) -> str:
    """Return a name as it is taken."""
    return name.replace("\x00", "").replace("\ud800", "\ufffd").strip()


def _settings(folder: Path) -> Settings:
    plugins = folder / "bench_plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    (plugins / "hashing.py").write_text(HASHING, encoding="utf-8")
    chosen = {"embedder": {"use": "bench-hashing"}, "tokens": {"use": "none"}, "anonymizer": {"use": "patterns"}}
    return load_settings(home=folder, plugins_dir=plugins, plugins=chosen)


def run(
    folder: Path, tries: int, seed: int, *, agents: int | None = None, forgotten: int = FORGOTTEN
) -> dict[str, Any]:
    """Fill an installation, ask it at random, and return what was found."""
    start = time.perf_counter()
    trial = Trial(folder, seed, agents=agents)
    steps: list[Callable[[], None]] = [partial(trial.tried, number) for number in range(tries)]
    for number in range(forgotten, 0, -1):
        steps.insert(tries * number // (forgotten + 1), partial(trial.forgets, number - 1))
    steps.insert(len(steps) // 2, trial.made_again)
    steps.append(trial.made_again)
    steps.append(lambda: trial.datasets(["a|b", "a/b", "..", ".hidden", "a\nb", "...", "x" * 300]))
    with ThreadPoolExecutor(1) as pool:
        for step in steps:
            error = pool.submit(step).exception()
            if error is not None:
                trial.wrong("crashes", "".join(traceback.format_exception(error))[-2_000:])
    found = trial.line()
    for client in trial.clients:
        client.close()
    return {**found, "seconds": round(time.perf_counter() - start, 1)}


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--agents", type=int, default=None, help="how many there are; default: all with odd ids")
    options = parser.parse_args()
    with home(None) as folder:
        line = run(folder, options.tries, options.seed, agents=options.agents)
    print(json.dumps({"benchmark": "scopes", "seed": options.seed, **line}))


if __name__ == "__main__":
    main()
