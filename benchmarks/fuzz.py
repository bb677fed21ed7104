"""Files of strangers: thousands of broken, malicious and endless ones of every format, each through the real import.

    python -m benchmarks.fuzz --files 5000 --seed 7

Nothing that a file holds may crash, hang or eat memory: the project's own errors, in one sentence, are all that may come out. First
every seed is imported as it is, then every trap, then seeds that were broken by chance. Workers do one file at a time; one that takes
longer than 20 seconds of its processor (or waits for a minute) or more than 1 GB is stopped, and its file counts as a hang or as over.
What was found goes to standard error, with the file's number: ``--only NUMBER --keep FOLDER`` does that one again and leaves it there.
"""

import argparse
import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LIMIT_MB = 1024
WALL_S = 60.0
"""Seconds in all after which one that hardly uses the processor counts as waiting."""

CHECK_S = 60.0
"""Seconds of the processor for what is looked at after an import, and for making a file before."""

POLL_S = 0.05
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Report:
    """What was found in all files."""

    files: int = 0
    formats: dict[str, Counter[str]] = field(default_factory=dict)
    crashes: int = 0
    hangs: int = 0
    over_1gb: int = 0
    slowest_s: float = 0.0
    slowest: str = ""
    peak_mb: int = 0
    findings: list[dict[str, Any]] = field(default_factory=list)

    def take(self, told: dict[str, Any]) -> None:
        """Count a file."""
        self.files += 1
        self.formats.setdefault(told["kind"], Counter())[told["outcome"]] += 1
        if told["s"] > self.slowest_s:
            self.slowest_s, self.slowest = told["s"], f"{told['kind']}: {told['name']}"
        self.peak_mb = max(self.peak_mb, told["peak_mb"])
        over = told["peak_mb"] > LIMIT_MB
        self.over_1gb += over
        self.hangs += told["outcome"] == "hung"
        self.crashes += bool(told["wrong"]) and told["outcome"] != "hung" and not over
        if told["wrong"] or over or told["outcome"] == "hung":
            self.findings.append(told)
            print(json.dumps(told, ensure_ascii=True), file=sys.stderr, flush=True)

    def line(self) -> dict[str, Any]:
        """Return the figures."""
        names = ("imported", "refused", "rejected", "crashed", "hung", "over")
        formats = {
            kind: {name: count[name] for name in names if count[name]} for kind, count in sorted(self.formats.items())
        }
        return {"files": self.files, "formats": formats, "crashes": self.crashes, "hangs": self.hangs, "over_1gb": self.over_1gb,
                "slowest_s": round(self.slowest_s, 1), "slowest": self.slowest, "peak_mb": self.peak_mb}  # fmt: skip


class Worker:
    """A process that imports one file at a time, and is replaced when it had to be stopped."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed, self.folder = seed, folder
        self._times = 0
        self._start()

    def _start(self) -> None:
        from benchmarks.fuzz_worker import environment

        self._times += 1
        own = self.folder / str(self._times)
        own.mkdir(parents=True)
        command = [sys.executable, "-m", "benchmarks.fuzz", "--worker", str(own), "--seed", str(self.seed)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self._read = b""
        self.told: dict[str, Any] | None = None

    def send(self, number: int) -> None:
        """Give the next file."""
        assert self.process.stdin is not None
        self.told = {"number": number, "kind": "?", "name": "?", "outcome": "", "wrong": [], "s": 0.0, "peak_mb": 0}
        self._step, self._since, self._cpu = "making", time.monotonic(), self._processor()
        self.process.stdin.write(f"{number}\n".encode())
        self.process.stdin.flush()

    def poll(self) -> dict[str, Any] | None:
        """Return what became of the file, None while it is being done."""
        assert self.told is not None
        assert self.process.stdout is not None
        data = self.process.stdout.read()
        if data == b"":
            return self._end(
                "crashed", f"the worker died ({self.process.wait()}) while {self._step}: {self._last_words()}"
            )
        self._read += data or b""
        while b"\n" in self._read:
            line, _, self._read = self._read.partition(b"\n")
            step = json.loads(line)
            name = step.pop("step")
            self.told |= step
            if name == "done":
                done, self.told = self.told, None
                return done
            self._step = "importing" if name == "ready" else "looking at what was kept"
            self._since, self._cpu = time.monotonic(), self._processor()
        return self._stopped()

    def _stopped(self) -> dict[str, Any] | None:
        """Return what became of a file whose worker had to be stopped."""
        assert self.told is not None
        own = self.told.get("seconds", 20.0)
        wall, used, held = time.monotonic() - self._since, self._processor() - self._cpu, self._held()
        self.told["peak_mb"] = max(self.told["peak_mb"], held)
        if held > LIMIT_MB and self._step != "making":  # what a file takes to be written is the measure's own
            return self._end("over", f"{held} MB while {self._step}", used)
        # On a machine that does much else an import gets little of the processor; one that waits gets none.
        waits = wall > WALL_S and used * 10 < wall
        if waits or used > (own if self._step == "importing" else CHECK_S):
            return self._end("hung", f"{used:.0f} s of the processor and {wall:.0f} s in all while {self._step}", used)
        return None

    def _end(self, outcome: str, why: str, used: float = 0.0) -> dict[str, Any]:
        assert self.told is not None
        done = {**self.told, "outcome": outcome, "wrong": [why], "s": used}
        self.close()
        self._start()
        return done

    def close(self) -> None:
        """Stop the process."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def _last_words(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read().decode("utf-8", "replace").strip()[-300:]

    def _processor(self) -> float:
        """Return the seconds of the processor that the process used."""
        try:
            told = (
                Path(f"/proc/{self.process.pid}/stat")
                .read_text(encoding="utf-8", errors="replace")
                .rpartition(")")[2]
                .split()
            )
            return (int(told[11]) + int(told[12])) / TICK
        except (OSError, IndexError):
            return 0.0

    def _held(self) -> int:
        """Return the memory of the process in MB."""
        try:
            return int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE >> 20
        except (OSError, IndexError):
            return 0


def run(numbers: list[int], seed: int, folder: Path, workers: int = 2) -> Report:
    """Do files by their numbers; return what was found."""
    report, waiting = Report(), numbers[::-1]
    staff = [Worker(seed, folder / str(place)) for place in range(min(workers, len(numbers)))]
    try:
        while waiting or any(worker.told is not None for worker in staff):
            selector = selectors.DefaultSelector()
            for worker in staff:
                if worker.told is None and waiting:
                    worker.send(waiting.pop())
                if worker.told is not None:
                    assert worker.process.stdout is not None
                    selector.register(worker.process.stdout, selectors.EVENT_READ)
            selector.select(POLL_S)
            selector.close()
            for worker in staff:
                done = worker.poll() if worker.told is not None else None
                if done is not None:
                    report.take(done)
    finally:
        for worker in staff:
            worker.close()
    return report


def main() -> None:
    """Print the line; the exit code is 1 where anything was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of files to do")
    parser.add_argument("--keep", type=Path, help="where the file of --only is to be left")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker is not None:
        from benchmarks.fuzz_worker import work

        work(asked.seed, asked.worker, iter(sys.stdin.readline, ""), lambda step: print(json.dumps(step), flush=True))
        return
    if asked.keep is not None:
        from benchmarks.fuzz_worker import case_of

        for number in asked.only:
            place = asked.keep / str(number)
            place.mkdir(parents=True)
            print(case_of(number, asked.seed, place), file=sys.stderr)
    numbers = asked.only or list(range(asked.files))
    start, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="memory-fuzz-"))
    try:
        report = run(numbers, asked.seed, folder, asked.workers)
    finally:
        _remove(folder)
    took = round(time.monotonic() - start)
    print(
        json.dumps(
            {"benchmark": "fuzz", "seed": asked.seed, **report.line(), "took_s": took, "load": os.getloadavg()[0]}
        )
    )
    if report.findings:
        raise SystemExit(1)


def _remove(folder: Path) -> None:
    """Remove a folder, however deep."""
    try:
        shutil.rmtree(folder)
    except (OSError, RecursionError):
        subprocess.run(["rm", "-rf", str(folder)], check=False)


if __name__ == "__main__":
    main()
