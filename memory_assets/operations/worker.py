"""Work in a process of its own: training and evaluation give their memory back, and cannot take the run down with them.

The parent writes one JSON line (settings, what, job) to the child's stdin and keeps it open: when the parent dies, however it dies, the
child reads the end of it and stops. The child answers in lines of JSON: rows of progress, and last the result or one sentence of error.
"""

import dataclasses
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plugins.training.contracts import Asked, EvaluationJob, Log, TrainJob
from records.errors import MemoryAssetsError, TrainingError
from resources.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
OUT_OF_MEMORY = "ran out of memory: lower batch_size or max_length of the trainer, or choose a smaller base"


def train_apart(settings: Settings, job: TrainJob, log: Log) -> dict[str, Any]:
    """Run the trainer of the settings in a process of its own; return its metrics.

    Raises:
        TrainingError: what the trainer raised, or that its process was ended from outside.
    """
    return dict(_run(settings, "train", job, log))


def evaluate_apart(settings: Settings, job: EvaluationJob) -> dict[str, Any]:
    """Run the evaluator of the settings in a process of its own; return its `Evaluation` as plain data.

    Raises:
        TrainingError: what the evaluator raised, or that its process was ended from outside.
    """
    return dict(_run(settings, "evaluate", job, lambda row: None))


def answers_apart(
    settings: Settings, job: EvaluationJob, questions: list[list[dict[str, str]]], tokens: int
) -> dict[str, list[str]]:
    """Return the greedy answers of the adapter and of its base to the questions, from this machine."""
    plain = json.loads(json.dumps({**dataclasses.asdict(job), "questions": questions, "tokens": tokens}, default=str))
    return dict(_run(settings, "answer", plain, lambda row: None))


def _run(settings: Settings, what: str, job: Any, log: Log) -> Any:
    plain = dataclasses.asdict(job) if dataclasses.is_dataclass(job) and not isinstance(job, type) else job
    line = json.dumps({"settings": settings.model_dump(mode="json"), "what": what, "job": plain}, default=str)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
    }
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "memory_assets.operations.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    noise: list[str] = []
    reader = threading.Thread(target=lambda: noise.extend(child.stderr or ()), daemon=True)
    reader.start()
    try:
        child.stdin.write(line + "\n")
        child.stdin.flush()
        return _read(child, log, noise)
    finally:
        child.kill()
        child.wait()
        reader.join(timeout=5)


def _read(child: "subprocess.Popen[str]", log: Log, noise: list[str]) -> Any:
    assert child.stdout is not None
    for text in child.stdout:
        try:
            answer = json.loads(text)
        except json.JSONDecodeError:
            continue  # a library printed something
        if "progress" in answer:
            log(answer["progress"])
        elif "error" in answer:
            raise TrainingError(answer["error"])
        elif "result" in answer:
            return answer["result"]
    code = child.wait()
    if code == -9:
        raise TrainingError(f"its process was killed (signal 9), as the system does with one that {OUT_OF_MEMORY}")
    what = f"signal {-code}" if code < 0 else f"exit {code}"
    # The kind of error only: its words may quote what was said.
    last = next(
        (row.partition(":")[0].strip() for row in reversed(noise) if re.match(r"[\w.]+(Error|Exception)\b", row)), ""
    )
    raise TrainingError(f"its process ended without an answer ({what}{', ' + last if last else ''})")


# -- the child --------------------------------------------------------------------------------------------------------


def _job(cls: Any, plain: dict[str, Any]) -> Any:
    """Return a job from plain data."""
    paths = {"train", "held_out", "output", "start_from", "adapter", "others", "replay"}
    made: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        value = plain[field.name]
        if field.name in paths:
            value = None if value is None else Path(value)
        elif field.name == "under":
            value = tuple(Path(item) for item in value)
        elif field.name == "identity":
            value = tuple(Asked(item["question"], item["right"], tuple(item["wrong"])) for item in value)
        elif field.name == "secrets":
            value = tuple((kind, text) for kind, text in value)
        made[field.name] = value
    return cls(**made)


def _work(request: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> Any:
    from resources.settings import load_settings
    from serving.installation import Installation

    installation = Installation(load_settings(**request["settings"]))
    job = request["job"]
    if request["what"] == "train":
        return installation.plugin("trainer").train(_job(TrainJob, job), lambda row: say({"progress": row}))
    if request["what"] == "evaluate":
        return dataclasses.asdict(installation.plugin("evaluator").evaluate(_job(EvaluationJob, job)))
    from plugins.training.language_model import answers

    return answers(_job(EvaluationJob, job), job["questions"], job["tokens"])


def _stop_with_parent() -> None:
    """End this process when the parent's end of stdin is gone."""
    sys.stdin.read()
    os._exit(1)


def main() -> None:
    """Do the work that stands on stdin."""
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer

    def say(value: dict[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")

    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    try:
        say({"result": _work(request, say)})
    except MemoryAssetsError as error:
        say({"error": str(error)})
    except MemoryError:
        say({"error": OUT_OF_MEMORY})
    except RuntimeError as error:  # torch.OutOfMemoryError is one, and on a CPU its allocator says so in words
        if "memory" not in str(error).lower():
            raise
        say({"error": OUT_OF_MEMORY})


if __name__ == "__main__":
    main()
