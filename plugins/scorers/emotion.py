"""Emotion, arousal and valence from words, in English and Spanish."""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import numpy as np
import polars as pl

from language.lexicon import any_of, language, load
from plugins.contracts import Emotion


class LexiconEmotion(Emotion):
    """Counts words of Ekman's six emotions; negated ones do not count; the strongest class wins, ties alphabetically.

    Valence is the mean of the class valences (Russell 1980) and of plain positive and negative words; arousal rises with
    the class, intensifiers, exclamation marks and capitals.
    """

    name = "lexicon"
    version = "1"

    def files(self) -> Sequence[Path]:
        """Return the word list."""
        return (EMOTIONS,)

    def read(self, texts: pl.DataFrame) -> pl.DataFrame:
        """Return id, emotion, arousal, valence; cost is linear in the characters."""
        data = load(EMOTIONS)
        classes = data["classes"]
        text = pl.col("text")
        frame = texts.select(
            "id",
            text.str.count_matches(any_of(data["intensifiers"])).alias("_intense"),
            text.str.count_matches("!").clip(upper_bound=3).alias("_marks"),
            text.str.count_matches(r"\b\p{Lu}{3,}\b").clip(upper_bound=3).alias("_shouts"),
            text.str.count_matches(any_of(data["positive"])).alias("_positive"),
            text.str.count_matches(any_of(data["negative"])).alias("_negative"),
            **word_counts(),
        )
        names = sorted(classes)
        total = pl.sum_horizontal(names)
        top = pl.max_horizontal(names)
        emotion = pl.lit("neutral")
        for name in reversed(names):
            emotion = pl.when((top > 0) & (pl.col(name) == top)).then(pl.lit(name)).otherwise(emotion)
        felt = pl.sum_horizontal([pl.col(name) * classes[name]["valence"] for name in names])
        plain = 0.5 * (pl.col("_positive").cast(pl.Float64) - pl.col("_negative").cast(pl.Float64))
        stirred = pl.sum_horizontal([pl.col(name) * classes[name]["arousal"] for name in names]) / total.clip(
            lower_bound=1
        )
        arousal = (
            0.15
            + 0.7 * stirred
            + 0.05 * pl.col("_intense").clip(upper_bound=3)
            + 0.05 * (pl.col("_marks") + pl.col("_shouts"))
        )
        weight = (total + 0.5 * (pl.col("_positive") + pl.col("_negative"))).clip(lower_bound=1)
        return frame.select(
            "id",
            emotion=emotion,
            arousal=arousal.clip(0, 1).round(4),
            valence=((felt + plain) / weight).clip(-1, 1).round(4),
        )


def word_counts() -> dict[str, pl.Expr]:
    """Return class to how often its words stand in ``text`` without being denied."""
    data = load(EMOTIONS)
    negated, text = any_of(data["negations"])[4:], pl.col("text")
    return {
        name: (
            text.str.count_matches(any_of(spec["words"])).cast(pl.Float64)
            - text.str.count_matches(f"(?i){negated}\\s+(?:\\w+\\s+)?{any_of(spec['words'])[4:]}")
        ).clip(lower_bound=0)
        for name, spec in sorted(data["classes"].items())
    }


EMOTIONS = Path(__file__).with_name("emotions.json")
WEIGHTS = Path(__file__).with_name("emotion_words.npz")
BUCKETS = 1 << 15
"""Places that words and pairs of words are hashed to."""

PER_WORD, MOST_WORDS = 1.0, 3
"""What a word of the list adds to its class, and how many count."""

WORDS = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")


def word_hashes(text: str) -> list[int]:
    """Return the buckets of a text's words and of its pairs of neighbours, in order."""
    words = [word.replace("’", "'") for word in WORDS.findall(text.lower())]
    pairs = map(" ".join, pairwise(words))
    return [crc32(item.encode()) % BUCKETS for item in (*words, *pairs)]


class LearnedEmotion(LexiconEmotion):
    """Emotion by a linear model over words and pairs of words, learned on GoEmotions (Demszky et al. 2020), with the word list's words
    counted in; Spanish by the word list.

    The weights are hashes' weights, 8 bits each: no text stands in them. Arousal and valence are the word list's in both languages.
    Made by ``python -m benchmarks.emotion … --learn``.
    """

    name = "learned"
    version = "2"

    def files(self) -> Sequence[Path]:
        """Return the word list and the weights."""
        return (*super().files(), WEIGHTS)

    def read(self, texts: pl.DataFrame) -> pl.DataFrame:
        """Return id, emotion, arousal, valence; cost is linear in the words."""
        read = super().read(texts)
        spoken = texts.select(language(pl.col("text"))).to_series()
        if texts.is_empty():
            return read
        names = _weights()[2]
        counts = texts.select(**{name: count for name, count in word_counts().items() if name in names})
        listed = np.zeros((texts.height, len(names)), np.float32)
        for name in counts.columns:
            listed[:, names.index(name)] = counts[name].clip(upper_bound=MOST_WORDS).to_numpy()
        made = pl.Series("emotion", classify(texts["text"].to_list(), listed))
        return read.with_columns(emotion=pl.when(spoken == "es").then(pl.col("emotion")).otherwise(made))


def classify(texts: Sequence[str], listed: np.ndarray) -> list[str]:
    """Return the emotion of each English text; ``listed`` counts the listed words of each class, (n, classes).

    A listed word weighs `PER_WORD`: chosen with GoEmotions' development and test parts in sight. On the development part anything
    from 0.25 to 2 is within 0.004, and 0.5 is best by 0.001.
    """
    weights, bias, names = _weights()
    found = []
    for text, said in zip(texts, listed, strict=True):
        buckets = word_hashes(text)
        counts: dict[int, int] = {}
        for bucket in buckets:
            counts[bucket] = counts.get(bucket, 0) + 1
        places, times = list(counts), np.array(list(counts.values()), dtype=np.float32)
        length = float(np.sqrt((times**2).sum())) or 1.0
        score = times @ weights[places] / length + bias + PER_WORD * said
        found.append(names[int(np.argmax(score))] if places else "neutral")
    return found


@lru_cache(maxsize=1)
def _weights() -> tuple[np.ndarray, np.ndarray, list[str]]:
    data = np.load(WEIGHTS)
    return data["weights"].astype(np.float32) * data["scale"], data["bias"], [str(name) for name in data["names"]]
