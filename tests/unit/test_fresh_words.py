"""The index of the words of fresh messages: it finds what the stems of a question say, whatever was added and dropped before."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from language.terms import asked_words, beginning, unaccented, word_terms
from serving.recall.fresh_words import WordIndex

START = datetime(2025, 1, 7, tzinfo=UTC)
WORDS = [
    "dog",
    "dogs",
    "café",
    "CAFE",
    "canción",
    "canciones",
    "happy",
    "happiness",
    "hope",
    "hoping",
    "3",
    "x_1",
    "犬",
    "🦊",
    "día",
]


def rows(messages: list[tuple[str, str]], first: int = 1) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "seq": range(first, first + len(messages)),
            "session_id": [session for session, _ in messages],
            "occurred_at": [START + timedelta(minutes=n) for n in range(len(messages))],
            "said": [said for _, said in messages],
        },
        schema={"seq": pl.Int64, "session_id": pl.String, "occurred_at": pl.Datetime("us", "UTC"), "said": pl.String},
    )


def index_of(messages: list[tuple[str, str]], asks: list[bool] | None = None) -> WordIndex:
    index = WordIndex()
    index.add(rows(messages), np.array(asks or [False] * len(messages)))
    return index


said = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)
messages = st.lists(st.tuples(st.sampled_from(["a", "b"]), said), max_size=12)


@settings(deadline=None, max_examples=60)
@given(messages, messages, st.lists(st.booleans(), min_size=24, max_size=24), said)
def test_it_finds_what_stems_say_after_messages_came_and_went(
    first: list[tuple[str, str]], second: list[tuple[str, str]], keep: list[bool], question: str
) -> None:
    index = index_of(first)
    index.add(rows(second, 1 + len(first)), np.zeros(len(second), bool))
    both = first + second
    kept = np.array(keep[: len(both)], bool)
    index.keep(kept)
    left = [message for message, stays in zip(both, kept, strict=True) if stays]
    wanted = {term for word in asked_words(question) for term in word_terms(word)}
    # Of a text every word is found; a question of several words leaves the short ones out.
    terms = [{t for said in text.split() for word in asked_words(said) for t in word_terms(word)} for _, text in left]
    expected = {place for place, found in enumerate(terms) if found & wanted}
    assert set(index.hits(question, 100).tolist()) == expected
    assert index.seq.tolist() == (1 + np.flatnonzero(kept)).tolist()
    # Nothing of what is gone stays in memory, no word either.
    assert set(index._words) == {word.lower() for _, text in left for word in text.replace("🦊", "").split()}


def test_rare_words_come_first_and_of_equals_the_newest() -> None:
    index = index_of([("s", "a storm")] * 5 + [("s", "a storm and a lighthouse")] + [("s", "a storm")] * 5)
    assert index.hits("storm lighthouse", 3).tolist() == [9, 10, 5]


def test_the_neighbours_are_those_of_the_conversation_by_time() -> None:
    index = index_of([("a", "1"), ("b", "2"), ("a", "3"), ("b", "4"), ("a", "5")])
    late = rows([("a", "6")], 6).with_columns(
        occurred_at=pl.lit(START + timedelta(seconds=90)).cast(pl.Datetime("us", "UTC"))
    )
    index.add(late, np.array([True]))
    assert index.around(np.array([2]), 1, 1).tolist() == [2, 4, 5]
    assert index.around(np.array([1, 3]), 3, 3).tolist() == [1, 3]
    assert index.around(np.zeros(0, np.int64), 3, 3).tolist() == []
    assert index.asks.tolist() == [5]
    index.keep(np.array([False, True, True, False, True, True]))
    assert index.asks.tolist() == [3]
    assert index.around(np.array([3]), 0, 1).tolist() == [1, 3]


@pytest.mark.parametrize(
    "family",
    [
        ("happy", "happiness", "happier"),
        ("hope", "hoping", "hoped"),
        ("study", "studies", "studied"),
        ("run", "running", "runs"),
        ("canción", "canciones", "cancion"),
        ("corrí", "correr", "corriendo"),
        ("sky", "skies"),
        ("ox",),
        ("ñandú", "ñandúes"),
    ],
)
def test_words_of_one_stem_begin_alike(family: tuple[str, ...]) -> None:
    for one in family:
        for other in family:
            if set(word_terms(one)) & set(word_terms(other)):
                assert unaccented(other).startswith(beginning(one)), (one, other)
