"""What many small syncs make of an installation: its size beside what it holds, seconds per sync, and recall beside one sync of the same.

    python -m benchmarks.syncs --syncs 1000                          # real runs, as `memory materialize` makes them
    python -m benchmarks.syncs --syncs 1000 --through commits        # store, vectors and memo alone, without Dagster

Messages are made by a generator and come in the order of their time, 25 a sync and 25 syncs a week by default. What is held is the text, four
bytes per dimension of every vector of a message, fact and episode, and the token vectors.
"""

import argparse
import json
import logging
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.installation import home
from benchmarks.synthetic import conversations
from memory_assets.assets.embeddings import message_rows
from memory_assets.assets.vector_weeks import commit_week, encoder_of
from memory_assets.operations.materialize import materialize_weeks
from memory_assets.tools import Tools
from records.memory import MessageEmbeddings
from resources.settings import Settings, load_settings
from serving.client import MemoryClient

KINDS = ("message_embeddings", "fact_embeddings", "episode_embeddings")
USERS = 50
AGENT = "bench"

HASHING = '''
"""Words hashed into 64 dimensions: what is measured is everything but the model."""
from hashlib import blake2b

import numpy as np

from plugins.contracts import Embedder
from plugins.hookspecs import hookimpl


class Hashing(Embedder):
    name, version, dim = "hashing", "1", 64

    def embed(self, texts):
        rows = np.full((len(texts), self.dim), 1e-3, dtype=np.float32)
        for row, text in zip(rows, texts):
            for word in text.lower().split():
                row[blake2b(word.encode(), digest_size=1).digest()[0] % self.dim] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@hookimpl
def register_plugins():
    return [Hashing]
'''


def settings_for(folder: Path, embedder: str) -> Settings:
    """Return the settings of an installation in a folder, whose Dagster lies in it, too."""
    os.environ.pop("DAGSTER_HOME", None)
    if embedder == "default":
        return load_settings(home=folder)
    plugins = folder.parent / "plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    (plugins / "hashing.py").write_text(HASHING, encoding="utf-8")
    chosen = {"embedder": {"use": "hashing"}, "tokens": {"use": "none"}, "anonymizer": {"use": "patterns"}}
    return load_settings(home=folder, plugins_dir=plugins, plugins=chosen)


def portions(syncs: int, size: int, weekly: int) -> Iterator[tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]]:
    """Yield the messages, sessions and speakers of each sync, in the order of their time."""
    weeks = -(-syncs // weekly)
    messages, sessions, speakers = conversations(syncs * size, weeks=weeks, users=USERS, agent=AGENT)
    messages = messages.sort("occurred_at", "message_id")
    for start in range(0, messages.height, size):
        part = messages[start : start + size]
        yield part, sessions.join(part, on=["agent_id", "session_id"], how="semi"), speakers


def run(settings: Settings, weeks: list[str]) -> None:
    """Sync as `memory materialize` does."""
    materialize_weeks(settings, weeks, lambda *_: None)


def commit(settings: Settings, weeks: list[str]) -> None:
    """Sync the vectors of messages alone."""
    from resources.snapshot import read_week_messages
    from transforms.interactions import snapshot

    tools = Tools(settings)
    encoder = encoder_of(tools, "message_embeddings")
    for week in weeks:
        raw = snapshot(read_week_messages(tools.store, week, week), tools.keys.pseudonym)
        rows = message_rows(raw, None, tools).with_columns(embedder=pl.lit(encoder.fingerprint))
        frame = MessageEmbeddings.shaped(rows)
        commit_week(tools, "message_embeddings", MessageEmbeddings, frame, week, encoder)
        tools.sync.mark(raw["message_id"].to_list())
    tools.vectors.publish("message_embeddings", encoder.fingerprint, encoder.embedder.dim, weeks)
    tools.vectors.settle(KINDS[:1])
    tools.store.close()


def tree(folder: Path) -> dict[str, int]:
    """Return bytes on disk of each entry of a home; a file with two names counts once."""
    seen: set[int] = set()
    sizes: dict[str, int] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            if status.st_ino in seen:
                continue
            seen.add(status.st_ino)
            parts = path.relative_to(folder).parts
            name = "/".join(parts[:2]) if parts[0] == "dagster" else parts[0].split("-")[0]
            sizes[name] = sizes.get(name, 0) + status.st_size
    return sizes


def held(settings: Settings) -> int:
    """Return the bytes of the texts, vectors and token vectors of an installation."""
    tools = Tools(settings)
    total = int(tools.store.frame("SELECT sum(length(CAST(text AS BLOB))) AS n FROM messages")["n"][0])
    tools.store.close()
    for kind in KINDS:
        lance = tools.vectors.open(kind)
        if lance is None:
            continue
        total += lance.count_rows() * 4 * lance.schema.field("vector").type.list_size
        if "tokens" in lance.schema.names:
            total += sum(batch["tokens"].nbytes for batch in lance.search().select(["tokens"]).limit(None).to_batches())
    return total


def size(settings: Settings) -> dict[str, Any]:
    """Return what an installation takes."""
    folders, content = tree(settings.home), held(settings)
    vectors = Tools(settings).vectors
    tables = {kind: lance for kind in KINDS if (lance := vectors.open(kind)) is not None}
    return {
        "folders": folders,
        "home_bytes": sum(folders.values()),
        "held_bytes": content,
        "ratio": round(sum(folders.values()) / content, 2),
        "files": sum(1 for path in settings.home.rglob("*") if path.is_file()),
        "versions": {kind: len(lance.list_versions()) for kind, lance in tables.items()},
        "rows": {kind: lance.count_rows() for kind, lance in tables.items()},
    }


def recall_ms(many: Settings, once: Settings, rounds: int) -> dict[str, Any]:
    """Return p50 and p95 of recall in both installations, asked in turn by clients that have nothing in their cache."""
    took: dict[str, list[float]] = {"many": [], "once": []}
    for number in range(rounds):
        clients = [("many", MemoryClient(many, count_recalls=False)), ("once", MemoryClient(once, count_recalls=False))]
        for _, client in clients:
            client.recall("warm up", agent=AGENT, user="nobody")
        for user in range(USERS):
            for name, client in clients if (user + number) % 2 else clients[::-1]:
                start = time.perf_counter()
                client.recall("what did I say about the garden in Bilbao?", agent=AGENT, user=f"user-{user}")
                took[name].append(1000 * (time.perf_counter() - start))
    found: dict[str, Any] = {}
    for name, times in took.items():
        times.sort()
        found[name] = {"p50": round(statistics.median(times), 2), "p95": round(times[int(0.95 * len(times))], 2)}
    found["ratio"] = {key: round(found["many"][key] / found["once"][key], 2) for key in ("p50", "p95")}
    return found


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Make the syncs, then the same in one, and return the line."""
    sync = run if options.through == "runs" else commit
    many = settings_for(folder / "many", options.embedder)
    seconds: list[float] = []
    growth: dict[str, Any] = {}
    for number, part in enumerate(portions(options.syncs, options.messages, options.weekly), 1):
        tools = Tools(many)
        tools.store.write(*part)
        tools.store.close()
        start = time.process_time()
        sync(many, sorted(part[0]["week"].unique()))
        seconds.append(time.process_time() - start)
        if number in options.at:
            growth[str(number)] = size(many)
    once = settings_for(folder / "once", options.embedder)
    tools = Tools(once)
    for part in portions(options.syncs, options.messages, options.weekly):
        tools.store.write(*part)
    weeks = tools.store.weeks()
    tools.store.close()
    sync(once, weeks)
    tail = max(options.syncs // 10, 1)
    return {
        "syncs": options.syncs,
        "through": options.through,
        "embedder": options.embedder,
        "messages": options.messages * options.syncs,
        **size(many),
        "at": growth,
        "cpu_s_per_sync": {
            "first_tenth": round(statistics.mean(seconds[:tail]), 3),
            "last_tenth": round(statistics.mean(seconds[-tail:]), 3),
            "most": round(max(seconds), 3),
        },
        "once": size(once),
        "recall_ms": recall_ms(many, once, options.rounds),
    }


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--syncs", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=25, help="of each sync")
    parser.add_argument("--weekly", type=int, default=25, help="syncs a week")
    parser.add_argument("--embedder", choices=("hashing", "default"), default="hashing")
    parser.add_argument("--through", choices=("runs", "commits"), default="runs")
    parser.add_argument("--at", type=int, nargs="*", default=[100, 300], help="syncs after which the size is told, too")
    parser.add_argument("--rounds", type=int, default=4, help="fresh clients that ask each user's memory once")
    parser.add_argument("--home", type=Path, default=None)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with home(options.home) as folder:
        line = {"benchmark": "syncs", **measure(folder, options)}
    print(json.dumps({**line, "load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
