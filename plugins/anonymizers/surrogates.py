"""Takes out of a text what would expose somebody, and puts something of the same kind in its place.

What is found is decided by the detectors (patterns.py, name_model.py, names.py); here is what stands there afterwards, and
the second look, which shares no pattern with the first.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
from pydantic import Field

from plugins.anonymizers import name_model as pii_model
from plugins.anonymizers import names as pii_names
from plugins.anonymizers import patterns as pii_patterns
from plugins.anonymizers.findings import KINDS, QUASI, Finding, merged
from plugins.anonymizers.names import TOKEN, Told, fold, gazetteer, people_words
from plugins.contracts import Anonymizer, PluginConfig
from records.ids import text_hash

Pseudonym = Callable[[str, str], str]

PLACEHOLDER = {
    "secret": "[secret]",
    "iban": "[iban]",
    "card": "[card]",
    "id": "[id]",
    "plate": "[plate]",
    "address": "[address]",
    "birth": "[date of birth]",
    "date": "[date]",
    "age": "[age]",
    "title": "[title]",
    "nationality": "[nationality]",
    "sex": "[sex]",
    "relative": "[relative]",
}

MAIL_SHAPE = r"[^\s@]+@[^\s@]+\.[A-Za-z]{2,}"
LONG_NUMBER = r"\d(?:[ .\-()]{0,2}\d){7,}"
KEY_SHAPE = r"\b(?:sk|ghp|AKIA)[-_A-Za-z0-9]{16,}"
HARMLESS = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?)?|192\.0\.2\.\d+|[^\s@]+@example\.org"
"""What looks alike and is none: days, and this module's own surrogates."""


TOGETHER = 2_000
"""Texts classified between two saves."""


class DetectorAnonymizer(Anonymizer):
    """Patterns, a small token classifier, and the names of the people at hand, each finding replaced by its like.

    The same name always becomes the same surrogate, chosen by the installation's key: no table of names is kept.
    """

    class Config(PluginConfig):
        """What is replaced.

        Attributes:
            kinds: "default": what exposes somebody, in chats; "all": also dates, ages, titles, nationalities and sex, and names
                that the classifier is not sure of.
            allow: Names that stay: public figures, products, places of the persona's world.
            model: Whether the token classifier is asked; without it names are found by lists and by the people at hand.
            threshold: The classifier's probability from which on a word counts.
        """

        kinds: str = Field("default", pattern="^(default|all)$")
        allow: list[str] = []
        model: bool = True
        threshold: float = Field(0.5, ge=0.05, le=1)

    name = "detectors"
    version = "3"
    config: Config

    def files(self) -> Sequence[Path]:
        """Return the name lists, and the classifier."""
        where = pii_model.folder() if self.config.model else None
        model = () if where is None else (where / "onnx" / "model_q4.onnx",)
        return (pii_names.NAME_LISTS, pii_patterns.PLACES, *model)

    @property
    def kinds(self) -> frozenset[str]:
        """Return the kinds that are looked for."""
        return frozenset(KINDS if self.config.kinds == "all" else [kind for kind in KINDS if kind not in QUASI])

    def detect(
        self,
        texts: Sequence[str],
        people: Sequence[Sequence[str]] | None = None,
        keep: Sequence[str] = (),
        told: Sequence[Told] | None = None,
    ) -> list[list[Finding]]:
        """Return per text what would expose somebody, without overlaps.

        Args:
            people: Per text the names and ids of those who were there.
            keep: Names that stay.
            told: Per text kinds and names that its user's facts tell.
        """
        crowd = people if people is not None else [()] * len(texts)
        kept = self._kept(keep)
        shaped = pii_patterns.find(texts, self.kinds)
        seen = self._classified(texts) if self.config.model else [[] for _ in texts]
        named = pii_names.find(texts, crowd, kept, pii_model.rare if self.config.model else None)
        found = []
        known = [pii_names.find_told(text, own) for text, own in zip(texts, told or [()] * len(texts), strict=True)]
        for text, *parts in zip(texts, shaped, seen, named, known, strict=True):
            together = merged(item for part in parts for item in part if item.kind in self.kinds)
            said_again = pii_names.again(text, together)
            together = merged([*together, *said_again]) if said_again else together
            found.append([item for item in together if not _stays(text, item, kept)])
        return found

    def _classified(self, texts: Sequence[str]) -> list[list[Finding]]:
        """Return what the classifier finds; where there is a memo, texts it has read before are not read again.

        A memo holds places and kinds under the text's hash, and nothing of the text.
        """
        known: dict[str, list[Finding]] = {}
        keys = [text_hash(text) for text in texts]
        if self.memo is not None:
            for key, value in self.memo.get(self.fingerprint, sorted(set(keys))).items():
                known[key] = [Finding(start, end, kind) for start, end, kind in json.loads(value)]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        for start in range(0, len(missing), TOGETHER):
            part = dict(list(missing.items())[start : start + TOGETHER])
            read = pii_model.find(list(part.values()), self.config.threshold, chats=self.config.kinds == "default")
            made = dict(zip(part, read, strict=True))
            known.update(made)
            if self.memo is not None:
                self.memo.put(
                    self.fingerprint,
                    {
                        key: json.dumps([(i.start, i.end, i.kind) for i in items]).encode()
                        for key, items in made.items()
                    },
                )
        return [known[key] for key in keys]

    def _kept(self, keep: Sequence[str]) -> frozenset[str]:
        return frozenset(fold(part) for name in (*keep, *self.config.allow) for part in TOKEN.findall(name))

    def anonymize(self, texts: pl.DataFrame, keep: Sequence[str], pseudonym: Pseudonym) -> pl.DataFrame:
        """Return id, text, n_replaced; cost is linear in the characters."""
        said = texts["text"].to_list()
        people = [tuple(row or ()) for row in texts["people"].to_list()]
        told = [
            tuple((item["kind"], item["value"]) for item in row or ())
            for row in (texts["told"].to_list() if "told" in texts.columns else [()] * len(said))
        ]
        surrogates = Surrogates(pseudonym, self._kept(keep))
        out, counts = [], []
        keys = texts["id"].to_list()
        for key, text, own, findings in zip(keys, said, people, self.detect(said, people, keep, told), strict=True):
            known = people_words(own, tuple(keep))
            pieces, end, replaced = [], 0, []
            for item in findings:
                new = surrogates.of(item.kind, text[item.start : item.end], known)
                replaced.append((item.kind, text[item.start : item.end], new))
                pieces += [text[end : item.start], new]
                end = item.end
            if self.on_replaced is not None:
                self.on_replaced(key, replaced)
            out.append("".join([*pieces, text[end:]]))
            counts.append(len(findings))
        clean = pl.DataFrame(
            {"id": texts["id"], "text": out, "n_replaced": counts},
            schema={"id": pl.String, "text": pl.String, "n_replaced": pl.Int64},
        )
        return self._redacted(clean.with_columns(texts["people"]), keep)

    def _redacted(self, clean: pl.DataFrame, keep: Sequence[str]) -> pl.DataFrame:
        """Take out without a surrogate what the second look finds in what the first has left."""
        left = self.residual(clean, keep).filter(pl.col("residual") > 0)["id"].to_list()
        if not left:
            return clean.drop("people")
        safe, texts, counts = gazetteer().surrogates, clean["text"].to_list(), clean["n_replaced"].to_list()
        wrong = set(left)
        for place, (key, people) in enumerate(zip(clean["id"], clean["people"].to_list(), strict=True)):
            if key not in wrong:
                continue
            named = people_words(tuple(people or ()), tuple(keep)) - safe
            texts[place], n = _redact(texts[place], named)
            counts[place] += n
        return clean.drop("people").with_columns(pl.Series("text", texts), pl.Series("n_replaced", counts))

    def residual(self, texts: pl.DataFrame, keep: Sequence[str]) -> pl.DataFrame:
        """Return id, residual: contacts and long numbers by shape, and the people's names folded to plain letters.

        This look shares no pattern with the first one. A person who is called as a surrogate is, cannot be told from it.
        """
        safe = gazetteer().surrogates
        kept = tuple(keep)
        people = [
            [word for word in people_words(tuple(row or ()), kept) if word not in safe]
            for row in texts["people"].to_list()
        ]
        text = pl.col("text").str.replace_all(HARMLESS, " ")
        shapes = (
            text.str.count_matches(MAIL_SHAPE) + text.str.count_matches(LONG_NUMBER) + text.str.count_matches(KEY_SHAPE)
        )
        words = (
            pl.col("text")
            .str.to_lowercase()
            .str.normalize("NFKD")
            .str.replace_all(r"\p{M}", "")
            .str.extract_all(r"[\p{L}\p{N}_]+")
        )
        frame = texts.with_columns(_people=pl.Series(people, dtype=pl.List(pl.String)))
        named = words.list.set_intersection("_people").list.len().fill_null(0)
        return frame.select("id", residual=shapes.cast(pl.Int64) + named.cast(pl.Int64))


class PatternAnonymizer(DetectorAnonymizer):
    """Patterns and names without the token classifier: forty times faster, and blind to names it was not told."""

    class Config(DetectorAnonymizer.Config):
        """What is replaced; see `DetectorAnonymizer.Config`."""

        model: bool = False

    name = "patterns"
    version = "3"


def _stays(text: str, item: Finding, kept: frozenset[str]) -> bool:
    """Return whether a finding says nothing but names that stay."""
    if item.kind not in ("person", "place", "organisation") or not kept:
        return False
    words = [fold(word) for word in TOKEN.findall(pii_names.bare(text[item.start : item.end]))]
    return bool(words) and all(word in kept for word in words)


def _redact(text: str, named: frozenset[str]) -> tuple[str, int]:
    held: list[str] = []

    def hold(match: re.Match[str]) -> str:
        held.append(match[0])
        return f"\x00{chr(0xE000 + len(held) - 1)}\x00"

    text = re.sub(HARMLESS, hold, text)
    text, n = re.subn(f"{MAIL_SHAPE}|{LONG_NUMBER}|{KEY_SHAPE}", "[redacted]", text)
    count = n

    def name(match: re.Match[str]) -> str:
        nonlocal count
        if fold(match[0]) not in named:
            return match[0]
        count += 1
        return "[redacted]"

    text = re.sub(r"[^\W_]+|\w+", name, text)
    return re.sub(r"\x00(.)\x00", lambda m: held[ord(m[1]) - 0xE000], text), count


class Surrogates:
    """What stands in the place of a finding; the same one for the same words, whatever their case and accents."""

    def __init__(self, pseudonym: Pseudonym, kept: frozenset[str] = frozenset()) -> None:
        self.pseudonym = pseudonym
        self.kept = kept
        self.names = gazetteer()
        self._known: dict[tuple[str, str], str] = {}

    def of(self, kind: str, found: str, people: frozenset[str] = frozenset()) -> str:
        """Return the surrogate of a finding.

        Args:
            people: Words by which those who were there are called: a misspelt one becomes what the right one becomes.
        """
        if kind in PLACEHOLDER:
            return PLACEHOLDER[kind]
        if kind in ("person", "place", "organisation"):
            return self._named(kind, found, people)
        code = self.pseudonym(kind, re.sub(r"\s", "", found.lower())).rpartition("_")[2]
        return {
            "email": f"user{code[:6]}@example.org",
            "url": f"https://example.org/{code[:6]}",
            "ip": f"192.0.2.{int(code[:2], 16) % 254 + 1}",
            "handle": f"@user{code[:6]}",
            # 555-0100 to 555-0199 belong to nobody.
            "phone": f"555-01{int(code[:4], 16) % 100:02d}",
        }[kind]

    def _named(self, kind: str, found: str, people: frozenset[str]) -> str:
        """Return the finding with each of its words replaced by a word of the same kind and case; small words stay."""

        def word(match: re.Match[str]) -> str:
            token = match[0]
            stem, tail = (token[:-2], token[-2:]) if token[-2:] in ("'s", "’s") else (token, "")
            key = fold(stem)
            if kind == "person" and key not in people:
                key = pii_names.meant(key, people)
            if key in pii_names.SMALL or key in self.kept:
                return token
            new = self._surrogate(kind, key)
            cased = new.lower() if stem.islower() else new.upper() if stem.isupper() and len(stem) > 1 else new
            return cased + tail

        return TOKEN.sub(word, found)

    def _surrogate(self, kind: str, key: str) -> str:
        known = self._known.get((kind, key))
        if known is None:
            pool = self.names.pool(kind, key)
            number = int(self.pseudonym(kind, key).rpartition("_")[2], 16)
            known = pool[number % len(pool)]
            if fold(known) == key:
                known = pool[(number + 1) % len(pool)]
            self._known[kind, key] = known
        return known
