"""Erasure of one user beside a full rebuild of everything, in the same run.

    python -m benchmarks.erasure --messages 100000

Messages are made of words, and each user speaks in every week, so that every week is touched and made again: the worst case;
`--spoken-in 1` lets the one who is forgotten speak in one week of them. The embedder is a hash of the words by default; with
`--real-embedder` the rebuild embeds for real, the weeks that are made again do not: their texts are known.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.installation import home
from benchmarks.scale import vocabulary
from memory_assets.operations.materialize import materialize_weeks
from memory_assets.tools import Tools
from privacy.erasure import Erasure
from resources.settings import load_settings

FORGOTTEN = "user-00007"
FIRST = datetime(2025, 1, 6, 9, tzinfo=UTC)

HASHING = """
import zlib
import numpy as np
from plugins.contracts import Embedder
from plugins.hookspecs import hookimpl

class Hashing(Embedder):
    name, version, dim = "bench-hashing", "1", 64
    def embed(self, texts):
        return np.stack([self.embed_query(text) for text in texts]) if len(texts) else np.zeros((0, 64), np.float32)
    def embed_query(self, text):
        vector = np.zeros(64, np.float32)
        for word in text.lower().split():
            vector[zlib.crc32(word.encode()) % 64] += 1
        return vector / max(float(np.linalg.norm(vector)), 1e-9)

@hookimpl
def register_plugins():
    return [Hashing]
"""


def fill(tools: Tools, messages: int, users: int, weeks: int, spoken_in: int) -> None:
    """Write the messages into the store: a user and an agent in turn, 20 turns a conversation."""
    from plugins.contracts import SourceOptions
    from plugins.sources.normalise import normalise

    random, words = np.random.default_rng(4), np.array(vocabulary())
    per_week = messages // weeks
    for week in range(weeks):
        said = [" ".join(row) for row in words[random.integers(0, len(words), (per_week, 12))]]
        rows = []
        for place, text in enumerate(said):
            user = f"user-{(place // 20) % users:05d}"
            if user == FORGOTTEN and week >= spoken_in:
                user = "user-00008"
            rows.append(
                {
                    "line": place + 1,
                    "session_id": f"{user}/{week}/{place // (20 * users)}",
                    "agent_id": "lumi",
                    "user_id": user,
                    "speaker_id": user if place % 2 == 0 else "lumi",
                    "speaker_name": user if place % 2 == 0 else "Lumi",
                    "role": "user" if place % 2 == 0 else "agent",
                    "occurred_at": (FIRST + timedelta(weeks=week, seconds=place % 500_000)).isoformat(),
                    "text": text,
                }
            )
        taken = normalise(rows, SourceOptions(), "bench", "bench")
        tools.store.write(taken.messages, taken.sessions, taken.speakers, taken.names)


@contextmanager
def measured(line: dict[str, Any], name: str) -> Iterator[None]:
    """Write down how long it took, and what this process and its children computed: the same beside other work, where time is not."""
    start, before = time.perf_counter(), os.times()
    yield
    after = os.times()
    line[f"{name}_s"] = round(time.perf_counter() - start, 1)
    line[f"{name}_cpu_s"] = round(sum(after[:4]) - sum(before[:4]), 1)


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--weeks", type=int, default=8)
    parser.add_argument("--spoken-in", type=int, default=8, help="weeks in which the user who is forgotten spoke")
    parser.add_argument("--home", type=Path, default=None)
    parser.add_argument("--real-embedder", action="store_true", help="rebuild with the embedder of the settings")
    parser.add_argument(
        "--patterns", action="store_true", help="anonymize by patterns alone: a cheaper rebuild, so a stricter measure"
    )
    options = parser.parse_args()
    line: dict[str, Any] = {"benchmark": "erasure", "messages": options.messages, "users": options.users}
    with home(options.home) as folder:
        plugins = folder / "bench_plugins"
        plugins.mkdir(exist_ok=True)
        (plugins / "hashing.py").write_text(HASHING, encoding="utf-8")
        chosen = {} if options.real_embedder else {"embedder": {"use": "bench-hashing"}, "tokens": {"use": "none"}}
        if options.patterns:
            chosen |= {"anonymizer": {"use": "patterns"}}
        settings = load_settings(home=folder, plugins_dir=plugins, plugins=chosen)
        tools = Tools(settings)
        fill(tools, options.messages, options.users, options.weeks, options.spoken_in)
        line["weeks_touched"] = min(options.spoken_in, options.weeks)
        weeks = tools.store.weeks()

        def quiet(*_: object) -> None:
            """Show nothing."""

        with measured(line, "rebuild"):
            materialize_weeks(settings, weeks, quiet)
        print(json.dumps(line), file=sys.stderr, flush=True)
        user = FORGOTTEN
        erasure = Erasure(Tools(settings))
        needles = erasure.needles("user", user)
        with measured(line, "erase"):
            done = erasure.forget("user", user)
        line["erased_messages"] = done.messages
        with measured(line, "leak_test"):
            line["leaks"] = erasure.verify(done, needles, []).total
        with measured(line, "made_again"):
            materialize_weeks(settings, done.weeks, quiet)
            erasure.receipts.note(done.receipt, pending=[], leaks=None)
        line["leaks_after"] = erasure.verify(done, needles, []).total
        for unit, name in (("s", "share_of_rebuild"), ("cpu_s", "share_of_cpu")):
            line[name] = round((line[f"erase_{unit}"] + line[f"made_again_{unit}"]) / line[f"rebuild_{unit}"], 4)
        left = pl.read_parquet(f"{settings.home}/lake/raw_interactions/*.parquet").height
        assert left == options.messages // options.weeks * options.weeks - done.messages
        if options.home is None:
            shutil.rmtree(folder, ignore_errors=True)
    line["load"] = os.getloadavg()[0]
    print(json.dumps(line))


if __name__ == "__main__":
    main()
