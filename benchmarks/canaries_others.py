"""Other processes that have read what she said and are at work while she is forgotten: they wait where a plugin was given it.

After the erasure one run goes on to its end, and another one, a training and an import are killed; the training writes once more before.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIMIT_S = 300.0

RUN = """
from memory_assets.operations.materialize import materialize_weeks
from resources.settings import load_settings
materialize_weeks(load_settings(), ["2025-01-20"], lambda *_, **__: None)
"""
TRAIN = """
from memory_assets.layers import Slot
from memory_assets.operations.materialize import train_slot
from resources.settings import load_settings
train_slot(load_settings(), Slot("personality", "lumi"), lambda *_, **__: None)
"""


class Others:
    """The processes of one installation.

    Args:
        folder: Where each has a folder of its own, in which it says that it waits, and is told to go on.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, what: str, at: str) -> "subprocess.Popen[bytes]":
        """Start ``run``, ``killed run``, ``train`` or ``import``; ``at`` says where a plugin waits or kills it."""
        self._of(what).mkdir(parents=True, exist_ok=True)
        zipped = ["-m", "cli", "import", str(self.folder / "chat.zip"), "--format", "loud"]
        command = {"import": zipped, "train": ["-c", TRAIN]}.get(what, ["-c", RUN])
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.folder / "tmp"), "LOUD_AT": at, "LOUD_FOLDER": str(self._of(what)),
        }  # fmt: skip
        with (self._of(what) / "said").open("wb") as said:
            self.processes[what] = subprocess.Popen(
                [sys.executable, "-W", "ignore", *command], cwd=ROOT, env=environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            )  # fmt: skip
        return self.processes[what]

    def waiting(self) -> None:
        """Return when every process waits that has not ended."""
        for what, process in self.processes.items():
            if process.poll() is None:
                self._until(what, "waits")

    def end(self) -> dict[str, int]:
        """Let one run go on, and kill the others; return how each ended."""
        (self._of("run") / "go").touch()
        (self._of("train") / "go").touch()
        self._until("train", "wrote-again")
        for what in ("killed run", "train", "import"):
            os.killpg(self.processes[what].pid, signal.SIGKILL)
        return {what: process.wait(LIMIT_S) for what, process in self.processes.items()}

    def kill(self) -> None:
        """Kill what is still there."""
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(LIMIT_S)

    def _of(self, what: str) -> Path:
        return self.folder / "others" / what.replace(" ", "-")

    def _until(self, what: str, mark: str) -> None:
        end = time.monotonic() + LIMIT_S
        while not (self._of(what) / mark).exists():
            if self.processes[what].poll() is not None or time.monotonic() > end:
                said = (self._of(what) / "said").read_text(encoding="utf-8", errors="replace")
                raise RuntimeError(f"{what} did not come to where it {mark}: {said[-2000:]}")
            time.sleep(0.1)  # the other process tells by a file alone
