"""Word lists in English and Spanish compiled to regular expressions that Polars runs over whole columns."""

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

FUNCTION_WORDS = Path(__file__).with_name("function_words.json")


@lru_cache(maxsize=16)
def load(path: Path) -> dict[str, Any]:
    """Return a JSON file of word lists; each lies beside the module that reads it."""
    return json.loads(path.read_text(encoding="utf-8"))


ENGLISH: list[str] = load(FUNCTION_WORDS)["english"]
SPANISH: list[str] = load(FUNCTION_WORDS)["spanish"]
STOP_WORDS = frozenset([*ENGLISH, *SPANISH, *load(FUNCTION_WORDS)["others"]])

WORD = r"\p{L}[\p{L}\p{N}'’]*"


SPANISH_MARKS = r"[¿¡ñáéíóú]"


def any_of(words: list[str], *, before: str = "") -> str:
    """Return a case-insensitive pattern that matches any of the words; ``*`` at the end matches any ending."""
    stems = sorted(
        {word.removesuffix("*") + (r"\w*" if word.endswith("*") else "") for word in words}, key=lambda w: (-len(w), w)
    )
    return rf"(?i){before}\b(?:{'|'.join(stems)})(?:\b|$)"


def language(text: pl.Expr) -> pl.Expr:
    """Return en, es or und, by which language's function words are more frequent (ties and none: und)."""
    lower = text.str.to_lowercase()
    english = lower.str.count_matches(any_of(ENGLISH))
    spanish = lower.str.count_matches(any_of(SPANISH)) + 2 * lower.str.count_matches(SPANISH_MARKS).clip(upper_bound=2)
    return (
        pl.when(spanish > english)
        .then(pl.lit("es"))
        .when(english > spanish)
        .then(pl.lit("en"))
        .otherwise(pl.lit("und"))
    )


def language_of(text: str) -> str:
    """Return what `language` returns, of a single text: fifty times faster than a frame of one row."""
    english, spanish, marks = _one_text_patterns()
    lower = text.lower()
    in_english = len(english.findall(lower))
    in_spanish = len(spanish.findall(lower)) + 2 * min(len(marks.findall(lower)), 2)
    return "es" if in_spanish > in_english else "en" if in_english > in_spanish else "und"


@lru_cache(maxsize=1)
def _one_text_patterns() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    return re.compile(any_of(ENGLISH)), re.compile(any_of(SPANISH)), re.compile(SPANISH_MARKS)


def content_words(column: str) -> pl.Expr:
    """Return the distinct lower-case words of three letters or more that are no function words."""
    words = (
        pl.col(column)
        .str.to_lowercase()
        .str.extract_all(WORD)
        .list.eval(pl.element().filter((pl.element().str.len_chars() >= 3) & ~pl.element().is_in(list(STOP_WORDS))))
    )
    return words.list.unique(maintain_order=True)
