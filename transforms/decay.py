"""Decay: how strongly a memory is still there.

    strength = 2 ** (-age / half_life),   half_life = 30 days * 2 ** (4 * importance) * (1 + ln(1 + times recalled))

An exponential with a stability that grows with every recall is the usual model of forgetting (Ebbinghaus 1885; the form with
recall as in MemoryBank, Zhong et al. 2023). The base of 30 days is a setting of this project: an unimportant memory is at one half
after a month, the most important one (1.0) after 16 months; five recalls lengthen either 2.8 times.
"""

import numpy as np
import polars as pl

from records.memory import MemoryStrength

HALF_LIFE_DAYS = 30.0
IMPORTANCE_DOUBLINGS = 4.0


def half_life(importance: np.ndarray, recalled: np.ndarray) -> np.ndarray:
    """Return days until half strength, for importance 0 to 1 and the number of recalls."""
    return HALF_LIFE_DAYS * 2.0 ** (IMPORTANCE_DOUBLINGS * importance) * (1.0 + np.log1p(recalled))


def strength(age: np.ndarray, importance: np.ndarray, recalled: np.ndarray) -> np.ndarray:
    """Return 0 to 1 for ages in days."""
    return np.asarray(2.0 ** (-age / half_life(importance, recalled)), dtype=np.float64)


def strengths(episodes: pl.DataFrame, recalled: pl.DataFrame) -> pl.DataFrame:
    """Return MemoryStrength for ConsolidatedEpisodes and what is known of their recalls (memory_id, agent_id, times, last_recalled).

    An agent's own recalls count, not those of others to whom the episode was told.

    Today is the end of the newest episode or the last recall, whichever is later: the same inputs give the same strengths on any day.
    """
    if episodes.is_empty():
        return MemoryStrength.create_empty()
    frame = episodes.select("agent_id", "importance", "ended_at", memory_id="episode_id").join(
        recalled.select("memory_id", "agent_id", "times", "last_recalled"), on=["memory_id", "agent_id"], how="left"
    )
    today = pl.max_horizontal(pl.col("ended_at").max(), pl.col("last_recalled").max())
    since = pl.max_horizontal("ended_at", "last_recalled")
    frame = frame.with_columns(
        age_days=(today - pl.col("ended_at")).dt.total_seconds() / 86_400,
        _idle=(today - since).dt.total_seconds() / 86_400,
        times_recalled=pl.col("times").fill_null(0),
    )
    left = strength(
        frame["_idle"].to_numpy(), frame["importance"].to_numpy(), frame["times_recalled"].to_numpy().astype(np.float64)
    )
    return MemoryStrength.shaped(frame.with_columns(strength=pl.Series(left).round(4).clip(0, 1)))
