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
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evidence import FORMATS, Conversation, averaged, metrics
from benchmarks.installation import home, install
from records.ids import content_id
from serving.client import MemoryClient

DEPTH = 50


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


class Late:
    """Late interaction alone: the mean over the question's word pieces of the best similarity in the turn."""

    def __init__(self, client: MemoryClient, ids: list[str], agent: str) -> None:
        encoder = client.recaller.encoder
        assert encoder is not None
        assert encoder.late is not None
        self.model = encoder.late
        lance = client.vectors.open("message_embeddings")
        assert lance is not None
        table = lance.search().where(f"agent_id = '{agent}'").select(["message_id", "tokens"]).limit(None).to_arrow()
        held = dict(zip(table["message_id"].to_pylist(), table["tokens"].to_pylist(), strict=True))
        parts = [np.frombuffer(held[key], dtype=np.int8).reshape(-1, self.model.dim) for key in ids]
        self.pieces = np.concatenate(parts).astype(np.float32)
        self.starts = np.cumsum([0, *[len(part) for part in parts[:-1]]])

    def ranked(self, question: str) -> np.ndarray:
        """Return the places of the turns, best first."""
        similar = self.pieces @ self.model.embed_query(question).T
        best = np.maximum.reduceat(similar, self.starts, axis=0).mean(axis=1)
        return np.argsort(-best, kind="stable")[:DEPTH]


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", choices=sorted(FORMATS), required=True)
    parser.add_argument("path", type=Path, help="file or folder of the data set")
    parser.add_argument("--limit", type=int, default=None, help="questions per conversation, for a quick look")
    parser.add_argument("--home", type=Path, default=None, help="folder to keep the installation in, and its vectors")
    options = parser.parse_args()
    conversations = list(FORMATS[options.format](options.path))
    if options.limit is not None:
        for talk in conversations:
            talk.questions = talk.questions[: options.limit]
    rows: dict[str, list[tuple[str, dict[str, float]]]] = {
        name: [] for name in ("bm25", "dense", "late", "recall", "recall_keywords")
    }
    took: dict[str, list[float]] = {"recall": [], "recall_keywords": [], "embedding": []}
    with home(options.home) as folder:
        client, vectors = install(conversations, folder)
        words = MemoryClient(client.settings, embedder=False, count_recalls=False)
        embedder = client.recaller.embedder
        assert embedder is not None
        for talk in conversations:
            bm25 = Bm25(talk)
            refs = [turn.ref for turn in talk.turns]
            names_of = {content_id("m", talk.name, ref): ref for ref in refs}
            matrix = np.stack([vectors[content_id("m", talk.name, ref)] for ref in refs])
            late = Late(client, [content_id("m", talk.name, ref) for ref in refs], talk.name)
            for question in talk.questions:
                if not question.evidence:
                    continue
                start = time.perf_counter()
                vector = embedder.embed_query(question.text)
                took["embedding"].append(time.perf_counter() - start)
                dense = [refs[place] for place in np.argsort(-(matrix @ vector), kind="stable")[:DEPTH]]
                ranked: dict[str, list[str]] = {"bm25": bm25.ranked(question.text), "dense": dense}
                ranked["late"] = [refs[place] for place in late.ranked(question.text)]
                for name, memory in (("recall", client), ("recall_keywords", words)):
                    start = time.perf_counter()
                    answer = memory.recall(question.text, agent=talk.name, k=DEPTH, kinds=("message",))
                    took[name].append(time.perf_counter() - start)
                    ranked[name] = [names_of[found.id] for found in answer.memories]
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
