"""Commands killed at any moment, copied while they run, and started beside each other: what the next one makes is what an undisturbed one makes.

    python -m benchmarks.kills --kills 100 --seed 1 --only materialize,forget

A small real installation on SQLite (180 messages of three people in three weeks, an embedder that hashes words) is prepared once and
copied for every try. ``materialize``, ``import``, … : the whole process group is killed at a moment of the command's usual duration,
the moments spread evenly. ``step``: killed while one of the steps that share the pool ``lancedb`` commits. ``copy``: the folder is
copied while a command works in it, and the command is given again in the copy; every second time the first one is stopped for good,
as of a machine that was suspended. ``together``: two or three commands at once. After each the next command must end within five times
its usual duration and 30 s, without an error, and the installation must hold what one holds in which nothing was disturbed, see
`benchmarks.kills_content`.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.kills_commands import (
    COMMANDS,
    FORGET,
    STEPS,
    TOGETHER,
    Command,
    Ended,
    begin,
    copied,
    prepare,
    removed,
    run,
)
from benchmarks.kills_content import content, differences, left_of

ROUND = (
    "forget", "materialize", "step", "import", "plan", "rotate-key", "first",
    "forget", "materialize", "step", "copy", "export", "together", "train",
)  # fmt: skip
"""What is tried in turn; of each the moments are spread over its whole duration."""

ZOE = (b"user-zoe", b"zoraida quintana")
"""What an erasure of her may leave nowhere."""

SETTLE = (("materialize",), ("plan", "--run"))
"""What is run after commands that ran together: whatever came last, the rest is made."""


@dataclass
class Usual:
    """What a command does when nothing disturbs it: for how long it runs, and what is there before and after."""

    seconds: float
    before: dict[str, Any]
    after: dict[str, Any]

    @property
    def limit_s(self) -> float:
        """Return after how long the next command counts as one that hangs."""
        return 5 * self.seconds + 30


@dataclass
class Try:
    """One try and what was wrong with it."""

    of: str
    number: int
    moment: str = ""
    wrong: list[str] = field(default_factory=list)
    missed: bool = False
    seconds: float = 0.0


class Kills:
    """Tries in copies of prepared installations under one folder."""

    def __init__(self, folder: Path, seed: int, keep: bool) -> None:
        self.folder, self.seed, self.keep = folder, seed, keep
        self.usual: dict[str, Usual] = {}

    def learn(self, name: str) -> None:
        """Run a command undisturbed and keep what it makes."""
        command = COMMANDS[name]
        work = copied(self.folder / command.before, self.folder / f"undisturbed-{name}")
        before = content(work)
        # Opening an installation migrates it and makes its keys; after that only the command changes anything.
        done = run(work, command.arguments)
        assert done.code == 0, done.said[-3000:]
        self.usual[name] = Usual(done.seconds, before, content(work))
        removed(work)

    def attempt(self, name: str, number: int) -> Try:
        """Try once; the number decides the moment and what follows."""
        start = time.monotonic()
        made = Try(name, number)
        work = self.folder / f"try-{name}-{number}"
        how = {"step": self._step, "copy": self._copy, "together": self._together}.get(name, partial(self._kill, name))
        how(work, made)
        made.seconds = round(time.monotonic() - start, 1)
        if not (made.wrong and self.keep):
            removed(work)
        else:
            made.moment += f" (kept: {work})"
        return made

    def _share(self, made: Try) -> float:
        """Return a share of the duration: those of one command are spread evenly however many there are."""
        offset = random.Random(f"{self.seed}{made.of}").random()
        return (offset + made.number * 0.6180339887) % 1.0

    def _kill(self, name: str, work: Path, made: Try) -> None:
        command, usual = COMMANDS[name], self.usual[name]
        copied(self.folder / command.before, work)
        moment = self._share(made) * usual.seconds
        made.moment = f"{moment:.2f} of {usual.seconds:.1f} s"
        going = begin(work, command.arguments, until_entered=True)
        try:
            going.process.wait(timeout=moment)
            made.missed = True
        except subprocess.TimeoutExpired:  # it is still at work, as it should be
            going.kill()
        self._go_on(name, command, work, made)

    def _step(self, work: Path, made: Try) -> None:
        asset = STEPS[made.number % len(STEPS)]
        name = ("materialize", "plan")[made.number // len(STEPS) % 2]
        seconds = self._share(made) * 0.6
        made.moment = f"{asset} of {name}, {seconds:.2f} s"
        copied(self.folder / COMMANDS[name].before, work)
        done = run(work, COMMANDS[name].arguments, self.usual[name].limit_s, KILLS_STEP=f"{asset}:{seconds:.3f}")
        made.missed = done.code == 0
        self._go_on(name, COMMANDS[name], work, made)

    def _copy(self, work: Path, made: Try) -> None:
        name = ("materialize", "forget", "plan")[made.number % 3]
        command, usual = COMMANDS[name], self.usual[name]
        origin = copied(self.folder / command.before, work.with_name(f"{work.name}-origin"))
        moment, stopped = self._share(made) * usual.seconds, made.number % 2 == 1
        made.moment = f"{name}, {moment:.2f} of {usual.seconds:.1f} s{', stopped' if stopped else ''}"
        going = begin(origin, command.arguments, until_entered=True)
        time.sleep(moment)  # the moment at which it is copied is what is tried
        if stopped:
            going.stop(signal.SIGSTOP)
        copied(origin, work)
        try:
            self._go_on(name, command, work, made)
        finally:
            if stopped:
                going.kill()
            elif not going.end(usual.limit_s).well:
                made.wrong.append("the command that was copied from did not end well")
            removed(origin)

    def _go_on(self, name: str, command: Command, work: Path, made: Try) -> None:
        """Run the next command and compare."""
        usual = self.usual[name]
        following = command.next(made.number)
        made.moment += f", then {' '.join(following)}"
        self._ended(run(work, following, usual.limit_s), made)
        if made.wrong:
            return
        found = content(work)
        wrong = differences(usual.after, found)
        if wrong and command.or_as_before and following != command.arguments and not differences(usual.before, found):
            return
        made.wrong += wrong
        if name == "forget" and not wrong:
            made.wrong += [f"left in {place}" for place in left_of(work, ZOE)]

    @staticmethod
    def _ended(done: Ended, made: Try) -> None:
        if done.code is None:
            made.wrong.append(f"the next command did not end within {done.seconds:.0f} s: {done.last}")
        elif done.code:
            made.wrong.append(f"the next command ended with {done.code}: {done.last}")

    def _together(self, work: Path, made: Try) -> None:
        names = sorted(TOGETHER)
        name = names[(made.number + self.seed) % len(names)]
        before, commands = TOGETHER[name]
        made.moment = name
        expected = self._one_after_another(name)
        copied(self.folder / before, work)
        drawn = random.Random(f"{self.seed}{made.number}")
        going = []
        for arguments in commands:
            going.append((arguments, begin(work, arguments)))
            time.sleep(drawn.random())  # how far apart they begin is part of the try
        limit = 5 * expected.seconds + 30
        for arguments, one in going:
            done = one.end(limit)
            if done.code is None:
                made.wrong.append(f"{arguments[0]} did not end within {limit:.0f} s")
            elif not done.well:
                made.wrong.append(f"{arguments[0]} ended with {done.code}: {done.last}")
        for arguments in SETTLE:
            done = run(work, arguments, limit)
            if done.code:
                made.wrong.append(f"afterwards {arguments[0]} ended with {done.code}: {done.last}")
        found = content(work)
        made.wrong += differences(_settled(expected.after), _settled(found))
        if FORGET in commands:
            made.wrong += [f"left in {place}" for place in left_of(work, ZOE)]

    def _one_after_another(self, name: str) -> Usual:
        """Return what commands make that are not run together."""
        key = f"together: {name}"
        if key not in self.usual:
            before, commands = TOGETHER[name]
            work = copied(self.folder / before, self.folder / f"undisturbed-{name}")
            start = time.monotonic()
            for arguments in (*commands, *SETTLE):
                done = run(work, arguments)
                assert done.code == 0 or arguments == commands[-1], done.said[-3000:]
            self.usual[key] = Usual(time.monotonic() - start, {}, content(work))
            removed(work)
        return self.usual[key]


def _settled(found: dict[str, Any]) -> dict[str, Any]:
    """Return what does not depend on which of several commands came first: a receipt counts what there was to erase, an export what
    there was to export."""
    ordered = ("store/receipts", "store/exports", "exports", "file ", "store/installation_state", "errors")
    return {place: value for place, value in found.items() if not place.startswith(ordered)}


def tries(only: set[str], kills: int) -> Iterator[tuple[str, int]]:
    """Yield what is tried, and its number among its kind."""
    chosen = [name for name in ROUND if name in only]
    counted: dict[str, int] = defaultdict(int)
    for place in range(kills):
        name = chosen[place % len(chosen)]
        yield name, counted[name]
        counted[name] += 1


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="tries in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default=",".join(dict.fromkeys(ROUND)), help="which, with commas between")
    parser.add_argument("--number", type=int, default=None, help="only the try of this number, to see it again")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="leave the folders of failed tries")
    parser.add_argument("--folder", type=Path, default=None, help="where to work; default: a passing folder")
    options = parser.parse_args()
    only = set(options.only.split(","))
    if unknown := only - set(ROUND):
        parser.error(f"nothing is called {', '.join(sorted(unknown))}; there are {', '.join(dict.fromkeys(ROUND))}")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="kills-"))
    folder.mkdir(parents=True, exist_ok=True)
    needed = {name for name in only if name in COMMANDS}
    needed |= {"materialize", "plan"} if only & {"step", "copy"} else set()
    needed |= {"forget"} if "copy" in only else set()
    before = {COMMANDS[name].before for name in needed}
    before |= {home for home, _ in TOGETHER.values()} if "together" in only else set()
    prepare(folder, before)
    kills = Kills(folder, options.seed, options.keep)
    for name in sorted(needed):
        kills.learn(name)
        print(f"{name}: {kills.usual[name].seconds:.1f} s undisturbed", file=sys.stderr, flush=True)
    wanted = list(tries(only, options.kills))
    if options.number is not None:
        wanted = [(name, options.number) for name in sorted(only)]
    line: dict[str, Any] = {"benchmark": "kills", "seed": options.seed, "kills": len(wanted), "by": {}, "failures": []}
    with ThreadPoolExecutor(options.jobs) as pool:
        for made in pool.map(lambda one: kills.attempt(*one), wanted):
            of = line["by"].setdefault(made.of, {"n": 0, "ok": 0, "ended_before": 0})
            of["n"] += 1
            of["ok"] += not made.wrong
            of["ended_before"] += made.missed
            told = {"of": made.of, "number": made.number, "moment": made.moment, "wrong": made.wrong}
            if made.wrong:
                line["failures"].append({key: told[key] for key in ("of", "number", "moment", "wrong")})
            print(json.dumps({**told, "missed": made.missed, "s": made.seconds}), file=sys.stderr, flush=True)
    line["ok"] = sum(of["ok"] for of in line["by"].values())
    line["load"] = os.getloadavg()[0]
    if not (options.keep and line["failures"]):
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(line))


if __name__ == "__main__":
    main()
