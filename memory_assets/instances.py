"""Dagster's instance of an installation: opened whole by one process at a time, and without the claims of runs that are dead."""

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from records.errors import StoreError
from resources.processes import begun_at, is_gone, is_here
from resources.settings import Settings
from resources.sqlite_damage import is_corrupt, remove_database

DAGSTER_YAML = "dagster.yaml"

OPENED = ".opened"
"""A file beside Dagster's databases, written when all of them were made: one killed before that leaves half of a schema."""

DATABASES = ("history", "schedules")
"""Folders in which Dagster keeps its databases by default."""

PROCESS = "memory/process"
"""Tag of a run: the process that makes it, see `resources.processes`."""

FOLDER = "memory/folder"
"""Tag of a run: the folder of Dagster's databases that it was begun in, see `folder_of`."""

UNDER_WAY = (
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
)

SILENT_S = 600.0
"""Seconds without an event after which a run of the UI may be dead."""

LOOK_S = 2.0
"""Seconds between two looks at what a run waits for."""


def instance(settings: Settings) -> dg.DagsterInstance:
    """Return the instance of ``$DAGSTER_HOME``, or that of the installation (``MEMORY_HOME/dagster``), telemetry off.

    Runs whose process is gone are ended, and the slots that they held are given back.

    Raises:
        StoreError: it cannot be opened.
    """
    home = _home(settings)
    with _opening(home):
        if (home / OPENED).exists():
            opened = _opened(home)
        else:
            try:
                opened = _opened(home)
            except StoreError:
                # Nobody has ever opened it whole: what is there was left by one that was killed while it made it.
                _put_aside(home)
                opened = _opened(home)
            (home / OPENED).touch()
        end_dead_runs(opened)
    return opened


def _home(settings: Settings) -> Path:
    if "DAGSTER_HOME" in os.environ:
        return Path(os.environ["DAGSTER_HOME"])
    home = settings.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    shipped = Path(__file__).resolve().parent.parent / DAGSTER_YAML
    target = home / DAGSTER_YAML
    if not target.exists():
        text = shipped.read_text(encoding="utf-8") if shipped.exists() else "telemetry:\n  enabled: false\n"
        partial = home / f".{DAGSTER_YAML}.{os.getpid()}"
        partial.write_text(text, encoding="utf-8")
        partial.replace(target)
    os.environ["DAGSTER_HOME"] = str(home)
    return home


@contextlib.contextmanager
def _opening(home: Path) -> Iterator[None]:
    """Let one process at a time open the instance: two that make its databases at once leave two versions of their schema."""
    from filelock import FileLock

    if not home.is_dir():
        raise StoreError(f"DAGSTER_HOME is no folder: {home}")
    with FileLock(home / ".opening.lock"):
        yield


def _opened(home: Path) -> dg.DagsterInstance:
    """Return the instance with all of its databases there.

    Raises:
        StoreError: one of them cannot be opened; of what was said, only the kind.
    """
    try:
        opened = dg.DagsterInstance.get()
        opened.get_runs_count()
        opened.event_log_storage.get_concurrency_run_ids()
        if opened.schedule_storage is not None:
            opened.schedule_storage.all_instigator_state()
    except Exception as error:  # noqa: BLE001  (those of Dagster, SQLAlchemy and Alembic)
        raise _unusable(home, error) from None
    return opened


def _unusable(home: Path, error: BaseException) -> StoreError:
    return StoreError(
        f"Dagster's own databases in {home} cannot be opened ({type(error).__name__}); `memory repair` removes those that are damaged, "
        "and new ones are begun: the memory does not depend on them"
    )


@contextlib.contextmanager
def told_of_databases() -> Iterator[None]:
    """Tell of a damaged database of Dagster that a run comes upon in one sentence.

    Raises:
        StoreError: in place of what SQLAlchemy says.
    """
    try:
        yield
    except Exception as error:  # SQLAlchemy's, sqlite3's, or Dagster's around one of them; all others go on
        if is_corrupt(getattr(error, "orig", None) or error):
            raise _unusable(Path(os.environ["DAGSTER_HOME"]), error) from None
        raise


def databases(settings: Settings) -> list[Path]:
    """Return Dagster's own databases in the installation; those of a ``$DAGSTER_HOME`` elsewhere are somebody else's."""
    home = settings.home / "dagster"
    return sorted(path for name in DATABASES for path in (home / name).rglob("*.db"))


def remove_databases(settings: Settings, damaged: Path) -> None:
    """Remove a damaged database: that of one run alone; of all runs, or of schedules, with those that belong to it."""
    home = settings.home / "dagster"
    with _opening(home):
        if damaged.parent.name == "runs" and damaged.name != "index.db":
            remove_database(damaged)
            return
        shutil.rmtree(home / damaged.relative_to(home).parts[0], ignore_errors=True)
        (home / OPENED).unlink(missing_ok=True)


def _put_aside(home: Path) -> None:
    """Move half made databases away; they hold nothing yet that anybody needs."""
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"
    for name in DATABASES:
        if (home / name).exists():
            (home / name).replace(home / f"{name}.half-made-{stamp}")


# -- runs whose process is gone -------------------------------------------------------------------------------------


def end_dead_runs(dagster: dg.DagsterInstance) -> int:
    """End the runs whose process is gone and give back the slots of pools that they, or runs that ended, hold; return how many.

    A run that another machine makes, or of which nobody knows the process, is left alone.
    """
    ended = 0
    for run in dagster.get_runs(filters=RunsFilter(statuses=list(UNDER_WAY))):
        if _is_dead(dagster, run):
            dagster.report_run_failed(run, "the process of this run is gone")
            ended += 1
    for run_id in dagster.event_log_storage.get_concurrency_run_ids():
        held_by = dagster.get_run_by_id(run_id)
        if held_by is None or held_by.is_finished:
            dagster.event_log_storage.free_concurrency_slots_for_run(run_id)
    return ended


def folder_of(dagster: dg.DagsterInstance) -> str:
    """Return which folder an instance has, as device and inode: a copy of it is another one, under whatever name."""
    there = Path(dagster.root_directory).stat()
    return f"{there.st_dev}:{there.st_ino}"


def _is_dead(dagster: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    told = run.tags.get(PROCESS)
    if told is None:
        return _is_dead_worker(dagster, run)
    return is_gone(told) or (is_here(told) and _is_of_a_copy(dagster, run))


def _is_of_a_copy(dagster: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Return whether a run goes on in another folder than this, which was copied while it did: here it will never end by itself."""
    begun_in = run.tags.get(FOLDER)
    return begun_in is not None and _in_files(dagster) and begun_in != folder_of(dagster)


def _in_files(dagster: dg.DagsterInstance) -> bool:
    return "Sqlite" in type(dagster.event_log_storage).__name__


def _is_dead_worker(dagster: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Return whether the processes of a run that the UI or the daemon started are gone.

    They are of this machine if Dagster's databases are files; of a container nobody outside sees them, but that something happens.
    """
    if not _in_files(dagster):
        return False
    newest = dagster.get_records_for_run(run.run_id, limit=1, ascending=False).records
    if not newest or time.time() - newest[0].timestamp < SILENT_S:
        return False
    seen = False
    for entry in dagster.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        pid = entry.dagster_event.engine_event_data.metadata.get("pid") if entry.dagster_event else None
        number = str(pid.value) if pid is not None else ""
        if number.isdigit():
            seen = True
            started = begun_at(int(number))
            if started is not None and started <= entry.timestamp + 1:
                return False
    return seen


def forget_output(dagster: dg.DagsterInstance) -> int:
    """Remove what steps of all runs printed: plugins print what they like, and nobody can tell whose words those are. Return how many runs.

    Output that goes nowhere, or is kept by somebody else's class, is left to it.
    """
    forgotten = 0
    for run in dagster.get_runs():
        with contextlib.suppress(NotImplementedError):
            dagster.compute_log_manager.delete_logs(prefix=[run.run_id, "compute_logs"])
            forgotten += 1
    return forgotten


# -- what a run waits for -------------------------------------------------------------------------------------------


class waits_aloud:
    """Say which run another one waits for, once for each, and go on when that one is dead.

    Args:
        run_id: The run that is made while this is entered.
        tell: Takes the sentence; default: a line on standard error.
    """

    def __init__(self, dagster: dg.DagsterInstance, run_id: str, tell: Callable[[str], None] | None = None) -> None:
        self._dagster, self._run_id = dagster, run_id
        self._tell = tell or (lambda line: print(line, file=sys.stderr, flush=True))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="memory-waits", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        told: set[str] = set()
        storage = self._dagster.event_log_storage
        while not self._over.wait(LOOK_S):
            with contextlib.suppress(Exception):  # the database may be busy; it is looked at again
                for pool, info in storage.get_concurrency_infos(sorted(storage.get_concurrency_keys())).items():
                    others = info.active_run_ids - {self._run_id}
                    if self._run_id not in info.pending_run_ids or not others:
                        continue
                    end_dead_runs(self._dagster)
                    for other in sorted(others - told):
                        told.add(other)
                        self._tell(f"waiting for the run {other[:8]}, which holds the pool {pool!r}")
