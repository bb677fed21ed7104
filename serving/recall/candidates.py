"""Where the memories of a scope come from: the Lance tables; what no run has taken in yet comes from the store (see fresh.py).

A scope of up to `WHOLE` messages is read whole, which costs less than one hybrid query of LanceDB and leaves nothing out. A
larger one is narrowed to the stretches of conversation around what LanceDB finds by meaning and by words.
"""

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import polars as pl
import pyarrow as pa

from language.terms import BITS
from records.errors import DamagedError
from resources.vectors import VectorStore, quoted
from serving.recall.matrix import PLAIN, Image, frame_of, image_of
from serving.scope import Scope

WHOLE = 5_000
"""Messages of a scope that are read whole: 11 MB, some 20 ms when they are not in the cache."""

NEAREST = 200
"""Hits taken from each search of a larger scope."""

STRETCH = 6
"""Turns on each side of a hit that are read with it."""

CACHE_BYTES = 48 << 20
"""Images kept in memory; the least recently used go first."""

SETTLED_NS = 1_000_000_000
"""Age from which on the time of a table's last commit is taken for its version."""

LARGE = object()
"""Stands in the cache for a scope that is not read whole."""

T = TypeVar("T")

NEEDED = [*PLAIN, "traits", "terms"]

DERIVED = {
    "fact_embeddings": [
        "fact_id",
        "user_id",
        "subject",
        "category",
        "key",
        "value",
        "polarity",
        "modality",
        "status",
        "valid_from",
        "valid_to",
        "confidence",
        "mentions",
        "quote",
        "text",
        "source_message_ids",
    ],
    "episode_embeddings": [
        "episode_id",
        "user_id",
        "session_id",
        "started_at",
        "turn_first",
        "turn_last",
        "title",
        "type",
        "participants",
        "emotion",
        "importance",
        "is_consolidated",
        "text",
        "source_message_ids",
    ],
}


class Memories:
    """Reads the tables of one installation, with a cache that a new version of a table makes void."""

    def __init__(self, vectors: VectorStore) -> None:
        self.vectors = vectors
        self._cache: OrderedDict[tuple[Any, ...], tuple[Any, Any, int]] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()
        self._tables: dict[str, Any] = {}
        self._columns: dict[str, set[str]] = {}
        self._versions: dict[str, tuple[int, int]] = {}
        self.damaged: set[str] = set()
        """Tables that could not be read when they were last asked."""

    def _read(self, kind: str, read: Callable[[], T], otherwise: T) -> T:
        """Return what is read of a table, something else where it is damaged: an answer without it is better than none.

        It is read once more from the newest version first: a replaced version stays for some seconds (`[vectors] grace_s`), after an
        erasure not at all, and whoever makes a damaged table again makes it under the same name.
        """
        for attempt in (1, 2):
            try:
                answer = read()
            except Exception as error:
                if not is_damage(error):
                    raise
                self.forget_versions(kind)
                if attempt == 2:
                    self.damaged.add(kind)
                    return otherwise
            else:
                break
        self.damaged.discard(kind)
        return answer

    def table(self, kind: str) -> tuple[Any, Any] | None:
        """Return the table that readers use at its newest version, and what tells that version; None without one of the present layout."""
        now = self.vectors.current(kind)
        if now is None:
            return None
        name = now["table"]
        place = self.vectors.place(name)
        with self._lock:
            lance, opened = self._tables.get(name, (None, None))
            if lance is None or opened != place:  # made anew under the same name its versions begin again
                lance = self.vectors.run(self.vectors.reader(name))
                if lance is None:
                    raise FileNotFoundError(name)  # it was published
                self._tables[name] = lance, place
                self._versions.pop(name, None)
                self._columns[name] = set(self.vectors.run(lance.schema()).names)
            wanted = set(NEEDED if kind == "message_embeddings" else DERIVED[kind])
            # A table from before positions is read until the next run has made the one that replaces it.
            if not wanted - {"position"} <= self._columns[name]:
                return None
            changed = self.vectors.changed(name)
            known = self._versions.get(name)
            if known is None or known[0] != changed:
                known = (changed, self.vectors.run(_newest(lance)))
                # A folder's time of change is that of a clock's tick: only an older one tells that nothing came after it.
                if time.time_ns() - changed > SETTLED_NS:
                    self._versions[name] = known
            return lance, (place, known[1])

    def forget_versions(self, kind: str) -> None:
        """Open the tables of a kind anew at the next reading."""
        with self._lock:
            for name in [name for name in self._tables if name.startswith(f"{kind}__")]:
                del self._tables[name]
                self._versions.pop(name, None)

    def maker(self, kind: str) -> str | None:
        """Return the fingerprint of what made the table that readers use."""
        try:
            now = self.vectors.current(kind)
            return None if now is None else str(now["embedder"])
        except Exception as error:
            if not is_damage(error):
                raise
            return None

    def messages(
        self, scope: Scope, question: str, vector: Callable[[], np.ndarray | None] | None, pieces: int
    ) -> Image | None:
        """Return the image of the scope, or of the part of a large one where the question may be answered; None without table.

        Args:
            vector: Returns the question's, asked for in a large scope only; None leaves the vectors unread.
            pieces: Dimensions of the token vectors, 0 leaves them unread.
        """
        kind, vectors = "message_embeddings", vector is not None
        found = self._read(kind, lambda: self._whole(scope, vectors, pieces), None)
        if found is not LARGE:
            return found
        meaning = vector() if vector is not None else None  # outside: what a model says is no damage of a table
        return self._read(kind, lambda: self._parts(scope, question, meaning, vectors, pieces), None)

    def _whole(self, scope: Scope, vectors: bool, pieces: int) -> Any:
        """Return the image of the scope, `LARGE` for one that is not read whole, None without table."""
        opened = self.table("message_embeddings")
        if opened is None:
            return None
        lance, version = opened
        key = ("message_embeddings", lance.name, scope, vectors, bool(pieces))
        cached = self._get(key, version)
        if cached is not None:
            return cached
        columns = self._columns_for(lance.name, vectors, pieces)
        table = self.vectors.run(_fetch(lance, scope.where(), columns, WHOLE + 1))
        if len(table) <= WHOLE:
            image = image_of(table, vectors=vectors, pieces=pieces)
            self._put(key, version, image, image.size)
            return image
        self._put(key, version, LARGE, 0)
        return LARGE

    def _parts(
        self, scope: Scope, question: str, meaning: np.ndarray | None, vectors: bool, pieces: int
    ) -> Image | None:
        """Return the image of the part of a large scope where the question may be answered."""
        opened = self.table("message_embeddings")
        if opened is None:
            return None
        part = _part(opened[0], scope, question, meaning, self._columns_for(opened[0].name, vectors, pieces))
        return image_of(self.vectors.run(part), vectors=vectors, pieces=pieces)

    def _columns_for(self, name: str, vectors: bool, pieces: int) -> list[str]:
        return [*self._needed(name), *(["vector"] if vectors else []), *(["tokens"] if pieces else [])]

    def derived(self, kind: str, scope: Scope) -> pl.DataFrame:
        """Return the facts or episodes of a scope with their vectors, empty without table."""
        return self._read(kind, lambda: self._derived(kind, scope), pl.DataFrame())

    def _derived(self, kind: str, scope: Scope) -> pl.DataFrame:
        opened = self.table(kind)
        if opened is None:
            return pl.DataFrame()
        lance, version = opened
        key = (kind, lance.name, scope)
        cached = self._get(key, version)
        if cached is not None:
            return cached
        table = self.vectors.run(_fetch(lance, scope.where(), [*DERIVED[kind], "vector"]))
        rows = frame_of(table).sort(DERIVED[kind][0])
        self._put(key, version, rows, int(rows.estimated_size()))
        return rows

    def concerned(self, scope: Scope, ids: Sequence[str], *, asked: bool) -> Image | None:
        """Return these messages and what may have withdrawn them; empty if nobody asked to forget anything (see `_concerned`).

        None: there is no table that can be read.
        """
        return self._read("message_embeddings", lambda: self._of_concern(scope, ids, asked=asked), None)

    def _of_concern(self, scope: Scope, ids: Sequence[str], *, asked: bool) -> Image | None:
        opened = self.table("message_embeddings")
        if opened is None:
            return None
        lance = opened[0]
        found = _concerned(lance, scope, ids, self._needed(lance.name), asked=asked)
        return image_of(self.vectors.run(found), vectors=False, pieces=0)

    def count(self, scope: Scope) -> int:
        """Return how many messages of the scope stand in the table."""

        def counted() -> int:
            opened = self.table("message_embeddings")
            return 0 if opened is None else int(self.vectors.run(opened[0].count_rows(scope.where())))

        return self._read("message_embeddings", counted, 0)

    def _needed(self, name: str) -> list[str]:
        """Return the columns to read of a table of messages."""
        return [column for column in NEEDED if column in self._columns[name]]

    def owner_of(self, episode: str) -> str | None:
        """Return the agent whose episode this is, None when there is none."""

        def read() -> str | None:
            opened = self.table("episode_embeddings")
            if opened is None:
                return None
            found = self.vectors.run(_fetch(opened[0], f"episode_id = {quoted(episode)}", ["agent_id"]))
            return str(found["agent_id"][0]) if len(found) else None

        return self._read("episode_embeddings", read, None)

    def episodes_by_id(self, ids: list[str]) -> pl.DataFrame:
        """Return episodes by their ids, whoever they belong to: for those that were shared by decision."""
        none = pl.DataFrame()
        return self._read("episode_embeddings", lambda: self._episodes_by_id(ids), none) if ids else none

    def _episodes_by_id(self, ids: list[str]) -> pl.DataFrame:
        opened = self.table("episode_embeddings")
        if opened is None:
            return pl.DataFrame()
        lance, _ = opened
        where = f"episode_id IN ({', '.join(quoted(key) for key in ids)})"
        table = self.vectors.run(_fetch(lance, where, [*DERIVED["episode_embeddings"], "vector"]))
        return frame_of(table).sort("episode_id")

    def clear(self) -> None:
        """Keep nothing of what was read."""
        with self._lock:
            self._cache.clear()
            self._held = 0

    def _get(self, key: tuple[Any, ...], version: Any) -> Any | None:
        with self._lock:
            held = self._cache.get(key)
            if held is None:
                return None
            if held[0] != version:
                self._held -= self._cache.pop(key)[2]
                return None
            self._cache.move_to_end(key)
            return held[1]

    def _put(self, key: tuple[Any, ...], version: Any, value: Any, size: int) -> None:
        with self._lock:
            if key in self._cache:
                self._held -= self._cache.pop(key)[2]
            self._cache[key] = (version, value, size)
            self._held += size
            while self._held > CACHE_BYTES and len(self._cache) > 1:
                self._held -= self._cache.popitem(last=False)[1][2]


def is_damage(error: Exception) -> bool:
    """Return whether an error of reading a table says that its files are gone or are not what was written.

    LanceDB says most of it as RuntimeError, some as OSError or ValueError, and of bytes that make no sense it panics.
    """
    damage = (RuntimeError, OSError, ValueError, KeyError, TypeError, DamagedError)
    return isinstance(error, damage) or type(error).__name__ == "RustPanic"


async def _newest(lance: Any) -> int:
    """Take a table to its newest version and return that."""
    await lance.checkout_latest()
    return int(await lance.version())


async def _fetch(lance: Any, where: str, columns: list[str], limit: int | None = None) -> pa.Table:
    query = lance.query().where(where).select(columns)
    return await (query if limit is None else query.limit(limit)).to_arrow()


async def _part(lance: Any, scope: Scope, question: str, vector: np.ndarray | None, columns: list[str]) -> pa.Table:
    """Return the part of a large scope where the question may be answered: the stretches of conversation around the hits."""
    searches = [_by_words(lance, scope, question)]
    if vector is not None:
        searches.append(_by_meaning(lance, scope, vector))
    searches.append(_requests(lance, scope))
    hits = await asyncio.gather(*searches)
    frames = [frame_of(table).select("session_id", pl.col("turn").cast(pl.Int64)) for table in hits if len(table)]
    return await _fetch(lance, f"{scope.where()} AND ({_stretches(frames)})", columns)


def _stretches(frames: list[pl.DataFrame]) -> str:
    """Return the filter for the turns around hits."""
    if not frames:
        return "false"
    spans: list[str] = []
    hits = pl.concat(frames).unique().sort("session_id", "turn")
    for (session,), part in hits.group_by("session_id", maintain_order=True):
        turns = part["turn"].to_list()
        low = turns[0]
        for here, following in zip(turns, [*turns[1:], None], strict=True):
            if following is None or following - here > 2 * STRETCH:
                first, last = low - STRETCH, here + STRETCH
                spans.append(f"(session_id = {quoted(str(session))} AND turn >= {first} AND turn <= {last})")
                low = following
    return " OR ".join(spans)


async def _requests(lance: Any, scope: Scope) -> pa.Table:
    """Return where somebody asked to forget or not to keep something: without these, what they withdrew would be recalled."""
    # Lance's filters know no bitwise operators.
    table = await _fetch(lance, scope.where(), ["session_id", "turn", "traits"])
    asked = table["traits"].to_numpy() & (BITS["withdraws"] | BITS["restricted"])
    return table.filter(pa.array(asked != 0)).select(["session_id", "turn"])


async def _concerned(lance: Any, scope: Scope, ids: Sequence[str], columns: list[str], *, asked: bool) -> pa.Table:
    """Return the messages with these ids, and the requests to forget something with the turns around them; none without request.

    Args:
        asked: Whether there is a request that stands in no table yet.
    """
    requests = await _requests(lance, scope)
    if not len(requests) and not asked:
        return await _fetch(lance, "false", columns)
    hits = [frame_of(requests).select("session_id", pl.col("turn").cast(pl.Int64))] if len(requests) else []
    listed = f" OR message_id IN ({', '.join(map(quoted, ids))})" if ids else ""
    return await _fetch(lance, f"{scope.where()} AND ({_stretches(hits)}{listed})", columns)


async def _by_words(lance: Any, scope: Scope, question: str) -> pa.Table:
    words = [word for word in question.split() if any(c.isalnum() for c in word)][:64]
    if not words:
        return pa.table({})
    search = lance.query().nearest_to_text(" ".join(words), columns=["window_text"]).where(scope.where())
    return await search.select(["session_id", "turn", "_score"]).limit(NEAREST).to_arrow()


async def _by_meaning(lance: Any, scope: Scope, vector: np.ndarray) -> pa.Table:
    search = lance.query().nearest_to(vector).column("vector").distance_type("cosine").where(scope.where())
    if any("vector" in index.columns for index in await lance.list_indices()):
        search = search.refine_factor(5)
    return await search.select(["session_id", "turn", "_distance"]).limit(NEAREST).to_arrow()
