"""Import of a large WhatsApp export: lines a second and memory, beside SQLite's own insertion of the same lines.

    python -m benchmarks.importing --lines 1000000

The file is made here; the import runs in a process of its own, so that its peak memory is its own.
"""

import argparse
import json
import os
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

WORDS = [
    "mañana",
    "tren",
    "coffee",
    "beach",
    "Bilbao",
    "médico",
    "dinner",
    "película",
    "weather",
    "rain",
    "meeting",
    "sister",
    "perro",
    "work",
    "idea",
    "photo",
    "music",
    "dance",
    "kitchen",
    "novela",
    "garden",
    "bus",
    "ticket",
    "exam",
    "birthday",
    "cake",
    "hospital",
    "letter",
    "guitar",
    "mountain",
    "river",
    "sunday",
    "lunes",
    "vacaciones",
    "school",
]


def write_chat(path: Path, lines: int, seed: int = 7) -> int:
    """Write an export of two people; return its messages. One line in twenty continues a message, minutes hold several."""
    draw, at, messages = random.Random(seed), datetime(2021, 1, 4, 8), 0
    with path.open("w", encoding="utf-8") as handle:
        for number in range(lines):
            text = " ".join(draw.choices(WORDS, k=draw.randint(2, 12)))
            if number % 20 == 19:
                handle.write(f"{text}\n")
                continue
            at += timedelta(seconds=draw.choice((5, 9, 20, 40, 90)))
            messages += 1
            handle.write(
                f"{at.day}/{at.month}/{at.year}, {at:%H:%M} - {'Lumi' if number % 2 else 'Nora'}: {text} {number}\n"
            )
    return messages


def imported(path: Path, home: Path) -> dict[str, float]:
    """Import in a process of its own; return seconds and the peak memory in MB."""
    code = (
        "import json, resource, sys, time\n"
        "from plugins.contracts import SourceOptions\n"
        "from serving.client import MemoryClient\n"
        "client = MemoryClient(embedder=False); client.store\n"
        "start = time.perf_counter()\n"
        "done = client.import_file(sys.argv[1], SourceOptions(agent='Lumi'))\n"
        "print(json.dumps({'s': time.perf_counter() - start, 'new': done.new,\n"
        "    'peak_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))\n"
    )
    environment = {**os.environ, "MEMORY_HOME": str(home), "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(path)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def plain(path: Path, database: Path) -> float:
    """Return the seconds that SQLite takes to insert the same lines with one index."""
    start = time.perf_counter()
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE line (number INTEGER PRIMARY KEY, text TEXT)")
        connection.execute("CREATE INDEX by_text ON line (text)")
        with path.open(encoding="utf-8") as handle:
            connection.executemany("INSERT INTO line (text) VALUES (?)", ((line,) for line in handle))
    return time.perf_counter() - start


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    lines = parser.parse_args().lines
    with tempfile.TemporaryDirectory() as folder:
        chat = Path(folder) / "WhatsApp Chat with Nora.txt"
        messages = write_chat(chat, lines)
        beside = plain(chat, Path(folder) / "plain.sqlite")
        first = imported(chat, Path(folder) / "home")
        again = imported(chat, Path(folder) / "home")
    if first["new"] != messages or again["new"]:
        raise SystemExit(f"{first['new']} of {messages} messages were taken, and {again['new']} again")
    print(
        json.dumps(
            {
                "benchmark": "importing",
                "lines": lines,
                "messages": messages,
                "lines_per_s": round(lines / first["s"]),
                "again_lines_per_s": round(lines / again["s"]),
                "peak_mb": round(max(first["peak_mb"], again["peak_mb"])),
                "times_sqlite": round(first["s"] / beside, 2),
                "own_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            }
        )
    )


if __name__ == "__main__":
    main()
