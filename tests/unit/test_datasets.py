"""Datasets: what enters, how often, in which pieces."""

import json
from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from records.interactions import AnonymizedInteractions
from transforms.samples import PER_MESSAGE, Limits, balanced, build_samples, without_duplicates

START = datetime(2025, 9, 1, tzinfo=UTC)
WORDS = [
    "sun",
    "moon",
    "tide",
    "lamp",
    "boat",
    "rope",
    "salt",
    "wind",
    "star",
    "rain",
    "fog",
    "pier",
    "gull",
    "net",
    "oar",
    "buoy",
    "keel",
    "mast",
]


def count(texts) -> list[int]:
    """Return the words of each text: a tokenizer that can be followed by eye."""
    return [len(text.split()) for text in texts]


def said(number: int, text: str | None = None, **changes: object) -> dict[str, object]:
    """Return one anonymized interaction; its words depend on its number."""
    words = [WORDS[(number * step + step) % len(WORDS)] for step in range(1, 9)]
    row = {
        "interaction_id": f"i{number:04d}",
        "session_key": f"session_{number // 4}",
        "agent_id": "lumi",
        "user_key": f"user_{number // 4 % 5}",
        "persona_id": "lumi",
        "week": "2025-09-01",
        "started_at": START + timedelta(minutes=number),
        "occurred_at": START + timedelta(minutes=number),
        "position": number,
        "turn_first": number,
        "input_text": f"question {number} about {' '.join(words[:4])}",
        "output_text": text or f"answer {number} {' '.join(words[4:])}.",
        "n_messages": 2,
        "source_message_ids": [f"m{number}a", f"m{number}b"],
        "opt_out": False,
        "language": "en",
        "quality": 0.5 + number % 7 / 20,
        "junk": None,
        "emotion": "neutral",
        "arousal": 0.1,
        "valence": 0.0,
        "topics": ["sea"] if number % 2 else ["home"],
        "model_version": None,
        "correction": None,
        "n_replaced": 0,
        "residual": 0,
        "anonymized_by": "test",
        "made_from": None,
    }
    return {**row, **changes}


def frame(*rows: dict[str, object]) -> pl.DataFrame:
    """Return the interactions as the lake holds them."""
    return AnonymizedInteractions.shaped(
        pl.DataFrame(list(rows), schema=AnonymizedInteractions.polars_schema(), orient="row")
    )


def made(interactions: pl.DataFrame, system: str = "", **limits: object):
    """Return the samples of the persona lumi; everybody may be as loud as they are."""
    given_ = {"max_user_share": 1.0, "max_topic_share": 1.0, "near_duplicates": 1.0, **limits}
    return build_samples(interactions, "lumi", system, Limits(**given_), count)


def talks(samples: pl.DataFrame) -> list[list[dict[str, str]]]:
    """Return the samples' messages."""
    return [json.loads(text) for text in samples["messages"]]


def test_a_sample_is_an_answer_with_what_was_said_before_it() -> None:
    found = made(frame(*(said(n) for n in range(4))), system="name: Lumi").samples
    longest = max(talks(found), key=len)
    assert [message["role"] for message in longest] == ["system", *["user", "assistant"] * 3]
    assert longest[0]["content"] == "name: Lumi"
    assert longest[-1]["content"].startswith("answer 3")
    assert found.height == 4
    row = found.filter(pl.col("interaction_ids").list.last() == "i0003").row(0, named=True)
    assert row["interaction_ids"] == ["i0001", "i0002", "i0003"]
    assert row["source_message_ids"] == ["m1a", "m1b", "m2a", "m2b", "m3a", "m3b"]
    assert row["n_tokens"] == sum(len(m["content"].split()) + PER_MESSAGE for m in longest)


def test_text_that_json_must_escape_comes_back_as_it_was() -> None:
    text = 'She said "¡qué\tbien!"\n\\o/ 🌊   </end>'
    found = made(frame(said(0, text))).samples
    assert talks(found)[0][-1]["content"] == text


def test_what_may_not_be_learned_is_neither_answer_nor_context() -> None:
    rows = [said(0, opt_out=True), said(1, residual=1), said(2, junk="echo"), said(3, quality=0.1), said(4)]
    built = made(frame(*[{**row, "session_key": "session_0"} for row in rows]))
    assert built.samples["interaction_ids"].to_list() == [["i0004"]]
    assert built.left_out["not_to_be_learned"] == 4
    assert len(talks(built.samples)[0]) == 2


def test_history_is_taken_as_far_as_it_fits_and_an_answer_that_is_too_long_is_split_at_its_sentences() -> None:
    short = made(frame(said(0), said(1), said(2)), longest=40).samples
    assert sorted(len(ids) for ids in short["interaction_ids"]) == [1, 1, 1]
    assert short["n_tokens"].max() <= 40
    long = " ".join(f"Sentence {n} tells of {WORDS[n % len(WORDS)]}." for n in range(30))
    built = made(frame(said(0, long)), longest=60)
    parts = [
        talk[-1]["content"] for talk in sorted(talks(built.samples), key=lambda t: int(t[-1]["content"].split()[1]))
    ]
    assert len(parts) > 2
    assert " ".join(parts) == long
    assert built.samples["n_tokens"].max() <= 60
    assert built.samples["sample_id"].n_unique() == built.samples.height
    one = " ".join(f"word{n}" for n in range(200))
    parts = [talk[-1]["content"] for talk in talks(made(frame(said(0, one)), longest=60).samples)]
    assert sorted(word for part in parts for word in part.split()) == sorted(one.split())


def test_of_a_long_input_the_end_stays() -> None:
    pasted = " ".join(f"Line {n} of a pasted page." for n in range(40)) + " What do you say?"
    found = made(frame(said(0, "I say yes.", input_text=pasted)), longest=60).samples
    assert talks(found)[0][-2]["content"].endswith("What do you say?")
    assert found["n_tokens"].max() <= 60


def test_nearly_the_same_exchange_counts_once_and_the_better_one_stays() -> None:
    base = (
        "the harbour was quiet and the lamp burned all night over the water while we waited for the boat to come home"
    )
    rows = [
        said(0, base, input_text="tell me of the night", quality=0.6),
        said(1, base + " again", input_text="tell me of the night", quality=0.9),
        said(2, "A wholly different story of salt and wind.", input_text="tell me of the day", quality=0.5),
    ]
    kept = without_duplicates(frame(*rows), 0.8)
    assert kept["interaction_id"].to_list() == ["i0001", "i0002"]
    assert without_duplicates(frame(*rows), 1.0).height == 3
    again = frame(*rows, said(3, base.upper(), input_text="Tell me of the night", quality=0.55))
    assert without_duplicates(again, 1.0).height == 3


def test_one_loud_user_does_not_become_the_persona() -> None:
    rows = [said(n, user_key="loud" if n < 80 else f"user_{n % 4}") for n in range(100)]
    even = balanced(frame(*rows), "user_key", 0.5)
    counts = dict(even.group_by("user_key").len().iter_rows())
    assert counts["loud"] == 20
    assert sum(counts.values()) == 40
    best = set(even.filter(pl.col("user_key") == "loud")["quality"])
    assert min(best) >= max(r["quality"] for r in rows[:80]) - 0.1
    two = balanced(frame(*(said(n, user_key="a" if n < 90 else "b") for n in range(100))), "user_key", 0.5)
    assert dict(two.group_by("user_key").len().iter_rows()) == {"a": 30, "b": 10}
    nobody = frame(*(said(n, user_key=None) for n in range(10)))
    assert balanced(nobody, "user_key", 0.1).height == 10


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.floats(0.1, 1.0))
def test_no_group_has_more_than_its_share(sizes: list[int], share: float) -> None:
    rows = [said(n, user_key=f"u{group}") for group, size in enumerate(sizes) for n in range(size)]
    rows = [{**row, "interaction_id": f"i{place}"} for place, row in enumerate(rows)]
    even = balanced(frame(*rows), "user_key", share)
    counts = even.group_by("user_key").len()["len"]
    most = max(share, 1.5 / len(sizes))
    assert len(counts) == len(sizes)
    assert counts.max() <= max(1, most * even.height + 1e-9)


def test_the_split_is_by_session_and_the_same_whatever_else_is_there() -> None:
    few = made(frame(*(said(n) for n in range(40))), eval_share=0.3).samples
    many = made(frame(*(said(n) for n in range(200))), eval_share=0.3).samples
    split = dict(many.select("sample_id", "split").iter_rows())
    assert {key: split[key] for key in few["sample_id"]} == dict(few.select("sample_id", "split").iter_rows())
    assert few.group_by("session_key").agg(pl.col("split").n_unique())["split"].max() == 1
    assert set(few["split"]) == {"train", "eval"}


def test_a_skill_takes_what_is_chosen_and_keeps_the_rest_as_context() -> None:
    rows = frame(*(said(n) for n in range(8)))
    chosen = pl.col("topics").list.contains("sea")
    built = build_samples(
        rows, "lumi", "", Limits(max_user_share=1, max_topic_share=1, near_duplicates=1), count, chosen
    )
    assert sorted(ids[-1] for ids in built.samples["interaction_ids"]) == ["i0001", "i0003", "i0005", "i0007"]
    assert built.left_out["not_chosen"] == 4
    assert max(len(ids) for ids in built.samples["interaction_ids"]) == 3
