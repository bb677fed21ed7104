"""How many finished runs Dagster keeps: it forgets none by itself, and two per sync outgrow the memory they made.

What the UI says of assets does not change: a run that was the last to make, observe or check any partition stays, with those
events; its log goes.
"""

import contextlib
import sqlite3
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

SYNCS = ("sync", "weekly_build", "analytics_build")
"""Jobs whose runs are forgotten: those that come with every sync. Trainings are rare, and looked at later."""

FINISHED = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)

FAILED_STAYS = timedelta(days=30)
"""For as long a failed run stays, however many came after it."""

AT_ONCE = 100
"""Most runs looked after in one call; what is left of an old installation goes with the next ones."""

FREE_SHARE = 0.5
"""Share of free pages from which on a database file is written anew; below it they are used again."""

WITHOUT_LOG = "memory/without_log"
"""Tag of a run that stays for what it made last, and whose log is gone."""

NEWEST_OF = ("ASSET_MATERIALIZATION", "ASSET_OBSERVATION", "ASSET_FAILED_TO_MATERIALIZE")


def forget_old_runs(dagster: dg.DagsterInstance, keep: int, *, at_most: int = AT_ONCE) -> int:
    """Delete finished runs of syncs beyond the newest ``keep`` with their events and output, or their logs; return how many."""
    of_syncs = [RunsFilter(job_name=job, statuses=list(FINISHED)) for job in SYNCS]
    if sum(dagster.get_runs_count(only) for only in of_syncs) <= keep:
        return 0
    records = [record for only in of_syncs for record in dagster.get_run_records(only)]
    records.sort(key=lambda record: record.storage_id, reverse=True)
    recent = time.time() - FAILED_STAYS.total_seconds()
    old = [
        record.dagster_run
        for record in records[keep:]
        if WITHOUT_LOG not in record.dagster_run.tags
        and (
            record.dagster_run.status == DagsterRunStatus.SUCCESS
            or (record.end_time or record.update_timestamp.timestamp()) < recent
        )
    ]
    newest = _Newest(dagster)
    oldest = old[-at_most:]
    for run in oldest:
        _forget(dagster, run.run_id, newest)
    # Runs from which the last event was taken since.
    left = [r.dagster_run.run_id for r in records[keep:] if WITHOUT_LOG in r.dagster_run.tags]
    superseded = [run_id for run_id in left if run_id not in newest.runs][-at_most:]
    for run_id in superseded:
        _forget(dagster, run_id, newest)
    if oldest or superseded:
        _give_back_space(dagster, "index")
    return len(oldest) + len(superseded)


class _Newest:
    """The newest event of a kind for each partition of an asset, and the newest result of each check."""

    def __init__(self, dagster: dg.DagsterInstance) -> None:
        import sqlalchemy as sa
        from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable

        events, checks = SqlEventLogStorageTable.c, AssetCheckExecutionsTable.c
        newest = (
            sa.select(sa.func.max(events.id))
            .where(events.dagster_event_type.in_(NEWEST_OF))
            .group_by(events.asset_key, events.partition, events.dagster_event_type)
        )
        results = sa.select(sa.func.max(checks.id)).group_by(checks.asset_key, checks.check_name, checks.partition)
        storage: Any = dagster.event_log_storage
        with storage.index_connection() as connection:
            made = connection.execute(sa.select(events.id, events.run_id).where(events.id.in_(newest))).all()
            checked = connection.execute(
                sa.select(checks.id, checks.run_id, checks.evaluation_event_storage_id).where(checks.id.in_(results))
            ).all()
        self.events = {row[0] for row in made} | {row[2] for row in checked if row[2] is not None}
        self.checks = {row[0] for row in checked}
        self.runs = {row[1] for row in (*made, *checked)}


def _forget(dagster: dg.DagsterInstance, run_id: str, newest: _Newest) -> None:
    """Delete a run with everything Dagster leaves of one: results of checks, tags, the file of its events, its output.

    One that holds the newest of anything keeps that.
    """
    import sqlalchemy as sa
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Checks
    from dagster._core.storage.event_log.schema import AssetEventTagsTable as Tags
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
    from dagster._core.storage.runs.schema import RunTagsTable

    storage: Any = dagster.event_log_storage
    with storage.index_connection() as connection:
        results = connection.execute(sa.select(Checks.c.id).where(Checks.c.run_id == run_id)).scalars().all()
        connection.execute(Checks.delete().where(Checks.c.id.in_(sorted(set(results) - newest.checks))))
        if run_id in newest.runs:
            events = connection.execute(sa.select(Events.c.id).where(Events.c.run_id == run_id)).scalars().all()
            others = sorted(set(events) - newest.events)
            connection.execute(Tags.delete().where(Tags.c.event_id.in_(others)))
            connection.execute(Events.delete().where(Events.c.id.in_(others)))
    dagster.compute_log_manager.delete_logs(prefix=[run_id])
    if run_id in newest.runs:
        if _files(dagster, run_id):  # with PostgreSQL the events of a run are those of the index
            with storage.run_connection(run_id) as connection:
                connection.execute(Events.delete())
            _give_back_space(dagster, run_id)
        dagster.add_run_tags(run_id, {WITHOUT_LOG: "true"})
        return
    dagster.delete_run(run_id)
    runs: Any = dagster.run_storage
    with runs.connect() as connection:
        connection.execute(RunTagsTable.delete().where(RunTagsTable.c.run_id == run_id))
    for path in _files(dagster, run_id):
        path.unlink(missing_ok=True)


def _files(dagster: dg.DagsterInstance, shard: str) -> list[Path]:
    """Return the files in which SQLite keeps the events of one run, or those of all for ``index``; none with PostgreSQL."""
    storage: Any = dagster.event_log_storage
    if not hasattr(storage, "path_for_shard"):
        return []
    path = Path(storage.path_for_shard(shard))
    return [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))]


def _give_back_space(dagster: dg.DagsterInstance, shard: str) -> None:
    """Write an SQLite file of events anew when much of it is free; nothing while another process holds it."""
    for path in _files(dagster, shard)[:1]:
        with contextlib.closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as connection:
            free = connection.execute("PRAGMA freelist_count").fetchone()[0]
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            if free > FREE_SHARE * pages:
                with contextlib.suppress(sqlite3.OperationalError):
                    connection.execute("VACUUM")
