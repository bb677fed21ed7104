"""A training's progress: one JSON object a line in ``metrics.jsonl``, whole lines only counted, the last of a repeated step."""

import json
import time
from pathlib import Path
from typing import Any

from plugins.training.contracts import Log


def read_metrics(path: Path) -> list[dict[str, float]]:
    """Return the rows of metrics.jsonl, one per step: of a step that was repeated after a kill the last one counts."""
    rows: dict[tuple[Any, ...], dict[str, float]] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue  # the line that was being written when the process was killed
            rows[(row.get("step"), "loss" in row, "eval_loss" in row)] = row
    return [rows[key] for key in sorted(rows, key=lambda k: (k[0] or 0, not k[1]))]


def callback(path: Path, log: Log, tokens: Any) -> Any:
    """Return a callback of transformers' Trainer that appends every logged row to metrics.jsonl while training runs.

    Rows hold step, loss or eval_loss, learning_rate, tokens a second, seconds to go, and the process's memory in MB.

    Args:
        tokens: Called without arguments: tokens trained on so far in this process.
    """
    from transformers import TrainerCallback

    class Metrics(TrainerCallback):
        began = 0.0
        first = 0

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.began, self.first = time.perf_counter(), state.global_step

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            row = {
                "step": float(state.global_step),
                **{key: float(value) for key, value in (logs or {}).items() if isinstance(value, int | float)},
            }
            done = state.global_step - self.first
            if self.began and done > 0 and "loss" in row:
                spent = time.perf_counter() - self.began
                row |= {
                    "tokens_per_s": round(tokens() / spent, 2),
                    "eta_s": round(spent / done * (state.max_steps - state.global_step), 1),
                    "memory_mb": memory_mb(),
                }
            with path.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(row) + "\n")
            log(row)

    return Metrics()


def memory_mb() -> float:
    """Return the most memory this process has held, in MB: of the GPU where there is one, else of the machine."""
    import torch

    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 2**20, 1)
    import resource
    import sys

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / (2**20 if sys.platform == "darwin" else 2**10), 1)
