"""Jobs: which assets run together."""

from typing import Any

import dagster as dg

MEMORY = (
    "raw_interactions",
    "scored_interactions",
    "anonymized_interactions",
    "message_embeddings",
    "facts",
    "fact_history",
    "fact_embeddings",
    "episodes",
    "consolidated_episodes",
    "episode_embeddings",
    "memory_strength",
    "relationships",
    "synced_messages",
)
"""The way of the data from a week's snapshot to its mark as synced."""


def build(analytics: dg.AssetsDefinition, weekly: dg.WeeklyPartitionsDefinition) -> dict[str, Any]:
    """Return the jobs by name."""
    memory = dg.AssetSelection.assets(*MEMORY)
    marts = dg.AssetSelection.assets(*analytics.keys)
    return {
        "sync": dg.define_asset_job(
            "sync",
            memory | marts,
            partitions_def=weekly,
            tags={"memory/job": "sync"},
            description="One week from snapshot to synced, then analytics; started by the unsynced sensor.",
        ),
        "weekly_build": dg.define_asset_job(
            "weekly_build",
            memory | marts,
            partitions_def=weekly,
            tags={"memory/job": "weekly_build"},
            description="A whole week, on schedule or as a backfill of many.",
        ),
        "analytics": dg.define_asset_job("analytics_build", marts, description="Every SQL model, published by rename."),
        "train_personality": dg.define_asset_job(
            "train_personality",
            dg.AssetSelection.assets(
                "personality_dataset", "personality_adapter", "adapter_evaluation", "deployed_adapter"
            ),
            description="Layer 1 of a persona: dataset, adapter, gate, deployment.",
        ),
        "train_episodic": dg.define_asset_job(
            "train_episodic",
            dg.AssetSelection.assets("episodic_dataset", "episodic_adapter"),
            description="Layer 2 of a persona and week.",
        ),
    }
