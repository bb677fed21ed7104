"""Dagster's instance of an installation: opened by several at once, by one that is killed, and after runs that were killed."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus

from memory_assets.instances import instance
from memory_assets.operations.forget import forget_everywhere
from memory_assets.operations.materialize import materialize_weeks
from memory_assets.tools import Tools
from resources.settings import Settings
from serving.client import MemoryClient
from tests.conftest import killed_run
from tests.integration.test_pipeline import WEEKS, fill, three_weeks

ROOT = Path(__file__).parents[2]

OPEN = """
import sys; from pathlib import Path
from resources.settings import load_settings
from memory_assets.operations.forget import forget_everywhere
from memory_assets.instances import instance
with instance(load_settings(home=Path(sys.argv[1]))) as opened:
    print(opened.get_runs_count())
"""

KILLED = """
import os, signal, sys; from pathlib import Path
from resources import vectors
from resources.settings import load_settings
from memory_assets.operations.materialize import materialize_weeks
def dies(self, *args):
    os.kill(os.getpid(), signal.SIGKILL)
vectors.VectorStore.replace_week = dies
settings = load_settings(home=Path(sys.argv[1]), plugins_dir=Path(sys.argv[2]),
    plugins={'embedder': {'use': 'hashing'}, 'tokens': {'use': 'none'}, 'anonymizer': {'use': 'patterns'}})
materialize_weeks(settings, ['2025-01-06'], lambda *_: None)
"""

UI = """
import os, sys
from commands.ui import ui
os.execv = lambda program, command: print(command[2:4], os.environ['DAGSTER_HOME'])  # what would be started
ui(port=int(sys.argv[1]), host='127.0.0.1')
"""


def started(code: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start a process with some code, away from the installation of whoever runs the tests."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MEMORY_", "DAGSTER_"))}
    environment.update(variables)
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def heads(home: Path) -> list[int]:
    """Return how many versions each of Dagster's databases says it has."""
    counts = []
    for path in sorted((home / "dagster").rglob("*.db")):
        with sqlite3.connect(path) as connection:
            counts.append(connection.execute("SELECT count(*) FROM alembic_version").fetchone()[0])
    return counts


def test_several_that_open_a_new_installation_at_once_all_can(tmp_path: Path) -> None:
    openers = [started(OPEN, str(tmp_path)) for _ in range(4)]
    told = [opener.communicate(timeout=120) for opener in openers]
    assert [out.strip() for out, _ in told] == ["0"] * 4, told
    assert set(heads(tmp_path)) == {1}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_ui_and_a_first_materialization_can_open_a_new_installation_at_once(tmp_path: Path) -> None:
    uis = [started(UI, str(free_port()), MEMORY_HOME=str(tmp_path)) for _ in range(2)]
    openers = [started(OPEN, str(tmp_path)) for _ in range(2)]
    told = [opener.communicate(timeout=120) for opener in (*uis, *openers)]
    assert all(f"['dagster', 'dev'] {tmp_path / 'dagster'}" in out for out, _ in told[:2]), told
    assert [out.strip() for out, _ in told[2:]] == ["0"] * 2, told
    assert set(heads(tmp_path)) == {1}
    assert (tmp_path / "dagster" / "dagster.yaml").read_text() == (ROOT / "dagster.yaml").read_text()


def test_the_ui_says_in_one_sentence_that_its_port_is_in_use_and_touches_nothing(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "cli", "ui", "--port", port],
            cwd=ROOT,
            env={**os.environ, "MEMORY_HOME": str(tmp_path / "none"), "COLUMNS": "300"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert f"port {port} (Address already in use): choose another --port" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "none").exists()


def test_the_ui_ends_runs_that_were_killed_and_gives_their_slots_back(make_settings) -> None:
    settings: Settings = fill(make_settings(), three_weeks())
    home = str(settings.home / "dagster")
    killed = started(KILLED, str(settings.home), str(settings.plugins_dir))
    _, err = killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL, err[-1500:]
    with DagsterInstance.from_config(home) as dagster:
        assert dagster.event_log_storage.get_concurrency_run_ids()
    _, err = started(UI, str(free_port()), MEMORY_HOME=str(settings.home)).communicate(timeout=120)
    with DagsterInstance.from_config(home) as dagster:
        assert [run.status for run in dagster.get_runs()] == [DagsterRunStatus.FAILURE], err[-1500:]
        assert dagster.event_log_storage.get_concurrency_run_ids() == set()


@pytest.mark.thorough
def test_one_that_was_killed_while_it_made_the_databases_is_in_nobodys_way(tmp_path: Path) -> None:
    for number in range(6):
        home = tmp_path / str(number)
        opener = started(OPEN, str(home))
        until = time.monotonic() + 60
        while not list(home.rglob("*.db")) and opener.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        time.sleep(0.03 * number)
        opener.send_signal(signal.SIGKILL)
        opener.communicate()
        out, err = started(OPEN, str(home)).communicate(timeout=120)
        assert out.strip() == "0", err[-1500:]


def test_a_run_killed_inside_a_pooled_step_holds_up_nobody(make_settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: Settings = fill(make_settings(), three_weeks())
    monkeypatch.setenv("DAGSTER_HOME", str(settings.home / "dagster"))
    (settings.home / "dagster").mkdir()
    Tools(settings).store.close()
    for _ in range(2):
        killed = started(KILLED, str(settings.home), str(settings.plugins_dir))
        _, err = killed.communicate(timeout=120)
        assert killed.returncode == -signal.SIGKILL, err[-1500:]
    assert materialize_weeks(settings, list(WEEKS), lambda *_: None)["unsynced"] == 0
    with instance(settings) as dagster:
        statuses = [run.status for run in dagster.get_runs()]
        assert statuses.count(DagsterRunStatus.FAILURE) == 2
        assert set(statuses) == {DagsterRunStatus.FAILURE, DagsterRunStatus.SUCCESS}
        assert dagster.event_log_storage.get_concurrency_run_ids() == set()


def test_a_run_of_the_ui_is_dead_when_its_process_is_gone_and_it_is_silent(make_settings, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    import dagster as dg
    from dagster._core.events import EngineEventData

    from memory_assets import instances

    @dg.job
    def nothing() -> None:
        pass

    settings = make_settings()
    monkeypatch.setenv("DAGSTER_HOME", str(settings.home / "dagster"))
    (settings.home / "dagster").mkdir(parents=True)
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    with instance(settings) as dagster:
        runs = {}
        for name, pid in (("dead", gone.pid), ("alive", os.getpid())):
            run = runs[name] = dagster.create_run_for_job(nothing, status=DagsterRunStatus.STARTED)
            data = EngineEventData({"pid": dg.MetadataValue.text(str(pid))})
            dagster.report_engine_event("executing", run, data)
        assert instances.end_dead_runs(dagster) == 0  # something has just happened in both
        monkeypatch.setattr(instances, "SILENT_S", 0.0)
        assert instances.end_dead_runs(dagster) == 1
        statuses = {name: dagster.get_run_by_id(run.run_id).status for name, run in runs.items()}
        assert statuses == {"dead": DagsterRunStatus.FAILURE, "alive": DagsterRunStatus.STARTED}


def test_a_run_that_goes_on_in_a_folder_is_over_in_a_copy_of_it(
    make_settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    import dagster as dg

    from memory_assets.instances import FOLDER, PROCESS, folder_of
    from resources.processes import this_process

    @dg.job
    def nothing() -> None:
        pass

    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "first"))
    (tmp_path / "first").mkdir()
    settings = make_settings()
    with instance(settings) as dagster:
        tags = {PROCESS: this_process(), FOLDER: folder_of(dagster)}
        run = dagster.create_run_for_job(nothing, status=DagsterRunStatus.STARTED, tags=tags)
        dagster.event_log_storage.set_concurrency_slots("lancedb", 1)
        assert dagster.event_log_storage.claim_concurrency_slot("lancedb", run.run_id, "a_step").is_claimed
    shutil.copytree(tmp_path / "first", tmp_path / "copy")
    (tmp_path / "first").rename(tmp_path / "moved")
    for name, status, held in (
        ("copy", DagsterRunStatus.FAILURE, set()),
        ("moved", DagsterRunStatus.STARTED, {run.run_id}),
    ):
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / name))
        with instance(settings) as dagster:
            assert dagster.get_run_by_id(run.run_id).status == status, name
            assert dagster.event_log_storage.get_concurrency_run_ids() == held, name


KILLED_BEFORE_ANALYTICS = """
import os, signal, sys; from pathlib import Path
from resources.settings import load_settings
from resources.warehouse import Warehouse
from memory_assets.operations import forget as forgetting
from memory_assets.operations.materialize import materialize_weeks
def dies(self, *args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
Warehouse.build = dies
settings = load_settings(home=Path(sys.argv[1]), plugins_dir=Path(sys.argv[2]),
    plugins={'embedder': {'use': 'hashing'}, 'tokens': {'use': 'none'}, 'anonymizer': {'use': 'patterns'}})
if sys.argv[3] == 'forget':
    forgetting.forget_everywhere(settings, 'user', 'user-ben', lambda *_: None)
else:
    materialize_weeks(settings, ['2025-01-06', '2025-01-13', '2025-01-20'], lambda *_: None)
"""


@pytest.mark.thorough
def test_a_run_killed_before_it_published_the_analytics_owes_them_to_the_next_command(
    make_settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from commands.base import app
    from memory_assets.operations.publishing import are_owed

    settings: Settings = fill(make_settings(), three_weeks())
    monkeypatch.setenv("DAGSTER_HOME", str(settings.home / "dagster"))
    (settings.home / "dagster").mkdir()
    Tools(settings).store.close()
    killed_run(KILLED_BEFORE_ANALYTICS, str(settings.home), str(settings.plugins_dir), "materialize")
    assert Tools(settings).sync.unsynced() == 0
    assert are_owed(Tools(settings))
    monkeypatch.setattr("commands.making.client", lambda: MemoryClient(settings))
    assert CliRunner().invoke(app, ["materialize"]).exit_code == 0
    with Tools(settings).warehouse.connect() as connection:
        assert connection.execute("SELECT sum(interactions) FROM pipeline_health").fetchone() == (18,)
    assert not are_owed(Tools(settings))
    assert "nothing to do" in CliRunner().invoke(app, ["materialize"]).output

    killed_run(KILLED_BEFORE_ANALYTICS, str(settings.home), str(settings.plugins_dir), "forget")
    assert not settings.warehouse_path.exists()
    done = forget_everywhere(settings, "user", "user-ben", lambda *_: None)
    assert (done.leaks, done.pending) == (0, [])
    with Tools(settings).warehouse.connect() as connection:
        assert connection.execute("SELECT sum(interactions) FROM pipeline_health").fetchone() == (12,)
    assert not are_owed(Tools(settings))


def test_a_copy_of_an_installation_whose_original_goes_on_owes_the_analytics_itself(make_settings) -> None:
    from memory_assets.operations.publishing import are_owed, owing

    settings: Settings = fill(make_settings(), three_weeks())
    with owing(Tools(settings)):
        assert not are_owed(Tools(settings))  # whoever owes them is at work
        Tools(settings).store.close()
        shutil.copytree(settings.home, settings.home.with_name("copy"))
        copied = Tools(make_settings("copy"))
        assert are_owed(copied)
        with owing(copied):
            pass
        assert not are_owed(copied)
    assert not are_owed(Tools(settings))
