"""What WhatsApp itself writes into an export, in every language it speaks: phrases made ready to compare with.

The phrases are data (`plugins/sources/whatsapp/whatsapp.json`). How a message is taken apart with them does not belong here.
"""

import re
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Any

from language.lexicon import load

MARKS = "\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff"
"""Invisible marks of direction, as a character class without its brackets; WhatsApp sets them around dates, names and notices."""
MARK = re.compile(f"[{MARKS}]+")
LEFT_TO_RIGHT = "\u200e"
"""What stands before everything that an iPhone writes itself."""

BEGUN, ENDED = 6, 3
"""Characters at the beginning and the end of a phrase by which lines are chosen that may be one."""

AFTER_A_NAME = r"(?:^|(?<=[\s\W])|(?<=[\u3040-\u9fff\uac00-\ud7af]))"
"""Where a verb may stand in a notice; in some scripts no space is before it."""
FULL_STOPS = " .。।۔"
SQUEEZED = re.compile(rf"[\s.\"'״׳’,،、{MARKS}]+")


def key(text: str) -> str:
    """Return what is compared of a phrase: without invisible marks, case, doubled spaces and the full stop."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", MARK.sub("", text))
    return " ".join(text.casefold().split()).rstrip(FULL_STOPS)


def squeezed(text: str) -> str:
    """Return the letters of a word that stands beside a time: ``"p. m."`` is ``"pm"``."""
    return SQUEEZED.sub("", unicodedata.normalize("NFC", text).casefold())


def listed(value: Any) -> list[str]:
    """Return the phrases of an entry of the data: a text of phrases, a list of texts, or either for each language."""
    if isinstance(value, dict):
        value = list(value.values())
    texts = [value] if isinstance(value, str) else value
    return [phrase.strip() for text in texts for phrase in text.split("|") if phrase.strip()]


def one_of(phrases: list[str], before: str = "", after: str = "") -> re.Pattern[str]:
    """Return a pattern for any of the phrases, longest first; ``{}`` in one stands for up to a hundred characters."""
    made = {re.escape(key(phrase)).replace(r"\{\}", ".{1,100}?") for phrase in phrases}
    return re.compile(f"{before}(?:{'|'.join(sorted(made, key=lambda p: (-len(p), p)))}){after}", re.DOTALL)


class Words:
    """The phrases of the data as sets and patterns over `key` of a text."""

    def __init__(self, data: dict[str, Any]) -> None:
        tail = one_of(listed(data["tails"])).pattern
        end = rf"(?:[{re.escape(FULL_STOPS)}]+{tail})?$"
        self.documents = {key(phrase) for phrase in listed(data["documents"])}
        self.bare = {key(phrase) for phrase in listed(data["omitted"])} | self.documents
        """Stand-ins for media that are written without angle brackets."""
        self.bracketed = self.bare | {key(phrase) for phrase in listed(data["media"])}
        self.after_mark = self.bare | {key(phrase) for phrase in listed(data["omitted_after_mark"])}
        self.left_out = tuple(" " + key(phrase) for phrase in listed(data["left_out"]))
        self.titled = tuple(" " + phrase for phrase in self.documents)
        """Endings of a line that names a document which was left out."""
        self.attached = {key(phrase) for phrase in listed(data["attached"])}
        self.enclosed = {key(phrase) for phrase in listed(data["enclosed"])}
        self.edited = {key(phrase) for phrase in listed(data["edited"])}
        self.whole = dict.fromkeys(self.bare, "media")
        """What a whole line is that is one of the phrases: media, deleted, call, place or notice."""
        for entry, kind in (("deleted", "deleted"), ("calls", "call"), ("places", "place"), ("notices", "notice")):
            self.whole.update({key(phrase): kind for phrase in listed(data[entry]) if "{}" not in phrase})
        self.deleted_by = one_of(listed(data["deleted"]), "^", end)
        self.called = one_of(listed(data["calls"]), "^", end)
        self.noticed = one_of(listed(data["notices"]), "^", end)
        self.openings = one_of(listed(data["openings"]), "^", r"(?:[.。:：،।].*)?$")
        phrases = [key(p) for entry in ("deleted", "calls", "notices", "openings") for p in listed(data[entry])]
        phrases += [*self.whole, *self.after_mark, "null"]
        forms = [unicodedata.normalize(form, phrase) for phrase in phrases for form in ("NFC", "NFD")]
        plain = [phrase for phrase in forms if "{}" not in phrase[:BEGUN]]
        self.begun = {(phrase + stop)[:BEGUN] for phrase in plain for stop in ("", *FULL_STOPS)}
        """How lines begin that can be one of the phrases: nearly all of what people say does not."""
        forms = [unicodedata.normalize(form, phrase) for phrase in self.documents for form in ("NFC", "NFD")]
        self.ended = {phrase[-ENDED:] for phrase in forms}
        self.naming = one_of(listed(data["naming"]), AFTER_A_NAME)
        self.changing = one_of(listed(data["naming"]) + listed(data["changing"]), AFTER_A_NAME)
        self.membership = one_of(listed(data["membership"]), AFTER_A_NAME, r"(?!\w)")
        self.place = {key(phrase) for phrase in listed(data["place"])}
        self.halves = {squeezed(word): half for half in ("am", "pm", "noon") for word in listed(data["clock"][half])}
        self.halves |= {squeezed(word): "" for word in listed(data["clock"]["neither"])}
        self.between = {squeezed(word) for word in listed(data["between"])}
        self.months = {
            squeezed(word): number for number, names in enumerate(data["months"], start=1) for word in listed(names)
        }
        self.exports = [
            re.compile("^" + re.escape(phrase).replace(r"\{\}", "(.+?)") + "$", re.IGNORECASE)
            for phrase in listed(data["exports"])
        ]


@lru_cache(maxsize=1)
def words() -> Words:
    """Return the phrases, read once."""
    return Words(load(Path(__file__).with_name("whatsapp.json")))
