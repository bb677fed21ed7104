"""Where a conversation turns to another topic: a logistic model over lexical and discourse features of each gap between turns.

The features are those of the literature on dialogue segmentation: cohesion of the words on both sides (Hearst 1997), a question that
brings new words, cue phrases ("by the way", "por cierto"), answers and back-channels that hold on to what was said, and pronouns
that need it. Their weights are data (`data/segmentation.json`), learned by `benchmarks/segments.py` on TIAGE's training part.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from language.lexicon import STOP_WORDS
from language.terms import WORD, term

SEGMENTATION = Path(__file__).with_name("segmentation.json")

CUES = re.compile(
    r"(?i)^\W*(?:by the way|anyways?|so,? (?:what|do|are|how|tell)|speaking of|changing the subject|on another note|oh,? (?:and )?(?:by|did|do|have)|"
    r"what about you|how about you|tell me about|do you (?:have|like|work|play|read|watch|enjoy|live)|what (?:do|kind|are your)|where (?:do|are) you|"
    r"are you|have you|por cierto|cambiando de tema|bueno,? (?:y|cuéntame)|oye|hablando de|y tú|a propósito|cuéntame|tienes|te gusta)\b"
)
HOLDS = re.compile(
    r"(?i)^\W*(?:yes|yeah|yep|no|nope|nah|oh|ok|okay|sure|right|exactly|true|wow|cool|nice|great|awesome|neat|haha|lol|really|same|me too|i see|"
    r"that|it|they|he|she|because|why|sí|si|claro|vale|ya|eso|exacto|guau|qué bien|jaja|de verdad|yo también|porque|por qué)\b"
)
PRONOUN = re.compile(
    r"(?i)\b(?:it|that|this|they|them|he|she|him|her|those|one|eso|esto|ella|él|ellos|ellas|lo|la|los|las)\b"
)
FIRST = re.compile(r"(?i)\b(?:i|my|yo|mi|mis|soy|tengo)\b")

FEATURES = (
    "bias",
    "cohesion_1",
    "cohesion_2",
    "cohesion_4",
    "next_cohesion",
    "nothing_shared",
    "cue",
    "holds",
    "asks",
    "asked_before",
    "asks_back",
    "pronoun",
    "first_person",
    "new_words",
    "short",
    "since_last",
)


TOGETHER = 50_000
"""Turns whose words are held in one matrix."""


@lru_cache(maxsize=1)
def weights() -> dict[str, object]:
    """Return the weights by feature and the threshold."""
    loaded: dict[str, object] = json.loads(SEGMENTATION.read_text(encoding="utf-8"))
    return loaded


def content(text: str) -> Counter[int]:
    """Return the stems of a text's content words with their counts."""
    return Counter(term(word, "en") for word in WORD.findall(text.lower()) if word not in STOP_WORDS and len(word) > 2)


def gap_features(sessions: Sequence[Sequence[str]]) -> np.ndarray:
    """Return float64 (gaps, features): what speaks for a new topic with each turn but the first of its session, session by session.

    Cost is linear in the words: the sessions' words are one sparse matrix, in which no column belongs to two sessions.
    """
    texts = [text for session in sessions for text in session]
    lengths = np.array([len(session) for session in sessions], dtype=np.int64)
    first = np.repeat(np.cumsum(lengths) - lengths, lengths)
    last = first + np.repeat(lengths, lengths)
    words, weight, new_words = _words(texts, first, lengths)
    distinct = np.diff(words.indptr)
    here = np.arange(len(texts), dtype=np.int64)

    def after(turns: int) -> Any:
        """Return the words of each turn and those that follow it, in its session."""
        return _windows(here, np.minimum(here + turns, last)) @ words

    def before(turns: int) -> Any:
        """Return the words of the turns before each turn, in its session."""
        return _windows(np.maximum(here - turns, first), here) @ words

    # The turn after a session's last one belongs to the next session: their words are in other columns, so they have nothing in common.
    following = _windows(np.minimum(here + 1, last), np.minimum(here + 2, last)) @ words
    asks = np.array(["?" in text for text in texts])
    columns = [
        np.ones(len(texts)),
        _similar(before(1), after(1), weight),
        _similar(before(2), after(2), weight),
        _similar(before(4), after(4), weight),
        _similar(words, following, weight),
        _sums(before(3).multiply(words)) == 0,
        np.array([bool(CUES.search(text)) or bool(CUES.search(text.split(".")[-1])) for text in texts]),
        np.array([bool(HOLDS.search(text)) for text in texts]),
        asks,
        np.roll(asks, 1),
        np.array([text.rstrip().endswith("?") for text in texts]),
        np.array([bool(PRONOUN.search(text)) for text in texts]),
        np.array([bool(FIRST.search(text)) for text in texts]),
        new_words / np.maximum(distinct, 1),
        distinct <= 2,
        np.minimum(here - first, 6) / 6,
    ]
    return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)[here > first]


def _words(texts: Sequence[str], first: np.ndarray, lengths: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return how often each turn says each of its session's words (sparse), the words' weights, and how many are new with each turn."""
    from scipy.sparse import csr_array

    columns: dict[tuple[int, int], int] = {}
    starts, fresh = [0], []
    places: list[int] = []
    counts: list[int] = []
    spread: list[int] = []
    for text, session in zip(texts, first.tolist(), strict=True):
        said, known = content(text), len(columns)
        for word, count in said.items():
            place = columns.setdefault((session, word), len(columns))
            if place == len(spread):
                spread.append(0)
            spread[place] += 1
            places.append(place)
            counts.append(count)
        fresh.append(len(columns) - known)
        starts.append(len(places))
    turns = np.repeat(lengths, lengths)[np.searchsorted(first, [session for session, _ in columns])]
    weight = np.log(1 + turns / np.array(spread)) ** 2
    shape = (len(texts), len(columns))
    data = np.array(counts, dtype=np.float64)
    return csr_array((data, np.array(places, np.int64), np.array(starts)), shape=shape), weight, np.array(fresh)


def _windows(start: np.ndarray, end: np.ndarray) -> Any:
    """Return the sparse matrix whose row n picks the turns from ``start[n]`` up to but without ``end[n]``."""
    from scipy.sparse import csr_array

    length = np.maximum(end - start, 0)
    offsets = np.concatenate([[0], np.cumsum(length)])
    picked = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - start, length)
    return csr_array((np.ones(len(picked)), picked, offsets), shape=(len(start), len(start)))


def _similar(left: Any, right: Any, weight: np.ndarray) -> np.ndarray:
    """Return the cosine of each row of one matrix with that of the other, by weighted words; 0 where one has none."""
    sizes = np.sqrt((left.power(2) @ weight) * (right.power(2) @ weight))
    shared = left.multiply(right).tocsr() @ weight
    return np.asarray(np.divide(shared, sizes, out=np.zeros_like(shared), where=sizes > 0))


def _sums(matrix: Any) -> np.ndarray:
    return np.asarray(matrix.sum(axis=1)).ravel()


def shift_probability(sessions: Sequence[Sequence[str]]) -> np.ndarray:
    """Return the probability that a turn begins another topic, float64 (gaps,): of each but the first of its session, in order."""
    chosen = weights()["weights"]
    assert isinstance(chosen, dict)
    z = gap_features(sessions) @ np.array([float(chosen[name]) for name in FEATURES])
    return np.asarray(1 / (1 + np.exp(-z)))


def boundaries(sessions: Sequence[Sequence[str]]) -> list[list[int]]:
    """Return the places (from 1) in each session at which another topic begins."""
    threshold = weights()["threshold"]
    assert isinstance(threshold, float)
    found, texts, waiting = [], 0, []
    for number, session in enumerate(sessions):
        waiting.append(session)
        texts += len(session)
        if texts >= TOGETHER or number == len(sessions) - 1:
            gaps = np.cumsum([0, *[max(len(one) - 1, 0) for one in waiting]])
            shifts = shift_probability(waiting) >= threshold
            found += [(np.flatnonzero(shifts[low:high]) + 1).tolist() for low, high in pairwise(gaps)]
            texts, waiting = 0, []
    return found
