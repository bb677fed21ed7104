"""The Python client of a bot: remember, recall, context, forget, trace, without a server and without the orchestrator.

What takes messages in is `serving.capturing`; this is what asks.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import polars as pl
import sqlalchemy as sa

from language.lexicon import language_of
from plugins.contracts import Embedder, TokenEmbedder
from privacy.erasure import Erasure, Forgotten
from privacy.trace import AdapterTrace, Traced, trace, trace_adapter
from records.errors import MemoryAssetsError, PluginError, StoreUnreachable
from records.memory import FactEmbeddings
from records.names import as_id, cleaned
from records.weeks import week_of
from records.zones import zone
from resources.people import People
from resources.settings import Settings, load_settings
from serving.access import Access
from serving.capture import Erased, conversation
from serving.capturing import Capturing
from serving.context import (
    Context,
    Conversation,
    TokenCounter,
    estimated_tokens,
    load_template,
    render,
)
from serving.keeping import DRAIN_S
from serving.personas import Worlds
from serving.recall.newest import waiting_of
from serving.recall.recaller import KINDS, Filters, Recalled, Recaller
from serving.recent import recent_messages
from serving.scope import Asked, Scope, ScopeFinder
from transforms.system_prompt import system_prompt

FACT_COLUMNS = [
    "fact_id", "user_id", "subject", "category", "key", "value", "polarity", "modality", "status", "valid_from", "valid_to", "confidence",
    "mentions", "quote", "source_message_ids",
]  # fmt: skip


class MemoryClient(Capturing):
    """One installation's memory.

    Args:
        settings: Default: from `memory.toml` and the environment.
        embedder: Use this one instead of the settings' (tests); False: none, words alone.
        count_recalls: Whether what is recalled is counted, and stays longer for it.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        embedder: Embedder | bool | None = None,
        count_recalls: bool = True,
    ) -> None:
        super().__init__(settings or load_settings())
        self._count = count_recalls
        self._embedder = embedder
        self._notes: list[str] = []

    @cached_property
    def recaller(self) -> Recaller:
        """Return the read path; an embedder that cannot be made is noted, and words alone are used."""
        embedder: Embedder | None = None
        if isinstance(self._embedder, Embedder):
            embedder = self._embedder
        elif self._embedder is not False:
            try:
                embedder = self.registry.create("embedder")
            except PluginError as error:
                self._notes.append(str(error))
        tokens: TokenEmbedder | None = None
        if embedder is not None:
            try:
                tokens = self.registry.create("tokens")
                if not tokens.dim:  # asked for here, so that a missing package is noted and recall does without
                    tokens = None
            except PluginError as error:
                tokens = None
                self._notes.append(str(error))
        return Recaller(
            self.unopened_store,
            self.vectors,
            embedder,
            tokens,
            self.access if self._count else None,
            lambda agent: self.reach.read(lambda: self.worlds.shared_with(agent), []),
            self.reach,
            self.spool.messages,
        )

    @property
    def worlds(self) -> Worlds:
        """Return affinity, moods, personas and what agents share."""
        if "store" not in self.__dict__:
            self.reach.read(lambda: self.store.is_sqlite, False)  # opened, if it is there
        return self._worlds

    @cached_property
    def _worlds(self) -> Worlds:
        return Worlds(self.unopened_store, self.settings.personas_dir, self._owner_of, self.agent_id, self._erased)

    def share(self, episode: str, *, by: str, with_agent: str, world: str | None = None) -> bool:
        """Let another agent recall an episode of this one; return whether it was new.

        Raises:
            StoreError: the agent has no such episode: nobody shares what is another's.
        """
        return self.worlds.share(episode, by=self.agent_id(by, world), with_agent=self.agent_id(with_agent, world))

    @cached_property
    def access(self) -> Access:
        """Return what counts recalls."""
        return Access(self.unopened_store, self.reach)

    def close(self) -> None:
        """Write what is still to be written, and give the connections back."""
        if "recaller" in self.__dict__:
            self.recaller.close()
        if "access" in self.__dict__:
            self.access.flush()
        if not self.spool.is_empty():
            self.keeper.drain(limit_s=DRAIN_S)
        if "store" in self.__dict__:
            self.store.close()

    @property
    def notes(self) -> list[str]:
        """Return what cannot be used now, a sentence each, empty where all can: an embedder, the store, a table.

        What was last asked is what is known. Answers say it in their own notes, too.
        """
        notes = list(self._notes)
        if self.reach.reading.is_shut:
            notes.append(f"the newest messages, moods and counts may be missing: {self.reach.reading.why}")
        waiting = self.spool.count() if not self.spool.is_empty() else 0
        if waiting:
            why = f": {self.reach.why}" if self.reach.why else ""
            notes.append(f"messages that wait in {self.spool.folder} for the store: {waiting}{why}")
        damaged = self.recaller.memories.damaged if "recaller" in self.__dict__ else set()
        for kind in sorted(damaged):
            instead = (
                "only the newest words of the store are searched, and facts and episodes are left out"
                if kind == "message_embeddings"
                else "what it holds is left out"
            )
            notes.append(f"the table {kind} cannot be read: {instead}; make it again with `memory repair`")
        return notes

    # -- reading --------------------------------------------------------------------------------------------------

    def recall(
        self,
        question: str,
        *,
        agent: str,
        user: str | None = None,
        k: int = 10,
        kinds: Sequence[str] = KINDS,
        emotion: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        session: str | None = None,
        participants: Sequence[str] | None = None,
        min_importance: float = 0.0,
        now: datetime | None = None,
        world: str | None = None,
    ) -> Recalled:
        """Return the ``k`` best memories of an agent (and user), each with score, shares, reason and sources.

        Names of agent, user and session are matched whatever their case and accents; one that nobody has is noted.

        Args:
            kinds: message, fact, episode: any of them.
            emotion: Current emotion, which memories of the same emotion match.
            since, until, session, participants, min_importance: Leave out what is not of that time, conversation, speakers,
                importance.
            now: What ages and "last week" count from; default the current time. Times without time zone are of that of the
                settings, and so are the days of "yesterday".

        Raises:
            MemoryAssetsError: a kind that does not exist, or a time outside of the years 1 to 9999.
        """
        wrong = [kind for kind in kinds if kind not in KINDS]
        if wrong:
            raise MemoryAssetsError(f"no such kind of memory: {', '.join(wrong)}; kinds are {', '.join(KINDS)}")
        asked = self.asked(agent, user, session=session, world=world)
        speakers = self._speakers(asked.scope.agent_id, participants)
        first, end = (None if moment is None else self.moment(moment) for moment in (since, until))
        filters = Filters(first, end, asked.session, speakers, min_importance)
        answer = self.recaller.recall(
            question, asked.scope, k=k, kinds=kinds, emotion=emotion, now=self._present(now), filters=filters
        )
        if not asked.begun and not asked.unknown:
            answer.notes.insert(0, f"there is no conversation {session!r} in the memory of {asked.scope.agent_id}")
        answer.notes[:0] = [*self.notes, *asked.unknown]
        return answer

    def _present(self, given: datetime | None) -> datetime:
        """Return now in the time zone of the settings: its days are the days of "yesterday"."""
        return (self.moment(given) if given else datetime.now(UTC)).astimezone(zone(self.settings.timezone))

    def asked(
        self, agent: str, user: str | None = None, *, session: str | None = None, world: str | None = None
    ) -> Asked:
        """Return whose memory is asked for, by names as people write them; what is not there is said, with the nearest names."""
        if not self.spool.is_empty():
            self.keeper.drain(limit_s=DRAIN_S)
        try:
            return self.reach.ask(lambda: self._finder.find(agent, user, session=session, world=world))
        except StoreUnreachable:
            return self._finder.as_known(agent, user, session=session, world=world)

    def _owner_of(self, episode: str) -> str | None:
        return self.recaller.memories.owner_of(episode)  # asked for late: most clients never share

    @cached_property
    def _finder(self) -> ScopeFinder:
        return ScopeFinder(People(self.unopened_store), self._erased)

    def _erased(self, kind: str, value: str) -> bool:
        erased = Erased(self.store, self.keys)
        return kind in erased.kinds and erased.subject(kind, value) in erased.hashes

    def _speakers(self, agent: str, participants: Sequence[str] | None) -> frozenset[str] | None:
        """Return the ids of speakers in an agent's memory, for their ids or names."""
        if participants is None:
            return None
        return self.reach.read(
            lambda: frozenset(found for name in participants for found in self.people.speakers(name, agent)),
            frozenset(as_id(name) for name in participants),
        )

    def facts(
        self, *, agent: str, user: str | None = None, history: bool = False, world: str | None = None
    ) -> pl.DataFrame:
        """Return the current facts of a scope, newest first; with ``history`` also those that do not hold any more.

        Facts known from a message that somebody asked to forget are left out of both.

        Columns: fact_id, subject, category, key, value, polarity, modality, status, valid_from, valid_to, confidence, mentions,
        quote, source_message_ids.
        """
        return self._facts(self.asked(agent, user, world=world).scope, history=history)

    def _facts(self, scope: Scope, *, history: bool = False) -> pl.DataFrame:
        found = self._all_facts(scope)
        if found.is_empty():
            return found
        sources = found["source_message_ids"].explode().unique(maintain_order=True).to_list()
        withdrawn = self.recaller.withdrawn(scope, sources)
        found = found.clear() if withdrawn is None else without_sources(found, withdrawn)
        return found if history else found.filter(pl.col("status") == "current")

    def _all_facts(self, scope: Scope) -> pl.DataFrame:
        rows = self.recaller.memories.derived("fact_embeddings", scope)
        if rows.is_empty():
            return pl.DataFrame(schema={name: FactEmbeddings.polars_schema()[name] for name in FACT_COLUMNS})
        return rows.select(FACT_COLUMNS).sort("valid_from", "fact_id", descending=[True, False])

    def context(
        self,
        message: str,
        *,
        agent: str,
        user: str | None = None,
        session: str | None = None,
        budget: int = 800,
        now: datetime | None = None,
        count_tokens: TokenCounter = estimated_tokens,
        world: str | None = None,
    ) -> Context:
        """Return a block for the prompt of a reply: state, facts, memories and recent messages, at most ``budget`` tokens.

        Args:
            session: The conversation that goes on; its memories say how many turns ago they were.
            count_tokens: The model's own tokenizer, e.g. ``lambda text: len(tokenizer.encode(text))``; default: an estimate.
        """
        from concurrent.futures import ThreadPoolExecutor

        message, now = cleaned(message), self._present(now)
        asked = self.asked(agent, user, session=session, world=world)
        scope, session = asked.scope, asked.session
        with ThreadPoolExecutor(3) as pool:
            newest = pool.submit(self._recent, scope, session)
            state = pool.submit(self._state, scope, session)
            recalled = self.recaller.recall(message, scope, k=20, kinds=("message", "episode"), now=now)
            known = self._all_facts(scope).filter(pl.col("status") == "current")
            facts = without_sources(known.clear() if self.recaller.is_blind else known, recalled.withdrawn).head(40)
            recent, (mood, affinity) = newest.result(), state.result()
        words = {word for word in message.lower().split() if len(word) > 2}
        if facts.height:
            # What the message speaks of first, then what was said most often, then the newest.
            named = pl.Series(
                [len(words & set(f"{k} {v}".lower().split())) for k, v in facts.select("key", "value").rows()]
            )
            facts = facts.with_columns(_named=named).sort(
                "_named", "mentions", "valid_from", descending=[True, True, True], maintain_order=True
            )
        spoken = language_of(message)
        return render(
            facts.head(12),
            recalled.memories,
            recent,
            budget=budget,
            language=spoken,
            layout=load_template(self.settings.context_template),
            conversation=going_on(session, recent),
            mood=mood,
            affinity=affinity,
            now=now,
            notes=[*asked.unknown, *self.notes, *recalled.notes],
            count=count_tokens,
            asked=message,
        )

    def recent(
        self,
        *,
        agent: str,
        user: str | None = None,
        session: str | None = None,
        limit: int = 6,
        world: str | None = None,
    ) -> pl.DataFrame:
        """Return the newest messages of a scope, oldest of them first: message_id, speaker_name, text, occurred_at, turn."""
        asked = self.asked(agent, user, session=session, world=world)
        return self._recent(asked.scope, asked.session, limit)

    def _recent(self, scope: Scope, session: str | None, limit: int = 6) -> pl.DataFrame:
        waiting = self.spool.messages() if not self.spool.is_empty() else []
        try:
            return self.reach.ask(lambda: recent_messages(self.store, scope, session, limit, waiting))
        except StoreUnreachable:
            return recent_messages(None, scope, session, limit, waiting)

    def _state(self, scope: Scope, session: str | None) -> tuple[str, str]:
        return self.reach.read(lambda: self.worlds.state(scope.agent_id, scope.user_id, session, world=None), ("", ""))

    def system_prompt(self, agent: str, *, world: str | None = None) -> str:
        """Return the system prompt from the agent's core memory; while the store is away, as it was last asked for."""
        held: dict[str, str] = self.__dict__.setdefault("_prompts", {})
        known = self.keeper.agent_as_known(agent, world)

        def read() -> str:
            return system_prompt(self.store.rows("core_memory", agent_id=self.agent_id(agent, world)))

        held[known] = self.reach.read(read, held.get(known, ""))
        return held[known]

    def stats(self, *, agent: str, user: str | None = None, world: str | None = None) -> dict[str, int]:
        """Return counts of a scope: messages, unsynced ones, those that wait for the store, facts, vectors.

        What cannot be counted now is 0, and `notes` says why.
        """
        scope = self.asked(agent, user, world=world).scope
        m = self.unopened_store.meta.tables["messages"]
        mine = [m.c.agent_id == scope.agent_id]
        mine += [m.c.user_id == scope.user_id] if scope.user_id is not None else []
        every, unsynced = sa.func.count(), sa.func.count().filter(m.c.synced_at.is_(None))

        def counts() -> tuple[int, int]:
            with self.store.engine.connect() as connection:
                row = connection.execute(sa.select(every, unsynced).where(*mine)).one()
            return int(row[0]), int(row[1])

        messages, new = self.reach.read(counts, (0, 0))
        return {
            "messages": messages,
            "unsynced": new,
            "waiting": waiting_of(self.spool.messages(), scope).height,
            "facts": self._facts(scope).height,
            "vectors": self.recaller.memories.count(scope),
        }

    # -- forgetting and tracing -----------------------------------------------------------------------------------

    def forget(
        self,
        *,
        user: str | None = None,
        session: str | None = None,
        message: str | None = None,
        agent: str | None = None,
        world: str | None = None,
    ) -> Forgotten:
        """Forget a user, a session or a message everywhere; return what was removed and what must be made again.

        The command ``memory forget`` also makes that again, and runs the leak test.

        Args:
            user: Its exact id; what this person said to every agent is forgotten.
            agent: Whose session, where several agents use one id for a conversation; None: all of that id.

        Raises:
            MemoryAssetsError: not exactly one subject is named, or an agent without session.
        """
        done = Erasure(self).forget(
            *self.subject(user=user, session=session, message=message, agent=agent, world=world)
        )
        if "recaller" in self.__dict__:
            self.recaller.forget()
        return done

    def subject(
        self,
        *,
        user: str | None = None,
        session: str | None = None,
        message: str | None = None,
        agent: str | None = None,
        world: str | None = None,
    ) -> tuple[str, str]:
        """Return kind and value of what is to be forgotten, as `Erasure` takes it; see `forget`."""
        named = [
            (kind, as_id(value))
            for kind, value in (("user", user), ("session", session), ("message", message))
            if value is not None
        ]
        if len(named) != 1 or not named[0][1]:
            raise MemoryAssetsError("name exactly one of user, session, message to forget")
        if agent is None:
            return named[0]
        kind, value = named[0]
        if kind != "session":
            raise MemoryAssetsError("a user is forgotten by every agent: name an agent with a session only")
        return "conversation", conversation(self.agent_id(agent, world), value)

    def receipts(self) -> list[dict[str, Any]]:
        """Return the receipts of all erasures, the newest first; ``valid`` says whether the signature fits."""
        return self.receipt_book.all()

    def trace(self, message_id: str) -> Traced:
        """Return every row, dataset and adapter made from a message."""
        self.keeper.drain()
        return trace(self, message_id)

    def trace_adapter(self, adapter_id: str) -> AdapterTrace:
        """Return every message behind an adapter, with its dataset and the adapters it continues.

        Raises:
            StoreError: there is no such adapter.
        """
        return trace_adapter(self, adapter_id)


def going_on(session: str | None, recent: pl.DataFrame) -> Conversation:
    """Return the conversation whose newest messages these are."""
    if session is None or recent.is_empty():
        return Conversation(session)
    newest = recent.row(-1, named=True)
    if newest["given"]:
        return Conversation(session, int(recent.filter("given")["turn"].max()))  # type: ignore[arg-type]
    return Conversation(session, newest["turn"], week_of(newest["occurred_at"]))


def without_sources(rows: pl.DataFrame, gone: Sequence[str]) -> pl.DataFrame:
    """Return the rows that were made from none of these messages."""
    if not gone or rows.is_empty():
        return rows
    return rows.filter(~pl.col("source_message_ids").list.eval(pl.element().is_in(list(gone))).list.any())
