"""Validity of facts: given what was said over time, this holds now and that held then."""

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.extractors.facts_rules import RuleFacts
from records.memory import Facts
from transforms.fact_validity import resolve

START = datetime(2025, 1, 6, 10, tzinfo=UTC)


def said(*texts: str, days: int = 7) -> pl.DataFrame:
    """Return the facts that the rules read in messages, a week apart."""
    frame = pl.DataFrame(
        [
            {
                "message_id": f"m{number}",
                "session_id": "s",
                "agent_id": "lumi",
                "user_id": "ana",
                "user_key": "u",
                "speaker_id": "ana",
                "speaker_name": "Ana",
                "role": "user",
                "text": text,
                "turn": number,
                "week": "2025-01-06",
                "occurred_at": START + timedelta(days=days * number),
            }
            for number, text in enumerate(texts)
        ]
    )
    return RuleFacts().extract(frame)


def status(history: pl.DataFrame, key: str) -> dict[str, str]:
    """Return value to status of a key."""
    rows = history.filter(pl.col("key") == key)
    return dict(zip(rows["value"].str.to_lowercase(), rows["status"], strict=True))


def test_a_new_city_closes_the_old_one_and_both_keep_their_quotes() -> None:
    history = resolve(said("I live in Madrid.", "I moved to Lisbon!"))
    assert status(history, "city") == {"madrid": "superseded", "lisbon": "current"}
    old = history.filter(pl.col("value") == "Madrid").row(0, named=True)
    new = history.filter(pl.col("value") == "Lisbon").row(0, named=True)
    assert old["valid_to"] == new["valid_from"]
    assert old["superseded_by"] == new["fact_id"]
    assert old["quote"] == "I live in Madrid"


def test_a_correction_unmakes_what_was_never_true() -> None:
    history = resolve(said("Mi cumpleaños es el 3 de mayo.", "No, quise decir: mi cumpleaños es el 4 de mayo."))
    old = history.filter(pl.col("value") == "3 de mayo").row(0, named=True)
    assert old["status"] == "corrected"
    assert old["valid_to"] == old["valid_from"]


def test_a_denial_ends_what_it_denies_and_nothing_else() -> None:
    history = resolve(said("Vivo en Sevilla.", "Ya no vivo en Sevilla."))
    assert history.filter(pl.col("polarity"))["status"].to_list() == ["denied"]
    other = resolve(said("I live in Madrid.", "I don't live in Rome."))
    assert other.filter(pl.col("value") == "Madrid")["status"].to_list() == ["current"]


def test_liking_ends_disliking() -> None:
    history = resolve(said("I hate broccoli.", "I love broccoli."))
    assert status(history, "dislikes") == {"broccoli": "superseded"}
    assert status(history, "likes") == {"broccoli": "current"}


def test_said_twice_in_other_words_is_one_fact() -> None:
    history = resolve(said("I'm a nurse.", "I am a nurse.", "My sister Ana is a nurse."))
    jobs = history.filter(pl.col("key") == "job")
    assert jobs.height == 1
    assert jobs["mentions"].to_list() == [2]
    assert set(history.filter(pl.col("value").str.contains("nurse"))["subject"]) == {"ana", "sister"}


def test_a_plan_is_no_event_and_a_question_states_nothing() -> None:
    history = resolve(said("I'm going to adopt a cat.", "Do I live in Paris?"))
    assert set(history["modality"]) == {"plan"}


def test_one_person_has_one_key_in_both_languages() -> None:
    history = resolve(said("mi hermana Eva es enfermera", "my sister Eva is a nurse"))
    assert "sister.name" in set(history["key"])
    assert history.filter(pl.col("key") == "sister.name").height == 1


TEXTS = st.lists(
    st.sampled_from(
        [
            "I live in Madrid.",
            "I live in Rome.",
            "I don't live in Rome.",
            "I love tea.",
            "I hate tea.",
            "I'm a nurse.",
            "Soy profesora.",
        ]
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=40, deadline=None)
@given(TEXTS, st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter_and_nothing_is_lost(texts: list[str], random) -> None:
    facts = said(*texts)
    rows = facts.to_dicts()
    random.shuffle(rows)
    shuffled = pl.DataFrame(rows, schema=Facts.polars_schema(), orient="row")
    history = resolve(facts)
    assert resolve(shuffled).equals(history)
    assert history["mentions"].sum() == facts.height
    current = history.filter((pl.col("status") == "current") & (pl.col("key") == "city") & pl.col("polarity"))
    assert current.height <= 1
    closed = history.filter(pl.col("status") != "current")
    assert closed["valid_to"].null_count() == 0
    assert (closed["valid_to"] >= closed["valid_from"]).all()
