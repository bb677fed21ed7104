"""Whether a message still stands: what a user withdrew is never recalled, what was replaced or is doubtful comes after what stands.

Withdrawing hides; it does not erase: that is `forget` (see erasure.py). Only a user's own words withdraw, within one scope.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from language.lexicon import STOP_WORDS
from language.terms import BITS, WORD, term

if TYPE_CHECKING:
    from serving.recall.features import Asked
    from serving.recall.matrix import Image

PENALTY = {"superseded": -4.0, "expired": -4.0, "doubtful": -4.0}
"""Added to the score, in standard deviations of a single feature: about the distance between the first and the twentieth memory."""

SAME_SUBJECT = 0.8
"""Share of an update's subject words that an earlier message must say to be replaced by it."""

SAME_MATTER = 0.6
"""Share of a request's words that a message must say to be withdrawn by it."""

COMMANDS = frozenset(
    [
        "forget",
        "delete",
        "erase",
        "remove",
        "disregard",
        "discard",
        "please",
        "obsolete",
        "temporary",
        "note",
        "told",
        "tell",
        "said",
        "about",
        "remember",
        "everything",
        "olvida",
        "olvide",
        "olvídate",
        "borra",
        "bórralo",
        "elimina",
        "dije",
        "conté",
        "recuerda",
        "por",
        "favor",
        "todo",
        "save",
        "saved",
        "store",
        "stored",
        "keep",
        "record",
        "repeat",
        "do",
    ]
)
CUE = re.compile(
    r"(?i)\b(?:is now|are now|am now|(?:has |have )?(?:changed|switched|moved) to|replaces|supersedes|ahora (?:es|son|está)|(?:cambió|ha cambiado|cambia) a|sustituye)\b"
)
LEAD = re.compile(r"(?i)^\W*(?:update (?:this|that)|actualiza(?: esto| eso)?|correction|corrección)\W*")
PAST = re.compile(
    r"(?i)\b(?:used to|previously|originally|formerly|at first|back then|antes|solía|anteriormente|al principio|entonces)\b"
)
JUST_SAID = re.compile(
    r"(?i)\b(?:forget|delete|erase|disregard|olvida|borra|elimina) (?:(?:what|that|lo que) (?:I|te|acabo)|that\b|this\b|it\b|eso\b|esto\b)"
)


def standing(image: Image, asked: Asked) -> np.ndarray:
    """Return what is added to each message's score: minus infinity for what was withdrawn, float64 (n,)."""
    added = np.zeros(len(image))
    if not (image.traits & _CONCERNED).any():
        return added
    if not PAST.search(asked.text):
        added[image.superseded] = PENALTY["superseded"]
    added[(image.traits & BITS["expired"]) != 0] = PENALTY["expired"]
    added[(image.traits & BITS["doubtful"]) != 0] = PENALTY["doubtful"]
    added[image.withdrawn] = -np.inf
    return added


_CONCERNED = sum(BITS[name] for name in ("withdraws", "restricted", "expired", "doubtful", "updates"))


def withdrawn(image: Image) -> np.ndarray:
    """Return which messages are withdrawn: requests themselves, what they name, and what was said not to be kept."""
    gone = np.zeros(len(image), bool)
    users = (image.traits & BITS["user"]) != 0
    speakers = image.rows["speaker_name"].to_numpy()
    sessions = image.sessions
    for place in np.flatnonzero(((image.traits & BITS["restricted"]) != 0) & users):
        gone[place] = True
    for place in np.flatnonzero(((image.traits & BITS["withdraws"]) != 0) & users):
        gone[place] = True
        # Nobody withdraws what was said where they never were.
        own = np.isin(sessions, sessions[users & (speakers == speakers[place])])
        text = image.rows["text"][int(place)]
        named = _content(text) - {term(word, code) for word in COMMANDS for code in ("en", "es")}
        before = image.times < image.times[place]
        before |= (image.times == image.times[place]) & (np.arange(len(image)) < place)
        before &= own
        if JUST_SAID.search(text) and len(named) < 2:
            mine = np.flatnonzero(before & (sessions == sessions[place]) & (speakers == speakers[place]))
            if len(mine):
                gone[mine[-1]] = True
        if named:
            share = _shares(image, named)
            hit = before & (share >= (SAME_MATTER if len(named) > 1 else 1.0))
            gone |= hit if len(named) > 1 else hit & (speakers == speakers[place])
        # The answer to it ("I will forget the …") would tell again what is to be forgotten.
        after = place + 1
        if after < len(image) and sessions[after] == sessions[place] and not users[after]:
            gone[after] = True
    return gone


def superseded(image: Image) -> np.ndarray:
    """Return which messages an update that was said later has replaced: they say its subject, and not its value."""
    old = np.zeros(len(image), bool)
    for place in np.flatnonzero((image.traits & BITS["updates"]) != 0):
        text = LEAD.sub("", image.rows["text"][int(place)])
        cue = CUE.search(text)
        if cue is None:
            continue
        subject, value = _content(text[: cue.start()]), _content(text[cue.end() :])
        if len(subject) < 2:
            continue
        same = (image.times < image.times[place]) & (_shares(image, subject) >= SAME_SUBJECT)
        new = value - subject
        if new:
            same &= _shares(image, new) < 1.0
        old |= same
    return old


def _content(text: str) -> set[int]:
    """Return the terms of a text's content words in both languages' stems."""
    words = {word for word in WORD.findall(text.lower()) if word not in STOP_WORDS and len(word) > 1}
    return {term(word, code) for word in words for code in ("en", "es")}


def _shares(image: Image, wanted: set[int]) -> np.ndarray:
    """Return the share of the terms that each message says, float64 (n,); a word's two stems count once if they are the same."""
    values = np.array(sorted(wanted), dtype=np.int64)
    places = np.searchsorted(values, image.terms)
    places[places == len(values)] = 0
    hits = np.flatnonzero(values[places] == image.terms)
    said = np.zeros((len(image), len(values)), bool)
    said[image.term_rows[hits], places[hits]] = True
    known = said.any(axis=0)
    # A stem of the other language that nobody uses is no word that is missing.
    return said[:, known].mean(axis=1) if known.any() else np.zeros(len(image))
