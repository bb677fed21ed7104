"""How many finished runs Dagster keeps: it forgets none by itself, and two per sync outgrow the memory they made.

What the UI says of assets does not change: a run stays as long as it is the last one that made, observed or checked any partition.
"""

import contextlib
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster import DagsterRunStatus, RunsFilter

SYNCS = ("sync", "weekly_build", "analytics_build")
"""Jobs whose runs are forgotten: those that come with every sync. Trainings are rare, and looked at later."""

FINISHED = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)

FAILED_STAYS = timedelta(days=30)
"""For as long a failed run stays, however many came after it."""

AT_ONCE = 100
"""Most runs forgotten in one call; what is left of an old installation goes with the next ones."""

FREE_SHARE = 0.5
"""Share of free pages from which on a database file is written anew; below it they are used again."""


def forget_old_runs(dagster: dg.DagsterInstance, keep: int, *, at_most: int = AT_ONCE) -> int:
    """Delete finished runs of syncs beyond the newest ``keep`` with their events and output; return how many."""
    of_syncs = [RunsFilter(job_name=job, statuses=list(FINISHED)) for job in SYNCS]
    if sum(dagster.get_runs_count(only) for only in of_syncs) <= keep:
        return 0
    records = [record for only in of_syncs for record in dagster.get_run_records(only)]
    records.sort(key=lambda record: record.storage_id, reverse=True)
    recent = time.time() - FAILED_STAYS.total_seconds()
    last = _last_of_anything(dagster)
    old = [
        record.dagster_run.run_id
        for record in records[keep:]
        if record.dagster_run.run_id not in last
        and (
            record.dagster_run.status == DagsterRunStatus.SUCCESS
            or (record.end_time or record.update_timestamp.timestamp()) < recent
        )
    ]
    oldest = old[-at_most:]
    for run_id in oldest:
        _forget(dagster, run_id)
    if oldest:
        _give_back_space(dagster)
    return len(oldest)


def _last_of_anything(dagster: dg.DagsterInstance) -> set[str]:
    """Return the runs that hold the newest event of a kind for a partition of an asset, or the newest result of a check."""
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable

    events, checks = SqlEventLogStorageTable.c, AssetCheckExecutionsTable.c
    kinds = ("ASSET_MATERIALIZATION", "ASSET_OBSERVATION", "ASSET_FAILED_TO_MATERIALIZE")
    newest = (
        sa.select(sa.func.max(events.id))
        .where(events.dagster_event_type.in_(kinds))
        .group_by(events.asset_key, events.partition, events.dagster_event_type)
    )
    results = sa.select(sa.func.max(checks.id)).group_by(checks.asset_key, checks.check_name, checks.partition)
    with _index(dagster) as connection:
        made = connection.execute(sa.select(events.run_id).where(events.id.in_(newest)).distinct()).scalars().all()
        checked = connection.execute(sa.select(checks.run_id).where(checks.id.in_(results)).distinct()).scalars().all()
    return {run_id for run_id in (*made, *checked) if run_id}


def _forget(dagster: dg.DagsterInstance, run_id: str) -> None:
    """Delete a run, and what Dagster leaves of one: results of checks, tags, the emptied file of its events, its output."""
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
    from dagster._core.storage.runs.schema import RunTagsTable

    with _index(dagster) as connection:
        connection.execute(AssetCheckExecutionsTable.delete().where(AssetCheckExecutionsTable.c.run_id == run_id))
    dagster.delete_run(run_id)
    storage: Any = dagster.run_storage
    with storage.connect() as connection:
        connection.execute(RunTagsTable.delete().where(RunTagsTable.c.run_id == run_id))
    for path in _shard(dagster, run_id):
        path.unlink(missing_ok=True)
    dagster.compute_log_manager.delete_logs(prefix=[run_id])


@contextlib.contextmanager
def _index(dagster: dg.DagsterInstance) -> Iterator[Any]:
    """Yield a connection to the events of all runs."""
    storage: Any = dagster.event_log_storage
    with storage.index_connection() as connection:
        yield connection


def _shard(dagster: dg.DagsterInstance, run_id: str) -> list[Any]:
    """Return the files in which SQLite keeps the events of one run, none with PostgreSQL."""
    from pathlib import Path

    storage: Any = dagster.event_log_storage
    if not hasattr(storage, "path_for_shard"):
        return []
    path = Path(storage.path_for_shard(run_id))
    return [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))]


def _give_back_space(dagster: dg.DagsterInstance) -> None:
    """Write the SQLite file of all events anew when much of it is free; nothing while another process holds it."""
    import sqlite3

    for path in _shard(dagster, "index")[:1]:
        with contextlib.closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as connection:
            (free,), (pages,) = (
                connection.execute(f"PRAGMA {what}").fetchone() for what in ("freelist_count", "page_count")
            )
            if free > FREE_SHARE * pages:
                with contextlib.suppress(sqlite3.OperationalError):
                    connection.execute("VACUUM")
