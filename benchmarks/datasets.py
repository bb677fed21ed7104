"""Building a persona's dataset out of many interactions, with the second look: time, memory, and the shape of the growth.

    python -m benchmarks.datasets --interactions 1000000

Interactions are made of words; a tenth of them say nearly what another says, and one user speaks a third of all.
"""

import argparse
import json
import os
import resource
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from benchmarks.scale import vocabulary
from plugins.anonymizers.surrogates import PatternAnonymizer
from plugins.training.peft import PeftTrainer
from records.interactions import AnonymizedInteractions
from transforms.samples import Limits, build_samples, spoken_text

START = datetime(2025, 1, 6, tzinfo=UTC)


def interactions(count: int) -> pl.DataFrame:
    """Return so many AnonymizedInteractions of one persona."""
    drawn, words = np.random.default_rng(5), np.array(vocabulary())

    def texts(length: int) -> list[str]:
        made = [" ".join(row) for row in words[drawn.integers(0, len(words), (count, length))]]
        for place in range(9, count, 10):
            made[place] = made[place - 1]
        return made

    number = np.arange(count)
    user = np.where(drawn.random(count) < 0.33, 0, drawn.integers(1, 1000, count))
    return AnonymizedInteractions.shaped(
        pl.DataFrame(
            {
                "interaction_id": [f"i{n:08d}" for n in number],
                "session_key": [f"session_{n // 12}" for n in number],
                "agent_id": "lumi",
                "user_key": [f"user_{n}" for n in user],
                "persona_id": "lumi",
                "week": "2025-01-06",
                "started_at": [START + timedelta(seconds=int(n)) for n in number],
                "occurred_at": [START + timedelta(seconds=int(n)) for n in number],
                "turn_first": number % 12,
                "input_text": texts(12),
                "output_text": texts(20),
                "n_messages": 2,
                "source_message_ids": [[f"m{n}a", f"m{n}b"] for n in number],
                "opt_out": drawn.random(count) < 0.02,
                "language": "en",
                "quality": drawn.random(count),
                "junk": None,
                "emotion": "neutral",
                "arousal": 0.1,
                "valence": 0.0,
                "topics": [[f"topic {n % 7}"] for n in number],
                "n_replaced": 0,
                "residual": 0,
                "anonymized_by": "benchmark",
                "made_from": None,
            },
            schema_overrides={"junk": pl.String, "made_from": pl.String},
        )
    )


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interactions", type=int, default=1_000_000)
    options = parser.parse_args()
    trainer = PeftTrainer()
    trainer.count_tokens(["warm"])
    line: dict[str, Any] = {"benchmark": "datasets"}
    for count in (options.interactions // 10, options.interactions):
        frame = interactions(count)
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        start = time.perf_counter()
        built = build_samples(frame, "lumi", "name: Lumi", Limits(longest=trainer.longest()), trainer.count_tokens)
        cut = time.perf_counter()
        texts = built.samples.select(id="sample_id", text=spoken_text()).with_columns(
            people=pl.lit(["user-00001", "Ana"])
        )
        exposed = PatternAnonymizer().residual(texts, ["Lumi"]).filter(pl.col("residual") > 0).height
        line[str(count)] = {
            "seconds": round(time.perf_counter() - start, 1),
            "of_them_second_look": round(time.perf_counter() - cut, 1),
            "exposed": exposed,
            "samples": built.samples.height,
            "left_out": built.left_out,
            "tokens": int(built.samples["n_tokens"].sum()),
            "input_gb": round(held, 2),
            "memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        }
    line["load"] = os.getloadavg()[0]
    print(json.dumps(line))


if __name__ == "__main__":
    main()
