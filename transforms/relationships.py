"""Relationships: how strongly an agent is bound to each person and agent it shared episodes with, and how it felt, week by week.

    bond = bond_before * 2 ** (-weeks / 8) + sum of the importance of the week's episodes;   strength = 1 - exp(-bond / 3)

The half-life of eight weeks and the scale of three important episodes are settings of this project.
"""

import math
from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl

from records.memory import Relationships

HALF_LIFE_WEEKS = 8.0
SCALE = 3.0


def relationships(episodes: pl.DataFrame, affinity: Mapping[tuple[str, str], float]) -> pl.DataFrame:
    """Return Relationships for Episodes; cost is linear in the episodes' participants.

    Args:
        affinity: (user, agent) to points, as the store has them now; they stand in the newest week of a pair.
    """
    pairs = (
        episodes.select("agent_id", "week", "importance", "valence", other_id=pl.col("participants"))
        .explode("other_id")
        .drop_nulls("other_id")
        .filter(pl.col("other_id") != pl.col("agent_id"))
    )
    agents = set(episodes["agent_id"])
    weekly = (
        pairs.group_by("agent_id", "other_id", "week")
        .agg(
            episodes=pl.len(),
            weight=pl.col("importance").sum(),
            felt=(pl.col("valence") * pl.col("importance")).sum(),
        )
        .sort("agent_id", "other_id", "week")
    )
    rows: list[dict[str, Any]] = []
    bond = felt = 0.0
    before: tuple[str, str] | None = None
    last = date.min
    for row in weekly.iter_rows(named=True):
        pair, week = (row["agent_id"], row["other_id"]), date.fromisoformat(row["week"])
        if pair != before:
            bond = felt = 0.0
        else:
            fade = 2.0 ** (-((week - last).days / 7) / HALF_LIFE_WEEKS)
            bond, felt = bond * fade, felt * fade
            rows[-1]["affinity"] = None
        bond, felt = bond + row["weight"], felt + row["felt"]
        before, last = pair, week
        rows.append(
            {
                "agent_id": row["agent_id"],
                "other_id": row["other_id"],
                "week": row["week"],
                "other_kind": "agent" if row["other_id"] in agents else "user",
                "episodes": row["episodes"],
                "strength": round(1 - math.exp(-bond / SCALE), 4),
                "valence": round(max(-1.0, min(1.0, felt / bond)) if bond else 0.0, 4),
                "affinity": affinity.get((row["other_id"], row["agent_id"])),
            }
        )
    return Relationships.shaped(pl.DataFrame(rows, schema=Relationships.polars_schema(), orient="row"))
