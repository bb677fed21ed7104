"""Worlds: closeness, moods, personas, and memories that agents keep from their own side or share."""

import json
import operator
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from records.errors import MemoryAssetsError, StoreError
from resources.store import InteractionStore
from serving.client import MemoryClient
from serving.personas import Worlds
from transforms.persona_template import affinity_change, load_persona

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
TEMPLATE = {
    "name": "Lumi",
    "traits": {"warmth": 0.6, "humour": 0.5},
    "levels": [
        {"name": "stranger", "from": -100, "traits": {"warmth": -0.3}},
        {"name": "friend", "from": 30, "traits": {"warmth": 0.3, "humour": 0.1}},
    ],
    "moods": {"cheerful": {"humour": 0.8}},
}


@pytest.fixture
def lumi(tmp_path: Path) -> Path:
    path = tmp_path / "lumi.json"
    path.write_text(json.dumps(TEMPLATE), encoding="utf-8")
    return path


def test_traits_follow_from_closeness_and_mood_within_bounds(lumi: Path) -> None:
    persona = load_persona(lumi)
    assert persona.compiled(0)["warmth"] == pytest.approx(0.3)
    assert persona.compiled(50, "cheerful", 1.0) == {"warmth": pytest.approx(0.9), "humour": 1.0}
    assert persona.compiled(50, "no such mood", 1.0)["humour"] == pytest.approx(0.6)
    assert (persona.level(29.9), persona.level(30)) == ("stranger", "friend")
    with pytest.raises(TypeError):
        operator.setitem(persona.traits, "warmth", 1.0)
    start = time.perf_counter()
    for _ in range(1_000):
        persona.compiled(50, "cheerful", 0.5)
    assert (time.perf_counter() - start) / 1_000 < 1e-4


def test_a_wrong_template_names_the_field(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({**TEMPLATE, "moods": {"cheerful": {"wit": 1}}}), encoding="utf-8")
    with pytest.raises(MemoryAssetsError, match=r"bad.json: wit is no trait"):
        load_persona(path)
    other = tmp_path / "worse.json"
    other.write_text("{", encoding="utf-8")
    with pytest.raises(MemoryAssetsError, match="no JSON at line 1"):
        load_persona(other)


def test_affinity_is_permanent_bounded_and_loses_nothing(store: InteractionStore) -> None:
    worlds = Worlds(store)
    assert worlds.affinity("ana", "lumi") == (0.0, "stranger")
    threads = [threading.Thread(target=worlds.add_affinity, args=("ana", "lumi", 2.0)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worlds.affinity("ana", "lumi") == (16.0, "acquaintance")
    assert worlds.add_affinity("ana", "lumi", 500) == 100
    assert worlds.add_affinity("ana", "lumi", -500) == -100
    assert worlds.affinity("ben", "lumi")[0] == 0


def test_a_mood_fades_and_a_stronger_one_takes_over(store: InteractionStore) -> None:
    worlds = Worlds(store)
    points, mood = worlds.react(
        user="ana", agent="lumi", session="s", emotion="joy", valence=0.8, arousal=0.6, disclosed=True, now=NOW
    )
    assert points == pytest.approx(affinity_change(0.8, 0.6, disclosed=True))
    assert mood == ("cheerful", 0.6)
    assert worlds.mood("s", now=NOW + timedelta(minutes=30)) == ("cheerful", 0.3)
    worlds.react(user="ana", agent="lumi", session="s", emotion="anger", valence=-0.9, arousal=0.2, now=NOW)
    assert worlds.mood("s", now=NOW) == ("cheerful", 0.6)
    worlds.react(user="ana", agent="lumi", session="s", emotion="anger", valence=-0.9, arousal=0.9, now=NOW)
    assert worlds.mood("s", now=NOW) == ("irritated", 0.9)
    assert worlds.mood("s", now=NOW + timedelta(days=1)) is None
    with pytest.raises(StoreError, match="between 0 and 1"):
        worlds.set_mood("s", "lumi", "cheerful", 2.0)


def test_a_state_stands_in_the_context(make_settings) -> None:
    client = MemoryClient(make_settings())
    client.remember("hello there, how are you?", agent="lumi", user="ana", session="s")
    client.worlds.react(user="ana", agent="lumi", session="s", emotion="joy", valence=0.8, arousal=0.6)
    assert client.context("hello", agent="lumi", user="ana", session="s").text.startswith(
        "Mood: cheerful · closeness: stranger"
    )
