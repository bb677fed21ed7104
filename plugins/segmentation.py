"""Where a conversation turns to another topic: a logistic model over lexical and discourse features of each gap between turns.

The features are those of the literature on dialogue segmentation: cohesion of the words on both sides (Hearst 1997), a question that
brings new words, cue phrases ("by the way", "por cierto"), answers and back-channels that hold on to what was said, and pronouns
that need it. Their weights are data (`data/segmentation.json`), learned by `benchmarks/segments.py` on TIAGE's training part.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from plugins.lexicon import DATA, STOP_WORDS
from plugins.terms import WORD, term

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
    "gap",
    "since_last",
)


@lru_cache(maxsize=1)
def weights() -> dict[str, object]:
    """Return the weights by feature and the threshold."""
    loaded: dict[str, object] = json.loads((DATA / "segmentation.json").read_text(encoding="utf-8"))
    return loaded


def content(text: str) -> Counter[int]:
    """Return the stems of a text's content words with their counts."""
    return Counter(term(word, "en") for word in WORD.findall(text.lower()) if word not in STOP_WORDS and len(word) > 2)


def gap_features(texts: Sequence[str], minutes: Sequence[float] | None = None) -> np.ndarray:
    """Return float64 (turns - 1, features): what speaks for a new topic with each turn but the first.

    Args:
        minutes: Pause before each turn but the first; default none.
    """
    words = [content(text) for text in texts]
    spread = Counter(key for bag in words for key in bag)
    n = len(texts)
    weight = {key: math.log(1 + n / count) ** 2 for key, count in spread.items()}
    bags: dict[tuple[int, int], tuple[Counter[int], float]] = {}

    def bag(start: int, end: int) -> tuple[Counter[int], float]:
        """Return the words of some turns and their weighted length; windows overlap, so each is made once."""
        place = max(start, 0), min(end, n)
        if place not in bags:
            total = words[place[0]] if place[1] - place[0] == 1 else sum(words[place[0] : place[1]], Counter())
            bags[place] = total, math.sqrt(sum(count * count * weight[key] for key, count in total.items()))
        return bags[place]

    def similar(left: tuple[Counter[int], float], right: tuple[Counter[int], float]) -> float:
        (few, one), (many, other) = sorted((left, right), key=lambda side: len(side[0]))
        size = one * other
        return sum(count * many[key] * weight[key] for key, count in few.items() if key in many) / size if size else 0.0

    rows = []
    seen: Counter[int] = Counter(words[0]) if n else Counter()
    for here in range(1, n):
        text, before = texts[here], texts[here - 1]
        new = [key for key in words[here] if key not in seen]
        rows.append(
            [
                1.0,
                similar(bag(here - 1, here), bag(here, here + 1)),
                similar(bag(here - 2, here), bag(here, here + 2)),
                similar(bag(here - 4, here), bag(here, here + 4)),
                similar(bag(here, here + 1), bag(here + 1, here + 2)),
                float(bag(here - 3, here)[0].keys().isdisjoint(words[here])),
                float(bool(CUES.search(text)) or bool(CUES.search(text.split(".")[-1]))),
                float(bool(HOLDS.search(text))),
                float("?" in text),
                float("?" in before),
                float(text.rstrip().endswith("?")),
                float(bool(PRONOUN.search(text))),
                float(bool(FIRST.search(text))),
                len(new) / max(len(words[here]), 1),
                float(len(words[here]) <= 2),
                math.log1p(minutes[here - 1] / 10) if minutes is not None else 0.0,
                min(here, 6) / 6,
            ]
        )
        seen += words[here]
    return np.array(rows, dtype=np.float64).reshape(-1, len(FEATURES))


def shift_probability(texts: Sequence[str], minutes: Sequence[float] | None = None) -> np.ndarray:
    """Return the probability that each turn but the first begins another topic, float64 (turns - 1,)."""
    chosen = weights()["weights"]
    assert isinstance(chosen, dict)
    z = gap_features(texts, minutes) @ np.array([float(chosen[name]) for name in FEATURES])
    return np.asarray(1 / (1 + np.exp(-z)))


def boundaries(texts: Sequence[str], minutes: Sequence[float] | None = None) -> list[int]:
    """Return the places (from 1) at which another topic begins."""
    threshold = weights()["threshold"]
    assert isinstance(threshold, float)
    return [int(place) + 1 for place in np.flatnonzero(shift_probability(texts, minutes) >= threshold)]
