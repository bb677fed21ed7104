"""The parts of recall: terms, traits, features, standing, decay, late interaction, segmentation."""

import math
from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import serving.recall.features as features_of
from language.terms import BITS, asked_terms, asks_for_several, term, term_lists, traits
from plugins.embedders.minilm import MiniLMTokens
from plugins.extractors.segmentation import FEATURES, boundaries, content, gap_features
from serving.recall.features import around, bm25, features, read, standardised
from serving.recall.matrix import PLAIN, Image, joined
from serving.recall.ranking import rank, weights
from serving.recall.retractions import standing
from transforms.decay import strength

START = datetime(2025, 1, 6, 10, tzinfo=UTC)


def image(*texts: str, roles: list[str] | None = None, sessions: list[str] | None = None, first: int = 0) -> Image:
    """Return the image of messages a minute apart."""
    rows = pl.DataFrame(
        {
            "message_id": [f"m{first + n:03d}" for n in range(len(texts))],
            "session_id": sessions or ["s"] * len(texts),
            "speaker_id": ["ana"] * len(texts),
            "speaker_name": ["Ana"] * len(texts),
            "role": roles or ["user"] * len(texts),
            "occurred_at": [START + timedelta(minutes=first + n) for n in range(len(texts))],
            "position": list(range(first, first + len(texts))),
            "turn": list(range(first, first + len(texts))),
            "source_ref": [None] * len(texts),
            "emotion": ["neutral"] * len(texts),
            "importance": [0.5] * len(texts),
            "text": list(texts),
        },
        schema_overrides={"source_ref": pl.String, "occurred_at": pl.Datetime("us", "UTC")},
    )
    lists = term_lists([f"Ana: {text}" for text in texts])
    return Image(
        rows.select(PLAIN),
        rows.select(traits()).to_series().to_numpy(),
        lists.explode().to_numpy().astype(np.int32),
        lists.list.len().cast(pl.Int64).cum_sum().to_numpy(),
    )


def best(found: Image, question: str) -> str:
    """Return the text that ranks first for a question, by words alone."""
    asked = read(question, START)
    scores = rank(features(found, asked)).scores + standing(found, asked)
    return str(found.rows["text"][int(np.argmax(scores))])


def test_words_meet_in_their_stems_without_accents_in_both_languages() -> None:
    assert term("running", "en") == term("runs", "en")
    assert term("canciones", "es") == term("canción", "es")
    assert asked_terms("the of and") == asked_terms("the of and")
    assert asked_terms("") == []


def test_traits_show_questions_times_and_reasons() -> None:
    frame = pl.DataFrame(
        {"text": ["Where is it?", "I left yesterday because of you", "me fui ayer porque sí"], "role": ["user"] * 3}
    )
    bits = frame.select(traits()).to_series().to_list()
    assert bits[0] & BITS["question"]
    assert all(bit & BITS["time"] and bit & BITS["reason"] for bit in bits[1:])


def test_bm25_prefers_rare_words_and_short_texts() -> None:
    counts = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    scores = bm25(counts, np.array([5.0, 5.0, 20.0]))
    assert scores[1] > scores[0] > scores[2]


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.integers(1, 4))
def test_around_is_the_sum_over_the_neighbours(values: list[float], reach: int) -> None:
    found = image(*["x"] * len(values), sessions=[f"s{n // 4:03d}" for n in range(len(values))])
    got = around(found, np.array(values), reach)
    for place in range(len(values)):
        near = [v for n, v in enumerate(values) if abs(n - place) <= reach and n // 4 == place // 4]
        assert got[place] == pytest.approx(sum(near), abs=1e-9)


def test_a_joined_image_equals_the_image_of_all() -> None:
    whole = image("one cat", "two dogs", "three birds", "four fish")
    parts = joined(image("three birds", "four fish", first=2), image("one cat", "two dogs"))
    assert parts.rows.equals(whole.rows)
    assert np.array_equal(parts.terms, whole.terms)
    assert np.array_equal(parts.term_ends, whole.term_ends)


def test_the_answer_is_found_and_its_shares_sum_to_its_score() -> None:
    found = image("I like tea.", "My sister lives in Lisbon.", "It rains today.", "We ate soup.")
    assert best(found, "Where does her sister live?") == "My sister lives in Lisbon."
    ranked = rank(features(found, read("Where does her sister live?", START)))
    assert np.allclose(ranked.shares.sum(axis=1), ranked.scores)


def test_weights_name_features_that_exist() -> None:
    found = image("one", "two")
    asked = read("what time is it?", START)
    asked.vector, found.vectors = np.ones(4, np.float32) / 2, np.eye(4, dtype=np.float32)[:2]
    asked.pieces, found.pieces, found.piece_ends = (
        np.eye(2, dtype=np.float32),
        np.eye(2, dtype=np.int8),
        np.array([1, 2]),
    )
    made = features(found, asked)
    for name in ("late", "semantic", "words"):
        assert set(weights()[name]) <= set(made)
        assert set(weights()[f"{name}_several"]) == set(weights()[name])


@pytest.mark.parametrize(
    ("question", "several"),
    [
        ("What books has Melanie read?", True),
        ("How many children does she have?", True),
        ("What do both of them like?", True),
        ("¿Qué libros ha leído Ana?", True),
        ("¿Cuántas hermanas tiene?", True),
        ("Where does her sister live?", False),
        ("What is her name?", False),
        ("¿Dónde vive Jesús?", False),
        ("¿Qué es un gas?", False),
        ("", False),
    ],
)
def test_a_question_for_several_things_is_told_by_its_form(question: str, several: bool) -> None:
    assert asks_for_several(question) is several
    assert read(question, START).several is several


def test_several_things_are_ranked_by_weights_of_their_own() -> None:
    found = features(image("I like tea.", "My sister lives in Lisbon."), read("What does she like?", START))
    one, many = rank(found), rank(found, several=True)
    assert one.names == many.names
    assert not np.allclose(one.scores, many.scores)


@pytest.mark.parametrize(
    ("request_", "secret"),
    [
        ("Please forget what I told you about the accident with the boat.", "The accident with the boat was my fault."),
        ("Por favor olvida lo que te conté del accidente con el barco.", "El accidente con el barco fue culpa mía."),
    ],
)
def test_what_a_user_withdrew_is_never_recalled(request_: str, secret: str) -> None:
    found = image(
        "I like tea.", secret, request_, "Done, I forget the accident.", roles=["user", "user", "user", "agent"]
    )
    gone = found.withdrawn.tolist()
    assert gone == [False, True, True, True]
    assert best(found, "what about the accident with the boat? accidente barco") == "I like tea."


def test_an_agent_cannot_withdraw_and_not_forgetting_is_no_request() -> None:
    assert not image(
        "The treasure is in the cave.", "Forget the treasure in the cave!", roles=["agent", "agent"]
    ).withdrawn.any()
    assert not image("I met Bo.", "I will never forget that day.", "Don't forget my birthday!").withdrawn.any()


def test_what_was_replaced_comes_after_what_replaced_it() -> None:
    found = image(
        "The owner of the project is Li.", "We had lunch.", "Update this: the owner of the project is now Maya."
    )
    assert found.superseded.tolist() == [True, False, False]
    assert best(found, "Who is the owner of the project?").endswith("Maya.")


def test_important_and_recalled_memories_decay_more_slowly() -> None:
    age = np.array([30.0, 30.0, 30.0])
    weak, important, used = strength(age, np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 5.0]))
    assert weak == pytest.approx(0.5)
    assert important > 0.95
    assert weak < used < important


def test_standardised_leaves_out_what_is_not_known() -> None:
    got = standardised(np.array([1.0, 3.0, 99.0]), np.array([True, True, False]))
    assert got.tolist() == [-1.0, 1.0, 0.0]
    assert not standardised(np.array([2.0, 2.0])).any()


def test_token_vectors_do_not_depend_on_the_batch_and_find_what_is_meant() -> None:
    model = MiniLMTokens()
    texts = ["She works as a nurse in a hospital.", "The cat sleeps on the sofa."]
    together = model.embed(texts)
    assert all(np.array_equal(one, model.embed([text])[0]) for one, text in zip(together, texts, strict=True))
    question = model.embed_query("What is her job?")
    fit = [float((rows.astype(np.float32) @ question.T / 127).max(axis=0).mean()) for rows in together]
    assert fit[0] > fit[1]


def test_another_topic_begins_where_a_question_brings_new_words() -> None:
    turns = [
        "I adopted a puppy last week.",
        "What breed is the puppy?",
        "The puppy is a beagle, he chews my shoes.",
        "Beagles love chewing shoes, yes.",
        "By the way, do you have any plans for the summer holidays in Portugal?",
        "I want to surf in Portugal in July.",
    ]
    found = boundaries([turns, [], turns[:1], turns])
    assert 4 in found[0]
    assert 3 not in found[0]
    # A session is cut alike whatever else is looked at with it.
    assert found == [found[0], [], [], found[0]]
    assert boundaries([]) == []


SAID = ["a beagle eats", "shoes?", "by the way, Portugal", "Beagles love shoes", "yes", "", "I surf"]


@given(st.lists(st.lists(st.sampled_from(SAID)), max_size=4))
def test_sessions_are_judged_together_as_each_alone(sessions: list[list[str]]) -> None:
    together = gap_features(sessions)
    alone = np.concatenate([gap_features([]), *(gap_features([session]) for session in sessions)])
    np.testing.assert_allclose(together, alone, atol=1e-12)
    for session, rows in zip(
        sessions, np.split(alone, np.cumsum([max(len(one) - 1, 0) for one in sessions])), strict=False
    ):
        for place, row in enumerate(rows, start=1):
            shown = dict(zip(FEATURES, row, strict=True))
            bags = [content(text) for text in session]
            wide = [sum(bags[max(place - 2, 0) : place], Counter()), sum(bags[place : place + 2], Counter())]
            weight = {
                word: math.log(1 + len(session) / sum(word in bag for bag in bags)) ** 2 for bag in bags for word in bag
            }
            sizes = [math.sqrt(sum(n * n * weight[word] for word, n in side.items())) for side in wide]
            shared = sum(n * wide[1][word] * weight[word] for word, n in wide[0].items())
            assert shown["cohesion_2"] == pytest.approx(shared / math.prod(sizes) if all(sizes) else 0.0)
            new = [word for word in bags[place] if not any(word in bag for bag in bags[:place])]
            assert shown["new_words"] == pytest.approx(len(new) / max(len(bags[place]), 1))
            assert shown["nothing_shared"] == all(
                word not in bag for bag in bags[max(place - 3, 0) : place] for word in bags[place]
            )


def test_late_interaction_takes_the_best_window_of_a_long_message() -> None:
    rng = np.random.default_rng(7)
    counts = [40, 256, 900, 1, 257]
    pieces = rng.integers(-127, 128, (sum(counts), 16)).astype(np.int8)
    query = rng.standard_normal((16, 5)).astype(np.float32)
    starts = np.cumsum([0, *counts[:-1]])
    for block in (features_of.BLOCK, 300, 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(features_of, "BLOCK", block)
            found = features_of._maximum_by_row(pieces, starts, query)
        for place, (start, count) in enumerate(zip(starts, counts, strict=True)):
            similar = pieces[start : start + count].astype(np.float32) @ query / 127
            windows = [similar[at : at + 256].max(axis=0) for at in range(0, max(count - 128, 1), 128)]
            np.testing.assert_allclose(found[place], max(windows, key=np.mean), rtol=1e-5)
