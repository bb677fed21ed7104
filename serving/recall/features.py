"""The features by which a message is judged for a question: named, standardised over the scope, and nothing learned in them.

All are linear in the number of messages of the scope. n is that number throughout.
"""

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from language.terms import BITS, asked_terms, asks_for_several, term, wanted_traits
from language.time_expressions import Moments, moments
from serving.recall.matrix import Image

K1, B = 1.2, 0.75
"""BM25's usual parameters (Robertson and Zaragoza 2009)."""

NEIGHBOUR_WORDS = 60.0
"""Words of a usual message up to which its neighbours count in full: short turns are understood from those beside them, long
ones stand for themselves. LoCoMo's have 25 on average, BEAM's 250."""

MOST_TERMS = 64
"""Different words of a question that are looked for: more do not sharpen it."""


@dataclass
class Asked:
    """A question, read once.

    Attributes:
        terms: Per content word its hashed stems.
        wanted: Traits that an answer would show.
        moments: When it is about, if it says so.
        dim: Dimensions of the vector it is to have, 0 for none.
        late_dim: Dimensions of the token vectors it is to have, 0 for none.
        vector: float32 (dim,), or None.
        pieces: float32 (pieces, dim) of its word pieces, or None.
        several: Whether its answer lies in several messages.
    """

    text: str
    terms: list[tuple[int, ...]]
    wanted: list[str]
    moments: Moments | None = None
    dim: int = 0
    late_dim: int = 0
    vector: np.ndarray | None = None
    pieces: np.ndarray | None = None
    words: set[str] = field(default_factory=set)
    several: bool = False


def read(question: str, now: datetime) -> Asked:
    """Return the question with what its words say; vectors are added by who has an embedder."""
    words = {word.strip("?¿!¡.,;:'\"()").removesuffix("'s").removesuffix("’s").lower() for word in question.split()}
    return Asked(
        question,
        asked_terms(question)[:MOST_TERMS],
        list(wanted_traits(question)),
        moments(question, now),
        words={word for word in words if word},
        several=asks_for_several(question),
    )


def features(image: Image, asked: Asked) -> dict[str, np.ndarray]:
    """Return feature to float64 (n,). Features that need vectors are missing when there are none."""
    n = len(image)
    found: dict[str, np.ndarray] = {}
    share = np.minimum(1.0, NEIGHBOUR_WORDS / image.lengths)
    named = _named(image, asked)
    counts = _term_counts(image, asked)
    content = ~_is_name(image, asked)
    _keywords(image, counts, content, share, found)
    # What a turn shows by its form tells apart short turns only: a long one names times, numbers and people anyway.
    found["speaker"] = share * named
    found["self"] = share * named * _shows(image, "self")
    for name in ("time", "number", "name", "reason", "feeling"):
        found[f"answer_{name}"] = share * _shows(image, name) if name in asked.wanted else np.zeros(n)
    asks = _shows(image, "question")
    found["asks"] = share * asks
    length = standardised(np.log(image.lengths))
    found["length"] = share * length
    found["length_squared"] = share * length**2
    first, _ = image.bounds
    found["opening"] = share * (np.arange(n) == first)
    found["user"] = _shows(image, "user")
    found["time"] = asked.moments.nearness(image.times) if asked.moments else np.zeros(n)
    base = found["keyword"] + 0.5 * found["keyword_near"]
    if asked.vector is not None and image.vectors is not None:
        _semantic(image, asked.vector, share, found)
        base = 0.7 * found["keyword"] + 0.5 * found["keyword_near"] + found["semantic"]
        if asked.pieces is not None and image.pieces is not None:
            _late(image, asked.pieces, share, found)
            base = base + found["late"]
    for name in ("late", "keyword"):
        if name in found:
            found[f"{name}_by_length"] = share * found[name] * length
    base = standardised(base)
    found["reply"] = share * beside(image, base, 1) * beside(image, asks, 1, 0.0)
    return found


def standardised(values: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Return values minus mean over standard deviation; where ``mask`` is false, 0."""
    known = values if mask is None else values[mask]
    spread = known.std() if known.size else 0.0
    if spread < 1e-9:
        return np.zeros(len(values))
    z = (values - known.mean()) / spread
    return z if mask is None else np.where(mask, z, 0.0)


def around(image: Image, values: np.ndarray, reach: int) -> np.ndarray:
    """Return the sum over each message and those at most ``reach`` turns away in its session; values are (n,) or (n, m)."""
    first, end = image.bounds
    places = np.arange(len(image))
    total = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])
    return total[np.minimum(places + reach + 1, end)] - total[np.maximum(places - reach, first)]


def beside(image: Image, values: np.ndarray, back: int, outside: float = -1.0) -> np.ndarray:
    """Return the value of the message ``back`` turns before (after, if negative), ``outside`` where the session ends."""
    first, end = image.bounds
    places = np.arange(len(image)) - back
    inside = (places >= first) & (places < end)
    return np.where(inside, values[np.clip(places, 0, max(len(image) - 1, 0))], outside)


def _shows(image: Image, trait: str) -> np.ndarray:
    return ((image.traits & BITS[trait]) != 0).astype(np.float64)


def _named(image: Image, asked: Asked) -> np.ndarray:
    """Return 1 for messages of a speaker whose (first) name stands in the question."""
    names = image.rows["speaker_name"]
    said = {name: str(name).split(" ")[0].lower() in asked.words for name in names.unique().to_list()}
    return names.replace_strict(said, default=False).to_numpy().astype(np.float64)


def _is_name(image: Image, asked: Asked) -> np.ndarray:
    """Return whether each term of the question is the name of one of the speakers."""
    names = {str(name).split(" ")[0].lower() for name in image.rows["speaker_name"].unique().to_list()}
    hashed = {term(name, code) for name in names & asked.words for code in ("en", "es")}
    return np.array([bool(hashed & set(group)) for group in asked.terms], dtype=bool)


def _term_counts(image: Image, asked: Asked) -> np.ndarray:
    """Return how often each message says each term, float64 (n, terms)."""
    counts = np.zeros((len(image), len(asked.terms)))
    group = {value: place for place, values in enumerate(asked.terms) for value in values}
    if not group or not image.terms.size:
        return counts
    wanted = np.array(sorted(group), dtype=np.int32)
    places = np.searchsorted(wanted, image.terms)
    places[places == len(wanted)] = 0
    hits = np.flatnonzero(wanted[places] == image.terms)
    columns = np.array([group[int(value)] for value in wanted])[places[hits]]
    np.add.at(counts, (image.term_rows[hits], columns), 1.0)
    return counts


def bm25(counts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return BM25 of documents with these counts per term (n, terms) and lengths (n,)."""
    spread = (counts > 0).sum(axis=0)
    weight = np.log1p((len(counts) - spread + 0.5) / (spread + 0.5))
    damped = counts * (K1 + 1) / (counts + K1 * (1 - B + B * lengths / lengths.mean())[:, None])
    return damped @ weight


def _keywords(
    image: Image, counts: np.ndarray, content: np.ndarray, share: np.ndarray, found: dict[str, np.ndarray]
) -> None:
    lengths = image.lengths
    found["keyword"] = standardised(bm25(counts, lengths))
    for name, reach in (("keyword_near", 1), ("keyword_around", 3), ("keyword_stretch", 6)):
        wide = counts + share[:, None] * (around(image, counts, reach) - counts)
        long = lengths + share * (around(image, lengths, reach) - lengths)
        found[name] = standardised(bm25(wide, long))
    without = counts[:, content] if content.any() else counts
    sessions = image.sessions
    first, _ = image.bounds
    starts = np.unique(first)
    by_session = np.add.reduceat(without, starts, axis=0) if len(starts) else without
    found["session"] = standardised(bm25(by_session, np.add.reduceat(lengths, starts))[sessions])
    weight = np.log1p(len(image) / np.maximum((without > 0).sum(axis=0), 0.5))
    found["coverage"] = (without > 0) @ weight / max(float(weight.sum()), 1e-9)


def _semantic(image: Image, vector: np.ndarray, share: np.ndarray, found: dict[str, np.ndarray]) -> None:
    """Cosines, and their mean over a message and its neighbours; messages that are not embedded yet are at the mean."""
    assert image.vectors is not None
    known = image.embedded
    cosine = np.where(known, image.vectors @ vector, 0.0).astype(np.float64)
    found["semantic"] = standardised(cosine, known)
    near = around(image, np.stack([cosine, known.astype(np.float64)], axis=1), 1)
    mean = cosine + share * (near[:, 0] / np.maximum(near[:, 1], 1) - cosine)
    found["semantic_near"] = standardised(mean, known)


def _late(image: Image, pieces: np.ndarray, share: np.ndarray, found: dict[str, np.ndarray]) -> None:
    """Late interaction: for each word piece of the question the best one of the message, of it and its neighbours, and so on.

    Each piece is standardised over the scope, so that one that fits everywhere counts as little as one that fits nowhere.
    """
    assert image.pieces is not None
    assert image.piece_ends is not None
    best = np.zeros((len(image), len(pieces)), dtype=np.float32)
    counts = np.diff(image.piece_ends, prepend=0)
    known = counts > 0
    if known.any():
        starts = (image.piece_ends - counts)[known]
        query = np.ascontiguousarray(pieces.T)
        # In blocks: the question's similarities to a hundred thousand pieces at once would be slower than what the cache holds.
        best[known] = _maximum_by_row(image.pieces, starts, query)
    everywhere = best[known].mean(axis=0) if known.any() else np.zeros(len(pieces))
    best[~known] = everywhere
    near = np.maximum(best, np.maximum(_moved(image, best, 1), _moved(image, best, -1)))
    wide = near
    for step in (2, 3):
        wide = np.maximum(wide, np.maximum(_moved(image, best, step), _moved(image, best, -step)))
    for name, values in (("late", best), ("late_near", near), ("late_around", wide)):
        blended = best + share[:, None].astype(np.float32) * (values - best)
        part = blended[known]
        if not len(part):
            found[name] = np.zeros(len(image))
            continue
        z = (blended - part.mean(axis=0)) / (part.std(axis=0) + np.float32(1e-6))
        found[name] = np.where(known, z.mean(axis=1), 0.0).astype(np.float64)


BLOCK = 16_384
"""Word pieces compared at once."""

HALF = 128
"""Word pieces of half a window. Of a message of more than two halves the window counts that fits best: a text of ten thousand pieces
has a good one for *any* piece of a question somewhere, and came before every short message."""


def _maximum_by_row(pieces: np.ndarray, starts: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Return per message the best similarity to each column of ``query`` of any of its pieces, of a long one of any in one window.

    ``starts`` are in order.
    """
    best = np.empty((len(starts), query.shape[1]), dtype=np.float32)
    ends = np.append(starts[1:], len(pieces))
    low = 0
    while low < len(starts):
        first = starts[low]
        high = max(low + 1, int(np.searchsorted(ends, first + BLOCK, side="right")))
        similar = pieces[first : ends[high - 1]].astype(np.float32) @ query
        best[low:high] = np.maximum.reduceat(similar, starts[low:high] - first, axis=0)
        for place in low + np.flatnonzero(ends[low:high] - starts[low:high] > 2 * HALF):
            best[place] = _best_window(similar[starts[place] - first : ends[place] - first])
        low = high
    return best / np.float32(127)


def _best_window(similar: np.ndarray) -> np.ndarray:
    """Return the best similarities (columns,) within the window of two halves where their mean is highest."""
    halves = np.maximum.reduceat(similar, np.arange(0, len(similar), HALF), axis=0)
    windows = np.maximum(halves[1:], halves[:-1])
    return np.asarray(windows[windows.mean(axis=1).argmax()])


def _moved(image: Image, values: np.ndarray, back: int) -> np.ndarray:
    first, end = image.bounds
    places = np.arange(len(image)) - back
    inside = (places >= first) & (places < end)
    return np.where(inside[:, None], values[np.clip(places, 0, len(image) - 1)], np.float32(-2))
