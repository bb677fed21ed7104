"""Names: of the people at hand, of those who were introduced, and those on the lists; and the same name wherever it is said again."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from language.lexicon import STOP_WORDS, load
from plugins.anonymizers.findings import Finding

NAME_LISTS = Path(__file__).with_name("names.json")

Told = tuple[tuple[str, str], ...]
"""Kinds and values: ``(("person", "Ana"), ("place", "Tromsø"))``."""

TOKEN = re.compile(r"[^\W\d_][\w'’]*|\w*\d\w*[^\W\d_]\w*")
SMALL = frozenset(
    ["de", "del", "la", "las", "los", "el", "y", "and", "of", "van", "von", "der", "da", "do", "dos", "di", "e", "i"]
)

RELATION = (
    r"(?:sister|brother|mom|mum|mother|dad|father|wife|husband|son|daughter|friend|boss|boyfriend|girlfriend|cousin|aunt|uncle|roommate|"
    r"neighbou?r|colleague|coworker|teacher|doctor|dog|cat|hermana|hermano|madre|padre|mujer|marido|hijo|hija|amiga|amigo|jefa|jefe|novia|novio|"
    r"prima|primo|tía|tío|abuela|abuelo|vecina|vecino|compañera|compañero|profesora|profesor|perro|perra|gato|gata)"
)
INTRODUCED = re.compile(
    r"(?:[Nn]ame(?:'s)? is|[Ss]e llama(?:n|ba)?|[Ii]s (?:called|named)|[Ll]lamad[oa]|[Mm]e llamo|[Mm]i nombre es|[Ee]veryone calls me|"
    r"[Ii] am called|[Cc]all(?:s|ed)? me|[Ll]lámame|(?:[Mm]y|[Mm]i|[Hh]is|[Hh]er|[Ss]u|[Oo]ur|[Nn]uestr[oa])\s+"
    + RELATION
    + r"(?:'s name is| is called| se llama|,)?)\s+"
    r"(?P<name>[A-ZÁÉÍÓÚÑ][\wáéíóúñ]+(?:\s[A-ZÁÉÍÓÚÑ][\wáéíóúñ]+)?)"
)
# Who is introduced in lower case: after "my name is" no other word is to be expected; "I am" would take in every adjective.
INTRODUCED_PLAINLY = re.compile(
    r"(?i)\b(?:my name is|my name's|me llamo|mi nombre es|se llama|"
    + RELATION
    + r"(?:'s name is| is called| se llama))\s+(?P<name>[^\W\d_]{3,})"
)
# "my sister june": after a relation a word of the lists is a name, be it a word of everyday language or not.
RELATED = re.compile(r"(?i)\b(?:my|mi|his|her|su|our|nuestr[oa]|their)\s+" + RELATION + r",?\s+(?P<name>[^\W\d_]{3,})")
# English only: what follows "mi hermana" in small letters is mostly a verb, and verbs have rare forms in Spanish.
RELATED_ENGLISH = re.compile(r"(?i)\b(?:my|his|her|our|their)\s+" + RELATION + r",?\s+(?P<name>[^\W\d_]{4,})")
# "had lunch with clara", "quedé con sara": after what is done with people, too.
MET = re.compile(
    r"(?i)\b(?:(?:lunch|dinner|breakfast|brunch|coffee|drinks|a drink|a date|a chat|talk(?:s|ed|ing)?|spoke|speak|chat(?:s|ted|ting)?|"
    r"h[au]ng(?:s|ing)? out|went out|dat(?:es?|ed|ing)|liv(?:e|es|ed|ing)|stay(?:s|ed|ing)?|work(?:s|ed|ing)?|met up|argued?|fought) with|"
    r"(?:met|visit(?:ed|ing)?|invited|hugged|kissed|married|phoned|texted|divorced)|"
    r"(?:qued[éeoa]\w*|cen[éeoa]\w*|com[ií]\w*|desayun\w+|habl\w+|sal[íig]\w*|viv[oíi]\w*|trabaj\w+|discut\w+|charl\w+|bail\w+) con|"
    r"(?:(?:se )?l[eoa]s? )?(?:cont|dij|dig|llam|escrib|visit|conoc|abra[zc]|pregunt|invit|echo de menos|extrañ)\w*(?: \w+){0,2} a)"
    r"\s+(?P<name>[^\W\d_]{3,})"
)
INITIAL = re.compile(r"\b[A-ZÁÉÍÓÚÑŠŽČÅØ][\w'’]+\s[A-ZÁÉÍÓÚÑ]\.?\s[A-ZÁÉÍÓÚÑŠŽČÅØ][\w'’\-]+")
SPEAKER = re.compile(r"(?m)^\s*(?P<name>[A-ZÁÉÍÓÚÑ][\w'’]+(?: [A-ZÁÉÍÓÚÑ][\w'’]+)?):\s+[\"“]")
MONTHS = frozenset(["april", "may", "june", "august", "abril", "julio"])
"""Names that are months until somebody at hand is called so."""

LONGEST_NAME_TYPO = 5
"""Letters from which on a name with one wrong letter is taken for it."""


class Gazetteer:
    """The name lists, folded."""

    def __init__(self) -> None:
        data = load(NAME_LISTS)
        self.female, self.male, self.towns = (
            {language: tuple(data[f"surrogate_{kind}_{language}"].split()) for language in ("en", "es")}
            for kind in ("female", "male", "places")
        )
        self.firms = tuple(data["surrogate_organisations"].split())
        self.men = frozenset(fold(name) for name in data["male"].split())
        self.people = frozenset(fold(name) for name in f"{data['female']} {data['male']}".split())
        # Told in lower case, too: names that are no words of everyday language.
        self.plain = self.people - frozenset(data["words"].split())
        self.places = frozenset(fold(name) for name in data["places"].split())
        invented = (name for pool in (self.female, self.male, self.towns) for names in pool.values() for name in names)
        self.surrogates = frozenset(fold(name) for name in (*invented, *self.firms))
        self._language_of = {
            (kind, name): language
            for kind, prefix in (("person", ""), ("place", "places_"))
            for language in ("en", "es")
            for name in data[f"{prefix}{language}"].split()
        }

    def pool(self, kind: str, key: str) -> tuple[str, ...]:
        """Return what may stand for a folded name: names of its gender and language, of every one where that is not known."""
        if kind == "organisation":
            return self.firms
        sexes = [self.male] if key in self.men else [self.female] if key in self.people else [self.female, self.male]
        language = self._language_of.get((kind, key))
        return tuple(
            name
            for names in ([self.towns] if kind == "place" else sexes)
            for spoken in ("en", "es")
            if language in (None, spoken)
            for name in names[spoken]
        )


@lru_cache(maxsize=1)
def gazetteer() -> Gazetteer:
    """Return the name lists."""
    return Gazetteer()


@lru_cache(maxsize=4096)
def people_words(people: tuple[str, ...], kept: tuple[str, ...]) -> frozenset[str]:
    """Return the words by which the people are called: three letters or more, no function words, nothing that stays."""
    keep = {fold(part) for name in kept for part in TOKEN.findall(name)}
    words = {fold(part) for name in people for part in TOKEN.findall(name)}
    return frozenset(
        word for word in words if len(word) >= 3 and word not in STOP_WORDS and word not in keep and not word.isdigit()
    )


Rare = Callable[[str], bool]


def find(
    texts: Sequence[str], people: Sequence[Sequence[str]], kept: frozenset[str], rare: Rare | None = None
) -> list[list[Finding]]:
    """Return per text the names in it: a token costs one look-up.

    Who is introduced once is known wherever the same people talk: "My lawyer's name is Hanan" … "as Hanan says".

    Args:
        rare: Whether a word in small letters is none of everyday language: then it may be a name where one is to be expected.
    """
    names = gazetteer()
    introduced: dict[tuple[str, ...], set[str]] = {}
    for text, own in zip(texts, people, strict=True):
        if own:
            introduced.setdefault(tuple(own), set()).update(_introduced(text, rare))
    found = []
    for text, own in zip(texts, people, strict=True):
        words = people_words(tuple(own), ()) - kept
        known = introduced.get(tuple(own), set()) | _introduced(text, rare)
        items = [Finding(*match.span(), "person") for match in INITIAL.finditer(text)]
        items += [Finding(*match.span("name"), "person") for match in SPEAKER.finditer(text)]
        for match in TOKEN.finditer(text):
            word = bare(match[0])
            key, capital = fold(word), word[:1].isupper()
            if key in MONTHS and key not in words and key not in known:
                continue
            if (
                key in words
                or key in known
                or (capital and words and meant(key, words) != key)
                or (key in names.people if capital else key in names.plain and len(key) >= 4)
            ):
                items.append(Finding(match.start(), match.start() + len(word), "person"))
            elif capital and key in names.places:
                items.append(Finding(match.start(), match.start() + len(word), "place"))
        found.append(items)
    return found


def find_told(text: str, told: Told) -> list[Finding]:
    """Return where the names are that a user's own facts tell: as they are written there, in any case."""
    pattern = _told_pattern(told) if told else None
    if pattern is None:
        return []
    kinds = {value.lower(): kind for kind, value in told}
    return [Finding(*match.span(), kinds[match[0].lower()]) for match in pattern.finditer(text)]


@lru_cache(maxsize=4096)
def _told_pattern(told: Told) -> re.Pattern[str] | None:
    values = sorted({value for _, value in told if value.lower() not in STOP_WORDS}, key=lambda v: (-len(v), v))
    return re.compile(rf"(?i)\b(?:{'|'.join(map(re.escape, values))})\b") if values else None


def _introduced(text: str, rare: Rare | None) -> set[str]:
    said = {fold(part) for match in INTRODUCED.finditer(text) for part in match["name"].split()}
    plainly = {fold(match["name"]) for match in INTRODUCED_PLAINLY.finditer(text)}
    listed = gazetteer().people
    related = {fold(match["name"]) for shape in (RELATED, MET) for match in shape.finditer(text)} & listed
    if rare is not None:
        related |= {fold(match["name"]) for match in RELATED_ENGLISH.finditer(text) if rare(match["name"])}
        met = (match["name"] for match in MET.finditer(text))
        related |= {fold(name) for name in met if rare(name) and not name.endswith("s")}
    return {word for word in said | plainly | related if word not in STOP_WORDS and word not in SMALL}


def again(text: str, findings: Sequence[Finding]) -> list[Finding]:
    """Return where a name that was found is said again: "Hans Wester … starring Wester"."""
    said = {
        bare(match[0])
        for item in findings
        if item.kind == "person"
        for match in TOKEN.finditer(text[item.start : item.end])
        if match[0][:1].isupper() and len(bare(match[0])) >= 4
    }
    covered = [(item.start, item.end) for item in findings]
    return [
        Finding(match.start(), match.start() + len(bare(match[0])), "person")
        for match in (TOKEN.finditer(text) if said else ())
        if bare(match[0]) in said and not any(start <= match.start() < end for start, end in covered)
    ]


def bare(token: str) -> str:
    """Return a token without the English genitive."""
    return token[:-2] if token[-2:] in ("'s", "’s") else token


def meant(key: str, people: frozenset[str]) -> str:
    """Return the person's word that a folded word is, but for one letter wrong, missing, too many, or two swapped; else the word."""
    if len(key) < LONGEST_NAME_TYPO or key in STOP_WORDS:
        return key
    for name in people:
        if (
            len(name) >= LONGEST_NAME_TYPO
            and key[0] == name[0]
            and abs(len(key) - len(name)) <= 1
            and _one_apart(key, name)
        ):
            return name
    return key


def _one_apart(one: str, other: str) -> bool:
    if len(one) > len(other):
        one, other = other, one
    start = 0
    while start < len(one) and one[start] == other[start]:
        start += 1
    if len(one) < len(other):
        return one[start:] == other[start + 1 :]
    rest, rest_other = one[start:], other[start:]
    return rest[1:] == rest_other[1:] or (rest[:2] == rest_other[1::-1] and rest[2:] == rest_other[2:])


def fold(word: str) -> str:
    """Return the word in lower case without accents: José and jose are one name."""
    return "".join(c for c in unicodedata.normalize("NFKD", word.lower()) if not unicodedata.combining(c))
