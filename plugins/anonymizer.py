"""Takes out of a text what would expose somebody, and puts something of the same kind in its place."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import polars as pl

from plugins.contracts import Anonymizer
from plugins.lexicon import DATA, STOP_WORDS, load

Pseudonym = Callable[[str, str], str]

# One pass, first alternative wins: what contains other classes (URL, e-mail) stands before what it contains.
CONTACTS = re.compile(
    r"(?P<secret>\b(?:sk|pk|ghp|gho|xox[bap]|AKIA|AIza)[-_A-Za-z0-9]{16,}\b)"
    r"|(?P<password>(?<![^\s:])(?=\S*[A-Za-z])(?=\S*\d)(?=\S*[!#$%&*]\w)[^\s/@]{6,}(?=[\s,.]|$))"
    r"|(?P<email>[\w.+\-]+\s?(?:@|\(at\)|\[at\]|\sarroba\s)\s?[\w\-]+(?:\s?(?:\.|\(dot\)|\spunto\s)\s?[A-Za-z]{2,})+)"
    r"|(?P<url>(?:https?://|www\.)[^\s<>\"')]+)"
    r"|(?P<iban>\b[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){3,7}(?:[ ]?[A-Z0-9]{1,3})?\b)"
    r"|(?P<card>\b(?:\d[ -]?){13,19}\b)"
    r"|(?P<id>\b(?:\d{8}-?[A-HJ-NP-TV-Z]|[XYZ]-?\d{7}-?[A-Z]|\d{3}-\d{2}-\d{4})\b)"
    r"|(?P<plate>\b\d{4}[ -]?[BCDFGHJKLMNPRSTVWXYZ]{3}\b)"
    r"|(?P<ip>\b(?:\d{1,3}\.){3}\d{1,3}\b)"
    r"|(?P<date>\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?)?\b)"
    r"|(?P<phone>(?<![\w.])(?:\+\d{1,3}[ .-]?)?(?:\(\d{1,4}\)[ .-]?)?\d(?:[ .-]?\d){6,13}(?![\w]))"
    r"|(?P<handle>(?<![\w@])@[A-Za-z0-9_.]{2,})"
    r"|(?P<address>\b(?:calle|c/|avenida|avda\.?|plaza|paseo)\s+[^,.;\n]{3,40}?,?\s+(?:n[ºo°]\.?\s*)?\d{1,4}\b"
    r"|\b\d{1,5}\s+(?:[A-Z][a-z]+\s){1,3}(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd)\b)",
    re.IGNORECASE,
)
SPOKEN_SECRET = re.compile(
    r"(?i)\b(?P<lead>(?:password|passwd|pin|contraseña|clave)(?:\s+(?:is|es|era|was|para\s+\w+\s+es))?\s*[:=]?\s+)(?P<value>[^\s,.;]{4,})"
)
BORN = re.compile(
    r"(?i)\b(?P<lead>(?:born|nac[ií]|nacid[oa])(?:\s+(?:on|el|en))?\s+)(?P<value>\d{1,2}(?:st|nd|rd|th)?[ /.-](?:de\s+)?"
    r"[A-Za-zé]{3,10}(?:\s+(?:de|of))?[ ,/.-]+\d{2,4}|\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4})"
)
INTRODUCED = re.compile(
    r"(?:[Nn]ame(?:'s)? is|[Ss]e llama(?:n|ba)?|[Ii]s (?:called|named)|[Ll]lamad[oa]|[Mm]e llamo|[Mm]i nombre es|"
    r"[Ii] am called|[Cc]all me|[Ll]lámame|"
    r"(?:[Mm]y|[Mm]i|[Hh]is|[Hh]er|[Ss]u)\s+(?:sister|brother|mom|mum|mother|dad|father|wife|husband|son|daughter|friend|boss|"
    r"boyfriend|girlfriend|hermana|hermano|madre|padre|mujer|marido|hijo|hija|amiga|amigo|jefa|jefe|novia|novio|prima|primo|"
    r"tía|tío|abuela|abuelo|cousin|aunt|uncle|roommate|neighbou?r|vecina|vecino)(?:'s name is| is called| se llama|,)?)\s+"
    r"(?P<name>[A-ZÁÉÍÓÚÑ][\wáéíóúñ]+(?:\s[A-ZÁÉÍÓÚÑ][\wáéíóúñ]+)?)"
)
TOKEN = re.compile(r"[^\W\d_][\w'’]*|\w*\d\w*[^\W\d_]\w*")


class PatternAnonymizer(Anonymizer):
    """Patterns for contacts and numbers, the names of the people at hand, introduced names, and lists of names and cities.

    The same name always becomes the same surrogate, chosen by the installation's key: no table of names is kept.
    """

    name = "patterns"
    version = "1"

    def files(self) -> Sequence[Path]:
        """Return the name list."""
        return (DATA / "names.json",)

    def anonymize(self, texts: pl.DataFrame, keep: Sequence[str], pseudonym: Pseudonym) -> pl.DataFrame:
        """Return id, text, n_replaced; cost is linear in the characters, a token costs one look-up."""
        names = _Names(keep, pseudonym)
        out, counts = [], []
        rows = [
            (text, tuple(people or ())) for text, people in zip(texts["text"], texts["people"].to_list(), strict=True)
        ]
        # Who is introduced once is known wherever the same people talk: "My lawyer's name is Hanan" … "as Hanan says".
        introduced: dict[tuple[str, ...], set[str]] = {}
        for text, people in rows:
            introduced.setdefault(people, set()).update(match["name"] for match in INTRODUCED.finditer(text))
        for text, people in rows:
            clean, replaced = names.replace(text, (*people, *sorted(introduced[people])))
            out.append(clean)
            counts.append(replaced)
        return pl.DataFrame(
            {"id": texts["id"], "text": out, "n_replaced": counts},
            schema={"id": pl.String, "text": pl.String, "n_replaced": pl.Int64},
        )

    def residual(self, texts: pl.DataFrame, keep: Sequence[str]) -> pl.DataFrame:
        """Return id, residual: contacts and long numbers by shape, and the people's names folded to plain letters.

        This look shares no pattern with the first one. A person who is called as a surrogate is, cannot be told from it.
        """
        safe = _gazetteer().surrogates
        kept = tuple(keep)
        people = [
            [word for word in _people_words(tuple(row or ()), kept) if word not in safe]
            for row in texts["people"].to_list()
        ]
        text = pl.col("text")
        undated = text.str.replace_all(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?)?|192\.0\.2\.\d+", " ")
        shapes = (
            text.str.count_matches(r"[^\s@]@[^\s@]+\.[A-Za-z]{2,}")
            - text.str.count_matches(r"[^\s@]@example\.org")
            + undated.str.count_matches(r"\d(?:[ .\-()]{0,2}\d){7,}")
            + text.str.count_matches(r"\b(?:sk|ghp|AKIA)[-_A-Za-z0-9]{16,}")
        )
        words = (
            text.str.to_lowercase()
            .str.normalize("NFKD")
            .str.replace_all(r"\p{M}", "")
            .str.extract_all(r"[\p{L}\p{N}_]+")
        )
        frame = texts.with_columns(_people=pl.Series(people, dtype=pl.List(pl.String)))
        named = words.list.set_intersection("_people").list.len().fill_null(0)
        return frame.select("id", residual=shapes.cast(pl.Int64).clip(lower_bound=0) + named.cast(pl.Int64))


class _Names:
    """Replaces in one text after the other, with the look-up tables made once."""

    def __init__(self, keep: Sequence[str], pseudonym: Pseudonym) -> None:
        self.pseudonym = pseudonym
        self.gazetteer = _gazetteer()
        self.kept = tuple(keep)
        self.keep = {fold(part) for name in keep for part in TOKEN.findall(name)}
        self.surrogates: dict[tuple[str, str], str] = {}

    def replace(self, text: str, people: tuple[str, ...]) -> tuple[str, int]:
        """Return the text without contacts and names, and the number of replacements."""
        self.count = 0
        self.people = _people_words(people, self.kept)
        self.introduced = {fold(part) for match in INTRODUCED.finditer(text) for part in match["name"].split()}
        text = BORN.sub(lambda m: self._counted(m["lead"] + "[date of birth]"), text)
        text = SPOKEN_SECRET.sub(lambda m: self._counted(m["lead"] + "[secret]"), text)
        pieces, end = [], 0
        for match in CONTACTS.finditer(text):
            replacement = self._contact(str(match.lastgroup), match[0])
            if replacement is not None:
                pieces += [TOKEN.sub(self._token, text[end : match.start()]), self._counted(replacement)]
                end = match.end()
        pieces.append(TOKEN.sub(self._token, text[end:]))
        return "".join(pieces), self.count

    def _counted(self, replacement: str) -> str:
        self.count += 1
        return replacement

    def _contact(self, kind: str, found: str) -> str | None:
        """Return what stands in its place; None when it only looks like one."""
        digits = re.sub(r"\D", "", found)
        code = self.pseudonym(kind, found.lower()).rpartition("_")[2]
        if kind in ("secret", "password"):
            return "[secret]"
        if kind == "date":
            return None
        if kind == "card":
            if luhn(digits):
                return "[card]"
            return self._phone(digits, code) if len(digits) <= 15 else "[number]"
        if kind == "phone":
            return self._phone(digits, code)
        return {
            "email": f"user{code[:6]}@example.org",
            "url": f"https://example.org/{code[:6]}",
            "iban": "[iban]",
            "id": "[id]",
            "plate": "[plate]",
            "ip": f"192.0.2.{int(code[:2], 16) % 254 + 1}",
            "handle": f"@user{code[:6]}",
            "address": "[address]",
        }[kind]

    @staticmethod
    def _phone(digits: str, code: str) -> str | None:
        # 555-0100 to 555-0199 belong to nobody; seven digits and fewer are prices and years.
        return f"555-01{int(code[:4], 16) % 100:02d}" if len(digits) >= 8 else None

    def _token(self, match: re.Match[str]) -> str:
        token = match[0]
        word, tail = (token[:-2], token[-2:]) if token[-2:] in ("'s", "’s") else (token, "")
        key = fold(word)
        if key in self.keep:
            return token
        capital = word[:1].isupper()
        if key in self.people or (capital and (key in self.introduced or key in self.gazetteer.people)):
            pool = self.gazetteer.male if key in self.gazetteer.men else self.gazetteer.female
            if key not in self.gazetteer.people:
                pool = self.gazetteer.female + self.gazetteer.male
            return self._counted(self._surrogate("name", key, pool)) + tail
        if capital and key in self.gazetteer.places:
            return self._counted(self._surrogate("place", key, self.gazetteer.towns)) + tail
        return token

    def _surrogate(self, kind: str, key: str, pool: tuple[str, ...]) -> str:
        known = self.surrogates.get((kind, key))
        if known is None:
            number = int(self.pseudonym(kind, key).rpartition("_")[2], 16)
            known = pool[number % len(pool)]
            if fold(known) == key:
                known = pool[(number + 1) % len(pool)]
            self.surrogates[kind, key] = known
        return known


class _Gazetteer:
    """The name list, folded."""

    def __init__(self) -> None:
        data = load("names.json")
        self.female, self.male = tuple(data["surrogate_female"].split()), tuple(data["surrogate_male"].split())
        self.towns = tuple(data["surrogate_places"].split())
        self.men = frozenset(fold(name) for name in data["male"].split())
        self.people = frozenset(fold(name) for name in f"{data['female']} {data['male']}".split())
        self.places = frozenset(fold(name) for name in data["places"].split())
        self.surrogates = frozenset(fold(name) for name in (*self.female, *self.male, *self.towns))


@lru_cache(maxsize=1)
def _gazetteer() -> _Gazetteer:
    return _Gazetteer()


@lru_cache(maxsize=4096)
def _people_words(people: tuple[str, ...], kept: tuple[str, ...]) -> frozenset[str]:
    """Return the words by which the people are called: three letters or more, no function words, nothing that stays."""
    keep = {fold(part) for name in kept for part in TOKEN.findall(name)}
    words = {fold(part) for name in people for part in TOKEN.findall(name)}
    return frozenset(
        word for word in words if len(word) >= 3 and word not in STOP_WORDS and word not in keep and not word.isdigit()
    )


def fold(word: str) -> str:
    """Return the word in lower case without accents: José and jose are one name."""
    return "".join(c for c in unicodedata.normalize("NFKD", word.lower()) if not unicodedata.combining(c))


def luhn(digits: str) -> bool:
    """Return whether the digits pass the checksum of payment cards (ISO/IEC 7812-1)."""
    if not 13 <= len(digits) <= 19:
        return False
    doubled = [int(d) * 2 if place % 2 else int(d) for place, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0
