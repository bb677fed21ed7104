"""Decay: how strongly a memory is still there.

    strength = 2 ** (-age / half_life),   half_life = 30 days * 2 ** (4 * importance) * (1 + ln(1 + times recalled))

An exponential with a stability that grows with every recall is the usual model of forgetting (Ebbinghaus 1885; the form with
recall as in MemoryBank, Zhong et al. 2023). The base of 30 days is a setting of this project: an unimportant memory is at one half
after a month, the most important one (1.0) after 16 months; five recalls lengthen either 2.8 times.
"""

import numpy as np

HALF_LIFE_DAYS = 30.0
IMPORTANCE_DOUBLINGS = 4.0


def half_life(importance: np.ndarray, recalled: np.ndarray) -> np.ndarray:
    """Return days until half strength, for importance 0 to 1 and the number of recalls."""
    return HALF_LIFE_DAYS * 2.0 ** (IMPORTANCE_DOUBLINGS * importance) * (1.0 + np.log1p(recalled))


def strength(age: np.ndarray, importance: np.ndarray, recalled: np.ndarray) -> np.ndarray:
    """Return 0 to 1 for ages in days."""
    return np.asarray(2.0 ** (-age / half_life(importance, recalled)), dtype=np.float64)
