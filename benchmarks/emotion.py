"""Emotion: macro-F1 over Ekman's six and neutral on GoEmotions, correlation of valence and arousal on Chilean Spanish.

    python -m benchmarks.emotion PATH/goemotions PATH/chile_va_es
    python -m benchmarks.emotion PATH/goemotions PATH/chile_va_es --learn

``--learn`` writes plugins/scorers/emotion_words.npz: the weights of words and pairs of words, learned on the training part of GoEmotions
(Demszky et al. 2020, Apache-2.0). Words stand in it as hashes only. The Chilean set is never learned from.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from plugins.contracts import Emotion
from plugins.scorers.emotion import BUCKETS, WEIGHTS, LearnedEmotion, LexiconEmotion, word_hashes

EKMAN = {
    "anger": ("anger", "annoyance", "disapproval"),
    "disgust": ("disgust",),
    "fear": ("fear", "nervousness"),
    "joy": (
        "admiration", "amusement", "approval", "caring", "desire", "excitement", "gratitude", "joy", "love", "optimism", "pride", "relief",
    ),
    "sadness": ("disappointment", "embarrassment", "grief", "remorse", "sadness"),
    "surprise": ("confusion", "curiosity", "realization", "surprise"),
    "neutral": ("neutral",),
}  # fmt: skip
"""The grouping of the data set's authors."""


def goemotions(path: Path, part: str) -> tuple[list[str], list[str]]:
    """Return the texts of a part that raters gave one of the seven to, and which."""
    labels = (path / "labels.txt").read_text(encoding="utf-8").split()
    of = {labels.index(fine): name for name, group in EKMAN.items() for fine in group}
    texts, truth = [], []
    for line in (path / f"{part}.tsv").read_text(encoding="utf-8").splitlines():
        text, given, _ = line.split("\t")
        classes = {of[int(number)] for number in given.split(",")}
        if len(classes) == 1:
            texts.append(text)
            truth.append(classes.pop())
    return texts, truth


def learn(path: Path) -> None:
    """Write the weights of words: a logistic regression with every class of equal weight."""
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    texts, truth = goemotions(path, "train")
    rows = [np.unique(word_hashes(text), return_counts=True) for text in texts]
    ends = np.cumsum([0, *(len(buckets) for buckets, _ in rows)])
    values = np.concatenate([counts / max(float(np.sqrt((counts**2).sum())), 1.0) for _, counts in rows])
    matrix = csr_matrix((values, np.concatenate([b for b, _ in rows]), ends), shape=(len(texts), BUCKETS))
    model = LogisticRegression(C=4, max_iter=300, class_weight="balanced").fit(matrix, truth)
    scale = np.float32(np.abs(model.coef_).max() / 127)
    np.savez_compressed(
        WEIGHTS,
        weights=np.rint(model.coef_.T / scale).astype(np.int8),
        scale=scale,
        bias=model.intercept_.astype(np.float32),
        names=np.array([str(name) for name in model.classes_]),
    )


def macro_f1(truth: list[str], made: list[str]) -> float:
    """Return the mean of the classes' F1."""
    found = []
    for name in EKMAN:
        hit = sum(t == m == name for t, m in zip(truth, made, strict=True))
        found.append(2 * hit / max(truth.count(name) + made.count(name), 1))
    return round(sum(found) / len(found), 3)


def read(plugin: Emotion, texts: list[str]) -> pl.DataFrame:
    """Return what a plugin reads from texts, in their order."""
    return plugin.read(pl.DataFrame({"id": [str(n) for n in range(len(texts))], "text": texts}))


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("goemotions", type=Path)
    parser.add_argument("chile", type=Path)
    parser.add_argument("--learn", action="store_true")
    options = parser.parse_args()
    if options.learn:
        learn(options.goemotions)
    texts, truth = goemotions(options.goemotions, "test")
    line: dict[str, Any] = {"benchmark": "emotion", "texts": len(texts)}
    line["majority_f1"] = macro_f1(truth, ["neutral"] * len(texts))
    line["lexicon_f1"] = macro_f1(truth, read(LexiconEmotion(), texts)["emotion"].to_list())
    start = time.perf_counter()
    made = read(LearnedEmotion(), texts)["emotion"].to_list()
    line["texts_per_s"] = round(len(texts) / (time.perf_counter() - start))
    line["macro_f1"] = macro_f1(truth, made)
    for file, key, column in (
        ("chile_valencia", "valencia", "valence"), ("chile_arousal", "arousal", "arousal"),
    ):  # fmt: skip
        rows = [json.loads(row) for row in (options.chile / f"{file}.jsonl").read_text(encoding="utf-8").splitlines()]
        own = read(LearnedEmotion(), [row["texto"] for row in rows])[column].to_numpy()
        line[f"{column}_r"] = round(float(np.corrcoef(own, [row[key] for row in rows])[0, 1]), 3)
    line["load"] = os.getloadavg()[0]
    print(json.dumps(line))


if __name__ == "__main__":
    main()
