"""Consolidation: how its time grows from 10,000 to 100,000 episodes, and that a second run changes nothing.

python -m benchmarks.consolidation
"""

import argparse
import json
import os
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from plugins.extractors.consolidator import SimilarConsolidator
from records.memory import Episodes
from records.weeks import week_of

TOPICS = ["work", "family", "food", "music", "travel", "health", "games", "pets"]


def episodes(count: int, agents: int = 100) -> pl.DataFrame:
    """Return made episodes over a year; three in four unimportant."""
    random = np.random.default_rng(3)
    start = datetime(2025, 1, 6, tzinfo=UTC)
    rows = []
    for number in range(count):
        at = start + timedelta(hours=float(random.uniform(0, 24 * 364)))
        agent = f"agent-{random.integers(0, agents):03d}"
        words = [f"w{value}" for value in random.integers(0, 500, 6)]
        rows.append(
            {
                "episode_id": f"e{number:07d}",
                "agent_id": agent,
                "user_id": f"user-of-{agent}",
                "user_key": None,
                "session_id": f"s{number // 3}",
                "week": week_of(at),
                "started_at": at,
                "ended_at": at + timedelta(minutes=20),
                "turn_first": 1,
                "turn_last": 9,
                "type": "conversation",
                "title": " ".join(words[:3]),
                "event": " ".join(words),
                "summary": " ".join(words),
                "participants": [agent, f"user-of-{agent}"],
                "location": None,
                "importance": round(float(random.beta(2, 3)), 4),
                "arousal": 0.3,
                "valence": 0.1,
                "dominant_emotion": "neutral",
                "keywords": words,
                "tags": [TOPICS[int(random.integers(0, len(TOPICS)))]],
                "source_message_ids": [f"m{number}"],
                "extracted_by": "benchmark",
            }
        )
    return Episodes.shaped(pl.DataFrame(rows, schema=Episodes.polars_schema()))


def main() -> None:
    """Print the line."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    line: dict[str, object] = {"benchmark": "consolidation"}
    today, took = datetime(2026, 1, 5, tzinfo=UTC), {}
    consolidator = SimilarConsolidator()
    consolidator.consolidate(episodes(1_000), today)
    for count in (10_000, 100_000):
        made = episodes(count)
        runs = []
        for _ in range(3):
            start = time.perf_counter()
            once = consolidator.consolidate(made, today)
            runs.append(time.perf_counter() - start)
        took[count] = min(runs)
        line[f"seconds_{count}"] = round(took[count], 2)
        line[f"rows_{count}"] = once.height
        line[f"same_again_{count}"] = consolidator.consolidate(made, today).equals(once)
    line["times"] = round(took[100_000] / took[10_000], 2)
    line["load"] = os.getloadavg()[0]
    print(json.dumps(line))


if __name__ == "__main__":
    main()
