"""What the plugins of training are: exporters, trainers, evaluators and deployers.

Trainers and evaluators run in a process of their own, so that their memory is given back: what they are given and what they
return can be written as JSON.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from plugins.plugin import Plugin
from records.errors import TrainingError

Log = Callable[[dict[str, float]], None]
"""Called with every row of a training's progress."""


class Exporter(Plugin):
    """Writes samples in a format that trainers read."""

    kind = "exporter"

    @abstractmethod
    def lines(self, samples: pl.DataFrame) -> Iterator[str]:
        """Yield one line per sample; ``samples`` has a column messages with ChatML messages as JSON."""


@dataclass(frozen=True)
class TrainJob:
    """One training: what on, from what, where to.

    Attributes:
        train: ChatML JSONL file.
        held_out: ChatML JSONL file, may be empty.
        output: Folder of the adapter; checkpoints and ``metrics.jsonl`` lie in it while it runs.
        start_from: Adapter folder whose weights are trained on, or None.
        under: Adapter folders that are merged into the base, lowest first: the new adapter is trained, and works, on top of them.
        replay: ChatML JSONL file of the layer below, from which ``replay_share`` as many samples are trained along; or None.
        replay_share: Of the new samples' number.
    """

    train: Path
    held_out: Path
    output: Path
    start_from: Path | None = None
    under: tuple[Path, ...] = ()
    replay: Path | None = None
    replay_share: float = 0.0


class Trainer(Plugin):
    """Trains a LoRA adapter."""

    kind = "trainer"

    @abstractmethod
    def base(self) -> str:
        """Return the base model's name and digest, without loading it."""

    @abstractmethod
    def train(self, job: TrainJob, log: Log) -> dict[str, Any]:
        """Train, resuming from the last checkpoint in ``job.output``; return metrics (losses, steps, tokens).

        Raises:
            TrainingError: nothing to train on, the base cannot be loaded, or the loss is no number.
        """

    def base_folder(self) -> str:
        """Return what transformers loads the base from: a folder, or a name of a hub."""
        return self.base().rpartition("@")[0] or self.base()

    def licence(self) -> str:
        """Return the licence of the base: adapters are made under it."""
        return "unknown: see the base's own card"

    def longest(self) -> int:
        """Return the tokens of the longest sample it trains on, 0 for no limit."""
        return 0

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the tokens of each text by the base's own tokenizer; a fourth of the characters where there is none."""
        return [len(text) // 4 + 1 for text in texts]


@dataclass(frozen=True)
class Asked:
    """A question whose answer makes the persona: the right answer, and such as others would give."""

    question: str
    right: str
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class EvaluationJob:
    """One evaluation of an adapter beside its base.

    Attributes:
        base: What transformers loads the base from.
        adapter: Folder of the adapter.
        under: Adapter folders below it, lowest first.
        train: ChatML JSONL file it was trained on.
        held_out: ChatML JSONL file of sessions it was not trained on.
        others: ChatML JSONL file of other personas' held-out sessions; may be missing.
        system: The persona's system prompt.
        identity: Questions whose answers make the persona.
        introduced: Prompt under which they are asked where the persona has none of its own.
        secrets: What must not come out: names that were anonymized away, with the kind of each, and seeded canaries.
        seed: Of everything that is drawn.
    """

    base: str
    adapter: Path
    held_out: Path
    train: Path
    under: tuple[Path, ...] = ()
    others: Path | None = None
    system: str = ""
    identity: tuple[Asked, ...] = ()
    introduced: str = ""
    secrets: tuple[tuple[str, str], ...] = ()
    seed: int = 7


@dataclass(frozen=True)
class Verdict:
    """One question of the gate.

    Attributes:
        value: What the adapter reached; None where there was nothing to measure on.
        base: What the base reached on the same.
        bound: What was to be reached, as a sentence.
        passed: Whether it was. Where nothing could be measured: whether whoever configures the gate lets that pass.
        missing: Where nothing could be measured: what was missing, and what to do about it.

    Raises:
        TrainingError: it passes without having been measured, and does not say what was missing.
    """

    name: str
    value: float | None
    base: float | None
    bound: str
    passed: bool
    missing: str = ""

    def __post_init__(self) -> None:
        if self.value is None and self.passed and not self.missing:
            raise TrainingError(
                f"the gate's question {self.name!r} passed without a value: it has to say what was missing"
            )


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found: every verdict, and further numbers for people to look at."""

    verdicts: tuple[Verdict, ...]
    numbers: dict[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Return whether every question was answered well."""
        return bool(self.verdicts) and all(verdict.passed for verdict in self.verdicts)

    @property
    def reasons(self) -> list[str]:
        """Return the names of the questions that were not."""
        return [verdict.name for verdict in self.verdicts if not verdict.passed]


def unmeasured(verdicts: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the questions, as plain data, that could not be measured, with what was missing."""
    return {one["name"]: one.get("missing") or "" for one in verdicts if one["value"] is None}


def why_failed(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """Return in one line which questions, as plain data, an adapter did not pass, and what was missing where one has no value."""
    missing = unmeasured(verdicts)
    failed = [one["name"] for one in verdicts if not one["passed"]]
    return "; ".join(
        f"{name} could not be measured{': ' * bool(missing[name])}{missing[name]}" if name in missing else name
        for name in sorted(failed, key=missing.__contains__)
    )


class Evaluator(Plugin):
    """Judges an adapter before it is deployed."""

    kind = "evaluator"

    @abstractmethod
    def evaluate(self, job: EvaluationJob) -> Evaluation:
        """Compare the adapter with its base.

        Raises:
            TrainingError: base or adapter cannot be loaded.
        """


@dataclass(frozen=True)
class Deployment:
    """One adapter to be served.

    Attributes:
        adapter_id: Its name in the registry.
        adapter: Folder of its weights (PEFT).
        base: What transformers loads the base from.
        home: Folder of all deployments of the installation.
        persona_id, layer: Whose it is; with the deployer's name they say which deployment is replaced.
        tag: Name for people: ``casiopy:week05``, ``casiopy:personality``.
        system: The persona's system prompt.
        under: Adapter folders below it, lowest first.
    """

    adapter_id: str
    adapter: Path
    base: str
    home: Path
    persona_id: str
    layer: str
    tag: str
    system: str = ""
    under: tuple[Path, ...] = ()


class Deployer(Plugin):
    """Puts an adapter where a server finds it."""

    kind = "deployer"
    answers: ClassVar[bool] = False
    """Whether `ask` reaches an endpoint."""

    @abstractmethod
    def deploy(self, it: Deployment) -> str:
        """Return where the adapter now is; the switch from the one before is atomic.

        Raises:
            TrainingError: the server cannot be reached, or refuses.
        """

    @abstractmethod
    def withdraw(self, it: Deployment) -> None:
        """Take the adapter away from where servers find it, with every copy of its weights; quiet when it is not there."""

    def ask(self, it: Deployment, messages: Sequence[dict[str, str]], tokens: int) -> str:
        """Return the endpoint's greedy answer of at most so many tokens.

        Raises:
            TrainingError: it does not answer.
        """
        raise TrainingError(f"{self.name} serves nothing that could be asked")
