"""Recall of evidence: BM25, dense vectors and the product's recall on the same questions, without a judge.

    python -m benchmarks.recall --format locomo PATH/locomo5.json
    python -m benchmarks.recall --format beam PATH/beam100k
    python -m benchmarks.recall --format realtalk PATH

The product is asked as a user asks it: a MemoryClient on an installation that was filled through the store and the embeddings asset.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.evidence import FORMATS, Conversation, averaged, metrics
from memory_assets.embeddings import commit_week, hashes, spoken, window
from memory_assets.tools import Tools
from records.ids import content_id
from records.memory import MessageEmbeddings
from records.weeks import week_of
from resources.settings import load_settings
from serving.client import MemoryClient

DEPTH = 50


def install(conversations: list[Conversation], home: Path) -> tuple[MemoryClient, dict[str, np.ndarray]]:
    """Return a client on an installation that holds the conversations as agents, and the dense vectors by message."""
    settings = load_settings(home=home, first_week="2015-01-05")
    tools = Tools(settings)
    rows, sessions = [], {}
    for talk in conversations:
        for number, turn in enumerate(talk.turns):
            session = f"{talk.name}/{turn.session}"
            sessions.setdefault(
                session,
                {
                    "session_id": session,
                    "agent_id": talk.name,
                    "user_id": None,
                    "opt_out_training": False,
                    "started_at": turn.at,
                    "ended_at": None,
                    "source": "benchmark",
                    "metadata": None,
                },
            )
            rows.append(
                {
                    "message_id": content_id("m", talk.name, turn.ref),
                    "session_id": session,
                    "agent_id": talk.name,
                    "user_id": None,
                    "speaker_id": turn.speaker,
                    "speaker_name": turn.speaker,
                    "role": turn.role,
                    "text": turn.text.strip() or "-",
                    "turn": number,
                    "occurred_at": turn.at,
                    "week": week_of(turn.at),
                    "source_ref": turn.ref,
                }
            )
    frame = pl.DataFrame(rows, schema_overrides={"user_id": pl.String, "occurred_at": pl.Datetime("us", "UTC")})
    frame = frame.sort("session_id", "turn").with_columns(
        window_text=window(), emotion=pl.lit("neutral"), importance=pl.lit(0.0)
    )
    embedder = tools.plugin("embedder")
    tools.store.close()  # opening it migrates it: the client reads fresh messages from it
    for (week,), part in frame.partition_by("week", as_dict=True).items():
        shaped = MessageEmbeddings.shaped(
            part.with_columns(text_hash=hashes(spoken(part)), embedder=pl.lit(embedder.fingerprint))
        )
        commit_week(tools, "message_embeddings", MessageEmbeddings, shaped, str(week), embedder)
    tools.vectors.publish("message_embeddings", embedder.fingerprint, embedder.dim, [])
    lance = tools.vectors.open("message_embeddings")
    assert lance is not None
    table = lance.search().select(["message_id", "vector"]).limit(None).to_arrow()
    vectors = dict(
        zip(
            table["message_id"].to_pylist(),
            np.asarray(table["vector"].combine_chunks().flatten()).reshape(-1, embedder.dim),
            strict=True,
        )
    )
    return MemoryClient(settings), vectors


class Bm25:
    """BM25 with an English stemmer over single turns (bm25s)."""

    def __init__(self, talk: Conversation) -> None:
        import bm25s
        import Stemmer

        self.bm25s, self.stemmer = bm25s, Stemmer.Stemmer("english")
        self.refs = [turn.ref for turn in talk.turns]
        self.index = bm25s.BM25()
        self.index.index(
            bm25s.tokenize(
                [turn.text for turn in talk.turns], stopwords="en", stemmer=self.stemmer, show_progress=False
            ),
            show_progress=False,
        )

    def ranked(self, question: str) -> list[str]:
        """Return references, best first."""
        tokens = self.bm25s.tokenize([question], stopwords="en", stemmer=self.stemmer, show_progress=False)
        found, scores = self.index.retrieve(tokens, k=min(DEPTH, len(self.refs)), show_progress=False)
        return [self.refs[int(place)] for place, score in zip(found[0], scores[0], strict=True) if score > 0]


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", choices=sorted(FORMATS), required=True)
    parser.add_argument("path", type=Path, help="file or folder of the data set")
    parser.add_argument("--limit", type=int, default=None, help="questions per conversation, for a quick look")
    options = parser.parse_args()
    conversations = list(FORMATS[options.format](options.path))
    if options.limit is not None:
        for talk in conversations:
            talk.questions = talk.questions[: options.limit]
    rows: dict[str, list[tuple[str, dict[str, float]]]] = {"bm25": [], "dense": [], "recall": [], "recall_keywords": []}
    took: dict[str, list[float]] = {"recall": [], "recall_keywords": [], "embedding": []}
    with tempfile.TemporaryDirectory() as home:
        client, vectors = install(conversations, Path(home))
        words = MemoryClient(client.settings, embedder=False)
        embedder = client.recaller.embedder
        assert embedder is not None
        for talk in conversations:
            bm25 = Bm25(talk)
            refs = [turn.ref for turn in talk.turns]
            matrix = np.stack([vectors[content_id("m", talk.name, ref)] for ref in refs])
            for question in talk.questions:
                if not question.evidence:
                    continue
                start = time.perf_counter()
                vector = embedder.embed_query(question.text)
                took["embedding"].append(time.perf_counter() - start)
                dense = [refs[place] for place in np.argsort(-(matrix @ vector), kind="stable")[:DEPTH]]
                ranked: dict[str, list[str]] = {"bm25": bm25.ranked(question.text), "dense": dense}
                for name, memory in (("recall", client), ("recall_keywords", words)):
                    start = time.perf_counter()
                    answer = memory.recall(question.text, agent=talk.name, k=DEPTH, kinds=("message",))
                    took[name].append(time.perf_counter() - start)
                    ranked[name] = [str(found.source_ref) for found in answer.memories]
                for name, refs_found in ranked.items():
                    rows[name].append((question.category, metrics(refs_found, question.evidence)))
    line: dict[str, Any] = {
        "benchmark": "recall",
        "format": options.format,
        "conversations": len(conversations),
        "turns": sum(len(talk.turns) for talk in conversations),
        "malformed_evidence": sum(t.malformed for t in conversations),
        "unknown_evidence": sum(t.unknown for t in conversations),
        "without_evidence": sum(t.without_evidence for t in conversations),
        "embedder": embedder.fingerprint,
        **{name: averaged(found) for name, found in rows.items()},
        "latency_ms": {
            name: {
                "p50": round(1000 * statistics.median(values), 1),
                "p95": round(1000 * sorted(values)[int(0.95 * len(values))], 1),
            }
            for name, values in took.items()
        },
        "load": os.getloadavg()[0],
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
