"""Facts and episodes in recall: how well each fits a question, and the way back to what was said."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from language.terms import terms
from serving.recall.features import Asked
from serving.recall.matrix import Image

HANDICAP = {"fact": 0.2, "episode": 1.0}
"""What a derived memory must be better than the message it leads back to: the message says it in its own words."""


@dataclass
class Derived:
    """Facts or episodes of a scope.

    Attributes:
        rows: As stored, without vectors; d of them.
        fit: How well each fits the question: share of its content words said, and closeness in meaning, float64 (d,).
        sources: Per row the places in the image of the messages it leads back to.
    """

    rows: pl.DataFrame
    fit: np.ndarray
    sources: list[list[int]]

    @classmethod
    def of(cls, rows: pl.DataFrame, image: Image, asked: Asked) -> "Derived":
        """Return the rows, judged."""
        places = {key: place for place, key in enumerate(image.rows["message_id"])}
        sources = [[places[key] for key in keys if key in places] for keys in rows["source_message_ids"]]
        wanted = [set(group) for group in asked.terms]
        said = [{*terms(text.lower(), "en"), *terms(text.lower(), "es")} for text in rows["text"]]
        fit = np.array([sum(bool(group & own) for group in wanted) / max(len(wanted), 1) for own in said])
        if asked.vector is not None and image.vectors is not None and image.embedded.any():
            vectors = rows["vector"].to_numpy()
            known = image.vectors[image.embedded]
            base = known @ asked.vector
            fit = fit + 0.3 * np.clip((vectors @ asked.vector - base.mean()) / max(float(base.std()), 1e-6), -3, 3)
        return cls(rows.drop("vector"), fit, sources)

    def known_from(self, place: int) -> list[str]:
        """Return what is known from a message, as "key: value"."""
        return [
            f"{row['key']}: {'' if row['polarity'] else 'not '}{row['value']}"
            for row, places in zip(self.rows.iter_rows(named=True), self.sources, strict=True)
            if place in places and row["status"] == "current"
        ]


def fact_fit(facts: Derived, n: int) -> np.ndarray:
    """Return per message the fit of the best current fact known from it, at least 0, float64 (n,)."""
    best = np.zeros(n)
    current = (facts.rows["status"] == "current").to_list()
    for fit, places, now in zip(facts.fit, facts.sources, current, strict=True):
        for place in places:
            if now:
                best[place] = max(best[place], fit)
    return best


def derived_memories(
    kind: str,
    derived: Derived,
    image: Image,
    scores: np.ndarray,
    k: int,
    holds: Callable[[str, dict[str, Any], list[str]], bool],
) -> list[dict[str, Any]]:
    """Return the ``k`` best rows as fields of `Memory`; what leads only to messages that may not be shown is left out.

    Args:
        holds: Returns whether a row of a kind, whose messages at hand are of these sessions, may be shown.
    """
    made: list[dict[str, Any]] = []
    talks = image.rows["session_id"].to_list()
    may_be_shown = scores[np.isfinite(scores)]
    usual = float(np.median(may_be_shown)) if len(may_be_shown) else 0.0
    for row, fit, places in zip(derived.rows.iter_rows(named=True), derived.fit, derived.sources, strict=True):
        if kind == "fact" and row["status"] != "current":
            continue
        if not holds(kind, row, [talks[place] for place in places]):
            continue
        shown = [place for place in places if np.isfinite(scores[place])]
        own = 0.5 * float(fit)
        # What tells of a withdrawn message in other words is withdrawn with it.
        if (places and not shown) or (places and image.withdrawn[places].any()):
            continue
        best = max(shown, key=lambda place: (scores[place], -place)) if shown else None
        # A memory that was told by another, or seen from one's own side in a world, has no messages in this scope.
        base = float(scores[best]) if best is not None else usual
        shares = {"source": round(base, 4), kind: round(own, 4), "kind": -HANDICAP[kind]}
        made.append({"row": row, "score": base + own - HANDICAP[kind], "shares": shares, "best": best})
    made.sort(key=lambda item: -item["score"])
    return [_fields(kind, image, **item) for item in made[:k]]


def _fields(
    kind: str, image: Image, row: dict[str, Any], score: float, shares: dict[str, float], best: int | None
) -> dict[str, Any]:
    unknown: dict[str, Any] = {
        "speaker_name": None,
        "turn": 0,
        "emotion": "neutral",
        "session_id": "",
        "source_ref": None,
    }
    source = image.rows.row(best, named=True) if best is not None else unknown
    return {
        "id": row[f"{kind}_id"],
        "kind": kind,
        "text": row["text"],
        "score": round(score, 4),
        "shares": shares,
        "reason": "a fact that fits" if kind == "fact" else "an episode that holds what fits",
        "speaker": source["speaker_name"] if kind == "fact" else None,
        "occurred_at": row["valid_from"] if kind == "fact" else row["started_at"],
        "turn": int(source["turn"]) if kind == "fact" else int(row["turn_first"]),
        "emotion": source["emotion"] if kind == "fact" else row["emotion"],
        "session_id": source["session_id"] if kind == "fact" else row["session_id"],
        "source_ids": list(row["source_message_ids"]),
        "importance": float(row["confidence"] if kind == "fact" else row["importance"]),
    }
