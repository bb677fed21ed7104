"""Seconds per step of the pipeline, how they grow with ten times the messages, and what an unchanged run costs.

    python -m benchmarks.pipeline --messages 100000

Runs the weekly build through Dagster in this process for a tenth of the messages, for all of them, and for all of them again.
"""

import argparse
import json
import logging
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import dagster as dg

from benchmarks.synthetic import conversations
from memory_assets.code_location import build_defs
from memory_assets.jobs import MEMORY
from memory_assets.tools import Tools
from resources.settings import Settings, load_settings

EMBEDDING = ("message_embeddings", "episode_embeddings")


def fill(settings: Settings, messages: int) -> float:
    """Write the conversations into a fresh store; return the seconds it took."""
    frames = conversations(messages)
    store = Tools(settings).store
    start = time.perf_counter()
    store.write(*frames)
    store.close()
    return time.perf_counter() - start


def run(settings: Settings, weeks: list[str]) -> tuple[dict[str, float], dict[str, int]]:
    """Run the weekly build over the weeks; return seconds per step (checks summed as one) and texts embedded."""
    defs = build_defs(settings)
    steps: dict[str, float] = {}
    embedded: dict[str, int] = {}
    with dg.DagsterInstance.ephemeral() as instance:
        for selection, name in (([dg.AssetKey(a) for a in MEMORY], "weekly_build"), (None, "analytics_build")):
            tags = (
                {"dagster/asset_partition_range_start": weeks[0], "dagster/asset_partition_range_end": weeks[-1]}
                if selection
                else {}
            )
            result = defs.resolve_job_def(name).execute_in_process(
                instance=instance, tags=tags, asset_selection=selection
            )
            for event in result.all_events:
                if event.is_step_success:
                    key = event.step_key if event.step_key in (*MEMORY, "analytics") else "checks"
                    steps[key] = steps.get(key, 0.0) + event.step_success_data.duration_ms / 1000
            for materialized in result.get_asset_materialization_events():
                count: Any = materialized.materialization.metadata.get("embedded")
                if count is not None:
                    embedded[materialized.asset_key.to_user_string()] = int(count.value)
    return steps, embedded


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    line: dict[str, Any] = {"benchmark": "pipeline", "messages": options.messages}
    totals = {}
    for name, messages in (("tenth", options.messages // 10), ("all", options.messages)):
        with tempfile.TemporaryDirectory() as home:
            settings = load_settings(home=Path(home))
            line[f"store_write_s_{name}"] = round(fill(settings, messages), 2)
            weeks = Tools(settings).store.weeks()
            first, embedded = run(settings, weeks)
            totals[name] = sum(first.values())
            line[f"steps_s_{name}"] = {step: round(seconds, 2) for step, seconds in first.items()}
            if name == "all":
                again, embedded_again = run(settings, weeks)
                embedding = sum(first[step] for step in EMBEDDING)
                line["embedding_s"] = round(embedding, 1)
                line["other_share_of_embedding"] = round((totals[name] - embedding) / embedding, 4)
                line["embedded"] = embedded
                line["embedded_again"] = embedded_again
                line["steps_s_again"] = {step: round(seconds, 2) for step, seconds in again.items()}
                line["again_share"] = round(sum(again.values()) / totals[name], 4)
    line["ten_times_costs"] = round(totals["all"] / totals["tenth"], 2)
    line["load"] = os.getloadavg()[0]
    print(json.dumps(line))


if __name__ == "__main__":
    main()
