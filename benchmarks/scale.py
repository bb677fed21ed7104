"""Latency and memory of reading at size: recall and context beside LanceDB's own hybrid query on the same table, in the same run.

    python -m benchmarks.scale --messages 100000
    python -m benchmarks.scale --messages 1000000

Messages are made of random words, vectors and token vectors: what is measured is reading, not remembering. Each question goes to another
agent, so that hardly any scope is in the cache; a second pass over few agents shows the cache.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.installation import home
from language.terms import BITS, term_lists
from memory_assets.assets.vector_weeks import encoder_of
from memory_assets.tools import Tools
from records.interactions import EMOTIONS
from records.memory import MessageEmbeddings
from records.weeks import week_of
from resources.settings import load_settings
from serving.client import MemoryClient

WEEKS = 20
FIRST = datetime(2025, 1, 6, 9, tzinfo=UTC)
VOCABULARY = 4_000
WORDS = 20
PIECES = 25


def vocabulary() -> list[str]:
    """Return the words of the messages."""
    random = np.random.default_rng(11)
    syllables = ["ba", "co", "di", "fu", "ga", "le", "mi", "no", "pe", "ru", "sa", "to", "vi", "zo"]
    return list(dict.fromkeys("".join(random.choice(syllables, 3)) for _ in range(VOCABULARY * 2)))[:VOCABULARY]


def fill(tools: Tools, messages: int, agents: int) -> None:
    """Write the messages as a run would, week by week."""
    random, words = np.random.default_rng(12), vocabulary()
    encoder = encoder_of(tools, "message_embeddings")
    assert encoder.late is not None
    dim, late = encoder.embedder.dim, encoder.late.dim
    pool = [random.integers(-127, 128, (PIECES, late), dtype=np.int8).tobytes() for _ in range(500)]
    per_week = messages // WEEKS
    for week in range(WEEKS):
        start = FIRST + timedelta(weeks=week)
        owners = np.sort(random.integers(0, agents, per_week))
        turns = np.arange(per_week) - np.searchsorted(owners, owners)
        texts = [" ".join(row) for row in np.array(words)[random.integers(0, len(words), (per_week, WORDS))]]
        names = [f"agent-{owner:04d}" for owner in owners]
        frame = pl.DataFrame(
            {
                "message_id": [f"m-{week:02d}-{number:07d}" for number in range(per_week)],
                "agent_id": names,
                "session_id": [f"{name}/{week:02d}/{turn // 25}" for name, turn in zip(names, turns, strict=True)],
                "turn": turns,
                "text": texts,
                "occurred_at": [start + timedelta(minutes=int(turn)) for turn in turns],
            },
            schema_overrides={"occurred_at": pl.Datetime("us", "UTC")},
        ).with_columns(
            term_lists(texts),
            user_id=pl.concat_str(pl.lit("user-of-"), "agent_id"),
            role=pl.when(pl.col("turn") % 2 == 0).then(pl.lit("user")).otherwise(pl.lit("agent")),
            week=pl.lit(week_of(start)),
            source_ref=pl.lit(None, pl.String),
            emotion=pl.Series(random.choice(EMOTIONS, per_week)),
            importance=pl.Series(random.random(per_week).round(4)),
            window_text=pl.col("text"),
            traits=pl.Series(random.integers(0, 128, per_week)) + BITS["user"],
            text_hash=pl.col("message_id"),
            embedder=pl.lit(encoder.fingerprint),
        )
        spoken = pl.when(pl.col("role") == "user").then("user_id").otherwise("agent_id")
        frame = frame.with_columns(speaker_id=spoken, speaker_name=spoken)
        vectors = random.normal(size=(per_week, dim)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        tokens = [pool[number] for number in random.integers(0, len(pool), per_week)]
        tools.vectors.replace_week(
            "message_embeddings",
            MessageEmbeddings,
            frame,
            vectors,
            week_of(start),
            encoder.fingerprint,
            dim,
            "window_text",
            tokens,
        )
    tools.vectors.publish("message_embeddings", encoder.fingerprint, dim, [])
    lance = tools.vectors.open("message_embeddings")
    assert lance is not None
    lance.optimize()


def memory_of_a_client(folder: Path, agents: int) -> int:
    """Return the megabytes of a process in which a client recalls and makes contexts, 300 of each, and nothing else is done."""
    code = (
        "import sys, psutil, numpy as np\n"
        "from pathlib import Path\n"
        "from resources.settings import load_settings\n"
        "from serving.client import MemoryClient\n"
        "client = MemoryClient(load_settings(home=Path(sys.argv[1])))\n"
        "for number in np.random.default_rng(7).integers(0, int(sys.argv[2]), 300):\n"
        "    client.recall(f'what about number {number}', agent=f'agent-{number:04d}')\n"
        "    client.context(f'and {number}?', agent=f'agent-{number:04d}', user=f'user-of-agent-{number:04d}')\n"
        "print(round(psutil.Process().memory_info().rss / 1e6))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(agents)], capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[-1])


def timed(action: Callable[[str, str], Any], asked: list[tuple[str, str]]) -> dict[str, float]:
    """Return p50 and p95 in milliseconds."""
    took = []
    for agent, question in asked:
        start = time.perf_counter()
        action(agent, question)
        took.append(1000 * (time.perf_counter() - start))
    took.sort()
    return {"p50": round(statistics.median(took), 2), "p95": round(took[int(0.95 * len(took))], 2)}


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--agents", type=int, default=1_000)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--home", type=Path, default=None)
    options = parser.parse_args()
    with home(options.home) as folder:
        settings = load_settings(home=folder)
        tools, words = Tools(settings), vocabulary()
        if tools.vectors.count("message_embeddings") < options.messages // WEEKS * WEEKS:
            start = time.perf_counter()
            fill(tools, options.messages, options.agents)
            print(
                json.dumps({"benchmark": "scale", "filled_s": round(time.perf_counter() - start, 1)}), file=sys.stderr
            )
            if options.home is not None:
                # What is measured is a process that only reads: it starts anew.
                os.execv(sys.executable, [sys.executable, "-m", "benchmarks.scale", *sys.argv[1:]])
        tools.store.close()
        client = MemoryClient(settings, count_recalls=False)
        recaller = client.recaller
        assert recaller.encoder is not None
        assert recaller.encoder.late is not None
        random = np.random.default_rng(5)

        def questions(agents: int) -> list[tuple[str, str]]:
            return [
                (f"agent-{random.integers(0, agents):04d}", "what about " + " ".join(random.choice(words, 6)))
                for _ in range(options.questions)
            ]

        embedder = recaller.encoder.embedder
        vector = embedder.embed_query("warm")
        pieces = recaller.encoder.late.embed_query("warm up what is read first")
        # LanceDB is asked over the client's own connection: what it keeps in memory is counted once.
        lance = client.vectors.open("message_embeddings")
        assert lance is not None

        def raw(agent: str, question: str) -> Any:
            search = lance.search(query_type="hybrid", vector_column_name="vector", fts_columns="window_text")
            search = search.vector(vector).text(question).where(f"agent_id = '{agent}'", prefilter=True)
            return search.limit(10).select(["message_id", "text"]).to_arrow()

        def embedding(agent: str, question: str) -> Any:
            return embedder.embed_query(question), recaller.encoder.late.embed_query(question)

        raw("agent-0000", "warm up")
        client.recall("warm up", agent="agent-0000")
        everybody = options.agents
        line: dict[str, Any] = {"benchmark": "scale", "messages": options.messages, "agents": everybody}
        line["lancedb_hybrid_ms"] = timed(raw, questions(everybody))
        line["embedding_ms"] = timed(embedding, questions(everybody))
        line["recall_with_embedding_ms"] = timed(
            lambda agent, question: client.recall(question, agent=agent), questions(everybody)
        )
        line["context_ms"] = timed(
            lambda agent, question: client.context(question, agent=agent, user=f"user-of-{agent}"),
            questions(everybody),
        )
        # From here on the embedders' answers are given: what is left is recall without embedding.
        embedder.__dict__["embed_query"] = lambda text: vector
        recaller.encoder.late.__dict__["embed_query"] = lambda text: pieces
        line["recall_ms"] = timed(lambda agent, question: client.recall(question, agent=agent), questions(everybody))
        line["recall_cached_ms"] = timed(lambda agent, question: client.recall(question, agent=agent), questions(10))
        line["context_without_embedding_ms"] = timed(
            lambda agent, question: client.context(question, agent=agent, user=f"user-of-{agent}"),
            questions(everybody),
        )
        line["memory_mb"] = memory_of_a_client(folder, everybody)
        line["times_lancedb_p95"] = round(line["recall_ms"]["p95"] / line["lancedb_hybrid_ms"]["p95"], 2)
        line["load"] = os.getloadavg()[0]
    print(json.dumps(line))


if __name__ == "__main__":
    main()
