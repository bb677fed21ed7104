"""Quality: what the scorers prefer, what they call junk, and the laws they keep in both languages."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from language.lexicon import load
from plugins.contracts import Scorer
from plugins.extractors.facts_rules import RuleFacts
from plugins.scorers.heuristic import QUALITY, HeuristicScorer, LearnedScorer, _judged, components
from plugins.scorers.junk import CONTEXT_HEADINGS, junk, without_recalled
from serving.context import WORDS
from tests.conftest import message_rows
from tests.unit.test_judgement import raw_of

SCORERS = pytest.mark.parametrize("scorer", [LearnedScorer(), HeuristicScorer()], ids=["learned", "heuristic"])
GOOD = (
    "What should I cook for my sister tonight?",
    "Your sister loves mushrooms: a mushroom risotto takes 30 minutes. Is Ana still vegetarian?",
)


def frame(pairs: list[tuple[str, str]], *, one_session: bool = False) -> pl.DataFrame:
    """Return interactions, each in a session of its own unless they are one conversation."""
    columns = {"input_text": pl.String, "output_text": pl.String}
    return pl.DataFrame(pairs, schema=columns, orient="row").select(
        interaction_id=pl.int_range(pl.len()).cast(pl.String).str.zfill(3),
        session_id=pl.lit("s") if one_session else pl.int_range(pl.len()).cast(pl.String),
        input_text="input_text",
        output_text="output_text",
    )


def scored(scorer: Scorer, pairs: list[tuple[str, str]], *, one_session: bool = False) -> pl.DataFrame:
    return scorer.score(frame(pairs, one_session=one_session)).sort("interaction_id")


@SCORERS
def test_quality_prefers_an_answer_that_says_something(scorer: Scorer) -> None:
    rows = scored(
        scorer,
        [GOOD, ("hola", "ok"), ("What is the weather?", "Error 500: internal server error"), ("Why is it raining?", "")]
        + [(f"question {n} about my garden", "That is a great question!") for n in range(5)],
    )
    assert rows["quality"][0] == rows["quality"].max()
    assert rows["junk"].to_list()[:4] == [None, "pleasantry", "bot_error", None]
    assert set(rows["junk"].to_list()[4:]) == {"repeated"}
    assert rows["quality"][3] <= 0.3
    assert rows.filter(pl.col("junk").is_not_null())["quality"].max() <= 0.1


@pytest.mark.parametrize(
    ("said", "better", "worse"),
    [
        ("My dog Rex is ill, what can I do?", "Take Rex to the vet today, ill dogs dry out fast.", "I don't know."),
        (
            "Mi perro Rex está enfermo, ¿qué hago?",
            "Lleva a Rex al veterinario hoy, un perro enfermo se agota.",
            "No sé.",
        ),
        (
            "I start my new job in Madrid on Monday",
            "A new job in Madrid! What will you do there?",
            "a the of it to be or not",
        ),
        (
            "El lunes empiezo mi trabajo en Madrid",
            "¡Un trabajo nuevo en Madrid! ¿Qué vas a hacer allí?",
            "de la que el en y a los",
        ),
    ],
)
def test_the_learned_scorer_tells_better_from_worse_in_both_languages(said: str, better: str, worse: str) -> None:
    high, low = scored(LearnedScorer(), [(said, better), (said, worse)])["quality"]
    assert high > low + 0.2


def test_the_next_words_of_the_user_count() -> None:
    answer = ("Tell me about Lisbon", "Lisbon lies on seven hills, and its trams are yellow.")

    def first(follows: str) -> float:
        return scored(LearnedScorer(), [answer, (follows, "Good to know.")], one_session=True)["quality"][0]

    alone = scored(LearnedScorer(), [answer])["quality"][0]
    assert first("I love it, tell me more about the yellow trams please") > alone > first("what? stop it, I hate you")


def test_the_same_answer_again_is_worth_less() -> None:
    rows = scored(
        LearnedScorer(),
        [("Do you like tea?", "Tea in the garden is lovely."), ("And coffee?", "Tea in the garden is lovely.")],
        one_session=True,
    )
    assert rows["q_originality"][1] < rows["q_originality"][0]


NAMES = list(load(QUALITY)["weights"])


@given(
    st.lists(st.floats(0, 1), min_size=len(NAMES), max_size=len(NAMES)),
    st.sampled_from(NAMES),
    st.floats(0, 1),
)
def test_no_component_makes_it_worse_by_being_better(values: list[float], name: str, more: float) -> None:
    learned = load(QUALITY)
    first = dict(zip(NAMES, values, strict=True))
    second = {**first, name: min(1.0, first[name] + more)}
    rows = pl.DataFrame(
        [
            {"interaction_id": str(n), **{f"q_{k}": v for k, v in row.items()}, "_words": 5}
            for n, row in enumerate((first, second))
        ]
    ).with_columns(junk=pl.lit(None, pl.String))
    low, high = _judged(rows, learned["weights"], learned["lowest"], learned["highest"])["quality"]
    assert low <= high


@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=30)), max_size=6))
def test_any_text_gets_a_score_between_0_and_1(pairs: list[tuple[str, str]]) -> None:
    rows = scored(LearnedScorer(), pairs, one_session=True)
    assert rows.height == len(pairs)
    assert rows.select(pl.col("quality", "^q_.*$").is_between(0, 1).all()).row(0).count(False) == 0


def test_junk_has_its_reason() -> None:
    stock = "I am only a bot and cannot say more about that subject."
    pairs = [
        ("I went to the lake with my brother", "I went to the lake with my brother!"),
        (
            "What I remember:\n- (turn 142, 23 turns ago) María: my dog died in spring [sadness]\n- (turn 3, 1 day ago) I moved to Oslo",
            "Noted.",
        ),
        ("", ""),
        *[(f"Question number {word}", f"{stock} {word}.") for word in ("one", "two", "three", "four")],
        ("Where is Oslo?", "In Norway, by the fjord."),
    ]
    assert junk(frame(pairs))["junk"].to_list() == ["echo", "recalled", "empty", *["boilerplate"] * 4, None]


def test_what_the_memory_was_fed_back_is_not_learned_again() -> None:
    block = "Lo que sé:\n- family/sister: Ana\n\nLo que recuerdo:\n- (turno 5, hace 2 turnos) Ana: I live in Porto\n\nI live in Bergen."
    said = raw_of(message_rows(2)).with_columns(text=pl.lit(block), role=pl.lit("user"))
    found = RuleFacts().extract(said.with_columns(without_recalled(pl.col("text"))))
    assert set(found["value"]) == {"Bergen"}
    assert "Porto" in " ".join(RuleFacts().extract(said)["value"])
    assert pl.select(without_recalled(pl.lit("I said (turn 5) was mine"))).item() == "I said (turn 5) was mine"


def test_the_headings_are_those_of_the_context() -> None:
    used = {words[part] for words in WORDS.values() for part in ("facts", "memories", "recent")}
    assert used == set(CONTEXT_HEADINGS)


def test_the_components_of_an_empty_week() -> None:
    assert components(frame([])).is_empty()
    assert LearnedScorer().score(frame([])).is_empty()
