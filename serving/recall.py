"""Recall: what an agent remembers of a question, ranked by named features, each with its share and a reason in words."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from plugins.contracts import Embedder
from plugins.lexicon import STOP_WORDS
from records.ids import text_hash
from resources.store import InteractionStore
from resources.vectors import VectorStore
from serving.candidates import fresh, indexed
from serving.scope import Scope

WEIGHTS = {
    "semantic": 1.0,
    "keyword": 0.5,
    "window": 0.4,
    "words": 0.8,
    "speaker": 0.25,
    "recency": 0.05,
    "importance": 0.05,
    "emotion": 0.1,
}
"""What a standard deviation (semantic, keyword, window) or a full value (the others) adds to a score.

keyword is BM25 over a message with its neighbours, words the share of the question's words that the message itself says.
"""

EPISODE_HANDICAP = 0.5
"""Standard deviations that an episode must be better than a message: the message says it in its own words."""

HALF_LIFE_DAYS = 30.0
LONGEST_QUESTION = 2_000
CACHED_VECTORS = 2_000


@dataclass
class Memory:
    """One recalled memory.

    Attributes:
        shares: Feature to its part of the score; they sum to it.
        reason: The strongest features in words.
        source_ids: Messages it leads back to.
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


@dataclass
class Recalled:
    """The answer to a question; ``notes`` say what could not be used."""

    memories: list[Memory] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Recaller:
    """Answers questions from the tables and the store of one installation.

    Cost: an exact scan inside the scope by meaning, a look-up by words, and a few hundred candidates in memory.
    """

    def __init__(self, store: InteractionStore, vectors: VectorStore, embedder: Embedder | None) -> None:
        self.store = store
        self.vectors = vectors
        self.embedder = embedder
        self._fresh_vectors: OrderedDict[str, np.ndarray] = OrderedDict()

    def recall(
        self,
        question: str,
        scope: Scope,
        *,
        k: int = 10,
        kinds: Sequence[str] = ("message", "episode"),
        emotion: str | None = None,
        now: datetime | None = None,
    ) -> Recalled:
        """Return the ``k`` best memories of the scope.

        Args:
            question: Any text; an empty one remembers nothing and says so.
            kinds: message, episode, or both.
            emotion: Current emotion, which memories of the same emotion match.
            now: For recency; default the current time.
        """
        answer = Recalled()
        asked = question.strip()
        if not asked:
            answer.notes.append("the question is empty")
            return answer
        if len(asked) > LONGEST_QUESTION:
            answer.notes.append(f"only the first {LONGEST_QUESTION} characters of the question were used")
            asked = asked[:LONGEST_QUESTION]
        vector = self._question_vector(asked, answer.notes)
        frames = []
        if "message" in kinds:
            frames.append(self._messages(asked, scope, vector))
        if "episode" in kinds:
            frames.append(self._episodes(asked, scope, vector))
        frames = [frame for frame in frames if frame.height]
        if not frames:
            answer.notes.append("nothing is remembered in this scope yet")
            return answer
        ranked = rank(frames, asked, emotion, now or datetime.now(UTC))
        answer.memories = [_memory(row) for row in ranked.head(k).to_dicts()]
        return answer

    def _question_vector(self, question: str, notes: list[str]) -> np.ndarray | None:
        if self.embedder is None:
            notes.append("no embedder: found by words alone")
            return None
        current = self.vectors.current("message_embeddings")
        if current is not None and current["embedder"] != self.embedder.fingerprint:
            notes.append("the embedder has changed and its table is not complete: found by words alone")
            return None
        return self.embedder.embed_query(question)

    def _messages(self, question: str, scope: Scope, vector: np.ndarray | None) -> pl.DataFrame:
        found = indexed(self.vectors, "message_embeddings", scope, question, vector)
        new = fresh(self.store, scope)
        if found.height:
            new = new.filter(~pl.col("message_id").is_in(found["message_id"].implode()))
        if new.height:
            said = [f"{name}: {text}" for name, text in new.select("speaker_name", "text").iter_rows()]
            new = new.with_columns(
                keyword=pl.Series(_overlap(question, said, found)),
                semantic=pl.Series(self._similarities(said, vector), dtype=pl.Float64),
            )
            found = pl.concat([found, new.select(found.columns)], how="vertical_relaxed") if found.height else new
        if found.is_empty():
            return found
        return found.select(
            pl.col("message_id").alias("id"),
            pl.lit("message").alias("kind"),
            "session_id",
            pl.col("speaker_name").alias("speaker"),
            "occurred_at",
            pl.col("turn").cast(pl.Int64),
            "source_ref",
            "emotion",
            pl.col("importance").cast(pl.Float64),
            "text",
            "semantic",
            "keyword",
            pl.concat_list("message_id").alias("source_ids"),
        )

    def _episodes(self, question: str, scope: Scope, vector: np.ndarray | None) -> pl.DataFrame:
        found = indexed(self.vectors, "episode_embeddings", scope, question, vector)
        if found.is_empty():
            return found
        return found.select(
            pl.col("episode_id").alias("id"),
            pl.lit("episode").alias("kind"),
            "session_id",
            pl.lit(None, pl.String).alias("speaker"),
            pl.col("started_at").alias("occurred_at"),
            pl.col("turn_first").cast(pl.Int64).alias("turn"),
            pl.lit(None, pl.String).alias("source_ref"),
            "emotion",
            pl.col("importance").cast(pl.Float64),
            "text",
            "semantic",
            "keyword",
            pl.col("source_message_ids").alias("source_ids"),
        )

    def _similarities(self, texts: list[str], vector: np.ndarray | None) -> list[float | None]:
        """Return cosines of texts that no run has embedded yet; their vectors are kept in this process."""
        if vector is None or self.embedder is None:
            return [None] * len(texts)
        keys = [text_hash(text) for text in texts]
        unknown = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._fresh_vectors}
        if unknown:
            for key, row in zip(unknown, self.embedder.embed(list(unknown.values())), strict=True):
                self._fresh_vectors[key] = row
        cosines: list[float | None] = [float(self._fresh_vectors[key] @ vector) for key in keys]
        while len(self._fresh_vectors) > CACHED_VECTORS:
            self._fresh_vectors.popitem(last=False)
        return cosines


def rank(frames: list[pl.DataFrame], question: str, emotion: str | None, now: datetime) -> pl.DataFrame:
    """Return the candidates with their shares, best first; semantic and keyword scores are standardised over the candidates."""
    found = pl.concat(frames, how="vertical_relaxed")
    names = {word.strip("?¿!¡.,;:'\"").removesuffix("'s").removesuffix("’s") for word in question.split()}
    age = (pl.lit(now) - pl.col("occurred_at")).dt.total_seconds().clip(lower_bound=0) / 86_400
    named = (
        pl.col("speaker")
        .str.split(" ")
        .list.first()
        .is_in(sorted(name for name in names if name[:1].isupper()))
        .fill_null(value=False)
    )
    found = _with_window(found)
    features: dict[str, Any] = {
        "window": _standardised("_window"),
        "words": pl.Series(said_share(question, found["text"].to_list())),
        "semantic": _standardised("semantic"),
        "keyword": _standardised("keyword"),
        "speaker": named.cast(pl.Float64),
        "recency": 0.5 ** (age / HALF_LIFE_DAYS),
        "importance": pl.col("importance"),
        "emotion": (pl.col("emotion") == emotion).cast(pl.Float64) if emotion else pl.lit(0.0),
    }
    shares = [(WEIGHTS[name] * value).alias(f"s_{name}") for name, value in features.items()]
    scored = found.with_columns(shares).with_columns(
        s_kind=pl.when(pl.col("kind") == "episode").then(-EPISODE_HANDICAP).otherwise(0.0)
    )
    scored = scored.with_columns(score=pl.sum_horizontal(pl.col("^s_.*$")))
    return scored.sort("score", "occurred_at", "id", descending=[True, True, False])


def _with_window(found: pl.DataFrame) -> pl.DataFrame:
    """Return the candidates with the better cosine of the turns before and after; a turn whose neighbour fits is likely meant, too.

    A neighbour that is no candidate counts as the worst candidate does.
    """
    said = found.filter(pl.col("kind") == "message").group_by("session_id", "turn").agg(_c=pl.col("semantic").max())
    beside = found
    for step, name in ((1, "_next"), (-1, "_previous")):
        moved = said.select("session_id", (pl.col("turn") - step).alias("turn"), pl.col("_c").alias(name))
        beside = beside.join(moved, on=["session_id", "turn"], how="left", maintain_order="left")
    window = pl.max_horizontal("_next", "_previous").fill_null(pl.col("semantic").min())
    return beside.with_columns(_window=pl.when(pl.col("kind") == "message").then(window)).drop("_next", "_previous")


def _standardised(column: str) -> pl.Expr:
    value = pl.col(column)
    return ((value - value.mean()) / pl.max_horizontal(value.std().fill_null(0.0), pl.lit(1e-6))).fill_null(0.0)


def said_share(question: str, texts: list[str]) -> list[float]:
    """Return the share of the question's words (function words only if it has no others) that each text says."""
    wanted = {word for word in _words(question) if word not in STOP_WORDS} or set(_words(question))
    return [len(wanted & set(_words(text))) / max(len(wanted), 1) for text in texts]


def _overlap(question: str, texts: list[str], found: pl.DataFrame) -> list[float]:
    """Return keyword scores of fresh texts on the scale of the index: the share of the question's words, of its best score."""
    best = found["keyword"].max() if found.height else None
    top = float(best) if isinstance(best, float) and best > 0 else 1.0
    return [top * share for share in said_share(question, texts)]


def _words(text: str) -> list[str]:
    return [word for word in "".join(c if c.isalnum() else " " for c in text.lower()).split() if word]


REASONS = {
    "semantic": "close in meaning",
    "keyword": "shares words",
    "window": "its neighbours fit",
    "words": "says the words itself",
    "speaker": "said by whom you ask about",
    "recency": "recent",
    "importance": "important",
    "emotion": "same emotion",
    "kind": "an episode",
}


def _memory(row: dict[str, Any]) -> Memory:
    shares = {name.removeprefix("s_"): round(value, 4) for name, value in row.items() if name.startswith("s_")}
    strongest = sorted((name for name, value in shares.items() if value > 0.02), key=lambda name: -shares[name])
    return Memory(
        id=row["id"],
        kind=row["kind"],
        text=row["text"],
        score=round(row["score"], 4),
        shares=shares,
        reason=", ".join(REASONS[name] for name in strongest[:3]) or "nothing better is known",
        speaker=row["speaker"],
        occurred_at=row["occurred_at"],
        turn=row["turn"],
        emotion=row["emotion"],
        session_id=row["session_id"],
        source_ids=list(row["source_ids"]),
        source_ref=row["source_ref"],
    )
