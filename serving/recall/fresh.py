"""Messages that no run has taken in yet: all of them are recalled, however many there are.

Those of a scope are read whole up to `WHOLE`, and kept until anything is written to the store. Of more than that an index of words is
kept (see fresh_words.py); what it finds is read from the store, with the turns around it and the newest messages.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from language.feelings import emotion_of
from language.terms import BITS, TRAITS, term_lists, traits
from resources.snapshot import tidy, utc
from resources.store import InteractionStore, chunks
from serving.recall.fresh_words import WordIndex
from serving.recall.matrix import ORDER, PLAIN, UNKNOWN_TURN, Image, taken
from serving.scope import Scope
from transforms.order import ordered

WHOLE = 4_000
"""Messages of a scope that are read whole: 25 ms of computing when something was written, nothing otherwise."""

NEAREST = 150
"""Hits by words in more messages than that."""

STRETCH = 4
"""Turns on each side of a hit that are read with it: no feature looks further than three."""

KNOWN = 20_000
"""Messages of one scope beyond `WHOLE` of which it is kept what was made of their words: most of a question's work."""

BEFORE_REQUEST = 6
"""Turns before a request to forget something, which may mean what was just said; after it stands the answer to it."""

NEWEST = 200
"""Newest messages that are read with the hits: what was just said, whatever the question's words."""

HELD_BYTES = 96 << 20
"""Of what is kept in memory; the least recently used scopes go first. 200,000 messages of 15 words take 25 MB."""

SCOPES = 1_000
"""Scopes of which anything is kept, empty ones too."""

REQUEST_WORDS = ("forget", "delete", "erase", "remove", "disregard", "discard", "olvid", "borra", "elimina")
"""One of these stands in every request that `TRAITS` finds: looking for them first takes a tenth of the time."""

ROWS = """
SELECT m.seq, m.message_id, m.agent_id, m.session_id, coalesce(n.display_name, m.speaker_id) AS speaker_name, m.role, m.occurred_at,
       m.turn, m.follows, m.emotion, m.importance, m.edited_at, m.text
FROM messages m LEFT JOIN speaker_names n ON n.agent_id = m.agent_id AND n.speaker_id = m.speaker_id
WHERE {which} AND m.role <> 'system' AND {where}
"""

UNSYNCED = "m.synced_at IS NULL"

INDEXED = """
SELECT m.seq, m.session_id, m.occurred_at, m.speaker_id, m.role, m.text
FROM messages m {by} WHERE m.synced_at IS NULL AND {where}
"""

MARK = """
SELECT count(*) AS n, coalesce(max(m.seq), 0) AS last, CAST(coalesce(sum(m.seq), 0) AS BIGINT) AS total
FROM messages m WHERE m.synced_at IS NULL AND {where}
"""

CHANGED = """
SELECT (SELECT count(*) FROM messages m WHERE {edited}) AS edits,
       (SELECT CAST(max(m.edited_at) AS TEXT) FROM messages m WHERE {edited}) AS edited,
       (SELECT count(*) FROM speaker_names n WHERE n.agent_id = ?) AS names,
       (SELECT CAST(max(n.since) AS TEXT) FROM speaker_names n WHERE n.agent_id = ?) AS named,
       (SELECT CAST(sum(length(n.display_name)) AS BIGINT) FROM speaker_names n WHERE n.agent_id = ?) AS letters
"""


@dataclass
class Told:
    """Messages that stand in no table, or that were written again since.

    Attributes:
        image: In the order of the conversation, without vectors.
        seq: Number of arrival of each, int64 (n,).
        said: What is embedded of each: with its speaker's name.
        edited: Whether its text is another one than at first, bool (n,).
    """

    image: Image
    seq: np.ndarray
    said: pl.Series
    edited: np.ndarray

    @classmethod
    def nothing(cls) -> "Told":
        """Return none."""
        return cls(Image.empty(), np.zeros(0, np.int64), pl.Series("said", [], pl.String), np.zeros(0, bool))

    def __len__(self) -> int:
        return len(self.image)

    @property
    def asks(self) -> bool:
        """Return whether somebody asks in them to forget or not to keep something."""
        return bool((self.image.traits & (BITS["withdraws"] | BITS["restricted"])).any())

    def only(self, kept: np.ndarray) -> "Told":
        """Return those of them, bool (n,)."""
        if kept.all():
            return self
        mask = pl.Series(kept)
        return Told(taken(self.image, kept), self.seq[kept], self.said.filter(mask), self.edited[kept])


@dataclass
class _Held:
    """What is kept of a scope: all of it, or an index of it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    state: str | None = None
    told: Told | None = None
    known: pl.DataFrame | None = None
    index: WordIndex | None = None
    mark: tuple[Any, ...] = ()
    changed: tuple[Any, ...] = ()
    size: int = 0

    @property
    def seq(self) -> np.ndarray:
        if self.index is not None:
            return self.index.seq
        return self.told.seq if self.told is not None else np.zeros(0, np.int64)

    def weigh(self) -> None:
        """Take down how much it holds; asked for while nobody changes it."""
        size = self.told.image.size if self.told is not None else 0
        size += int(self.known.estimated_size()) if self.known is not None else 0
        self.size = size + (self.index.size if self.index is not None else 0)


class Fresh:
    """Reads the messages of a store that no run has taken in yet; may be asked by several threads.

    Args:
        gone: Is told the numbers of arrival of messages of which nothing is kept any more.
    """

    def __init__(self, store: InteractionStore, gone: Callable[[list[int]], None] = lambda seqs: None) -> None:
        self.store = store
        self._gone = gone
        self._held: OrderedDict[Scope, _Held] = OrderedDict()
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._held.clear()

    def told(self, scope: Scope, question: str) -> Told:
        """Return the messages of the scope, or of very many those where the question may be answered."""
        held = self._of(scope)
        with held.lock:
            self._refresh(held, scope)
            found = held.told
            if held.index is not None:
                index = held.index
                hits = index.around(index.hits(question, NEAREST), STRETCH, STRETCH)
                newest = np.arange(max(0, len(index) - NEWEST), len(index))
                found = self._read(held, np.unique(np.concatenate([hits, newest, self._requests(index)])))
            held.weigh()
        self._bounded()
        return found if found is not None else Told.nothing()

    def concerned(self, scope: Scope, ids: Sequence[str]) -> tuple[bool, Told]:
        """Return whether somebody asks to forget something, and if so the messages with these ids and those around the requests."""
        held = self._of(scope)
        with held.lock:
            self._refresh(held, scope)
            if held.index is None:
                told = held.told or Told.nothing()
                return told.asks, told if told.asks else Told.nothing()
            listed = [self._seqs_of(batch) for batch in chunks(ids)]
            rows = np.flatnonzero(np.isin(held.index.seq, np.concatenate([np.zeros(0, np.int64), *listed])))
            told = self._read(held, np.union1d(rows, self._requests(held.index)))
            return told.asks, told if told.asks else Told.nothing()

    # -- what is kept ---------------------------------------------------------------------------------------------

    def _of(self, scope: Scope) -> _Held:
        with self._lock:
            held = self._held.setdefault(scope, _Held())
            self._held.move_to_end(scope)
            return held

    def _bounded(self) -> None:
        with self._lock:
            total = sum(held.size for held in self._held.values())
            while (total > HELD_BYTES or len(self._held) > SCOPES) and len(self._held) > 1:
                least = self._held.popitem(last=False)[1]
                total -= least.size
                self._gone(least.seq.tolist())

    def _refresh(self, held: _Held, scope: Scope) -> None:
        """Bring what is kept of a scope to what stands in the store, if anything was written to it."""
        state = self.store.state()  # before reading: what is written meanwhile is seen next time
        if state is not None and state == held.state:
            return
        held.state = None
        before = held.seq
        self._read_again(held, *where_of(scope))
        self._gone(np.setdiff1d(before, held.seq).tolist())
        held.state = state

    def _read_again(self, held: _Held, where: str, values: list[str]) -> None:
        mark = None if held.index is None else self._mark(where, values)
        if mark is None or mark[0] <= WHOLE:
            rows = self.store.frame(f"{ROWS.format(which=UNSYNCED, where=where)} LIMIT {WHOLE + 1}", values)
            if rows.height <= WHOLE:
                held.index, held.mark = None, ()
                held.told, held.known = told_of(rows, held.known)
                return
        held.told = None
        self._indexed(held, where, values, mark or self._mark(where, values))

    def _mark(self, where: str, values: list[str]) -> tuple[Any, ...]:
        """Return count, highest and sum of the numbers of arrival: by the index of unsynced messages alone."""
        return self.store.frame(MARK.format(where=where), values).row(0)

    def _indexed(self, held: _Held, where: str, values: list[str], mark: tuple[Any, ...]) -> None:
        """Bring the index to what stands in the store: what is new is added, what is gone goes; edits and new names make it anew."""
        edited = f"m.synced_at IS NULL AND m.edited_at IS NOT NULL AND {where}"
        changed = self.store.frame(CHANGED.format(edited=edited), [*values, *values, *[values[0]] * 3]).row(0)
        if held.index is None or changed != held.changed:
            held.index, held.mark, held.known = WordIndex(), (0, 0, 0), None
        index, held.changed = held.index, changed
        if mark == held.mark:
            return
        last = int(index.seq[-1]) if len(index) else 0
        new = self._words_of(where, values, last)
        count, total = held.mark[0] + new.height, held.mark[2] + int(new["seq"].sum())
        if (count, total) != (mark[0], mark[2]):
            # Something is gone, or was there before and is to be taken in again.
            held.known = None
            there = self.store.frame(f"SELECT m.seq FROM messages m WHERE m.synced_at IS NULL AND {where}", values)
            seq = np.sort(there["seq"].cast(pl.Int64).to_numpy())
            seq = seq[seq <= last]
            if len(np.setdiff1d(seq, index.seq, assume_unique=True)):
                index = held.index = WordIndex()
                new = self._words_of(where, values, 0)
            else:
                index.keep(np.isin(index.seq, seq, assume_unique=True))
        index.add(new, _requests(new))
        held.mark = (len(index), int(index.seq[-1]) if len(index) else 0, int(index.seq.sum()))

    def _words_of(self, where: str, values: list[str], after: int) -> pl.DataFrame:
        """Return what the index holds of messages that arrived after one, in the order of arrival."""
        # SQLite looks for the new ones by their numbers if it may not use the index of unsynced messages.
        by = "NOT INDEXED" if self.store.is_sqlite and after else ""
        rows = self.store.frame(INDEXED.format(by=by, where=f"{where} AND m.seq > {int(after)}"), values)
        names = self.store.frame("SELECT speaker_id, display_name FROM speaker_names WHERE agent_id = ?", values[:1])
        rows = rows.with_columns(pl.col("seq").cast(pl.Int64), utc("occurred_at", rows.schema["occurred_at"]))
        called = pl.col("speaker_id").cast(pl.String).replace(*names.cast(pl.String).get_columns())
        said = pl.when(pl.col("role") != "system").then(pl.concat_str(called, "text", separator=": "))
        text = pl.col("text").cast(pl.String), pl.col("session_id").cast(pl.String)
        return rows.with_columns(text).with_columns(said=said.fill_null("")).sort("seq")

    # -- what is read ---------------------------------------------------------------------------------------------

    def _requests(self, index: WordIndex) -> np.ndarray:
        return index.around(index.asks, BEFORE_REQUEST, 1)

    def _seqs_of(self, ids: list[str]) -> np.ndarray:
        marks = ", ".join("?" * len(ids))
        found = self.store.frame(f"SELECT seq FROM messages WHERE message_id IN ({marks})", ids)
        return found["seq"].cast(pl.Int64).to_numpy()

    def _read(self, held: _Held, rows: np.ndarray) -> Told:
        """Return rows of the index as they stand in the store now; what is not there any more is not shown."""
        assert held.index is not None
        wanted = ", ".join(map(str, held.index.seq[rows].tolist())) or "0"
        told, made = told_of(self.store.frame(ROWS.format(which=UNSYNCED, where=f"m.seq IN ({wanted})")), held.known)
        if made is not None:
            every = made if held.known is None else pl.concat([held.known, made])
            held.known = every.unique("message_id", keep="last", maintain_order=True).tail(KNOWN)
        return told


def where_of(scope: Scope) -> tuple[str, list[str]]:
    """Return the clause for the messages of a scope, and the values of its placeholders."""
    if scope.user_id is None:
        return "m.agent_id = ?", [scope.agent_id]
    return "m.agent_id = ? AND m.user_id = ?", [scope.agent_id, scope.user_id]


def _requests(rows: pl.DataFrame) -> np.ndarray:
    """Return where a user asks to forget something, bool (n,)."""
    asks = np.zeros(rows.height, bool)
    perhaps = (pl.col("role") == "user") & pl.col("text").str.contains_any(
        list(REQUEST_WORDS), ascii_case_insensitive=True
    )
    places = rows.select(perhaps.arg_true()).to_series()
    asks[places.to_numpy()] = rows["text"].gather(places).str.contains(TRAITS["withdraws"]).to_numpy()
    return asks


def told_of(rows: pl.DataFrame, known: pl.DataFrame | None) -> tuple[Told, pl.DataFrame | None]:
    """Return the messages of the query `ROWS`, and what was made of their words, to be used when they are read again.

    Args:
        known: What was made of the words of those that were read before.
    """
    if rows.is_empty():
        return Told.nothing(), None
    said = pl.concat_str("speaker_name", "text", separator=": ")
    labels = rows["emotion"].cast(pl.String).drop_nulls().unique()
    emotions = pl.col("emotion").replace_strict(labels, [emotion_of(each) for each in labels], return_dtype=pl.String)
    edited = rows["edited_at"].is_not_null()
    rows = (
        ordered(tidy(rows).with_columns(_edited=edited))
        .with_columns(
            emotions.fill_null("neutral") if len(labels) else pl.lit("neutral").alias("emotion"),
            pl.col("importance").fill_null(0.5),
            pl.col("turn").fill_null(UNKNOWN_TURN),
            pl.col("seq").cast(pl.Int64),
            said=said,
        )
        .sort(ORDER)
    )
    made = _made(rows.select("message_id", "role", "said", "text"), known)
    terms = made["terms"]
    image = Image(
        rows.select(PLAIN),
        made["traits"].to_numpy(),
        terms.explode(empty_as_null=False, keep_nulls=False).to_numpy().astype(np.int32),
        terms.list.len().cast(pl.Int64).cum_sum().to_numpy(),
    )
    return Told(image, rows["seq"].to_numpy(), rows["said"], rows["_edited"].to_numpy()), made


def _made(rows: pl.DataFrame, known: pl.DataFrame | None) -> pl.DataFrame:
    """Return message_id, role, said, terms and traits of messages; each is looked at once."""
    keys = ["message_id", "role", "said"]
    if known is None:
        return rows.select(*keys, term_lists(rows["said"].to_list()).alias("terms"), traits=traits())
    found = rows.join(known, on=keys, how="left", maintain_order="left")
    new = found.filter(pl.col("traits").is_null())
    if new.height:
        made = _made(new.select(rows.columns), None)
        found = found.update(made.select("message_id", "terms", "traits"), on="message_id")
    return found.select(*keys, "terms", "traits")
