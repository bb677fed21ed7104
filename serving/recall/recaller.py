"""Recall: what an agent remembers of a question, ranked by named features, each with its share and a reason in words.

The question is compared with every message of its scope; facts and episodes lead back to messages: a fact is a further key to the
message it was read from, an episode is found through what was said in it.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import polars as pl

from language.lexicon import language_of
from plugins.contracts import Embedder, TokenEmbedder
from plugins.embedders.encoder import Encoder
from plugins.embedders.one_thread import one_thread
from records.names import cleaned
from resources.fence import generation
from resources.store import InteractionStore
from resources.vectors import VectorStore
from serving.access import Access
from serving.reach import Reach
from serving.recall.candidates import Memories
from serving.recall.derived import Derived, derived_memories, fact_fit
from serving.recall.features import Asked, features, read
from serving.recall.fresh import Fresh, Told
from serving.recall.fresh_vectors import FreshVectors
from serving.recall.matrix import UNKNOWN_TURN, Image, joined, taken
from serving.recall.newest import Waiting, newest_told, waiting_told, was_taken_in
from serving.recall.ranking import Ranked, rank, reason
from serving.recall.retractions import standing
from serving.recall.turns import turns_of
from serving.scope import Scope
from transforms.decay import strength

LONGEST_QUESTION = 2_000
"""Characters of a question that are used."""

CACHED_QUESTIONS = 256
"""Questions whose vectors are kept: a reply often asks for context and recalls with the same words."""

SCOPES_HELD = 1_000
"""Scopes of which it is remembered what was withdrawn."""

KINDS = ("message", "fact", "episode")

T = TypeVar("T")


@dataclass
class Memory:
    """One recalled memory.

    Attributes:
        kind: message, fact or episode.
        shares: Feature to its part of the score; they sum to it.
        reason: The strongest features in words.
        source_ids: Messages it leads back to.
        facts: What is known from a message, as "key: value".
        given_emotion, location, model_version, metadata: As they were given with a message.
    """

    id: str
    kind: str
    text: str
    score: float
    shares: dict[str, float]
    reason: str
    speaker: str | None
    occurred_at: datetime
    turn: int
    emotion: str
    session_id: str
    source_ids: list[str]
    source_ref: str | None = None
    importance: float = 0.0
    facts: list[str] = field(default_factory=list)
    given_emotion: str | None = None
    location: str | None = None
    model_version: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class Recalled:
    """The answer to a question; ``notes`` say what could not be used, ``withdrawn`` which messages were asked to be forgotten."""

    memories: list[Memory] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Filters:
    """What of a scope may be returned.

    Attributes:
        since, until: Time of saying, from and before.
        session: Only this conversation.
        speakers: Only what speakers with these ids said, and the episodes in which they did.
        min_importance: From 0 to 1.
    """

    since: datetime | None = None
    until: datetime | None = None
    session: str | None = None
    speakers: frozenset[str] | None = None
    min_importance: float = 0.0

    def mask(self, rows: pl.DataFrame, said_by: Callable[[Sequence[str], frozenset[str]], list[str]]) -> np.ndarray:
        """Return which messages pass, bool (n,).

        Args:
            said_by: Returns those of some message ids that one of some speakers said: two may have one name.
        """
        wanted = pl.lit(value=True)
        if self.since is not None:
            wanted &= pl.col("occurred_at") >= self.since
        if self.until is not None:
            wanted &= pl.col("occurred_at") < self.until
        if self.session is not None:
            wanted &= pl.col("session_id") == self.session
        if self.speakers is not None:
            wanted &= pl.col("message_id").is_in(said_by(rows["message_id"].to_list(), self.speakers))
        if self.min_importance > 0:
            wanted &= pl.col("importance") >= self.min_importance
        return rows.select(pl.lit(value=True) & wanted).to_series().to_numpy() if rows.height else np.zeros(0, bool)

    def holds(self, kind: str, row: dict[str, Any], sessions: list[str]) -> bool:
        """Return whether a fact or an episode passes; what was shown to pass of its messages is looked at elsewhere.

        Args:
            sessions: Of those of its messages that are at hand. What leads to none was told by another agent, or is one's own
                side of what happened in another's conversation.
        """
        if self.session is not None:
            whole = kind == "fact" or not row["is_consolidated"] or len(sessions) == len(row["source_message_ids"])
            return whole and bool(sessions) and set(sessions) == {self.session}
        if sessions:
            return True
        said = row["valid_from"] if kind == "fact" else row["started_at"]
        if (self.since is not None and said < self.since) or (self.until is not None and said >= self.until):
            return False
        if kind == "fact":  # what it leads to was not read, so that who said it is not known here
            return self.speakers is None and self.min_importance <= 0
        return (self.speakers is None or not self.speakers.isdisjoint(row["participants"])) and (
            row["importance"] >= self.min_importance
        )


class Recaller:
    """Answers questions from the tables and the store of one installation.

    Cost: linear in the messages of the scope up to `candidates.WHOLE`, constant from there on but for LanceDB's own search.
    """

    def __init__(
        self,
        store: InteractionStore,
        vectors: VectorStore,
        embedder: Embedder | None,
        tokens: TokenEmbedder | None = None,
        access: Access | None = None,
        shared: Callable[[str], list[str]] | None = None,
        reach: Reach | None = None,
        waiting: Waiting | None = None,
    ) -> None:
        """Open it.

        Args:
            reach: The way to the store; None: it is there, or the answer is an error.
            waiting: Returns the messages that wait for the store.
        """
        self.store = store
        self._reach = reach
        self._waiting = waiting
        self._withdrawn: OrderedDict[Scope, list[str]] = OrderedDict()
        self._generation: int | None = None
        self.memories = Memories(vectors)
        self.encoder = None if embedder is None else Encoder(embedder, tokens)
        self.access = access
        self.shared = shared
        self._questions: OrderedDict[tuple[str, str], np.ndarray] = OrderedDict()
        self.vectors = None if self.encoder is None else FreshVectors(self.encoder)
        self.fresh = Fresh(store, lambda seqs: None if self.vectors is None else self.vectors.drop(seqs))

    def close(self) -> None:
        """End what works behind; questions are answered all the same."""
        if self.vectors is not None:
            self.vectors.close()

    def forget(self) -> None:
        """Keep nothing of messages in memory, nor what was asked."""
        self.fresh.clear()
        self.memories.clear()
        self._questions.clear()
        if self.vectors is not None:
            self.vectors.clear()

    def _notice_erasures(self) -> None:
        """Keep nothing in memory of before an erasure by whoever it was."""
        now = self._asked(lambda: generation(self.store), self._generation)
        if now != self._generation:
            if self._generation is not None:
                self.forget()
            self._generation = now

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(4, thread_name_prefix="memory-recall")

    def _asked(self, asked: Callable[[], T], otherwise: T) -> T:
        """Return what is asked of the store, something else while it is away."""
        return asked() if self._reach is None else self._reach.read(asked, otherwise)

    @property
    def embedder(self) -> Embedder | None:
        """Return the embedder, None when recall works on words alone."""
        return None if self.encoder is None else self.encoder.embedder

    def recall(
        self,
        question: str,
        scope: Scope,
        *,
        k: int = 10,
        kinds: Sequence[str] = KINDS,
        emotion: str | None = None,
        now: datetime | None = None,
        filters: Filters | None = None,
    ) -> Recalled:
        """Return the ``k`` best memories of the scope.

        Args:
            question: Any text; an empty one remembers nothing and says so.
            kinds: message, fact, episode: any of them.
            emotion: Current emotion, which memories of the same emotion match.
            now: What ages and "last week" count from; default the current time.
        """
        self._notice_erasures()
        with nullcontext() if self.vectors is None else self.vectors.answering():
            return self._recall(question, scope, k, kinds, emotion, now or datetime.now(UTC), filters or Filters())

    def _recall(
        self,
        question: str,
        scope: Scope,
        k: int,
        kinds: Sequence[str],
        emotion: str | None,
        moment: datetime,
        filters: Filters,
    ) -> Recalled:
        answer = Recalled()
        asked = self.read(question, moment, answer.notes)
        if asked is None:
            return answer
        # Both models, the table and the store are asked at once: each waits outside of Python.
        meaning, pieces = self._pool.submit(self._mean, asked), self._pool.submit(self._take_apart, asked)
        image = self.image(scope, asked, meaning)
        meaning.result()
        pieces.result()
        image = image if image is not None else Image.empty()
        facts = episodes = None
        if not self.is_blind:  # else nothing tells which of them lead to what was withdrawn
            facts = self._derived("fact_embeddings", scope, image, asked)
            episodes = self._derived("episode_embeddings", scope, image, asked) if "episode" in kinds else None
        if not len(image) and episodes is None:
            answer.notes.append("nothing is remembered in this scope yet")
            return answer
        with one_thread():
            found = features(image, asked) if len(image) else {}
        if facts is not None and len(image):
            found["fact"] = fact_fit(facts, len(image))
        memories: list[Memory] = []
        scores = np.zeros(0)
        if len(image):
            self._by_hand(found, image, scope, emotion, moment)
            ranked = rank(found, several=asked.several)
            scores = ranked.scores + standing(image, asked)
            scores = np.where(filters.mask(image.rows, self._said_by), scores, -np.inf)
            answer.withdrawn = image.rows.filter(image.withdrawn)["message_id"].to_list()
            self._remember_withdrawn(scope, answer.withdrawn)
        if "message" in kinds and len(image):
            memories += _messages(image, ranked, scores, facts, k)
        shown = {memory.id for memory in memories}
        for kind, derived in (("fact", facts), ("episode", episodes)):
            if kind in kinds and derived is not None:
                memories += [
                    Memory(**made)
                    for made in derived_memories(kind, derived, image, scores, k, filters.holds)
                    if kind == "episode" or not shown.issuperset(made["source_ids"])
                ]
        memories.sort(key=lambda memory: (-memory.score, memory.kind, memory.id))
        answer.memories = memories[:k]
        self._refer(answer.memories)
        self._number(scope, answer.memories)
        if self.access is not None:
            self.access.recalled(scope.agent_id, [(memory.kind, memory.id) for memory in answer.memories], moment)
        return answer

    def _said_by(self, message_ids: Sequence[str], speakers: frozenset[str]) -> list[str]:
        return self._asked(lambda: self.store.said_by(message_ids, speakers), [])

    @property
    def is_blind(self) -> bool:
        """Return whether the table of messages could not be read: what was withdrawn long ago is not known then."""
        return "message_embeddings" in self.memories.damaged

    def _remember_withdrawn(self, scope: Scope, ids: list[str]) -> None:
        """Keep what was withdrawn, for when the store, where the newest requests stand, is away."""
        if ids:
            self._withdrawn[scope] = ids
            self._withdrawn.move_to_end(scope)
            while len(self._withdrawn) > SCOPES_HELD:
                self._withdrawn.popitem(last=False)

    def _withdrawn_before(self, scope: Scope) -> list[str]:
        """Return what is known to be withdrawn of an agent's memory without asking the store."""
        held = list(self._withdrawn.items())
        return [one for known, ids in held if known.agent_id == scope.agent_id for one in ids]

    def _told(self, scope: Scope, question: str) -> list[Told]:
        """Return what no run has taken in yet: of the store, while it is there, and what waits for it."""
        waiting = self._waiting_told(scope)  # first: what is taken in meanwhile is seen in the store, too
        return [self._asked(lambda: self.fresh.told(scope, question), Told.nothing()), waiting]

    def _waiting_told(self, scope: Scope) -> Told:
        waiting = self._waiting() if self._waiting is not None else []
        return waiting_told(waiting, scope) if waiting else Told.nothing()

    def _instead(self, scope: Scope) -> Told:
        """Return the newest messages of the store, which stand in for a table that cannot be read."""
        return self._asked(lambda: newest_told(self.store, scope), Told.nothing())

    def _look_for_table(self, scope: Scope) -> None:
        """Note that the table of messages is gone where there is none, and a run has put messages of the scope there."""
        if not self.is_blind and self._asked(lambda: was_taken_in(self.store, scope), False):
            self.memories.damaged.add("message_embeddings")

    def _refer(self, memories: list[Memory]) -> None:
        """Add what was given with the messages, and what they are called in their source; those erased meanwhile have none of it."""
        ids = [memory.id for memory in memories if memory.kind == "message"]
        if not ids:
            return
        none: dict[str, dict[str, Any]] = {}
        given = self._asked(lambda: self.store.given(ids), none)
        for memory in memories:
            row = given.get(memory.id)
            if row is None:
                continue
            memory.source_ref, memory.location, memory.model_version = (
                row[name] for name in ("source_ref", "location", "model_version")
            )
            memory.given_emotion = row["emotion"]
            memory.metadata = _as_object(row["metadata"])

    def _number(self, scope: Scope, memories: list[Memory]) -> None:
        """Add the turns of messages that no run has numbered yet."""
        fresh = [memory for memory in memories if memory.turn == UNKNOWN_TURN]
        if not fresh:
            return
        sources = [(source, m.session_id, m.occurred_at) for m in fresh for source in m.source_ids]
        none: dict[str, int] = {}
        turns = self._asked(lambda: turns_of(self.store, scope.agent_id, sources), none)
        for memory in fresh:
            memory.turn = next((turns[source] for source in memory.source_ids if source in turns), 0)

    def asked(self, question: str, now: datetime, notes: list[str]) -> Asked | None:
        """Return the question with its vectors, None for an empty one."""
        asked = self.read(question, now, notes)
        if asked is not None:
            self._mean(asked)
            self._take_apart(asked)
        return asked

    def read(self, question: str, now: datetime, notes: list[str]) -> Asked | None:
        """Return what the words of a question say, and which vectors it is to have; None for an empty one."""
        text = cleaned(question).strip()
        if not text:
            notes.append("the question is empty")
            return None
        if len(text) > LONGEST_QUESTION:
            notes.append(f"only the first {LONGEST_QUESTION} characters of the question were used")
            text = text[:LONGEST_QUESTION]
        asked = read(text, now)
        if not asked.terms:
            notes.append("the question has no words")
        if self.encoder is None:
            notes.append("no embedder: found by words alone")
            return asked
        maker = self.memories.maker("message_embeddings")
        if maker is not None and maker.split("+")[0] != self.encoder.embedder.fingerprint:
            notes.append("the embedder has changed and its table is not complete: found by words alone")
            return asked
        asked.dim = self.encoder.embedder.dim
        late = self.encoder.late
        if late is not None and (maker is None or maker == self.encoder.fingerprint):
            spoken = language_of(text)
            asked.late_dim = late.dim if spoken in (*late.languages, "und") else 0
        return asked

    def _mean(self, asked: Asked) -> None:
        """Give the question its vector, if it is to have one."""
        if self.encoder is not None and asked.dim:
            asked.vector = self._kept("vector", asked.text, self.encoder.embedder.embed_query)

    def _take_apart(self, asked: Asked) -> None:
        """Give the question its token vectors, if it is to have them."""
        if self.encoder is not None and self.encoder.late is not None and asked.late_dim:
            # On one thread: the other model works beside it.
            with one_thread():
                asked.pieces = self._kept("tokens", asked.text, self.encoder.late.embed_query)

    def _kept(self, what: str, text: str, embed: Callable[[str], np.ndarray]) -> np.ndarray:
        """Return what a model makes of a question; that of the last questions is kept."""
        known = self._questions.get((what, text))
        if known is None:
            known = embed(text)
            self._questions[what, text] = known
            while len(self._questions) > 2 * CACHED_QUESTIONS:
                self._questions.popitem(last=False)
        return known

    def image(self, scope: Scope, asked: Asked, meaning: Future[None] | None = None) -> Image | None:
        """Return what is known of the scope: the tables' messages and the fresh ones.

        Args:
            meaning: Is done when the question has its vector; None: it has it.
        """
        # Before the table: what a run takes in meanwhile is seen there.
        told = self._told(scope, asked.text)

        def vector() -> np.ndarray | None:
            if meaning is not None:
                meaning.result()
            return asked.vector

        image = self.memories.messages(scope, asked.text, vector if asked.dim else None, asked.late_dim)
        if image is None:
            self._look_for_table(scope)
            told = [*told, self._instead(scope)] if self.is_blind else told
        for part in told:
            image, new = _apart(image, part)
            if len(new):
                added = new.image if self.vectors is None else self.vectors.dressed(new, asked.dim, asked.late_dim)
                image = added if image is None or not len(image) else joined(image, added)
        if image is not None and self._reach is not None and self._reach.reading.is_shut:
            image = image.hiding(self._withdrawn_before(scope))
        return image

    def withdrawn(self, scope: Scope, ids: Sequence[str]) -> list[str] | None:
        """Return which messages of the scope somebody asked to forget, among these and what stands around the requests.

        None: the table of messages cannot be read, so that nobody knows.
        """
        waiting = self._waiting_told(scope)
        asks, told = self._asked(lambda: self.fresh.concerned(scope, ids), (False, Told.nothing()))
        image = self.memories.concerned(scope, ids, asked=asks or waiting.asks)
        if image is None:
            self._look_for_table(scope)
            if self.is_blind:
                return None
            image = Image.empty()
        for part in (told, waiting) if asks or waiting.asks else ():
            apart, new = _apart(image, part)
            image = apart if apart is not None else Image.empty()
            if len(new):
                image = joined(image, new.image) if len(image) else new.image
        found = image.rows.filter(image.withdrawn)["message_id"].to_list() if len(image) else []
        if self._reach is None or not self._reach.reading.is_shut:
            return found
        return [*found, *self._withdrawn_before(scope)]

    def _derived(self, kind: str, scope: Scope, image: Image, asked: Asked) -> Derived | None:
        rows = self.memories.derived(kind, scope)
        if kind == "episode_embeddings" and self.shared is not None:
            told = self.memories.episodes_by_id(self.shared(scope.agent_id))
            if scope.user_id is not None and told.height:
                told = told.filter(pl.col("user_id") == scope.user_id)
            rows = (
                pl.concat([rows, told]).unique("episode_id", keep="first", maintain_order=True)
                if rows.height and told.height
                else rows
                if rows.height
                else told
            )
        if not rows.height:
            return None
        # While the embedder changes, one table may have been made by another than this client's: its vectors say nothing here.
        mine = self.encoder is not None and self.memories.maker(kind) == self.encoder.embedder.fingerprint
        return Derived.of(rows, image, asked if mine else replace(asked, vector=None))

    def _by_hand(
        self, found: dict[str, np.ndarray], image: Image, scope: Scope, emotion: str | None, now: datetime
    ) -> None:
        """Add the features whose weights are set by hand."""
        importance = image.rows["importance"].to_numpy().astype(np.float64)
        present = np.datetime64(now.astimezone(UTC).replace(tzinfo=None), "us")
        age = (present - image.times).astype("timedelta64[s]").astype(np.float64) / 86_400
        counts = self.access.counts(scope.agent_id) if self.access is not None else {}
        used = (
            np.array([counts.get(key, (0, 0.0))[0] for key in image.rows["message_id"]], dtype=np.float64)
            if counts
            else np.zeros(len(image))
        )
        found["recency"] = strength(np.maximum(age, 0.0), importance, used)
        found["importance"] = importance
        found["use"] = np.log1p(used)
        if emotion is not None:
            found["emotion"] = (image.rows["emotion"] == emotion).to_numpy().astype(np.float64)


def _apart(image: Image | None, told: Told) -> tuple[Image | None, Told]:
    """Return both without what stands in both: the table's message has its vectors, but the text of an edited one is the store's."""
    if image is None or not len(image) or not len(told):
        return image, told
    both = told.image.rows.select("message_id", _told="text", _edited=pl.Series(told.edited)).join(
        image.rows.select("message_id", "text"), on="message_id"
    )
    if both.is_empty():
        return image, told
    new = both.filter(pl.col("_edited") & (pl.col("_told") != pl.col("text")))["message_id"].implode()
    old = both.filter(~pl.col("message_id").is_in(new))["message_id"].implode()
    told = told.only((~told.image.rows["message_id"].is_in(old)).to_numpy())
    gone = image.rows["message_id"].is_in(new).to_numpy()
    return (taken(image, ~gone) if gone.any() else image), told


def _messages(image: Image, ranked: Ranked, scores: np.ndarray, facts: Derived | None, k: int) -> list[Memory]:
    """Return the best messages, ties the newest first."""
    order = np.lexsort((image.rows["message_id"].to_numpy(), -image.times.astype(np.int64), -scores))
    made = []
    for place in order[:k]:
        if not np.isfinite(scores[place]):
            break
        row = image.rows.row(int(place), named=True)
        shares = ranked.of(int(place))
        rest = float(scores[place] - ranked.scores[place])
        if abs(rest) >= 5e-5:
            shares["standing"] = round(rest, 4)
        made.append(
            Memory(
                id=row["message_id"],
                kind="message",
                text=row["text"],
                score=round(float(scores[place]), 4),
                shares=shares,
                reason=reason({name: value for name, value in shares.items() if name != "standing"}),
                speaker=row["speaker_name"],
                occurred_at=row["occurred_at"],
                turn=int(row["turn"]),
                emotion=row["emotion"],
                session_id=row["session_id"],
                source_ids=[row["message_id"]],
                importance=float(row["importance"]),
                facts=facts.known_from(int(place)) if facts is not None else [],
            )
        )
    return made


def _as_object(text: str | None) -> dict[str, Any]:
    """Return free metadata as an object; what is none stands under ``value``."""
    if not text:
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return value if isinstance(value, dict) else {"value": value}


def memory_dict(memory: Memory) -> dict[str, Any]:
    """Return a memory as plain data, times in ISO form."""
    return {**memory.__dict__, "occurred_at": memory.occurred_at.isoformat()}
