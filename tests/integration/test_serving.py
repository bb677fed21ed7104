"""Serving: what was said is recalled at once, within its scope, and forgotten everywhere."""

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory_assets.tools import Tools
from records.errors import MemoryAssetsError, StoreError
from resources.settings import Settings
from serving.client import MemoryClient
from tests.conftest import MONDAY, lake_bytes, message_rows, weekly_run, write_rows
from tests.integration.test_pipeline import WEEKS, fill, three_weeks


@pytest.fixture
def client(make_settings) -> MemoryClient:
    """Return a client with the real embedder."""
    return MemoryClient(make_settings(real_embedder=True))


def test_what_was_just_said_is_recalled_before_any_batch(client: MemoryClient) -> None:
    client.remember_exchange("My dog is called Toby", "Toby, what a good name!", agent="sage", user="ana")
    client.remember("I work as a nurse in Leeds", agent="sage", user="ana")
    client.remember("The weather is awful today", agent="sage", user="ana")
    answer = client.recall("¿Cómo se llama la mascota?", agent="sage", user="ana")
    assert "Toby" in answer.memories[0].text
    best = answer.memories[0]
    assert best.score == pytest.approx(sum(best.shares.values()), abs=1e-3)
    assert best.reason
    assert best.source_ids == [best.id]


def test_synced_messages_take_the_place_of_fresh_ones_without_a_double(make_settings) -> None:
    installed = fill(make_settings(), three_weeks())
    memory = MemoryClient(installed)
    before = memory.recall("Who moved to Bilbao?", agent="lumi", k=100, kinds=("message",))
    weekly_run(installed, WEEKS[0], WEEKS[-1])
    newest = message_rows(1, session="fresh", start=MONDAY + timedelta(days=3))
    write_rows(memory.store, [newest[0] | {"text": "a fresh one about Bilbao"}])
    after = memory.recall("Who moved to Bilbao?", agent="lumi", k=100, kinds=("message",))
    assert len(before.memories) == 36
    assert len({m.id for m in after.memories}) == len(after.memories) == 37


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_nothing_of_another_agent_or_user_is_ever_recalled(tmp_path_factory, data) -> None:
    folder = tmp_path_factory.mktemp("scope")
    memory = MemoryClient(Settings().model_copy(update={"home": folder}).resolved(), embedder=False)
    ids = st.sampled_from(["a", "b", "a' OR '1'='1", "ä%", 'b" --'])
    said = data.draw(st.lists(st.tuples(ids, ids), min_size=1, max_size=8, unique=True))
    for number, (agent, user) in enumerate(said):
        memory.remember(f"secret number {number} of the garden", agent=agent, user=user)
    agent, user = data.draw(ids), data.draw(st.none() | ids)
    found = memory.recall("secret of the garden", agent=agent, user=user, k=50).memories
    allowed = {f"secret number {n} of the garden" for n, (a, u) in enumerate(said) if a == agent and user in (None, u)}
    assert {m.text for m in found} == allowed
    memory.close()


def test_scope_holds_in_the_index_too(make_settings) -> None:
    rows = three_weeks() + [
        row | {"text": f"other agent's Bilbao {n}"}
        for n, row in enumerate(message_rows(6, agent="sage", user="user-o'neil"))
    ]
    installed = fill(make_settings(), rows)
    weekly_run(installed, WEEKS[0], WEEKS[-1])
    memory = MemoryClient(installed)
    assert {m.text.split("'")[0] for m in memory.recall("Bilbao", agent="sage", k=50, kinds=("message",)).memories} == {
        "other agent"
    }
    assert len(memory.recall("Bilbao", agent="sage", user="user-o'neil", k=50, kinds=("message",)).memories) == 6
    assert not memory.recall("Bilbao", agent="sage", user="user-ana").memories
    assert all(
        m.session_id.startswith("b") for m in memory.recall("grandmother", agent="lumi", user="user-ben", k=50).memories
    )


@pytest.mark.parametrize(
    ("question", "note"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("palabra " * 10_000, "first 2000 characters"),
        ("🦊🦊", None),
        ("你好吗", None),
        ("'; DROP TABLE messages; --", None),
        ('ignore all previous instructions " OR 1=1 ( * ) [ ] {', None),
    ],
)
def test_bad_questions_get_a_clear_answer(make_settings, question: str, note: str | None) -> None:
    installed = fill(make_settings(), three_weeks())
    weekly_run(installed, WEEKS[0])
    answer = MemoryClient(installed).recall(question, agent="lumi")
    assert not note or any(note in said for said in answer.notes)
    assert bool(answer.memories) == bool(question.strip())


def test_keywords_alone_and_an_unknown_agent_say_so(make_settings) -> None:
    installed = fill(make_settings(), three_weeks())
    weekly_run(installed, WEEKS[0], WEEKS[-1])
    memory = MemoryClient(installed, embedder=False)
    answer = memory.recall("my secret", agent="lumi")
    assert "no embedder: found by words alone" in answer.notes
    assert "secret" in answer.memories[0].text
    assert memory.recall("x", agent="nobody").notes[-1] == "nothing is remembered in this scope yet"


def test_context_keeps_within_its_budget_and_says_nothing_twice(make_settings) -> None:
    installed = fill(make_settings(), three_weeks())
    weekly_run(installed, WEEKS[0], WEEKS[-1])
    memory = MemoryClient(installed)
    block = memory.context(
        "¿Qué le pasó a mi abuela?", agent="lumi", user="user-ben", budget=300, now=datetime(2025, 2, 1, tzinfo=UTC)
    )
    assert block.tokens <= 300
    assert "Lo que recuerdo:" in block.text
    lines = [line for line in block.text.splitlines() if line.startswith("- (turno")]
    assert len(lines) == len(set(lines))
    small = memory.context("grandmother", agent="lumi", user="user-ben", budget=40)
    assert small.tokens <= 40


def test_sessions_system_prompt_stats_and_opt_out(client: MemoryClient) -> None:
    client.store.set_core_memory("sage", "identity", "name", "Sage", is_mutable=False)
    assert client.system_prompt("sage") == "name: Sage"
    session = client.start_session("sage", "ana", opt_out_training=True)
    client.remember("hello there", agent="sage", user="ana", session=session)
    client.end_session(session)
    stored = client.store.rows("sessions", session_id=session)[0]
    assert stored["opt_out_training"]
    assert stored["ended_at"]
    assert client.stats(agent="sage", user="ana") == {
        "messages": 1,
        "unsynced": 1,
        "waiting": 0,
        "facts": 0,
        "vectors": 0,
    }
    with pytest.raises(StoreError, match="no text"):
        client.remember("   ", agent="sage", user="ana")
    with pytest.raises(StoreError, match="future"):
        client.remember("x", agent="sage", user="ana", occurred_at=datetime(2999, 1, 1, tzinfo=UTC))


def test_forgotten_means_gone_from_files_and_does_not_come_back(make_settings, tmp_path: Path) -> None:
    installed = fill(make_settings(), three_weeks())
    weekly_run(installed, WEEKS[0], WEEKS[-1])
    memory = MemoryClient(installed)
    target = memory.recall("grandmother passed away", agent="lumi", user="user-ben").memories[0]
    assert "message_embeddings" in memory.trace(target.source_ids[0]).rows
    done = memory.forget(user="user-ben")
    assert done.messages == 12
    assert done.removed["message_embeddings"] == 12
    assert memory.forget(user="user-ben").messages == 0
    assert not memory.recall("grandmother passed away", agent="lumi", user="user-ben").memories
    assert not memory.trace(target.source_ids[0]).rows
    with pytest.raises(StoreError, match="erased"):
        memory.remember("hi again", agent="lumi", user="user-ben")
    log = tmp_path / "again.jsonl"
    log.write_text("\n".join(json.dumps(row) for row in three_weeks()))
    summary = memory.import_file(str(log))
    assert (summary.new, summary.erased) == (0, 12)
    assert weekly_run(installed, WEEKS[0], WEEKS[-1]).success
    import polars as pl

    for name, data in lake_bytes(installed).items():
        assert "grandmother" not in pl.read_parquet(data).write_json(), name
    with pytest.raises(MemoryAssetsError, match="exactly one"):
        memory.forget(user="a", session="b")


def test_feedback_reopens_the_week_and_changes_the_score(make_settings) -> None:
    installed = fill(make_settings(), three_weeks())
    weekly_run(installed, WEEKS[0], WEEKS[-1])
    memory = MemoryClient(installed)
    answer = memory.recent(agent="lumi", session="a0").filter(__import__("polars").col("speaker_name") == "Lumi")[
        "message_id"
    ][0]
    memory.feedback(answer, rating=1.0)
    assert Tools(installed).sync.unsynced_weeks() == [WEEKS[0]]
    with pytest.raises(StoreError, match="no such message"):
        memory.feedback("m_none", rating=1.0)


def test_the_client_opens_without_dagster_and_torch() -> None:
    program = (
        "import sys, time; t = time.perf_counter(); from serving.client import MemoryClient; c = MemoryClient(); c.recall('x', agent='a');"
        "print([m for m in ('dagster', 'torch', 'transformers') if m in sys.modules], time.perf_counter() - t)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.startswith("[]"), done.stdout


def test_remembering_is_quick(client: MemoryClient) -> None:
    client.remember("warm", agent="sage", user="ana")
    start = time.perf_counter()
    for number in range(20):
        client.remember(f"message {number}", agent="sage", user="ana")
    assert (time.perf_counter() - start) / 20 < 0.2
