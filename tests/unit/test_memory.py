"""Memory: given these messages, these facts and episodes are remembered."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest

from plugins.extractors.consolidator import SimilarConsolidator
from plugins.extractors.episodes_rules import RuleEpisodes
from plugins.extractors.facts_rules import RuleFacts
from plugins.registry import PluginRegistry
from records.memory import Episodes
from tests.conftest import MONDAY, message_rows
from tests.unit.test_judgement import raw_of
from transforms.scoring import score_week


def facts_of(*texts: str) -> pl.DataFrame:
    return RuleFacts().extract(
        raw_of([row | {"text": text} for row, text in zip(message_rows(2 * len(texts))[::2], texts, strict=True)])
    )


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("Hi, my name is Ana Beltrán", "name", "Ana Beltrán"),
        ("Me llamo Pau", "name", "Pau"),
        ("I moved to Bilbao last week", "city", "Bilbao"),
        ("Ahora vivo en Santutxu con Nerea", "city", "Santutxu"),
        ("I'm from Leeds", "origin", "Leeds"),
        ("Tengo 24 años", "age", "24"),
        ("I'm a software engineer", "job", "software engineer"),
        ("soy profesora de música", "job", "profesora de música"),
        ("My sister Greta called", "sister.name", "Greta"),
        ("mi hermano Jorge viene", "brother.name", "Jorge"),
        ("my sister Ana is a nurse", "sister.job", "nurse"),
        ("my dog Toby is sick", "dog.name", "Toby"),
        ("mi gata se llama Luna", "cat.name", "Luna"),
        ("I really like hiking, you know", "likes", "hiking"),
        ("me encanta el pan de masa madre", "likes", "el pan de masa madre"),
        ("I can't stand loud music.", "dislikes", "loud music"),
        ("no soporto el café frío", "dislikes", "el café frío"),
        ("I'm allergic to walnuts", "allergy", "walnuts"),
        ("My favourite game is Celeste", "favourite.game", "Celeste"),
        ("I'm going to run a marathon in May", "plan", "run a marathon in May"),
        ("me han despedido", "lost_job", "me han despedido"),
    ],
)
def test_what_people_say_of_themselves_is_a_fact_with_its_quote(text: str, key: str, value: str) -> None:
    found = facts_of(text).filter(pl.col("key") == key)
    assert found["value"].to_list() == [value]
    assert found["quote"][0] in text
    assert found["polarity"][0]


@pytest.mark.parametrize(
    "text",
    ["If I live in Paris one day", "ojalá vivo en Roma", "She moved to Paris", "I like it", "ok", "What do you like?"],
)
def test_what_is_not_stated_is_no_fact(text: str) -> None:
    assert facts_of(text).is_empty()


def test_a_denial_is_kept_as_one() -> None:
    assert facts_of("ya no trabajo en la pizzería").select("key", "polarity").rows() == [("employer", False)]


def test_facts_of_pieces_are_the_facts_of_the_whole() -> None:
    raw = raw_of(
        [row | {"text": f"{row['text']}. My sister Greta is a nurse and I like tea"} for row in message_rows(20)]
    )
    whole = RuleFacts().extract(raw)
    cuts = [0, 3, 9, 20]
    pieces = pl.concat([RuleFacts().extract(raw[a:b]) for a, b in pairwise(cuts)])
    assert whole.equals(pieces.unique("fact_id").sort("fact_id"))
    assert RuleFacts().extract(pl.concat([raw, raw])).equals(whole)


def test_a_moving_session_is_an_episode_and_small_talk_is_none() -> None:
    registry = PluginRegistry()
    moving = [
        "My grandmother passed away and I cried all night, I'm so sad",
        "I'm so sorry, that is heartbreaking",
        "I decided to tell you, I never told anybody, I feel so alone",
        "Thank you for trusting me with it",
    ]
    small = ["the bus was late", "was it", "yes", "ok"]
    rows = [row | {"text": text} for row, text in zip(message_rows(4), moving, strict=True)]
    rows += [
        row | {"text": text}
        for row, text in zip(message_rows(4, session="small", start=MONDAY + timedelta(hours=5)), small, strict=True)
    ]
    scored = score_week(raw_of(rows), *(registry.create(kind) for kind in ("scorer", "emotion", "topics")))
    found = RuleEpisodes().extract(scored)
    assert found["session_id"].to_list() == ["lumi-user-ana"]
    episode = found.row(0, named=True)
    assert episode["dominant_emotion"] == "sadness"
    assert len(episode["source_message_ids"]) == 4
    assert episode["event"] in "\n".join(moving)
    assert episode["participants"] == ["lumi", "user-ana"]


def episodes(importances: list[float], *, tag: str = "garden") -> pl.DataFrame:
    start = datetime(2025, 1, 6, tzinfo=UTC)
    rows = [
        {
            "episode_id": f"e_{tag}_{n}",
            "agent_id": "a",
            "user_id": "u",
            "user_key": "k",
            "session_id": f"s{n}",
            "week": "2025-01-06",
            "started_at": start + timedelta(hours=n),
            "ended_at": start + timedelta(hours=n, minutes=5),
            "turn_first": n,
            "turn_last": n + 1,
            "type": "conversation",
            "title": f"t{n}",
            "event": f"e{n}",
            "summary": "s",
            "participants": ["a", "u"],
            "location": None,
            "importance": importance,
            "arousal": 0.2,
            "valence": 0.1,
            "dominant_emotion": "neutral",
            "keywords": ["k"],
            "tags": [tag],
            "source_message_ids": [f"m{n}"],
            "extracted_by": "x",
        }
        for n, importance in enumerate(importances)
    ]
    return pl.DataFrame(rows, schema=Episodes.polars_schema(), orient="row")


def test_similar_unimportant_episodes_become_one_and_critical_ones_never_do() -> None:
    frame = pl.concat([episodes([0.2, 0.3, 0.4, 0.9]), episodes([0.2, 0.2], tag="work")])
    today = frame["ended_at"].max()
    merged = SimilarConsolidator().consolidate(frame, today)
    one = merged.filter(pl.col("is_consolidated")).row(0, named=True)
    assert one["consolidated_from"] == ["e_garden_0", "e_garden_1", "e_garden_2"]
    assert (one["turn_first"], one["turn_last"]) == (0, 3)
    assert "e_garden_3" in merged["episode_id"].to_list()
    assert merged.height == 4
    assert merged.equals(SimilarConsolidator().consolidate(frame.reverse(), today))
    standing = merged.filter(~pl.col("is_consolidated"))["episode_id"].to_list() + one["consolidated_from"]
    assert sorted(standing) == sorted(frame["episode_id"])


def test_old_merged_unimportant_ones_are_left_out() -> None:
    frame = episodes([0.1, 0.1, 0.1])
    later = frame["ended_at"].max() + timedelta(days=91)
    assert SimilarConsolidator().consolidate(frame, later).is_empty()
