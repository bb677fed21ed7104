"""Topic shifts on TIAGE: the segmentation of episodes beside TextTiling and its kin.

    python -m benchmarks.segments PATH/tiage            figures on the dev part
    python -m benchmarks.segments PATH/tiage --write    learn on the train part, write plugins/extractors/segmentation.json

F1 of the turns that begin another topic; Pk (Beeferman 1999), lower is better. The baselines' thresholds are the best ones for F1
on the train part, as the model's is.
"""

import argparse
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from plugins.extractors import segmentation
from plugins.extractors.segmentation import FEATURES, SEGMENTATION, content, gap_features

RIDGE = 1e-3

Talk = tuple[list[str], np.ndarray]


def talks(path: Path) -> list[Talk]:
    """Return per conversation its turns and whether each but the first begins a topic."""
    found = []
    for turns in json.loads(path.read_text(encoding="utf-8")).values():
        found.append(([text for text, _ in turns], np.array([label == "1" for _, label in turns[1:]])))
    return found


def texttiling(texts: list[str], size: int) -> np.ndarray:
    """Return TextTiling's depth score per gap (Hearst 1997), blocks of ``size`` turns, cosine of counts."""
    words = [content(text) for text in texts]

    def cosine(gap: int) -> float:
        left = sum(words[max(0, gap - size) : gap], start=type(words[0])())
        right = sum(words[gap : gap + size], start=type(words[0])())
        dot = sum(left[key] * right[key] for key in left)
        norm = math.sqrt(sum(v * v for v in left.values()) * sum(v * v for v in right.values()))
        return dot / norm if norm else 0.0

    scores = [cosine(gap) for gap in range(1, len(texts))]
    depth = []
    for place, score in enumerate(scores):
        left = right = score
        for value in reversed(scores[:place]):
            if value < left:
                break
            left = value
        for value in scores[place + 1 :]:
            if value < right:
                break
            right = value
        depth.append(left + right - 2 * score)
    return np.array(depth)


def f1(truth: np.ndarray, guess: np.ndarray) -> float:
    """Return F1 of the true ones."""
    hits = float((truth & guess).sum())
    return 2 * hits / max(float(truth.sum() + guess.sum()), 1.0)


def pk(truths: list[np.ndarray], guesses: list[np.ndarray]) -> float:
    """Return Pk: the share of pairs half a mean segment apart on whose being together both disagree."""
    wrong = total = 0
    for truth, guess in zip(truths, guesses, strict=True):
        k = max(1, round((len(truth) + 1) / (truth.sum() + 1) / 2))
        for start in range(len(truth) + 1 - k):
            wrong += bool(truth[start : start + k].any()) != bool(guess[start : start + k].any())
            total += 1
    return wrong / max(total, 1)


def best_threshold(scores: list[np.ndarray], data: list[Talk]) -> float:
    """Return the threshold with the best F1."""
    flat, truth = np.concatenate(scores), np.concatenate([labels for _, labels in data])
    return float(max(np.quantile(flat, np.linspace(0.02, 0.98, 97)), key=lambda t: f1(truth, flat >= t)))


def learn(data: list[Talk]) -> np.ndarray:
    """Return the weights of the logistic model."""
    from scipy.optimize import minimize

    x = gap_features([texts for texts, _ in data])
    y = np.concatenate([labels for _, labels in data]).astype(float)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ w
        p = 1 / (1 + np.exp(-z))
        return float((np.logaddexp(0, z) - y * z).mean() + RIDGE * w @ w), x.T @ (p - y) / len(y) + 2 * RIDGE * w

    return np.asarray(minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x)


def main() -> None:
    """Print the line, and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    train, dev = talks(options.path / "anno_train.json"), talks(options.path / "anno_dev.json")
    if options.write:
        w = learn(train)
        scores = [1 / (1 + np.exp(-(gap_features([texts]) @ w))) for texts, _ in train]
        made: dict[str, Any] = {
            "learned_on": "TIAGE, train part (Xie et al. 2021)",
            "threshold": round(best_threshold(scores, train), 3),
            "weights": {name: round(float(v), 3) for name, v in zip(FEATURES, w, strict=True)},
        }
        SEGMENTATION.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
        segmentation.weights.cache_clear()
    truths = [labels for _, labels in dev]
    truth = np.concatenate(truths)
    line: dict[str, Any] = {"benchmark": "segments", "turns": len(truth), "shifts": int(truth.sum())}
    threshold = segmentation.weights()["threshold"]
    guesses = {"model": [segmentation.shift_probability([texts]) >= threshold for texts, _ in dev]}
    for size in (1, 2, 3):
        cut = best_threshold([texttiling(texts, size) for texts, _ in train], train)
        guesses[f"texttiling_{size}"] = [texttiling(texts, size) >= cut for texts, _ in dev]
    guesses["every_turn"] = [np.ones(len(labels), bool) for labels in truths]
    for name, found in guesses.items():
        line[name] = {"f1": round(100 * f1(truth, np.concatenate(found)), 1), "pk": round(100 * pk(truths, found), 1)}
    line["load"] = os.getloadavg()[0]
    print(json.dumps(line))


if __name__ == "__main__":
    main()
