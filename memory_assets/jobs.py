"""Jobs: which assets run together."""

from typing import Any

import dagster as dg

from memory_assets.layers import LAYERS

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
        **{
            f"train_{layer.name}": dg.define_asset_job(
                f"train_{layer.name}",
                dg.AssetSelection.assets(*layer.assets),
                description=f"Layer {layer.number} of a persona: dataset, adapter, gate, deployment.",
            )
            for layer in LAYERS.values()
        },
    }
