"""The validity of facts in time: what was said again counts once, a new value closes the old one, a correction unmakes it.

Nothing is overwritten: every row keeps its quote and its source, and says from when until when it held.
"""

from typing import Any

import polars as pl

from language.lexicon import STOP_WORDS
from language.terms import WORD, term
from records.memory import FactHistory

ONE_VALUE = frozenset(
    [
        "name",
        "age",
        "birthday",
        "pronouns",
        "city",
        "origin",
        "job",
        "employer",
        "status",
        "studies",
        "school",
        "diet",
        "lives_with",
        "mother.name",
        "father.name",
        "wife.name",
        "husband.name",
        "partner.name",
        "boss.name",
        "mother.home",
        "father.home",
        "sister.job",
        "brother.job",
        "mother.job",
        "father.job",
        "wife.job",
        "husband.job",
    ]
)
"""Keys of which somebody has one value at a time; others add up (likes, pets, plans, possessions)."""

OPPOSITE = {"likes": "dislikes", "dislikes": "likes"}


def resolve(facts: pl.DataFrame) -> pl.DataFrame:
    """Return FactHistory for Facts of all weeks; cost is that of a sort, and running it again changes nothing.

    Per agent, user, subject and key: a value said again is one fact with more mentions; for keys of one value a newer one closes
    the older (``superseded``), or unmakes it when it was a correction (``corrected``); a denial closes what it denies
    (``denied``), and liking something ends disliking it.
    """
    rows: list[dict[str, Any]] = []
    current: dict[tuple[Any, ...], dict[str, Any]] = {}
    ordered = facts.sort("first_mentioned", "position", "confidence", "fact_id", descending=[False, False, True, False])
    for row in ordered.iter_rows(named=True):
        whose = (row["agent_id"], row["user_id"], row["subject"])
        meaning = _meaning(row["value"])
        single = row["key"] in ONE_VALUE or row["key"].startswith("favourite.")
        place = (*whose, row["key"], None if single else meaning)
        known = current.get(place)
        if known is not None and known["_meaning"] == meaning and known["polarity"] == row["polarity"]:
            known["mentions"] += 1
            known["confidence"] = max(known["confidence"], row["confidence"])
            continue
        new = {
            **row,
            "_meaning": meaning,
            "status": "current",
            "valid_from": row["first_mentioned"],
            "valid_to": None,
            "superseded_by": None,
            "mentions": 1,
        }
        if known is not None:
            if not row["polarity"] and known["_meaning"] == meaning:
                _close(known, new, "denied")
            elif not row["polarity"]:
                # "I don't live in Rome" says nothing of living in Madrid.
                place = (*place[:-1], meaning)
            else:
                _close(known, new, "corrected" if row["modality"] == "correction" else "superseded")
        other = OPPOSITE.get(row["key"])
        if other is not None and row["polarity"]:
            rival = current.pop((*whose, other, meaning), None)
            if rival is not None:
                _close(rival, new, "superseded")
        current[place] = new
        rows.append(new)
    for row in rows:
        del row["_meaning"]
    return FactHistory.shaped(pl.DataFrame(rows, schema=FactHistory.polars_schema(), orient="row"))


def _close(old: dict[str, Any], new: dict[str, Any], status: str) -> None:
    old["status"] = status
    old["superseded_by"] = new["fact_id"]
    old["valid_to"] = old["valid_from"] if status == "corrected" else new["valid_from"]


def _meaning(value: str) -> tuple[int, ...]:
    """Return the stems of a value's content words, sorted: "a nurse" and "nurse" mean the same."""
    words = WORD.findall(value.lower())
    content = [word for word in words if word not in STOP_WORDS] or words
    return tuple(sorted({term(word, "en") for word in content}))
