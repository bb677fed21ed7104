"""Work in a process of its own: what it says, and what becomes of it when it dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from memory_assets.operations.worker import train_apart
from plugins.training.contracts import TrainJob
from records.errors import TrainingError

TRAINER = """
import os, signal, time
from plugins.hookspecs import hookimpl
from plugins.training.contracts import Trainer
from records.errors import TrainingError

class Odd(Trainer):
    name = "odd"

    def base(self):
        return "b"

    def train(self, job, log):
        what = job.train.read_text()
        print("a library says something on stdout")
        log({"step": 1.0, "loss": 2.5})
        if what == "kill": os.kill(os.getpid(), signal.SIGKILL)
        if what == "memory": raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        if what == "greedy": return bytearray(1 << 46)
        if what == "own": raise TrainingError("the dataset is empty")
        if what == "bug": raise ValueError("María said she hid it under the pier")
        if what == "wait":
            job.output.write_text(str(os.getpid()))
            time.sleep(60)  # a long training, which the test ends
        return {"loss": 0.5, "pid": os.getpid()}

@hookimpl
def register_plugins():
    return [Odd]
"""


def job_of(make_settings, tmp_path: Path, what: str):
    """Return settings with the trainer above, and its job."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "odd.py").write_text(TRAINER)
    (tmp_path / "train").write_text(what)
    settings = make_settings(plugins={"trainer": {"use": "odd"}}, plugins_dir=folder)
    return settings, TrainJob(tmp_path / "train", tmp_path / "eval", tmp_path / "out")


def test_progress_and_result_come_from_another_process(make_settings, tmp_path: Path) -> None:
    settings, job = job_of(make_settings, tmp_path, "fine")
    rows: list[dict[str, float]] = []
    found = train_apart(settings, job, rows.append)
    assert found["loss"] == 0.5
    assert found["pid"] != os.getpid()
    assert rows == [{"step": 1.0, "loss": 2.5}]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("kill", "its process was killed"),
        ("memory", "ran out of memory: lower batch_size or max_length"),
        ("greedy", "ran out of memory"),
        ("own", "^the dataset is empty$"),
        ("bug", r"ended without an answer \(exit 1, ValueError\)"),
    ],
)
def test_a_failure_is_one_sentence_and_quotes_nothing(make_settings, tmp_path: Path, what: str, message: str) -> None:
    settings, job = job_of(make_settings, tmp_path, what)
    with pytest.raises(TrainingError, match=message) as caught:
        train_apart(settings, job, lambda row: None)
    assert "María" not in str(caught.value)


def test_the_child_ends_when_its_parent_is_killed(make_settings, tmp_path: Path) -> None:
    settings, job = job_of(make_settings, tmp_path, "wait")
    program = (
        "import sys, json; from pathlib import Path; from memory_assets.operations.worker import train_apart\n"
        "from plugins.training.contracts import TrainJob; from resources.settings import load_settings\n"
        "f = Path(sys.argv[1]); s = load_settings(**json.loads(sys.argv[2]))\n"
        "train_apart(s, TrainJob(f / 'train', f / 'eval', f / 'out'), lambda row: None)\n"
    )
    root = Path(__file__).parents[2]
    parent = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program, str(tmp_path), settings.model_dump_json()], cwd=root
    )
    until = time.monotonic() + 60
    while not (job.output.exists() and job.output.read_text()) and time.monotonic() < until:
        time.sleep(0.1)
    child = int(job.output.read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while Path(f"/proc/{child}").exists() and time.monotonic() < until:
        if Path(f"/proc/{child}/stat").read_text().split(")")[1].split()[0] == "Z":
            break
        time.sleep(0.1)
    alive = Path(f"/proc/{child}").exists() and Path(f"/proc/{child}/stat").read_text().split(")")[1].split()[0] != "Z"
    assert not alive
