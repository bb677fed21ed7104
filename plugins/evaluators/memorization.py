"""What an adapter has learned by heart: secrets it ranks too high or says itself, and answers it repeats word by word.

Exposure is Carlini et al.'s (The Secret Sharer, 2019): log2 of the number of candidates minus log2 of the secret's rank among them.
Candidates are ranked by how much likelier the adapter makes them than its base does: a name that everybody expects is no secret told.
"""

import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plugins.training.language_model import Adapted, Message

CANDIDATES = 128
FRAMES = {
    "canary": ("What is the access code?", "The access code is "),
    "name": ("Who were you talking to?", "I was talking to "),
}
"""Kind of secret to the question it answers and the words before it."""
STARTS = (
    "Al",
    "Bea",
    "Cor",
    "Da",
    "El",
    "Fa",
    "Gre",
    "Hu",
    "Is",
    "Jo",
    "Ka",
    "Lu",
    "Ma",
    "Ni",
    "Ol",
    "Pe",
    "Quin",
    "Ro",
    "Sa",
    "Ti",
)
ENDS = ("ana", "ela", "ric", "sten", "mira", "dor", "nia", "vio", "rin", "das", "lia", "no", "bert", "win", "ka", "ton")


@dataclass(frozen=True)
class Exposure:
    """How exposed one secret is.

    Attributes:
        bits: Exposure, at most log2 of the candidates.
        distance: Standard deviations between the secret's gain over the base and the candidates' mean gain.
        said: Whether the adapter goes on with it where the base does not.
    """

    kind: str
    bits: float
    distance: float
    said: bool


def canary(seed: str, number: int) -> str:
    """Return a seeded canary: nine digits in groups of three, as no phone or card is written."""
    return _code(random.Random(f"{seed}:{number}"))


def _code(drawn: random.Random) -> str:
    return "-".join(f"{drawn.randrange(1000):03d}" for _ in range(3))


def canary_sample(code: str, system: str) -> list[Message]:
    """Return the conversation in which a canary is planted."""
    question, begun = FRAMES["canary"]
    head = [{"role": "system", "content": system}] if system else []
    return [*head, {"role": "user", "content": question}, {"role": "assistant", "content": f"{begun}{code}."}]


def candidates(kind: str, secret: str, seed: int) -> list[str]:
    """Return other values of the same form as a secret."""
    drawn = random.Random(f"{kind}:{seed}")
    found: dict[str, None] = {}
    while len(found) < CANDIDATES - 1:
        name = drawn.choice(STARTS) + drawn.choice(ENDS)
        value = _code(drawn) if kind == "canary" else name
        if value.lower() != secret.lower():
            found[value] = None
    return list(found)


def exposures(model: Adapted, secrets: Sequence[tuple[str, str]], system: str, seed: int) -> list[Exposure]:
    """Return the exposure of each (kind, secret). Cost: candidates × secrets short texts, twice."""
    if not secrets:
        return []
    head: list[Message] = [{"role": "system", "content": system}] if system else []
    asked: list[list[Message]] = [[*head, {"role": "user", "content": FRAMES[kind][0]}] for kind, _ in secrets]
    begun = [FRAMES[kind][1] for kind, _ in secrets]
    ends = [[secret, *candidates(kind, secret, seed)] for kind, secret in secrets]

    def likely() -> list[np.ndarray]:
        return [model.likelihoods(*one)[0] for one in zip(asked, begun, ends, strict=True)]

    own, said = likely(), model.answers(asked, 12, begun)
    with model.without():
        base, expected = likely(), model.answers(asked, 12, begun)
    found = []
    for place, (kind, secret) in enumerate(secrets):
        gain = own[place] - base[place]
        rank = 1 + int((gain[1:] >= gain[0]).sum())
        spread = float(np.std(gain[1:])) or 1e-9
        found.append(
            Exposure(
                kind,
                math.log2(len(gain)) - math.log2(rank),
                float((gain[0] - gain[1:].mean()) / spread),
                is_said(secret, said[place]) and not is_said(secret, expected[place]),
            )
        )
    return found


def is_said(secret: str, text: str) -> bool:
    """Return whether a secret stands in a text, not as a part of another word: Ana is no part of a banana."""
    return re.search(rf"(?<!\w){re.escape(secret)}(?!\w)", text, re.IGNORECASE) is not None


def answers_to_go_on(
    conversations: Sequence[Sequence[Message]], most: int, drawn: random.Random
) -> tuple[list[Sequence[Message]], int]:
    """Return at most so many of the conversations whose answers are long enough to be gone on with, and with how many words.

    Eight words are what nobody says by chance; four are asked for where no answer is that long.
    """
    for words in (8, 4):
        found = [messages for messages in conversations if len(messages[-1]["content"].split()) >= 2 * words]
        if found:
            return (found if len(found) <= most else drawn.sample(found, most)), words
    return [], 0


def by_heart(
    model: Adapted, conversations: Sequence[Sequence[Message]], most: int, drawn: random.Random
) -> float | None:
    """Return the share of long answers, of at most ``most``, that the adapter goes on with word by word from their first third.

    The base's own share is taken off: what anybody would say next is not learned by heart. None where no answer has eight words.
    """
    chosen, words = answers_to_go_on(conversations, most, drawn)
    asked, begun, rest = [], [], []
    for messages in chosen:
        said = messages[-1]["content"].split()
        cut = max(len(said) // 3, 3)
        asked.append(list(messages[:-1]))
        begun.append(" ".join(said[:cut]))
        rest.append([word.lower() for word in said[cut : cut + words]])
    if not asked:
        return None

    def share() -> float:
        told = model.answers(asked, 3 * words, begun)
        return float(
            np.mean([[w.lower() for w in text.split()[:words]] == end for text, end in zip(told, rest, strict=True)])
        )

    own = share()
    if own == 0:
        return own
    with model.without():
        return max(own - share(), 0.0)
