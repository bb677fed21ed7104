"""Recall and context of many messages that no run has taken in yet, all in one scope: latency, and whether all of them are found.

    python -m benchmarks.fresh --messages 1000
    python -m benchmarks.fresh --messages 200000

Conversations of twenty turns are made of a Zipfian vocabulary; needles, each with a word that stands nowhere else, lie at random depths.
Between two questions nothing is written, but for `after_writing_elsewhere`: there another agent is told something before each.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.installation import home
from records.ids import content_id
from records.store import Messages, Sessions, Speakers
from records.weeks import week_expr
from resources.settings import load_settings
from serving.client import MemoryClient

AGENT, USER = "bench", "user-0"
START = datetime(2025, 1, 6, 9, tzinfo=UTC)
PER_SESSION = 20
VOCABULARY = 40_000
WORDS = 14
NEEDLES = 50
SYLLABLES = ("ba", "co", "di", "fu", "ga", "le", "mi", "no", "pe", "ru", "sa", "to", "vi", "zo", "tré", "lón")


def words(count: int, seed: int) -> list[str]:
    """Return different made-up words."""
    draw = np.random.default_rng(seed)
    made: dict[str, None] = {}
    while len(made) < count:
        made.update(dict.fromkeys("".join(draw.choice(SYLLABLES, draw.integers(2, 6))) for _ in range(count)))
    return list(made)[:count]


def fill(client: MemoryClient, messages: int, seed: int = 5) -> dict[str, str]:
    """Write the messages; return the needles: what is asked, and the id of the message that answers it."""
    draw, vocabulary = np.random.default_rng(seed), np.array(words(VOCABULARY, seed))
    # The first words of the vocabulary make up most of what is said, as in a language.
    said = np.minimum(draw.zipf(1.25, (messages, WORDS)) - 1 + draw.integers(0, 40, (messages, WORDS)), VOCABULARY - 1)
    texts = [" ".join(row) for row in vocabulary[said]]
    needles = {}
    for number, place in enumerate(draw.choice(messages, NEEDLES, replace=False).tolist()):
        texts[place] = f"{texts[place]} needle{number}x"
        needles[f"what was said about {vocabulary[draw.integers(0, 200)]} and needle{number}x?"] = content_id(
            "m", place
        )
    number = np.arange(messages)
    session = number // PER_SESSION
    at = [START + timedelta(minutes=int(n) * 5) for n in number]
    frame = pl.DataFrame(
        {
            "message_id": [content_id("m", n) for n in range(messages)],
            "session_id": [f"s{n}" for n in session],
            "text": texts,
            "occurred_at": at,
            "role": np.where(number % 2 == 0, "user", "agent"),
            "speaker_id": np.where(number % 2 == 0, USER, AGENT),
        },
        schema_overrides={"occurred_at": pl.Datetime("us", "UTC")},
    ).with_columns(
        agent_id=pl.lit(AGENT), user_id=pl.lit(USER), source=pl.lit("synthetic"), week=week_expr("occurred_at")
    )
    empty = {name: pl.lit(None) for name in Messages.column_names() if name not in frame.columns}
    sessions = frame.group_by("session_id", "agent_id", "user_id", "source").agg(started_at=pl.col("occurred_at").min())
    none = {name: pl.lit(None) for name in ("ended_at", "metadata", "world_id")}
    people = pl.DataFrame({"speaker_id": [USER, AGENT], "kind": ["user", "agent"], "opt_out_training": [False, False]})
    client.store.write(
        Messages.shaped(frame.with_columns(**empty)),
        Sessions.shaped(sessions.with_columns(opt_out_training=pl.lit(value=False), **none)),
        Speakers.shaped(people),
    )
    return needles


def timed(action: Callable[[str], Any], questions: list[str]) -> tuple[dict[str, float], list[Any]]:
    """Return the milliseconds of the first question and the median and 95th percentile of the others, and the answers.

    The time that the process itself worked is said, too: on a machine that others use it is what can be compared. That of the thread that
    embeds behind is part of it.
    """
    took, cpu, answers = [], [], []
    for question in questions:
        start, worked = time.perf_counter(), time.process_time()
        answers.append(action(question))
        took.append(1000 * (time.perf_counter() - start))
        cpu.append(1000 * (time.process_time() - worked))
    rest = sorted(took[1:])
    figures = {"cold_ms": took[0], "p50_ms": statistics.median(rest), "p95_ms": rest[int(0.95 * len(rest))]}
    figures |= {"cold_cpu_ms": cpu[0], "cpu_ms": statistics.median(cpu[1:])}
    return {name: round(value, 1) for name, value in figures.items()}, answers


def measured(folder: Path, needles: dict[str, str], *, embedder: bool) -> dict[str, Any]:
    """Return the figures of one client."""
    client = MemoryClient(load_settings(home=folder), embedder=None if embedder else False, count_recalls=False)
    client.recall("who is there?", agent="nobody")  # opens the store and the models: what is measured is fresh messages
    line: dict[str, Any] = {}
    line["recall"], answers = timed(lambda q: client.recall(q, agent=AGENT, user=USER), list(needles))
    found = [
        needle in {m.id for m in answer.memories} for needle, answer in zip(needles.values(), answers, strict=True)
    ]
    line["found"] = f"{sum(found)} of {len(found)}"
    line["context"], _ = timed(lambda q: client.context(f"so {q}", agent=AGENT, user=USER), list(needles))

    def told(question: str) -> None:
        client.remember(f"said just now: {question}", agent="other", user=USER)
        client.recall(question, agent=AGENT, user=USER)

    line["after_writing_elsewhere"], _ = timed(told, list(needles)[:20])
    (held,) = (held for scope, held in client.recaller.fresh._held.items() if scope.agent_id == AGENT)
    line["held_mb"] = round(held.size / 1e6, 1)
    client.close()
    return line


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--home", type=Path, default=None)
    options = parser.parse_args()
    with home(options.home) as folder:
        client, start = MemoryClient(load_settings(home=folder), embedder=False), time.perf_counter()
        needles = fill(client, options.messages)
        line: dict[str, Any] = {"benchmark": "fresh", "messages": options.messages}
        line["written_s"] = round(time.perf_counter() - start, 1)
        client.close()
        line["by_words"] = measured(folder, needles, embedder=False)
        line["with_embedder"] = measured(folder, needles, embedder=True)
        line["load"] = round(os.getloadavg()[0], 1)
    print(json.dumps(line))


if __name__ == "__main__":
    main()
