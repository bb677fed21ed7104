"""How replies behave, whoever gives them: whether they repeat, say nothing or refuse, and which language they are in."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from language.lexicon import language_of, load

QUESTIONS = Path(__file__).with_name("gate.json")

EAST = ("CJK", "HIRAGANA", "KATAKANA")
"""Scripts that one sentence of Japanese mixes."""


def repeats(text: str) -> bool:
    """Return whether a reply says the same three words three times, or goes round in a short circle."""
    words = re.findall(r"\w+", text.lower())
    triples = [" ".join(words[place : place + 3]) for place in range(len(words) - 2)]
    often = max((triples.count(triple) for triple in set(triples)), default=0)
    return (
        often >= 3
        or (len(words) >= 8 and len(set(words)) <= len(words) / 4)
        or bool(re.search(r"(.{1,4})\1{7,}", text))
    )


def bad_shares(replies: Sequence[str]) -> dict[str, float | None]:
    """Return the shares of replies that repeat (themselves or each other), are empty, or refuse; None where there are no replies."""
    refusals = "|".join(re.escape(text) for text in load(QUESTIONS)["refusals"])
    return {
        "repetition": share([repeats(text) or replies.count(text) > 1 for text in replies]),
        "empty": share([not re.search(r"\w", text) for text in replies]),
        "refusals": share([bool(re.search(refusals, text.lower())) for text in replies]),
    }


def tongue(text: str) -> str:
    """Return en or es, the name of the script for what is written in another one than the Latin (CYRILLIC, ARABIC, …), or und."""
    scripts = Counter(unicodedata.name(letter, "").split(" ")[0].split("-")[0] for letter in text if letter.isalpha())
    most = max(sorted(scripts), key=lambda name: scripts[name], default="LATIN")
    if most not in ("LATIN", ""):
        return "EAST" if most in EAST else most
    return language_of(text)


def same_language(asked: Sequence[str], replies: Sequence[str]) -> float | None:
    """Return the share of replies in the language they were asked in, of the pairs of which both can be told; None without such a pair."""
    pairs = [(tongue(said), tongue(told)) for said, told in zip(asked, replies, strict=True)]
    return share([one == other for one, other in pairs if "und" not in (one, other)])


def share(values: Sequence[bool]) -> float | None:
    """Return the share of true values, None where there are none."""
    return float(np.mean(values)) if values else None
