"""Orchestration: the code location is light, the sensor asks once, what arrives during a run is synced by the next one."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from dagster._core.storage.dagster_run import DagsterRunStatus

from memory_assets import sensors
from memory_assets.code_location import build_defs
from memory_assets.sensors import MAX_ATTEMPTS, evaluate
from memory_assets.tools import Tools
from resources.settings import Settings
from resources.sync import SyncState
from tests.conftest import MONDAY, message_rows, weekly_run, write_rows
from tests.integration.test_pipeline import WEEKS, fill, three_weeks

ROOT = Path(__file__).parents[2]


def test_the_code_location_imports_nothing_heavy() -> None:
    line = subprocess.run(
        [sys.executable, "-m", "benchmarks.startup", "--repeat", "3"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(line.stdout)
    assert found["heavy_modules"] == []
    assert found["ratio"] < 2.5, found  # the benchmark's bound is 2; a loaded machine measures a little more


def test_the_graph_is_as_drawn() -> None:
    defs = build_defs()
    graph = defs.resolve_asset_graph()
    parents = {
        key.to_user_string(): {p.to_user_string() for p in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    assert parents["scored_interactions"] == {"raw_interactions"}
    assert "scored_interactions" in parents["anonymized_interactions"]
    assert parents["consolidated_episodes"] == {"episodes"}
    assert parents["personality_dataset"] == {"anonymized_interactions"}
    assert parents["personality_adapter"] == {"personality_dataset"}
    assert {"episodic_dataset", "personality_adapter"} == parents["episodic_adapter"]
    assert {"adapter_evaluation"} == parents["deployed_adapter"]
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.group_name != "default", key
        assert node.kinds, key
        assert node.owners, key
    weekly = graph.get(dg.AssetKey("raw_interactions")).partitions_def
    assert weekly.get_partition_keys()[0] == "2020-01-06"


def test_the_sensor_says_how_many_are_missing_and_asks_for_one_run_per_week(settings: Settings) -> None:
    tools = Tools(settings)
    write_rows(tools.store, message_rows(17))
    with dg.DagsterInstance.ephemeral() as instance:
        said = evaluate(instance, tools)
        assert isinstance(said, dg.SkipReason)
        assert said.skip_message == "17 of 25 unsynced"
        write_rows(tools.store, message_rows(10, start=MONDAY + timedelta(weeks=1), session="later"))
        asked = evaluate(instance, tools)
        assert isinstance(asked, dg.SensorResult)
        requests = asked.run_requests or []
        assert [(r.partition_key, r.run_key) for r in requests] == [
            ("2025-01-06", "2025-01-06:17:0"),
            ("2025-01-13", "2025-01-13:27:0"),
        ]


def test_a_failed_sync_is_tried_again_a_bounded_number_of_times_and_a_running_one_is_left_alone(
    settings: Settings,
) -> None:
    tools = Tools(settings)
    write_rows(tools.store, message_rows(25))
    with dg.DagsterInstance.ephemeral() as instance:
        for attempt in range(MAX_ATTEMPTS):
            asked = evaluate(instance, tools)
            assert isinstance(asked, dg.SensorResult)
            request = (asked.run_requests or [])[0]
            assert request.run_key == f"2025-01-06:25:{attempt}"
            run = instance.create_run_for_job(
                build_defs(settings).resolve_job_def("sync"), tags={**request.tags, "memory/job": "sync"}
            )
            assert isinstance(evaluate(instance, tools), dg.SkipReason)
            instance.report_run_failed(run)
        said = evaluate(instance, tools)
        assert isinstance(said, dg.SkipReason)
        assert "waiting for a new message" in str(said.skip_message)
        write_rows(tools.store, message_rows(1, session="new"))
        asked = evaluate(instance, tools)
        assert isinstance(asked, dg.SensorResult)


def test_messages_that_arrive_while_a_sync_runs_are_synced_by_the_next_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(settings, message_rows(30))
    tools = Tools(settings)
    from plugins.extractors import facts_rules

    inner = facts_rules.RuleFacts.extract

    def slow(self, messages):
        write_rows(Tools(settings).store, message_rows(5, session="meanwhile"))
        return inner(self, messages)

    monkeypatch.setattr(facts_rules.RuleFacts, "extract", slow)
    assert weekly_run(settings, WEEKS[0]).success
    assert tools.sync.unsynced() == 5
    assert weekly_run(settings, WEEKS[0]).success
    assert tools.sync.unsynced() == 0
    assert tools.vectors.count("message_embeddings") == 35


def during_the_facts(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something happen once while facts are extracted: the snapshot is read by then, and nothing is marked."""
    from plugins.extractors import facts_rules

    inner, happened = facts_rules.RuleFacts.extract, []

    def slow(self, messages):
        if not happened:
            happened.append(happens())
        return inner(self, messages)

    monkeypatch.setattr(facts_rules.RuleFacts, "extract", slow)


@pytest.mark.parametrize("store", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_what_changes_while_a_sync_runs_is_taken_in_by_the_next_one(
    make_settings, store: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = {} if store == "sqlite" else {"store_url": request.getfixturevalue("postgres_url")}
    settings = make_settings(**url)
    rows = [row | {"source_ref": f"id-{n}", "is_id": True} for n, row in enumerate(message_rows(30))]
    fill(settings, rows)
    tools = Tools(settings)
    rated = tools.store.rows("messages", source_ref="id-11")[0]["message_id"]
    plainly = SyncState.mark_unchanged

    def change() -> None:
        later = {"text": "Wait, I meant the other bridge", "edited_at": (MONDAY + timedelta(days=1)).isoformat()}
        write_rows(Tools(settings).store, [rows[4] | later])

    def rated_while_it_looks(self, weeks, still):
        """On SQLite after the first look; on PostgreSQL before it, as whoever rates a row that is locked waits."""
        rating = [lambda: Tools(settings).store.add_feedback(rated, rating=-1.0)]

        def look(week: str):
            same = still(week)
            if store == "sqlite" and rating:
                rating.pop()()
            return same

        if store == "postgresql":
            rating.pop()()
        return plainly(self, weeks, look)

    monkeypatch.setattr(SyncState, "mark_unchanged", rated_while_it_looks)
    during_the_facts(monkeypatch, change)
    assert weekly_run(settings, WEEKS[0]).success
    monkeypatch.undo()
    assert {row["source_ref"] for row in tools.store.rows("messages") if row["synced_at"] is None} == {"id-4", "id-11"}
    assert weekly_run(settings, WEEKS[0]).success
    assert tools.sync.unsynced() == 0
    raw = pl.read_parquet(settings.home / "lake" / "raw_interactions" / f"{WEEKS[0]}.parquet")
    assert raw.filter(pl.col("message_id") == rated)["feedback_rating"].to_list() == [-1.0]
    assert "Wait, I meant the other bridge" in raw["text"].to_list()


def test_a_week_that_is_rated_again_and_again_is_synced_each_time(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "MAX_ATTEMPTS", 1)
    fill(settings, message_rows(30))
    tools = Tools(settings)
    message = tools.store.rows("messages", role="agent")[0]["message_id"]
    with dg.DagsterInstance.ephemeral() as instance:
        job = build_defs(settings).resolve_job_def("sync")
        keys = set()
        for number in range(3):
            asked = evaluate(instance, tools)
            assert isinstance(asked, dg.SensorResult), number
            (request,) = asked.run_requests or []
            keys.add(request.run_key)
            tags = {**request.tags, "memory/job": "sync"}
            assert job.execute_in_process(instance=instance, partition_key=request.partition_key, tags=tags).success
            assert tools.sync.unsynced() == 0
            tools.store.add_feedback(message, rating=number / 10)
            assert tools.sync.unsynced() == 30
        assert len(keys) == 3  # Dagster asks for a key once


def test_the_whole_sensor_loop_syncs_exactly_once(settings: Settings) -> None:
    fill(settings, three_weeks() + message_rows(20, session="more"))
    with dg.DagsterInstance.ephemeral() as instance:
        job = build_defs(settings).resolve_job_def("sync")
        asked = evaluate(instance, Tools(settings))
        assert isinstance(asked, dg.SensorResult)
        for request in asked.run_requests or []:
            result = job.execute_in_process(instance=instance, partition_key=request.partition_key, tags=request.tags)
            assert result.success
        assert isinstance(evaluate(instance, Tools(settings)), dg.SkipReason)
        runs = instance.get_runs(dg.RunsFilter(statuses=[DagsterRunStatus.SUCCESS]))
        assert sorted(run.tags["memory/week"] for run in runs) == list(WEEKS)


def test_the_schedule_builds_the_week_that_has_ended_and_unsynced_ones(settings: Settings) -> None:
    write_rows(Tools(settings).store, message_rows(2))
    defs = build_defs(settings)
    monday = datetime(2025, 2, 3, 3, 15, tzinfo=UTC)
    with dg.build_schedule_context(
        scheduled_execution_time=monday, resources={"tools": Tools(settings)}, repository_def=defs.get_repository_def()
    ) as context:
        ticked = defs.resolve_schedule_def("weekly_build_schedule").evaluate_tick(context)
    assert [request.partition_key for request in ticked.run_requests or []] == ["2025-01-06", "2025-01-27"]


@pytest.mark.postgres
def test_postgresql_as_store_and_as_dagsters_storage_by_settings_only(
    make_settings, postgres_url: str, tmp_path: Path
) -> None:
    home = tmp_path / "dagster"
    home.mkdir()
    # dagster-postgres speaks psycopg 2 only: its URL names the driver
    storage = postgres_url.replace("postgresql+psycopg://", "postgresql+psycopg2://")
    (home / "dagster.yaml").write_text(
        f"telemetry: {{enabled: false}}\nstorage: {{postgres: {{postgres_url: '{storage}'}}}}\n"
    )
    settings = make_settings(store_url=postgres_url)
    fill(settings, three_weeks())
    program = (
        "import dagster as dg, sys; from pathlib import Path; from resources.settings import load_settings\n"
        "from memory_assets.code_location import build_defs\n"
        "s = load_settings(home=Path(sys.argv[1]), store_url=sys.argv[2], plugins_dir=Path(sys.argv[3]), plugins={'embedder': {'use': 'hashing'}})\n"
        "with dg.DagsterInstance.get() as i:\n"
        "    job = build_defs(s).resolve_job_def('weekly_build')\n"
        "    assert job.execute_in_process(instance=i, partition_key='2025-01-06').success\n"
        "    print(type(i.event_log_storage).__name__, i.get_runs_count())\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(settings.home), postgres_url, str(settings.plugins_dir)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DAGSTER_HOME": str(home)},
    )
    assert done.returncode == 0, done.stderr[-1500:]
    assert done.stdout.split() == ["PostgresEventLogStorage", "1"]
    assert Tools(settings).sync.unsynced() == 24


@pytest.mark.thorough
def test_a_job_in_the_background_of_a_script_makes_several_runs_and_can_be_stopped(make_settings) -> None:
    """Given SIGINT ignored, as shells start what ends in ``&``: after a run SIGTERM was ignored, too, and the next one hung."""
    settings = fill(make_settings(), three_weeks())
    Tools(settings).store.close()
    program = (
        "import signal, sys; from pathlib import Path; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from resources.settings import load_settings; from memory_assets.operations.materialize import materialize_weeks\n"
        "s = load_settings(home=Path(sys.argv[1]), plugins_dir=Path(sys.argv[2]),\n"
        "    plugins={'embedder': {'use': 'hashing'}, 'tokens': {'use': 'none'}, 'anonymizer': {'use': 'patterns'}})\n"
        "made = materialize_weeks(s, ['2025-01-06'], lambda *_: None)\n"
        "print(made['unsynced'], signal.getsignal(signal.SIGINT).name, signal.getsignal(signal.SIGTERM).name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(settings.home), str(settings.plugins_dir)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-1500:]
    assert done.stdout.split() == ["24", "SIG_IGN", "SIG_DFL"]
