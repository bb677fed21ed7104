"""Old runs of syncs are forgotten: not the failed, not those under way, and no partition's state."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from memory_assets.operations import retention
from memory_assets.operations.retention import forget_old_runs

WEEKS = dg.WeeklyPartitionsDefinition("2025-01-06", day_offset=1)


class Config(dg.Config):
    """Whether the asset fails."""

    fails: bool = False


@dg.asset(partitions_def=WEEKS)
def weekly(context: dg.AssetExecutionContext, config: Config) -> dg.MaterializeResult:
    print("a line of output")
    if config.fails:
        raise dg.Failure("as asked")
    return dg.MaterializeResult(metadata={"run": context.run_id}, data_version=dg.DataVersion(context.run_id))


@dg.asset_check(asset=weekly)
def is_there() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


DEFS = dg.Definitions(
    assets=[weekly],
    asset_checks=[is_there],
    jobs=[dg.define_asset_job(name, [weekly], partitions_def=WEEKS) for name in ("weekly_build", "train_skill")],
)


def run(dagster: dg.DagsterInstance, week: str, *, job: str = "weekly_build", fails: bool = False) -> str:
    """Make a week of the asset; return the run."""
    config = {"ops": {"weekly": {"config": {"fails": fails}}}}
    made = DEFS.resolve_job_def(job).execute_in_process(
        instance=dagster, partition_key=week, run_config=config, raise_on_error=False
    )
    return made.run_id


def state(dagster: dg.DagsterInstance) -> dict[str, Any]:
    """Return what the UI says of the asset."""
    key = weekly.key
    storage = dagster.event_log_storage
    event = dagster.get_latest_materialization_event(key)
    check = next(iter(is_there.check_keys))
    latest = storage.get_latest_asset_check_execution_by_key([check])[check]
    tags = storage.get_latest_tags_by_partition(
        key, dg.DagsterEventType.ASSET_MATERIALIZATION, ["dagster/data_version"]
    )
    return {
        "partitions": dagster.get_materialized_partitions(key),
        "versions": dict(tags),
        "event": event.run_id if event is not None else None,
        "check": (latest.run_id, latest.status.value),
        "record": dagster.get_asset_records([key])[0].asset_entry.last_run_id,
    }


@pytest.fixture
def dagster(tmp_path: Path):
    """Yield an instance of SQLite files."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as opened:
        yield opened


def test_old_runs_go_and_no_state_does(dagster: dg.DagsterInstance, tmp_path: Path) -> None:
    first = run(dagster, "2025-01-06")  # the only one that made this week: it stays
    trained = run(dagster, "2025-01-13", job="train_skill")
    failed = run(dagster, "2025-01-13", fails=True)
    old = [run(dagster, "2025-01-13") for _ in range(8)]
    newest = [run(dagster, "2025-01-20") for _ in range(3)]
    job = DEFS.resolve_job_def("weekly_build")
    running = dagster.create_run_for_job(job, status=DagsterRunStatus.STARTED).run_id
    waiting = dagster.create_run_for_job(job, status=DagsterRunStatus.NOT_STARTED).run_id
    before = state(dagster)
    assert forget_old_runs(dagster, 100) == 0
    assert forget_old_runs(dagster, 3, at_most=5) == 5
    assert forget_old_runs(dagster, 3) == 4
    assert forget_old_runs(dagster, 3) == 0
    assert state(dagster) == before
    left = {first, trained, failed, old[-1], *newest, running, waiting}
    assert {entry.run_id for entry in dagster.get_runs()} == left
    assert dagster.get_run_by_id(first).status == DagsterRunStatus.SUCCESS
    shards = {path.stem for path in (tmp_path / "history" / "runs").glob("*.db")} - {"index"}
    assert shards <= left
    assert forget_old_runs(dagster, 3) == 0
    output = {path.name for path in (tmp_path / "storage").iterdir()}
    assert output == {trained, failed, *newest}
    assert dagster.all_logs(failed)
    assert not dagster.all_logs(first)  # what it made is still known, its log is gone
    again = run(dagster, "2025-01-06")
    assert forget_old_runs(dagster, 3) == 2  # nothing keeps the first one any more; one of the newest is old now
    assert dagster.get_run_by_id(first) is None
    assert state(dagster)["versions"]["2025-01-06"]["dagster/data_version"] == again
    assert before["partitions"] == {"2025-01-06", "2025-01-13", "2025-01-20"}


def test_a_failed_run_goes_after_its_time(dagster: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = run(dagster, "2025-01-06", fails=True)
    run(dagster, "2025-01-06")
    assert forget_old_runs(dagster, 1) == 0
    monkeypatch.setattr(retention, "FAILED_STAYS", timedelta(0))
    gone = forget_old_runs(dagster, 1)
    assert (gone, dagster.get_run_by_id(failed)) == (1, None)


@pytest.mark.thorough
def test_the_file_of_all_events_gives_back_what_was_freed(dagster: dg.DagsterInstance, tmp_path: Path) -> None:
    for _ in range(40):
        run(dagster, "2025-01-06")
    index = tmp_path / "history" / "runs" / "index.db"
    before = index.stat().st_size
    assert forget_old_runs(dagster, 1) == 39
    assert index.stat().st_size < before
    assert run(dagster, "2025-01-06")
