"""What the words of a message say, ready to be searched: hashed stems, and traits such as "asks", "names a time".

Both are made once, when a message is embedded, and are stored beside its vector.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any
from zlib import crc32

import numpy as np
import polars as pl

from language.lexicon import STOP_WORDS, language

WORD = re.compile(r"\w+")

LONGEST_BEGINNING = 4
"""Letters by which words with a common stem are looked up: few others begin with the same four."""

TRAITS: dict[str, str] = {
    "question": r"\?\s*(?:\[image|$)",
    "time": (
        r"(?i)\b(?:yesterday|today|tomorrow|tonight|last|next|ago|weeks?|weekend|months?|years?|summer|winter|spring|fall|autumn|"
        r"monday|tuesday|wednesday|thursday|friday|saturday|sunday|january|february|march|april|may|june|july|august|september|"
        r"october|november|december|recently|since|morning|evening|soon|(?:19|20)\d\d|\d+(?:th|st|nd|rd)|ayer|hoy|mañana|anoche|"
        r"semanas?|mes(?:es)?|años?|verano|invierno|primavera|otoño|lunes|martes|miércoles|jueves|viernes|sábado|domingo|enero|"
        r"febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre|hace|pronto|desde|pasad[oa])\b"
    ),
    "number": (
        r"(?i)\b(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten|once|twice|couple|few|several|dozen|dos|tres|cuatro|cinco|"
        r"seis|siete|ocho|nueve|diez|par|varios|varias|docena)\b"
    ),
    "name": r"[\p{Ll},] \p{Lu}\p{Ll}+",
    "reason": (
        r"(?i)\b(?:because|since|so that|cause|reasons?|inspired|helps?|made me|makes me|thanks to|motivat\w+|want(?:ed)? to|porque|"
        r"para que|motivos?|razón|gracias a|quería|quise|por eso|inspir\w+)\b"
    ),
    "feeling": (
        r"(?i)\b(?:feel\w*|felt|happy|sad|proud|excited|scared|nervous|loved?s?|amazing|awesome|great|grateful|thankful|upset|anxious|"
        r"overwhelm\w*|siento|sentí\w*|feliz|triste|orgullos[oa]|emocionad[oa]|miedo|nervios[oa]|encanta\w*|increíble|genial|"
        r"agradecid[oa]|agobiad[oa]|contento|contenta)\b"
    ),
    "self": r"(?i)\b(?:i|my|me|i['’]m|i['’]ve|we|our|mine|yo|mi|mis|me|nos|nuestr[oa]s?|soy|estoy|tengo|fui|voy)\b",
    "withdraws": (
        r"(?i)(?:^|[.!?,;:]\s+|please |can you |could you |por favor,? |puedes )(?:forget|delete|erase|remove|disregard|discard|olvid[ae](?:te|n)?|"
        r"borra(?:lo|la)?|elimina(?:lo|la)?)(?: (?:and|y) (?:delete|forget|erase|borra|elimina))? (?:that|this|what|about|the|my|everything|"
        r"all|it|que|lo|la|el|eso|esto|mi|de|todo)\b"
    ),
    "restricted": (
        r"(?i)\b(?:do not|don['’]t|never|please don['’]t) (?:save|store|record|keep|remember|repeat|log|write down)(?: or (?:repeat|share|save|store|reveal))? "
        r"(?:it|this|that|any)\b|\boff the record\b|\bno (?:lo |la |esto )?(?:guardes|recuerdes|repitas|apuntes|anotes|registres)\b"
    ),
    "expired": (
        r"(?i)\b(?:has|have|is|are) (?:now )?(?:expired|obsolete|outdated|no longer (?:valid|true|in force|relevant))\b|\bexpires? before\b|"
        r"\b(?:ha caducado|caducó|ya no (?:es válid[oa]|vale|rige|es cierto)|quedó obsolet[oa])\b"
    ),
    "doubtful": (
        r"(?i)\b(?:unverified|unconfirmed|not (?:verified|confirmed|authoritative|authorized)|conflicting (?:note|report|information)|"
        r"must not override|(?:from|in) another (?:workspace|project|account|team|tenant|thread)|just a rumou?r|sin (?:verificar|confirmar)|"
        r"no (?:está )?(?:verificad|confirmad|autorizad)[oa]|de otr[oa] (?:proyecto|cuenta|equipo|espacio))\b"
    ),
    "updates": (
        r"(?i)\b(?:update (?:this|that|my|the)|(?:is|are|am) now|(?:has |have )?(?:changed|switched|moved) to|no longer|correction|replaces|supersedes|"
        r"from now on|actualiza|ahora (?:es|son|está)|(?:cambió|ha cambiado|cambia) a|ya no|corrección|a partir de ahora|sustituye)\b"
    ),
}
"""Trait to the pattern that shows it, in order of their bits."""

BITS = {**{name: 1 << place for place, name in enumerate(TRAITS)}, "user": 1 << len(TRAITS)}
"""Trait to its bit; "user" says who spoke and not how."""

ASKED: dict[str, re.Pattern[str]] = {
    "time": re.compile(
        r"(?i)\bwhen\b|how long|what (?:date|year|month|day)|\bcu[áa]ndo\b|cu[áa]nto tiempo|qu[ée] (?:día|año|mes|fecha)"
    ),
    "number": re.compile(r"(?i)how (?:many|old|often|much)|cu[áa]nt[oa]s?\b"),
    "name": re.compile(
        r"(?i)\b(?:who|whose|where|which|what (?:book|movie|country|city|state|place|game|band|song|show|restaurant|company|school)s?|"
        r"qui[ée]n(?:es)?|d[óo]nde|cu[áa]l(?:es)?|qu[ée] (?:libro|película|país|ciudad|sitio|lugar|juego|grupo|canción|serie))\b"
    ),
    "reason": re.compile(r"(?i)\b(?:why|reasons?|motivat\w*|inspire\w*|por qu[ée]|motivos?|razón)\b"),
    "feeling": re.compile(
        r"(?i)\b(?:feel\w*|emotions?|attitude|reaction|describe\w*|siente\w*|sentí\w*|sinti\w*|emoción|reacci\w+)\b"
    ),
}
"""What kind of answer a question wants, by the trait its answer shows."""


@lru_cache(maxsize=2)
def stemmer(code: str) -> Any:
    """Return the Snowball stemmer of en or es."""
    import Stemmer

    return Stemmer.Stemmer("spanish" if code == "es" else "english")


@lru_cache(maxsize=200_000)
def term(word: str, code: str) -> int:
    """Return the hash of a lower-case word's stem without accents, as a signed 32-bit number."""
    return crc32(unaccented(stemmer(code).stemWord(word)).encode()) - (1 << 31)


def terms(text: str, code: str) -> list[int]:
    """Return the terms of a text in order."""
    return [term(word, code) for word in WORD.findall(text.lower().replace("’", "'"))]


def asked_words(question: str) -> list[str]:
    """Return the different words of a question that are no function words; one of function words alone keeps them all."""
    words = list(dict.fromkeys(WORD.findall(question.lower().replace("’", "'"))))
    return [word for word in words if word not in STOP_WORDS and (len(word) > 1 or word.isdigit())] or words


def word_terms(word: str) -> tuple[int, ...]:
    """Return the terms of a lower-case word in both languages."""
    return tuple(sorted({term(word, "en"), term(word, "es")}))


def asked_terms(question: str) -> list[tuple[int, ...]]:
    """Return per different word of a question (see `asked_words`) its terms in both languages."""
    return list(dict.fromkeys(word_terms(word) for word in asked_words(question)))


def beginning(word: str) -> str:
    """Return how every word begins, without accents, that has a stem in common with a lower-case word.

    The last letter of an English stem may be another one in the text ("happi" of "happy", "hope" of "hoping"); Spanish ones are cut.
    """
    english, spanish = (unaccented(stemmer(code).stemWord(word)) for code in ("en", "es"))
    alike = zip(unaccented(word), english[: max(2, len(english) - 1)], spanish, strict=False)
    return "".join(letters[0] for letters in itertools.takewhile(lambda each: len(set(each)) == 1, alike))[
        :LONGEST_BEGINNING
    ]


def unaccented(word: str) -> str:
    """Return a word without accents."""
    if word.isascii():
        return word
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))


def term_lists(texts: Sequence[str]) -> pl.Series:
    """Return the terms of each text as a list column of Int32; each text is stemmed in its own language."""
    import pyarrow as pa

    codes = pl.DataFrame({"text": pl.Series(texts, dtype=pl.String)}).select(language(pl.col("text"))).to_series()
    lists = [terms(text, "es" if code == "es" else "en") for text, code in zip(texts, codes, strict=True)]
    # From one array: Polars looked at each list by itself, which took as long as the stems.
    ends = np.cumsum([0, *map(len, lists)], dtype=np.int64)
    flat = np.fromiter(itertools.chain.from_iterable(lists), np.int32, int(ends[-1]))
    return pl.Series("terms", pa.LargeListArray.from_arrays(pa.array(ends), pa.array(flat)), dtype=pl.List(pl.Int32))


def traits(column: str = "text", role: str = "role") -> pl.Expr:
    """Return the traits of a text column as bits, see `BITS`."""
    spoken = (pl.col(role) == "user").fill_null(value=False).cast(pl.Int64) * BITS["user"]
    shown = [
        pl.col(column).str.contains(pattern).fill_null(value=False).cast(pl.Int64) * BITS[name]
        for name, pattern in TRAITS.items()
    ]
    return pl.sum_horizontal(*shown, spoken).cast(pl.Int64).alias("traits")


def wanted_traits(question: str) -> Iterable[str]:
    """Return the traits that an answer to the question shows."""
    return [name for name, pattern in ASKED.items() if pattern.search(question)]


SEVERAL = re.compile(
    r"(?i)\b(?:what|which)\s+(?:\w+\s+){0,2}?(?!is\b|was\b|has\b|does\b|this\b)[a-z]{3,}(?<!ss)(?<!us)(?<!is)s\b"
    r"|\bhow many|\bhow (?:often|much time)|\bboth\b|\bin what ways|\bwhat (?:are|were|have|has|do)\b|\bwhere has"
    r"|\bwho (?:has|have)|\bthings\b|\bwhat kind"
    r"|\bqué\s+(?:\w+\s+){0,2}?(?!es\b|más\b|tras\b|días?\b)[a-záéíóúñ]{3,}(?<!ués)s\b|\bcuáles\b|\bcu[áa]nt[oa]s\b|\bquiénes\b"
    r"|\bamb[oa]s\b|\bcada cuánto|\bcosas\b|\bqué (?:tipo|clase) de"
)
"""Shapes of questions whose answer has several parts: plurals, counts, both."""


def asks_for_several(question: str) -> bool:
    """Return whether the answer to a question lies in several places, as its form shows: "what books has she read?"."""
    return SEVERAL.search(question) is not None
