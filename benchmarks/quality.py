"""Quality: Spearman correlation of the scorer with human ratings, beside the length of the reply.

    python -m benchmarks.quality --conture PATH/data_first80.json --convai PATH/convai --xdial PATH/xdial_es_en

Turns are judged for ConTurE and xDial-Eval (English and Spanish of the same items), whole dialogues by their mean turn for ConvAI.
The weights of `learned` come from the first two: what they reach where they were not learned is printed by
`benchmarks.learn_quality`; xDial-Eval is never learned from.
"""

import argparse
import json
import os
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from plugins.contracts import Scorer
from plugins.registry import PluginRegistry

Rated = pl.DataFrame
"""Rows of interactions in order with rating (null where nobody rated), group (what a rating is for) and half (0 or 1)."""

Row = tuple[str, str, str, float | None, str, int]


def rated(rows: Iterable[Row]) -> Rated:
    """Return the rows as a frame, numbered."""
    columns = ["session_id", "input_text", "output_text", "rating", "group", "half"]
    return pl.DataFrame(list(rows), schema=columns, orient="row").with_columns(
        interaction_id=pl.int_range(pl.len()).cast(pl.String)
    )


def conture(path: Path) -> Rated:
    """Return turns of ConTurE (Ghazarian et al. 2022) with the overall impression of each; halves are by dialogue."""
    rows = []
    for number, dialogue in enumerate(json.loads(path.read_text(encoding="utf-8"))):
        name = str(dialogue["dialog_id"])
        for place, turn in enumerate(dialogue["turns"]):
            rating = float(turn["overall impression"])
            rows.append((name, turn["user"][6:], turn["chatbot"][9:], rating, f"{name}/{place}", number % 2))
    return rated(rows)


def convai(path: Path) -> Rated:
    """Return the exchanges of rated ConvAI dialogues (Logacheva et al. 2018) with the dialogue's score."""
    rows: list[Row] = []
    dialogues = 0
    for file in sorted(path.glob("export_*.json")):
        for dialogue in json.loads(file.read_text(encoding="utf-8")):
            score, said = dialogue.get("eval_score"), dialogue["dialog"]
            if not isinstance(score, int | float) or score < 1 or len(said) < 4:
                continue
            name = str(dialogue["dialog_id"])
            rows += [
                (name, before["text"], after["text"], float(score), name, dialogues % 2)
                for before, after in pairwise(said)
                if before["sender"] != after["sender"]
            ]
            dialogues += 1
    return rated(rows)


def xdial(path: Path, language: str) -> Rated:
    """Return items of one file of xDial-Eval (Zhang et al. 2023) in a language: the last reply is rated."""
    rows: list[Row] = []
    for number, item in enumerate(map(json.loads, path.read_text(encoding="utf-8").splitlines())):
        *before, asked = [line for line in item[f"{language}_ctx"].splitlines() if line.strip()]
        before = ["", *before] if len(before) % 2 else before
        name = str(number)
        rows += [(name, said, reply, None, name, 0) for said, reply in zip(before[::2], before[1::2], strict=True)]
        rows.append((name, asked, item[f"{language}_res"], float(item["rating"]), name, 0))
    return rated(rows)


def correlation(scores: Any, ratings: pl.Series) -> float:
    """Return Spearman's rank correlation."""
    from scipy.stats import spearmanr

    return round(float(spearmanr(scores, ratings).statistic), 3)


def measured(data: Rated, scorer: Scorer) -> dict[str, float]:
    """Return the correlation of the scorer and of the reply's length with the ratings."""
    scored = scorer.score(data.select("interaction_id", "session_id", "input_text", "output_text"))
    mean = (
        data.join(scored.select("interaction_id", "quality"), on="interaction_id", maintain_order="left")
        .filter(pl.col("rating").is_not_null())
        .with_columns(words=pl.col("output_text").str.count_matches(r"\w+"))
        .group_by("group", maintain_order=True)
        .agg(pl.col("quality", "words").mean(), pl.col("rating").first())
    )
    return {
        "items": mean.height,
        "scorer": correlation(mean["quality"], mean["rating"]),
        "length": correlation(mean["words"], mean["rating"]),
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
    differences = []
    for file in sorted(options.xdial.glob("*.jsonl")) if options.xdial else []:
        line[file.stem] = {code: measured(xdial(file, code), scorer) for code in ("en", "es")}
        differences.append(abs(line[file.stem]["en"]["scorer"] - line[file.stem]["es"]["scorer"]))
    if differences:
        line["largest_difference_en_es"] = round(max(differences), 3)
    line["load"] = os.getloadavg()[0]
    print(json.dumps(line))


if __name__ == "__main__":
    main()
