"""AutoMemoryBench: how often memories that must not be used any more come first, and whether the right ones still do.

    python -m benchmarks.forbidden PATH/automemorybench

A memory counts as found when a turn that it was made from is among the first five. Compared with BM25 over the same turns.
Kinds of forbidden memories, from the data's own fields: deleted (forget_policy delete_immediately, or what such a one invalidates),
restricted (do_not_store or sensitive), superseded (invalidated or replaced otherwise), other (near misses, unverified, expired).
"""

import argparse
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.evidence import Conversation, Question, Turn
from benchmarks.installation import home, install
from benchmarks.recall import Bm25
from records.ids import content_id

TOP = 5


def cases(path: Path) -> list[tuple[Conversation, list[dict[str, Any]], dict[str, dict[str, Any]]]]:
    """Return per case its conversation, its queries, and its memories by id with their turns and kind."""
    found = []
    for file in sorted(path.glob("*.json")):
        for case in json.loads(file.read_text(encoding="utf-8"))["cases"]:
            turns = []
            for session in case["sessions"]:
                start = datetime.fromisoformat(session["timestamp"].replace("Z", "+00:00")).astimezone(UTC)
                for number, said in enumerate(session["turns"]):
                    role = "agent" if said["role"] == "assistant" else "user"
                    at = start + timedelta(minutes=number)
                    turns.append(Turn(said["turn_id"], session["session_id"], role, said["content"], at, role))
            events = {event["event_id"]: event["source_turn_ids"] for event in case["events"]}
            units = case["gold_memory_units"]
            deleted = {
                key for unit in units if unit["forget_policy"] == "delete_immediately" for key in unit["invalidates"]
            }
            replaced = {key for unit in units for key in unit["invalidates"]}
            memories = {}
            for unit in units:
                key = unit["memory_id"]
                kind = (
                    "deleted" if unit["forget_policy"] == "delete_immediately" or key in deleted
                    else "restricted" if unit["forget_policy"] == "do_not_store" or unit["sensitivity"] == "sensitive"
                    else "superseded" if key in replaced or unit.get("valid_until")
                    else "other"
                )  # fmt: skip
                refs = [ref for event in unit["source_event_ids"] for ref in events.get(event, [])]
                memories[key] = {"kind": kind, "turns": set(refs)}
            name = str(case["case_id"])
            asked = [Question(query["prompt"], query["probe_type"], []) for query in case["queries"]]
            found.append((Conversation(name, turns, asked), case["queries"], memories))
    return found


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--home", type=Path, default=None)
    options = parser.parse_args()
    read = cases(options.path)
    systems = ("bm25", "recall")
    forbidden: dict[str, dict[str, int]] = {name: {} for name in systems}
    gold: dict[str, list[float]] = {name: [] for name in systems}
    queries = 0
    with home(options.home) as folder:
        client, _ = install([talk for talk, _, _ in read], folder)
        for talk, asked, memories in read:
            bm25 = Bm25(talk)
            names_of = {content_id("m", talk.name, turn.ref): turn.ref for turn in talk.turns}
            for query in asked:
                queries += 1
                answer = client.recall(query["prompt"], agent=talk.name, k=10, kinds=("message",))
                ranked = {
                    "bm25": bm25.ranked(query["prompt"]),
                    "recall": [names_of[memory.id] for memory in answer.memories],
                }
                for name, refs in ranked.items():
                    top = set(refs[:TOP])
                    for key in query["forbidden_memory_ids"]:
                        if key in memories and memories[key]["turns"] & top:
                            kind = memories[key]["kind"]
                            forbidden[name][kind] = forbidden[name].get(kind, 0) + 1
                    wanted = [memories[key]["turns"] for key in query["gold_memory_ids"] if key in memories]
                    if wanted:
                        gold[name].append(sum(bool(turns & set(refs[:10])) for turns in wanted) / len(wanted))
    line = {
        "benchmark": "forbidden",
        "queries": queries,
        **{
            name: {
                "forbidden_in_top_5": dict(sorted(forbidden[name].items())),
                "all": sum(forbidden[name].values()),
                "gold_recall@10": round(100 * sum(gold[name]) / len(gold[name]), 1),
            }
            for name in systems
        },
        "load": os.getloadavg()[0],
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
