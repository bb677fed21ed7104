"""Learn the ranker's weights from questions with evidence, and say what they reach on conversations they have not seen.

    python -m benchmarks.learn PATH/locomo5.json --write

The weights are those of a conditional logit: each turn of the evidence against every turn that is none, with a small ridge.
There are two sets: for questions whose answer has one part, where every question counts the same, and for those whose form asks for
several ("what books …"), where every turn of evidence counts the same and such questions count twice.
Reported is leave-one-conversation-out: weights for each conversation come from the other ones. Written are the weights of all.
"""

import argparse
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evidence import FORMATS, averaged, metrics
from benchmarks.installation import home, install
from records.ids import content_id
from serving.recall.features import Asked, features
from serving.recall.ranking import WEIGHTS, weights
from serving.scope import Scope

RIDGE = 3e-3
NEGATIVES = 200
"""Turns without evidence that a question is learned against: those that words and vectors rank highest."""

SETS = ("late", "semantic", "words")


@dataclass
class Example:
    """A question of a conversation with the features of all its turns."""

    conversation: str
    category: str
    refs: list[str]
    evidence: list[str]
    values: np.ndarray
    truth: np.ndarray
    hard: np.ndarray
    several: bool = False


def examples(path: Path, kind: str, folder: Path, name: str) -> tuple[list[Example], list[str]]:
    """Return the examples of one set of features, and the features' names."""
    conversations = list(FORMATS[kind](path))
    client, _ = install(conversations, folder)
    recaller = client.recaller
    found, names = [], []
    now = datetime.now(UTC)
    for talk in conversations:
        for question in talk.questions:
            if not question.evidence:
                continue
            asked = recaller.asked(question.text, now, [])
            assert asked is not None
            image = recaller.image(Scope(talk.name), asked)
            assert image is not None
            values = features(image, _reduced(asked, name))
            names = [key for key in values if key not in weights()["by_hand"]]
            names_of = {content_id("m", talk.name, turn.ref): turn.ref for turn in talk.turns}
            refs = [names_of[key] for key in image.rows["message_id"]]
            truth = np.isin(refs, question.evidence)
            matrix = np.stack([values[key] for key in names], axis=1)
            guess = sum(
                values[key] for key in ("keyword", "keyword_near", "semantic", "late", "late_near") if key in values
            )
            hard = truth.copy()
            hard[np.argsort(-np.asarray(guess), kind="stable")[:NEGATIVES]] = True
            found.append(
                Example(talk.name, question.category, refs, question.evidence, matrix, truth, hard, asked.several)
            )
    return found, names


def _reduced(asked: Asked, name: str) -> Asked:
    if name == "words":
        asked.vector = None
    if name != "late":
        asked.pieces = None
    return asked


def fit(rows: list[Example], ridge: float = RIDGE, *, several: bool = False) -> np.ndarray:
    """Return the weights: the maximum of the mean log odds of each evidence turn against all others, less the ridge.

    Args:
        several: For questions that ask for several things: all evidence counts the same, and these questions twice.
    """
    from scipy.optimize import minimize

    if several:
        rows = rows + [row for row in rows if row.several]
    negatives = [row.values[row.hard & ~row.truth] for row in rows]
    positives = [row.values[row.truth] for row in rows]
    counts = np.array([len(part) for part in negatives])
    starts = np.cumsum(counts) - counts
    pos_counts = np.array([len(part) for part in positives])
    owner = np.repeat(np.arange(len(rows)), pos_counts)
    weight = np.ones(len(owner)) if several else np.repeat(1 / pos_counts, pos_counts)
    weight *= len(rows) / weight.sum()
    low, high = np.concatenate(negatives), np.concatenate(positives)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        scores, good = low @ w, high @ w
        top = np.maximum.reduceat(scores, starts)
        lifted = np.exp(scores - np.repeat(top, counts))
        total = np.add.reduceat(lifted, starts)
        every = np.logaddexp((top + np.log(total))[owner], good)
        missed = weight * (1 - np.exp(good - every))
        pull = np.bincount(owner, weights=missed, minlength=len(rows))
        slope = high.T @ missed - low.T @ (lifted / np.repeat(total, counts) * np.repeat(pull, counts))
        value = (weight * (good - every)).sum()
        return -value / len(rows) + ridge * (w @ w), -slope / len(rows) + 2 * ridge * w

    return np.asarray(minimize(loss, np.zeros(low.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x)


def judged(rows: list[Example], w: tuple[np.ndarray, np.ndarray]) -> list[tuple[str, dict[str, float]]]:
    """Return category and metrics per question, by the weights for one answer and for several."""
    out = []
    for row in rows:
        order = np.argsort(-(row.values @ w[row.several]), kind="stable")[:50]
        out.append((row.category, metrics([row.refs[place] for place in order], row.evidence)))
    return out


def left_out(rows: list[Example], ridge: float, columns: list[int] | None = None) -> list[tuple[str, dict[str, float]]]:
    """Return the metrics of each conversation under the weights of the others."""
    out: list[tuple[str, dict[str, float]]] = []
    kept = rows if columns is None else [Example(**{**row.__dict__, "values": row.values[:, columns]}) for row in rows]
    for name in dict.fromkeys(row.conversation for row in kept):
        others = [row for row in kept if row.conversation != name]
        w = fit(others, ridge), fit(others, ridge, several=True)
        out += judged([row for row in kept if row.conversation == name], w)
    return out


def main() -> None:
    """Print the line, and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--format", choices=sorted(FORMATS), default="locomo")
    parser.add_argument("--home", type=Path, default=None)
    parser.add_argument("--ridge", type=float, default=RIDGE)
    parser.add_argument("--ablate", action="store_true", help="also leave out each feature in turn (slow)")
    parser.add_argument("--write", action="store_true", help="write serving/recall/weights.json")
    options = parser.parse_args()
    line: dict[str, Any] = {"benchmark": "learn", "ridge": options.ridge}
    learned: dict[str, dict[str, float]] = {}
    with home(options.home) as folder:
        for name in SETS:
            rows, names = examples(options.path, options.format, folder, name)
            report = averaged(left_out(rows, options.ridge))
            line[name] = {
                **report["overall"],
                "by_category": {c: v["recall@10"] for c, v in report["by_category"].items()},
            }
            for kind in (name, f"{name}_several"):
                w = fit(rows, options.ridge, several=kind != name)
                learned[kind] = {key: round(float(value), 3) for key, value in zip(names, w, strict=True)}
            if options.ablate:
                line[name]["without"] = {
                    key: averaged(left_out(rows, options.ridge, [i for i in range(len(names)) if i != place]))[
                        "overall"
                    ]["recall@10"]
                    for place, key in enumerate(names)
                }
    if options.write:
        kept = json.loads(WEIGHTS.read_text(encoding="utf-8"))
        made = {
            "made_by": "python -m benchmarks.learn locomo5.json --write",
            "learned_on": "LoCoMo conversations 26, 30, 41, 42, 43 (Maharana et al. 2024)",
            "weights": {**learned, "by_hand": kept["weights"]["by_hand"]},
        }
        WEIGHTS.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    line["load"] = os.getloadavg()[0]
    print(json.dumps(line))


if __name__ == "__main__":
    main()
