"""The ranker: a weighted sum of the features, whose weights are data.

`weights.json` holds three sets, learned by `benchmarks/learn.py`: with token vectors, with message vectors alone, and with words
alone. Each is there once more for questions whose answer has several parts. A fourth set is made by hand, for what LoCoMo cannot
teach: what a user said counts more than what an assistant answered (in LoCoMo both are users), a fact is a key to its message, and
recency, importance, use and emotion settle what is otherwise even.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

WEIGHTS = Path(__file__).parent / "weights.json"

REASONS = {
    "keyword": "says the words",
    "keyword_near": "the words stand in or beside it",
    "keyword_around": "the words are spoken around it",
    "keyword_stretch": "the words are spoken around it",
    "coverage": "says most of the question's words",
    "session": "its conversation is about this",
    "semantic": "close in meaning",
    "semantic_near": "it and its neighbours are close in meaning",
    "late": "means what the question means, word by word",
    "late_near": "it or a neighbour means what the question means",
    "late_around": "the talk around it means what the question means",
    "speaker": "said by whom you ask about",
    "self": "said of themselves by whom you ask about",
    "answer_time": "names a time",
    "answer_number": "names a number",
    "answer_name": "names somebody or somewhere",
    "answer_reason": "gives a reason",
    "answer_feeling": "tells of a feeling",
    "asks": "a question itself",
    "length": "says much",
    "length_squared": "of unusual length",
    "late_by_length": "means what the question means, word by word",
    "keyword_by_length": "says the words",
    "opening": "opened the conversation",
    "reply": "answers a question that fits",
    "user": "said by a user",
    "time": "from the time you ask about",
    "fact": "a fact known from it fits",
    "recency": "recent",
    "importance": "important",
    "use": "often recalled",
    "emotion": "same emotion",
}
"""Feature to its reason in words."""


@lru_cache(maxsize=1)
def weights() -> dict[str, dict[str, float]]:
    """Return the sets by name: late, semantic, words, each also with _several, and by_hand."""
    return json.loads(WEIGHTS.read_text(encoding="utf-8"))["weights"]


@dataclass
class Ranked:
    """Scores (n,), and the shares of the features in them (n, features)."""

    scores: np.ndarray
    shares: np.ndarray
    names: list[str]

    def of(self, place: int) -> dict[str, float]:
        """Return feature to its share in a score; features that gave nothing are left out."""
        return {
            name: round(float(value), 4)
            for name, value in zip(self.names, self.shares[place], strict=True)
            if abs(value) >= 5e-5
        }


def rank(found: dict[str, np.ndarray], *, several: bool = False) -> Ranked:
    """Return scores of messages by their features; the set of weights is chosen by which features there are.

    Args:
        several: The answer lies in several messages: weights for which every one of them counted the same.
    """
    kind = "late" if "late" in found else "semantic" if "semantic" in found else "words"
    learned = weights()[f"{kind}_several" if several else kind]
    chosen = {**learned, **weights()["by_hand"]}
    names = [name for name in chosen if name in found]
    shares = np.stack([chosen[name] * found[name] for name in names], axis=1)
    return Ranked(shares.sum(axis=1), shares, names)


def reason(shares: dict[str, float]) -> str:
    """Return the strongest features in words."""
    strongest = sorted((name for name, value in shares.items() if value > 0.02), key=lambda name: -shares[name])
    said = list(dict.fromkeys(REASONS[name] for name in strongest))
    return ", ".join(said[:3]) or "nothing better is known"
