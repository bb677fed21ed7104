"""The commands that are killed, the installations in which they are, and how a command is started, killed and waited for."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.erasure import HASHING

ROOT = Path(__file__).resolve().parent.parent
MONDAY = datetime(2025, 1, 6, 10, tzinfo=UTC)
WORDS = (
    "bridge", "rain", "river", "museum", "market", "hill", "train", "bakery", "theatre", "harbour", "stairs", "lantern", "garden",
    "kitchen", "tower", "orchard", "meadow", "chapel", "ferry", "island", "mountain", "station", "forest", "castle", "village",
    "school", "workshop", "cellar", "attic", "balcony", "fountain", "windmill", "stable", "quarry",
)  # fmt: skip

TOML = """
[plugins.embedder]
use = "bench-hashing"

[plugins.tokens]
use = "none"

[plugins.anonymizer]
use = "patterns"

[dataset]
min_quality = 0.0
eval_share = 0.3
"""

TRAINER = """
[plugins.trainer]
use = "peft"
base = "{base}"
max_steps = 8
save_steps = 2
batch_size = 1
learning_rate = 0.01

[plugins.evaluator]
use = "gate"
prompts = 2
tokens = 8
secrets = 1
general_ratio = 1e6
others_ratio = 1e6
identity_share = 0
style_share = 0
style_gain = -1
most_repeating = 1
most_empty = 1
optional = ["language"]
exposure_bits = 99
"""

CHANGED = """
[plugins.scorer]
use = "heuristic"
"""


@dataclass(frozen=True)
class Command:
    """A command that is killed.

    Attributes:
        before: Name of the prepared installation in which it is run.
        arguments: Of `memory`.
        after: What is run after the kill: one of these, in turn. Default: the same command again.
        or_as_before: Whether the next command may find nothing to do, where the kill came before anything was decided.
    """

    before: str
    arguments: tuple[str, ...]
    after: tuple[tuple[str, ...], ...] = ()
    or_as_before: bool = False

    def next(self, number: int) -> tuple[str, ...]:
        """Return the command after a kill."""
        return self.after[number % len(self.after)] if self.after else self.arguments


FORGET = ("forget", "--user", "user-zoe", "--yes", "--as-written")
COMMANDS = {
    "import": Command("made", ("import", "more.jsonl")),
    "materialize": Command("imported", ("materialize",)),
    "first": Command("new", ("materialize",)),
    "forget": Command("made", FORGET, (FORGET, ("forget", "--resume")), or_as_before=True),
    "plan": Command("changed", ("plan", "--run")),
    "rotate-key": Command("made", ("rotate-key",), (("rotate-key",), ("plan", "--run")), or_as_before=True),
    "export": Command("made", ("export", "out.jsonl", "--agent", "lumi")),
    "train": Command("trainable", ("train", "personality", "lumi")),
}
"""``first`` is the materialization of an installation in which nothing was made yet."""

TOGETHER: dict[str, tuple[str, tuple[tuple[str, ...], ...]]] = {
    "materialize+materialize": ("imported", (("materialize",), ("materialize",))),
    "first+first": ("new", (("materialize",), ("materialize",), ("materialize",))),
    "forget+forget": ("made", (FORGET, FORGET)),
    "forget+materialize": ("imported", (FORGET, ("materialize", "--all"))),
    "import+materialize": ("made", (("import", "more.jsonl"), ("materialize", "--all"))),
    "import+import": ("made", (("import", "more.jsonl"), ("import", "more.jsonl"))),
    "import+forget": ("made", (("import", "more.jsonl"), FORGET)),
    "plan+plan": ("changed", (("plan", "--run"), ("plan", "--run"))),
    "rotate+materialize": ("made", (("rotate-key",), ("materialize", "--all"))),
    "rotate+forget": ("made", (("rotate-key",), FORGET)),
    "export+forget": ("made", (("export", "out.jsonl", "--agent", "lumi"), FORGET)),
    "export+export+plan": ("changed", (("export", "a.jsonl", "-a", "lumi"), ("export", "b.jsonl", "-a", "lumi"), ("plan", "--run"))),
}  # fmt: skip
"""Commands that are started together, with the installation in which they are."""

STEPS = ("message_embeddings", "fact_embeddings", "episode_embeddings")


@dataclass
class Ended:
    """How a command ended: its exit code (None: it had to be stopped), what it printed, and for how long it was."""

    code: int | None
    said: str
    seconds: float

    @property
    def well(self) -> bool:
        """Return whether it did what it was asked, or said in one sentence why not."""
        told = [line for line in self.said.splitlines() if line.startswith("error: ")]
        return self.code == 0 or (self.code == 2 and len(told) == 1 and "Traceback" not in self.said)

    @property
    def last(self) -> str:
        """Return the end of what it printed."""
        return self.said.strip()[-400:]


@dataclass
class Begun:
    """A command under way, in a process group of its own."""

    process: "subprocess.Popen[str]"
    log: Path
    started: float = field(default_factory=time.monotonic)

    def kill(self) -> None:
        """Kill it with everything that it started."""
        _kill(self.process.pid)
        self.process.wait()

    def stop(self, how: signal.Signals) -> None:
        """Send a signal to all of it."""
        os.killpg(self.process.pid, how)

    def end(self, limit_s: float) -> Ended:
        """Wait for its end; past the limit it is killed."""
        try:
            code: int | None = self.process.wait(timeout=limit_s)
        except subprocess.TimeoutExpired:
            code = None
            self.kill()
        return Ended(code, self.log.read_text(encoding="utf-8", errors="replace"), time.monotonic() - self.started)


def begin(folder: Path, arguments: Sequence[str], *, until_entered: bool = False, **environment: str) -> Begun:
    """Start a command in an installation's folder; with ``until_entered`` return when it has imported what it needs to begin."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MEMORY_", "DAGSTER_", "KILLS_"))}
    clean |= {
        "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "1",
        "OMP_WAIT_POLICY": "passive",
        "KILLS_KEY": "r",
        **environment,
    }
    log = folder / f".log-{random.getrandbits(40):010x}"
    reads, writes = os.pipe()
    os.set_inheritable(writes, True)
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.kills_child", *arguments],
            cwd=folder,
            env={**clean, "KILLS_ENTERED": str(writes)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            pass_fds=(writes,),
        )
    os.close(writes)
    if until_entered:
        os.read(reads, 1)  # the end of the pipe: it was closed when the command began
    os.close(reads)
    return Begun(process, log)


def run(folder: Path, arguments: Sequence[str], limit_s: float = 300.0, **environment: str) -> Ended:
    """Run a command to its end."""
    return begin(folder, arguments, **environment).end(limit_s)


def _kill(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


# -- the installations ------------------------------------------------------------------------------------------------


def lines(week: int, session: str, user: str, name: str, count: int, seed: int) -> list[dict[str, Any]]:
    """Return a conversation of a user and the agent as lines of JSONL."""
    drawn, start = random.Random(f"{session}{seed}"), MONDAY + timedelta(weeks=week, hours=seed)
    found = []
    for place in range(count):
        said = " ".join(drawn.sample(WORDS, 6))
        by_user = place % 2 == 0
        opening = f"I, {name}, moved to Bilbao and saw the" if by_user else "Bilbao is lovely; tell me about its"
        found.append(
            {
                "session_id": session,
                "agent_id": "lumi",
                "user_id": user,
                "speaker_id": user if by_user else "lumi",
                "speaker_name": name if by_user else "Lumi",
                "role": "user" if by_user else "agent",
                "occurred_at": (start + timedelta(minutes=place)).isoformat(),
                "text": f"{opening} {said} {place}",
            }
        )
    return found


def prepare(folder: Path, names: set[str]) -> None:
    """Make the installations of these names, each a folder with settings, plugins, files to import, and a home."""
    new = folder / "new"
    (new / "plugins").mkdir(parents=True)
    (new / "plugins/hashing.py").write_text(HASHING, encoding="utf-8")
    (new / "memory.toml").write_text('home = "home"\nplugins_dir = "plugins"\n' + TOML, encoding="utf-8")
    people = (("user-ana", "Ana Beltran"), ("user-ben", "Ben Okafor"), ("user-zoe", "Zoraida Quintana"))
    first = [
        line
        for week in range(3)
        for place, (user, name) in enumerate(people)
        if not (user == "user-zoe" and week == 0)
        for line in lines(week, f"{user}-{week}", user, name, 30, place * 5)
    ]
    more = [line for week in (1, 2) for line in lines(week, f"ana-again-{week}", "user-ana", "Ana Beltran", 2500, 60)]
    _jsonl(new / "first.jsonl", first)
    _jsonl(new / "more.jsonl", [*more, {"text": "of nobody"}])
    _must(new, ("import", "first.jsonl"))
    if names <= {"new"}:
        return
    made = copied(new, folder / "made")
    _must(made, ("materialize",))
    if "imported" in names:
        _jsonl(made / "some.jsonl", [line for line in more if int(line["text"].rpartition(" ")[2]) < 40])
        _must(copied(made, folder / "imported"), ("import", "some.jsonl"))
    if "changed" in names:
        with (copied(made, folder / "changed") / "memory.toml").open("a", encoding="utf-8") as file:
            file.write(CHANGED)
    if "trainable" in names:
        trainable = copied(made, folder / "trainable")
        with (trainable / "memory.toml").open("a", encoding="utf-8") as file:
            file.write(TRAINER.format(base=_tiny_base(folder / "base")))


def copied(one: Path, other: Path) -> Path:
    """Copy an installation's folder."""
    subprocess.run(["cp", "-a", str(one), str(other)], check=True)
    return other


def removed(folder: Path) -> None:
    """Remove an installation's folder."""
    shutil.rmtree(folder, ignore_errors=True)


def _must(folder: Path, arguments: Sequence[str]) -> None:
    done = run(folder, arguments)
    assert done.code == 0, done.said[-3000:]


def _jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _tiny_base(folder: Path) -> Path:
    """Write a random two-layer Llama with the packaged model's tokenizer: training is real, and takes a second."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from plugins.training.packaged import unpack_packaged

    tokenizer = AutoTokenizer.from_pretrained(str(unpack_packaged()))
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=len(tokenizer),
        max_position_embeddings=512,
    )
    LlamaForCausalLM(config).save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    return folder
