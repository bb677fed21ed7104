"""Quality: Spearman correlation of the scorer with human ratings, beside the length of the reply.

    python -m benchmarks.quality --conture PATH/data_first80.json --convai PATH/convai --xdial PATH/xdial_es_en

Turns are judged for ConTurE and xDial-Eval (English and Spanish of the same items), whole dialogues by their mean turn for ConvAI.
"""

import argparse
import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from plugins.contracts import Scorer
from plugins.registry import PluginRegistry

Rated = tuple[list[tuple[str, str, str]], list[float]]
"""Rows of (session, input, reply), and the rating of each session."""


def conture(path: Path) -> Rated:
    """Return turns of ConTurE (Ghazarian et al. 2022) with the overall impression of each."""
    rows, ratings = [], []
    for dialogue in json.loads(path.read_text(encoding="utf-8")):
        for place, turn in enumerate(dialogue["turns"]):
            rows.append((f"{dialogue['dialog_id']}/{place}", turn["user"][6:], turn["chatbot"][9:]))
            ratings.append(float(turn["overall impression"]))
    return rows, ratings


def convai(path: Path) -> Rated:
    """Return the bots' turns of rated ConvAI dialogues (Logacheva et al. 2018) with the dialogue's score."""
    rows, ratings = [], []
    for file in sorted(path.glob("export_*.json")):
        for dialogue in json.loads(file.read_text(encoding="utf-8")):
            score = dialogue.get("eval_score")
            if not isinstance(score, int | float) or score < 1 or len(dialogue["dialog"]) < 4:
                continue
            said = dialogue["dialog"]
            turns = [
                (dialogue["dialog_id"], before["text"], after["text"])
                for before, after in pairwise(said)
                if before["sender"] != after["sender"]
            ]
            if turns:
                rows += turns
                ratings.append(float(score))
    return rows, ratings


def xdial(path: Path, language: str) -> Rated:
    """Return items of one file of xDial-Eval (Zhang et al. 2023) in a language."""
    items = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [(str(n), item[f"{language}_ctx"].splitlines()[-1], item[f"{language}_res"]) for n, item in enumerate(items)]
    return rows, [float(item["rating"]) for item in items]


def measured(rated: Rated, scorer: Scorer) -> dict[str, float]:
    """Return Spearman's correlation of the scorer and of the reply's length with the ratings."""
    from scipy.stats import spearmanr

    rows, ratings = rated
    frame = pl.DataFrame(rows, schema=["session_id", "input_text", "output_text"], orient="row").with_columns(
        interaction_id=pl.int_range(pl.len()).cast(pl.String)
    )
    scored = frame.join(scorer.score(frame), on="interaction_id", maintain_order="left").with_columns(
        words=pl.col("output_text").str.count_matches(r"\w+")
    )
    mean = scored.group_by("session_id", maintain_order=True).agg(pl.col("quality", "words").mean())
    return {
        "items": len(ratings),
        "scorer": round(float(spearmanr(mean["quality"], np.array(ratings)).statistic), 3),
        "length": round(float(spearmanr(mean["words"], np.array(ratings)).statistic), 3),
    }


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conture", type=Path)
    parser.add_argument("--convai", type=Path)
    parser.add_argument("--xdial", type=Path)
    parser.add_argument("--scorer", default=None)
    options = parser.parse_args()
    registry = PluginRegistry()
    scorer = registry.create("scorer", name=options.scorer) if options.scorer else registry.create("scorer")
    line: dict[str, Any] = {"benchmark": "quality", "scorer": scorer.fingerprint}
    if options.conture:
        line["conture"] = measured(conture(options.conture), scorer)
    if options.convai:
        line["convai"] = measured(convai(options.convai), scorer)
    for file in sorted(options.xdial.glob("*.jsonl")) if options.xdial else []:
        line[file.stem] = {code: measured(xdial(file, code), scorer) for code in ("en", "es")}
    line["load"] = os.getloadavg()[0]
    print(json.dumps(line))


if __name__ == "__main__":
    main()
