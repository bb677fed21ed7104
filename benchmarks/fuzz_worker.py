"""One file after another through the real import, and what must hold of it afterwards: the half of `benchmarks.fuzz` that may die.

It is told the numbers of files on its standard input, and answers on standard output, a line of JSON each: what a file is, that it
is there, that it was imported, and what was found. A file's number and the seed decide everything about it.
"""

import contextlib
import ctypes
import gc
import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.fuzz_mutations import options_of, write_seed
from benchmarks.fuzz_seeds import NAME, SECRET, Seed, seeds
from benchmarks.fuzz_traps import TRAPS
from plugins.contracts import SourceOptions
from records.errors import AgentNeeded, MemoryAssetsError
from resources.settings import load_settings
from resources.snapshot import read_week_messages
from serving.client import MemoryClient
from transforms.interactions import interactions, snapshot

ROOT = Path(__file__).parent.parent
FILES_A_STORE = 40
WEEKS_ALONE = 6
"""Weeks of a file whose snapshots are made one by one; those of more are made in one."""

LONGEST_MESSAGE = 2_000
LONGEST_REASON = 300


@dataclass
class Case:
    """A file to import and how.

    Attributes:
        kind: The format that it was made of, or "trap".
        name: What it is.
        expected: The format that must recognise it and take something, for files that are whole.
        seconds: That it may take.
    """

    kind: str
    name: str
    target: str
    options: dict[str, Any]
    format: str | None = None
    expected: str | None = None
    seconds: float = 20.0


@dataclass
class Found:
    """What became of a file: imported, refused (in a sentence) or rejected (row by row), and what must not be."""

    outcome: str = ""
    told: str = ""
    wrong: list[str] = field(default_factory=list)


def count_of_whole() -> int:
    """Return how many files come first that are not made by chance: every seed as it is, then every trap."""
    return len(seeds()) + len(TRAPS)


def case_of(number: int, seed: int, folder: Path) -> Case:
    """Write the file of a number into an empty folder."""
    whole, traps, dice = seeds(), list(TRAPS), random.Random(f"{seed}/{number}")
    if number < len(whole):
        return _seeded(whole[number], folder, {"agent": "Lumi", **whole[number].options}, dice, intact=True)
    if number < len(whole) + len(traps):
        name = traps[number - len(whole)]
        trap = TRAPS[name](folder)
        return Case("trap", name, trap.target, trap.options, trap.format, seconds=trap.seconds)
    chosen = whole[number % len(whole)]
    case = _seeded(chosen, folder, options_of(chosen, dice), dice, intact=dice.random() < 0.03)
    case.expected = None
    case.format = dice.choice((None,) * 6 + (chosen.format, dice.choice(whole).format))
    if case.format == "sql" and chosen.format != "sql":
        case.options["table"] = dice.choice(("messages", "history", "none"))
    return case


def _seeded(chosen: Seed, folder: Path, options: dict[str, Any], dice: random.Random, *, intact: bool) -> Case:
    path = write_seed(folder, chosen, dice, intact=intact)
    target = f"sqlite:///{path}" if chosen.format == "sql" and (intact or dice.random() < 0.9) else str(path)
    return Case(chosen.format, chosen.name, target, options, expected=chosen.format)


# -- importing ------------------------------------------------------------------------------------------------------


class Installations:
    """Fresh installations, one for some files each: copies of one that was opened before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._model = folder / "model"
        first = self._client(self._model)
        _ = first.store, first.keys
        first.store.close()
        self._used = FILES_A_STORE
        self._number = 0
        self.client = first

    def next(self) -> MemoryClient:
        """Return the client for the next file."""
        if self._used >= FILES_A_STORE:
            self.renew()
        self._used += 1
        return self.client

    def renew(self) -> None:
        """Begin a new installation, without the one before."""
        self.client.store.close()
        if self._number:
            shutil.rmtree(self.folder / f"home-{self._number}", ignore_errors=True)
        self._number, self._used = self._number + 1, 0
        home = self.folder / f"home-{self._number}"
        shutil.copytree(self._model, home)
        self.client = self._client(home)

    @staticmethod
    def _client(home: Path) -> MemoryClient:
        return MemoryClient(load_settings(home=home, plugins_dir=home / "plugins"), embedder=False)


def imported(client: MemoryClient, case: Case, tell: Callable[[], None]) -> Found:
    """Import a file and look at what was kept; only the project's own errors are expected.

    Args:
        tell: Called when the import is over.
    """
    before = client.store.frame("SELECT coalesce(max(seq), 0) AS seq FROM messages")["seq"][0]
    options = SourceOptions(**case.options)
    try:
        summary = client.import_file(case.target, options, format=case.format)
    except MemoryAssetsError as error:
        tell()
        found = Found("refused", str(error))
        found.wrong = [f"expected {case.expected}, was refused: {error}"] if case.expected else []
        found.wrong += _wrong_message(str(error), speakers=isinstance(error, AgentNeeded))
        return found
    tell()
    found = Found("imported" if summary.read else "rejected", summary.format)
    if case.expected and (case.expected != summary.format or not summary.read):
        found.wrong.append(
            f"expected {case.expected}, got {summary.format} with {summary.read} messages: {summary.reasons}"
        )
    for note in summary.notes:
        found.wrong += [f"a note: {why}" for why in _wrong_message(note, speakers="its speakers are " in note)]
    found.wrong += (
        list(_wrong_rejects(client))
        + list(_wrong_messages(client, before, options))
        + list(_unreadable(client, summary.weeks))
    )
    return found


def _wrong_message(message: str, *, speakers: bool = False) -> Iterator[str]:
    """Yield what must not be in a message; ``speakers``: it lists them, and somebody may be called as somebody speaks."""
    if "\n" in message or "\r" in message or not message.strip():
        yield f"a message that is not one sentence: {message[:200]!r}"
    if len(message) > LONGEST_MESSAGE:
        yield f"a message of {len(message)} characters: {message[:200]!r}"
    if not speakers and SECRET in message.partition("; found ")[0]:  # a table without a header shows its first row
        yield f"a message that holds what somebody said: {message[:200]!r}"
    try:
        message.encode()
    except UnicodeEncodeError:
        yield f"a message that cannot be shown: {message[:200]!r}"


def _wrong_rejects(client: MemoryClient) -> Iterator[str]:
    for reason in client.store.frame("SELECT DISTINCT reason FROM rejects")["reason"]:
        if not reason or not reason.strip() or len(reason) > LONGEST_REASON or "\n" in reason:
            yield f"a reason that is none: {reason[:200]!r}"
        if SECRET in reason or NAME.lower() in reason.lower():
            yield f"a reason that holds private text: {reason[:200]!r}"


def _wrong_messages(client: MemoryClient, before: int, options: SourceOptions) -> Iterator[str]:
    query = "SELECT text, speaker_id, agent_id, session_id, occurred_at, edited_at, metadata, participants FROM messages WHERE seq > ?"
    first, last = f"{options.first_week} 00:00:00", f"{datetime.now(UTC) + timedelta(minutes=6):%Y-%m-%d %H:%M:%S}"
    for row in client.store.frame(query, [before]).iter_rows(named=True):
        for name in ("text", "speaker_id", "agent_id", "session_id"):
            if not row[name] or not row[name].strip() or "\x00" in row[name] or "\ud800" <= max(row[name]) <= "\udfff":
                yield f"{name} is {row[name][:80]!r}"
        if not first <= row["occurred_at"] <= last:
            yield f"a message of {row['occurred_at']}"
        if row["edited_at"] is not None and not "1970" <= row["edited_at"] <= last:
            yield f"a message that was edited at {row['edited_at']}"
        for name in ("metadata", "participants"):
            if row[name] is not None and row[name][:1] in ("{", "["):
                try:
                    json.loads(row[name], parse_constant=_no_json)
                except (ValueError, RecursionError) as error:
                    yield f"{name} is no JSON ({type(error).__name__}): {row[name][:80]!r}"


def _no_json(constant: str) -> None:
    raise ValueError(constant)


def _unreadable(client: MemoryClient, weeks: set[str]) -> Iterator[str]:
    """Read all of the store, and make the snapshots and interactions of every week that a file brought something for."""
    for table in ("messages", "sessions", "speakers", "speaker_names", "rejects", "feedback"):
        client.store.rows(table)
    found = sorted(weeks)
    for first, last in [(week, week) for week in found[:WEEKS_ALONE]] + (
        [(found[0], found[-1])] if len(found) > WEEKS_ALONE else []
    ):
        messages = read_week_messages(client.store, first, last)
        raw = snapshot(messages, lambda kind, value: hashlib.sha256(f"{kind}{value}".encode()).hexdigest())
        if raw.height != messages.height or not raw.height:
            yield f"{messages.height} messages of the weeks {first} to {last} are {raw.height} in their snapshot"
        interactions(raw)


# -- the process ----------------------------------------------------------------------------------------------------


def work(seed: int, folder: Path, lines: Iterator[str], say: Callable[[dict[str, Any]], None]) -> None:
    """Do the files whose numbers come in, until no more do."""
    installations = Installations(folder)
    for line in lines:
        number, place = int(line), folder / f"file-{int(line)}"
        place.mkdir()
        case = case_of(number, seed, place)
        client = installations.next()
        say({"step": "ready", "number": number, "kind": case.kind, "name": case.name, "seconds": case.seconds})
        _forget_peak()
        start = time.process_time()
        took = [0.0]

        def done(start: float = start, took: list[float] = took) -> None:
            took[0] = time.process_time() - start
            say({"step": "imported"})

        try:
            found = imported(client, case, done)
        except Exception as error:  # noqa: BLE001  (what it is here for)
            found = Found("crashed", wrong=[_where(error)])
        took[0] = took[0] or time.process_time() - start
        say({"step": "done", **vars(found), "told": found.told[:400], "s": round(took[0], 3), "peak_mb": round(_peak()),
             "format": case.format, "options": repr(case.options)})  # fmt: skip
        if case.kind == "trap" or found.wrong:
            installations.renew()
        _remove(place)


def _where(error: Exception) -> str:
    """Return the kind of an error and where it came from, the last places of this project first."""
    frames = [f"{Path(f.filename).relative_to(ROOT)}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)
              if Path(f.filename).is_relative_to(ROOT) and ".venv" not in f.filename]  # fmt: skip
    return f"{type(error).__name__}: {str(error)[:200]!r} at {' < '.join(frames[:-6:-1])}"


def _remove(place: Path) -> None:
    try:
        shutil.rmtree(place)
    except (OSError, RecursionError):
        subprocess.run(["rm", "-rf", str(place)], check=False)


def _forget_peak() -> None:
    """Begin to measure the peak of memory anew, where the system can do that; what was given back does not count."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak() -> float:
    """Return the peak of this process's memory in MB, since it was forgotten last."""
    try:
        told = Path("/proc/self/status").read_text(encoding="ascii")
        return int(told.partition("VmHWM:")[2].split()[0]) / 1024
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def environment() -> dict[str, str]:
    """Return the environment of a worker: away from the installation of who runs it, and from their second core."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(("MEMORY_", "DAGSTER_"))}
    return {
        **own,
        "OMP_NUM_THREADS": "1",
        "POLARS_MAX_THREADS": "1",
        "ARROW_IO_THREADS": "1",
        "PYTHONWARNINGS": "ignore",
    }
