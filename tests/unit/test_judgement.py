"""Judgement: interactions, quality, emotion, topics, anonymization."""

import random
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from language.lexicon import ENGLISH, SPANISH, language, language_of
from plugins.anonymizers.surrogates import PatternAnonymizer
from plugins.contracts import SourceOptions
from plugins.registry import PluginRegistry
from plugins.scorers.emotion import LexiconEmotion
from plugins.scorers.topics import LexiconTopics
from plugins.sources.normalise import normalise
from resources.snapshot import tidy
from tests.conftest import MONDAY, message_rows
from transforms.anonymization import anonymize_week
from transforms.interactions import interactions, snapshot
from transforms.scoring import score_week


def pseudonym(kind: str, value: str) -> str:
    """Return a pseudonym as Keys do, with a fixed key."""
    import hmac

    return f"{kind}_{hmac.new(b'test', f'{kind}:{value}'.encode(), 'sha256').hexdigest()[:12]}"


def raw_of(rows: list[dict]) -> pl.DataFrame:
    """Return the snapshot of rows of one week, as the store would give them."""
    taken = normalise(rows, SourceOptions(), "test", "test")
    called = taken.names.select("speaker_id", speaker_name="display_name")
    frame = taken.messages.join(called, on="speaker_id").with_columns(correction=pl.lit(None, pl.String))
    flags = {name: pl.lit(value=False) for name in ("session_opt_out", "speaker_opt_out", "user_opt_out")}
    numbers = {name: pl.lit(None, pl.Float64) for name in ("quality_override", "rating", "correct")}
    return snapshot(tidy(frame.with_columns(**flags, **numbers)), pseudonym)


def test_an_answer_closes_what_was_said_since_the_last_one() -> None:
    rows = message_rows(5)
    rows[1]["role"], rows[1]["speaker_id"] = "user", "user-ana"  # two utterances of the user, then the agent, …
    rows[2].update(role="agent", speaker_id="lumi")
    found = interactions(raw_of(rows)).sort("started_at")
    assert found.select("n_messages", "persona_id").rows() == [(3, "lumi"), (1, "lumi"), (1, None)]
    assert found["input_text"][0].count("\n") == 1
    assert found["output_text"][2] == ""


def test_in_a_crowd_those_around_a_message_are_present() -> None:
    """Given a stream's chat of 500 people, no message carries all of them: a week of it would grow with their square."""
    rows = message_rows(1_000)
    for number, row in enumerate(rows):
        row.update(role="user", speaker_id=f"viewer-{number % 500:03}", user_id=None, group=True, session_id="stream")
    raw = raw_of(rows).sort("position")
    assert raw["participants"].list.len().max() == 50
    assert raw.filter(~pl.col("participants").list.contains(pl.col("speaker_id"))).is_empty()


def test_in_a_world_each_character_answers_what_the_others_said_since_its_last_line() -> None:
    rows = message_rows(6)
    for number, row in enumerate(rows):
        row.update(role="agent", speaker_id=f"c{number % 3}", user_id=None, group=True)
    found = interactions(raw_of(rows)).sort("occurred_at")
    assert found["persona_id"].to_list() == ["c0", "c1", "c2", "c0", "c1", "c2"]
    assert found["n_messages"].to_list() == [1, 2, 3, 3, 3, 3]


def test_a_log_without_agents_has_an_interaction_per_message() -> None:
    rows = [row | {"role": "user", "group": True} for row in message_rows(4)]
    assert interactions(raw_of(rows)).height == 4


def test_the_order_of_rows_does_not_matter() -> None:
    rows = message_rows(40) + message_rows(20, session="other", start=MONDAY + timedelta(hours=9))
    shuffled = rows.copy()
    random.Random(3).shuffle(shuffled)
    assert raw_of(rows).equals(raw_of(shuffled))


def test_what_was_said_before_midnight_on_monday_stays_in_its_week() -> None:
    raw = raw_of(message_rows(4))
    assert set(raw["week"]) == {"2025-01-06"}
    assert raw["interaction_id"].n_unique() == 2


@pytest.mark.parametrize(
    ("text", "emotion", "sign"),
    [
        ("I'm so happy, this is wonderful!", "joy", 1),
        ("Estoy muy triste, murió mi abuela", "sadness", -1),
        ("I'm furious, how dare they!", "anger", -1),
        ("tengo mucho miedo, me asusta", "fear", -1),
        ("qué asco, está podrido", "disgust", -1),
        ("no way, I can't believe it!", "surprise", 1),
        ("the train leaves at nine", "neutral", 0),
        ("I'm not happy", "neutral", 0),
    ],
)
def test_emotion_in_both_languages(text: str, emotion: str, sign: int) -> None:
    row = LexiconEmotion().read(pl.DataFrame({"id": ["1"], "text": [text]})).row(0, named=True)
    assert row["emotion"] == emotion
    assert (row["valence"] > 0) - (row["valence"] < 0) == sign


def test_topics_and_language() -> None:
    frame = pl.DataFrame(
        {"id": ["1", "2", "3"], "text": ["My sister adopted a dog", "Mi jefe me ha subido el sueldo", "zzz"]}
    )
    assert LexiconTopics().name_topics(frame)["topics"].to_list() == [["family", "pets"], ["work"], []]
    assert frame.select(language(pl.col("text"))).to_series().to_list() == ["en", "es", "und"]


@given(st.lists(st.sampled_from([*ENGLISH[:9], *SPANISH[:9], "Ñandú", "¿", "that's", "del", "DE"]), max_size=12))
def test_the_language_of_one_text_is_that_of_a_column(words: list[str]) -> None:
    text = " ".join(words)
    assert language_of(text) == pl.DataFrame({"text": [text]}).select(language(pl.col("text"))).item()


def test_feedback_and_override_win_over_the_scorer() -> None:
    registry = PluginRegistry()
    raw = (
        raw_of(message_rows(4))
        .sort("occurred_at")
        .with_columns(
            feedback_rating=pl.Series([None, -1.0, None, None], dtype=pl.Float64),
            quality_override=pl.Series([None, None, None, 0.9], dtype=pl.Float64),
        )
    )
    found = score_week(raw, *(registry.create(kind) for kind in ("scorer", "emotion", "topics"))).sort("started_at")
    assert found.select("quality", "quality_source").rows() == [(0.0, "feedback"), (0.9, "override")]


IDENTITIES = [
    "ana.beltran@gmail.com",
    "+34 612 345 678",
    "612345678",
    "ES9121000418450200051332",
    "4111 1111 1111 1111",
    "12345678Z",
    "123-45-6789",
    "https://example.com/ana",
    "@pixelana",
    "192.168.1.20",
    "sk-abcdefghijklmnop1234",
    "calle Mayor, 12",
]


@pytest.mark.parametrize("identity", IDENTITIES)
def test_contacts_and_numbers_leave_no_trace(identity: str) -> None:
    texts = pl.DataFrame(
        {"id": ["1"], "text": [f"Write to {identity} please, Ana"], "people": [["Ana Beltrán", "user-ana"]]}
    )
    clean = PatternAnonymizer().anonymize(texts, [], pseudonym)
    assert identity not in clean["text"][0]
    assert "Ana" not in clean["text"][0]
    assert PatternAnonymizer().residual(clean.join(texts.select("id", "people"), on="id"), [])["residual"].item() == 0
    assert PatternAnonymizer().residual(texts, [])["residual"].item() > 0


def test_the_same_person_has_one_surrogate_and_agents_keep_their_names() -> None:
    texts = pl.DataFrame(
        {
            "id": ["1", "2"],
            "text": ["José told Lumi that jose's dog ran in 2024", "my sister Greta knows JOSÉ"],
            "people": [["José"], ["José"]],
        }
    )
    clean = PatternAnonymizer().anonymize(texts, ["Lumi"], pseudonym)["text"].to_list()
    name = clean[0].split()[0]
    assert clean[0].lower().count(name.lower()) == 2
    assert clean[1].endswith(name.upper())
    assert "Lumi" in clean[0]
    assert "2024" in clean[0]
    assert "Greta" not in clean[1]


def test_anonymized_interactions_carry_keys_not_ids() -> None:
    registry = PluginRegistry()
    raw = raw_of(message_rows(6))
    week = anonymize_week(
        score_week(raw, *(registry.create(k) for k in ("scorer", "emotion", "topics"))),
        raw,
        registry.create("anonymizer"),
        pseudonym,
    )
    dumped = week.write_json()
    assert "user-ana" not in dumped
    assert "Bilbao" not in dumped
    assert week["residual"].sum() == 0


class Reading(LexiconEmotion):
    """Counts the texts it is asked to read."""

    version = "counting"
    seen = 0

    def read(self, texts: pl.DataFrame) -> pl.DataFrame:
        self.seen += texts.height
        return super().read(texts)


def test_the_emotion_of_what_says_the_same_is_not_read_again_and_the_result_is_the_same() -> None:
    registry, reading = PluginRegistry(), Reading()
    scorer, topics = registry.create("scorer"), registry.create("topics")
    raw = raw_of(message_rows(12))
    first = score_week(raw, scorer, reading, topics)
    reading.seen = 0
    assert score_week(raw, scorer, reading, topics, earlier=first).equals(first)
    assert reading.seen == 0
    # What says something else is read, three texts an interaction; so is everything when another plugin had read it.
    other = raw.with_columns(text=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("I am so happy!")).otherwise("text"))
    changed = score_week(other, scorer, reading, topics, earlier=first)
    assert 0 < reading.seen < 3 * first.height
    assert changed.equals(score_week(other, scorer, reading, topics))
    reading.seen = 0
    score_week(raw, scorer, reading, topics, earlier=score_week(raw, scorer, LexiconEmotion(), topics))
    assert reading.seen == 3 * first.height


class Counting(PatternAnonymizer):
    """Counts the texts it is asked to anonymize."""

    seen = 0

    def anonymize(self, texts: pl.DataFrame, keep, pseudonym) -> pl.DataFrame:
        self.seen += texts.height
        return super().anonymize(texts, keep, pseudonym)


def test_an_unchanged_interaction_is_not_anonymized_again_and_the_result_is_the_same() -> None:
    registry = PluginRegistry()
    judges = [registry.create(k) for k in ("scorer", "emotion", "topics")]
    rows = message_rows(12)
    raw = raw_of(rows)
    scored, counting = score_week(raw, *judges), Counting()
    first = anonymize_week(scored, raw, counting, pseudonym)
    whole = counting.seen
    again = anonymize_week(scored, raw, counting, pseudonym, earlier=first)
    assert counting.seen == whole
    assert again.equals(first)
    # What is new is made, what is gone is gone, and a name that is known now changes everything it stands in.
    fewer = scored.head(scored.height - 1)
    assert anonymize_week(fewer, raw, counting, pseudonym, earlier=first.tail(2)).equals(
        anonymize_week(fewer, raw, PatternAnonymizer(), pseudonym)
    )
    named = raw.with_columns(
        speaker_name=pl.when(pl.col("role") == "user").then(pl.lit("Bruma")).otherwise("speaker_name")
    )
    counting.seen = 0
    changed = anonymize_week(scored, named, counting, pseudonym, earlier=first)
    assert counting.seen == whole
    assert changed.equals(anonymize_week(scored, named, PatternAnonymizer(), pseudonym))
    # Another key makes other surrogates.
    counting.seen = 0
    anonymize_week(scored, raw, counting, lambda kind, value: pseudonym(kind, value + "'"), earlier=first)
    assert counting.seen == whole
