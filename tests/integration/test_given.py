"""What was given is used: emotion, importance, place, model and metadata, feedback on a scale, corrections, exports."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from language.feelings import emotion_of
from memory_assets.tools import Tools
from records.errors import MemoryAssetsError
from records.interactions import AnonymizedInteractions, ScoredInteractions
from records.memory import Episodes
from resources.settings import Settings
from serving.capturing import on_scale
from serving.client import MemoryClient
from tests.conftest import MONDAY, weekly_run

TALK = [
    ("when do we meet at the harbour about the sails?", "On Tuesday at ten, beside the red crane with the sailmaker"),
    (
        "is the old lighthouse open to visitors in winter?",
        "It opens on Sundays, and its keeper shows the lamp upstairs",
    ),
    ("which ferry carries bicycles to the island?", "The early one from pier four takes six bicycles without a fee"),
    ("who repairs wooden rudders around here?", "Marta in the shed behind the fish market repaired ours last spring"),
    ("what did the storm do to the breakwater?", "It moved nine stones, so divers inspect the foundation next week"),
    ("how deep is the channel at low tide?", "Barely two metres near the buoys, deeper along the northern quay"),
    ("can we paint the hull before the regatta?", "If it stays dry: two coats need three days and a primer before"),
    ("where does the choir rehearse its shanties?", "In the customs house on Thursdays, everybody may come and listen"),
]


def told(client: MemoryClient) -> list[tuple[str, str]]:
    """Keep a conversation with everything that a caller may say of it; return the ids of the exchanges."""
    return [
        client.remember_exchange(
            asked,
            answered,
            agent="sage",
            user="ana",
            session="s",
            occurred_at=MONDAY + timedelta(minutes=n),
            location="the harbour",
            importance=0.95,
            metadata={"channel": "voice", "part": n},
            input_emotion="orgullosa",
            output_emotion="calm",
            model_version="llama-3.2" if n < 4 else "qwen-3",
        )
        for n, (asked, answered) in enumerate(TALK)
    ]


def test_what_was_given_reaches_every_table_and_the_answer(settings: Settings) -> None:
    client = MemoryClient(settings, embedder=False)
    told(client)
    fresh = client.recall("sails at the harbour", agent="sage").memories[0]
    assert (fresh.emotion, fresh.importance, fresh.location) == ("joy", 0.95, "the harbour")
    assert weekly_run(settings, "2025-01-06", analytics=True).success
    tools = Tools(settings)
    scored = tools.lake.read("scored_interactions", ScoredInteractions, ["2025-01-06"]).collect()
    assert set(scored["given_emotion"]) == {"orgullosa"}
    assert set(scored["emotion"]) == {"joy"}
    assert (scored["valence"] > 0.5).all()
    assert set(scored["location"]) == {"the harbour"}
    assert scored["given_importance"].to_list() == [0.95] * 8
    assert json.loads(scored.sort("position")["metadata"][3]) == {"channel": "voice", "part": 3}
    episodes = tools.lake.read("episodes", Episodes, ["2025-01-06"]).collect()
    assert set(episodes["importance"]) == {0.95}
    assert set(episodes["location"]) == {"the harbour"}
    answer = MemoryClient(settings, embedder=False).recall(
        "how deep is the channel?", agent="sage", kinds=("message",), k=20
    )
    shown = next(m for m in answer.memories if m.text.startswith("Barely two metres"))
    assert (shown.model_version, shown.given_emotion, shown.metadata["part"]) == ("qwen-3", "calm", 5)
    with duckdb.connect(str(settings.warehouse_path), read_only=True) as connection:
        rows = connection.execute("SELECT model_version, sum(interactions) FROM quality_by_model GROUP BY 1 ORDER BY 1")
        assert rows.fetchall() == [("llama-3.2", 4), ("qwen-3", 4)]


@pytest.mark.parametrize(
    ("label", "emotion"),
    [
        ("Joy", "joy"),
        ("FURIOSA", "anger"),
        ("melancholic", "sadness"),
        ("Ansiedad", "fear"),
        ("tsundere", None),
        (None, None),
    ],
)
def test_any_label_is_one_of_the_seven_or_stays_what_it_is(label: str | None, emotion: str | None) -> None:
    assert emotion_of(label) == emotion


def test_feedback_has_a_scale_that_is_checked(settings: Settings) -> None:
    client = MemoryClient(settings, embedder=False)
    _, answer = told(client)[0]
    assert on_scale(1, (1, 5)) == -1.0
    assert on_scale(4, (1, 5)) == 0.5
    assert on_scale(1, (0, 1)) == 1.0
    assert on_scale(1, (5, 1)) == 1.0
    client.feedback(answer, rating=1, scale=(1, 5))
    assert client.store.rows("feedback")[0]["rating"] == -1.0
    for wrong in ({"rating": 5}, {"rating": 6, "scale": (1, 5)}, {"rating": 1, "scale": (2, 2)}, {"quality": 1.5}):
        with pytest.raises(MemoryAssetsError, match="between|the same"):
            client.feedback(answer, **wrong)


def test_a_correction_is_the_preferred_answer_and_a_pair(settings: Settings, tmp_path: Path) -> None:
    from plugins.registry import PluginRegistry

    client = MemoryClient(settings, embedder=False)
    exchanges = told(client)
    question, answer = exchanges[2]
    client.feedback(
        answer,
        rating=-1,
        correction="Ask ana.lopez@example.com: the ferry of nine takes them, Wednesday in the library they tell more",
    )
    with pytest.raises(MemoryAssetsError, match="only an agent's answer"):
        client.feedback(question, correction="what I meant")
    assert weekly_run(settings, "2025-01-06").success
    tools = Tools(settings)
    anonymized = tools.lake.read("anonymized_interactions", AnonymizedInteractions, ["2025-01-06"])
    corrected = anonymized.filter(pl.col("correction").is_not_null()).collect()
    assert corrected.height == 1
    assert "ana.lopez" not in corrected["correction"][0]
    from memory_assets.assets.datasets import learnable

    _, samples, _ = learnable(tools, anonymized, "sage")
    mine = samples.filter(pl.col("rejected").is_not_null())
    assert mine.height == 1
    assert "Wednesday in the library" in json.loads(mine["messages"][0])[-1]["content"]
    lines = [json.loads(line) for line in PluginRegistry().create("exporter", name="preference").lines(samples)]
    assert len(lines) == 1
    assert "Wednesday" in lines[0]["chosen"][0]["content"]
    assert "pier four" in lines[0]["rejected"][0]["content"]


def test_exports_are_known_to_trace_and_erasure(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from cli import app

    monkeypatch.setenv("MEMORY_HOME", str(settings.home))
    monkeypatch.setenv("MEMORY_PLUGINS__ANONYMIZER__USE", "patterns")
    client = MemoryClient(settings, embedder=False)
    (_, answer), *_ = told(client)
    assert weekly_run(settings, "2025-01-06").success
    file, moved = tmp_path / "out.jsonl", tmp_path / "moved.jsonl"
    for target in (file, moved):
        arguments = [
            "export",
            str(target),
            "--agent",
            "SAGE",
            "--split",
            "all",
            "--min-quality",
            "0",
            "--week",
            "2025-01-06",
        ]
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
    moved.rename(tmp_path / "elsewhere.jsonl")
    assert len(client.trace(answer).exports) == 2
    done = client.forget(user="ana")
    assert not file.exists()
    assert any(str(moved) in pending for pending in done.pending)
    assert not client.store.rows("exports")
    assert not list((settings.home / "exports").glob("*.parquet"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layer", "episodic"], "--week"),
        (["--layer", "skill"], "--skill"),
        (["--layer", "soul"], "personality, episodic or skill"),
        (["--week", "2025-01-07"], "Monday"),
    ],
)
def test_wrong_exports_are_one_sentence(
    make_settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    message: str,
) -> None:
    from typer.testing import CliRunner

    from cli import app

    monkeypatch.setenv("MEMORY_HOME", str(make_settings().home))
    done = CliRunner().invoke(app, ["export", str(tmp_path / "x"), "--agent", "sage", *arguments])
    assert done.exit_code != 0
    assert message in str(done.exception)
