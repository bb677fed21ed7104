"""Feelings as callers name them, in any word of English or Spanish: what they are among the seven, how pleasant, how strong."""

from functools import lru_cache
from pathlib import Path

import polars as pl

from language.lexicon import load
from records.names import fold

LABELS = Path(__file__).with_name("emotion_labels.json")


@lru_cache(maxsize=1)
def labels() -> dict[str, tuple[str, float, float]]:
    """Return folded label to emotion, valence (-1..1) and arousal (0..1).

    Source: the grouping of GoEmotions' labels under Ekman's six (Demszky et al. 2020); valence and arousal are those of the group in
    Russell's circumplex (1980), moved where a label is plainly milder or stronger.
    """
    found: dict[str, tuple[str, float, float]] = {}
    for emotion, groups in load(LABELS).items():
        for group in groups:
            for label in group["labels"]:
                found[fold(label)] = (emotion, group["valence"], group["arousal"])
    return found


def emotion_of(label: str | None) -> str | None:
    """Return which of the seven a label means, None for an unknown one."""
    known = labels().get(fold(label)) if label else None
    return known[0] if known is not None else None


def as_given(frame: pl.DataFrame) -> pl.DataFrame:
    """Return judged interactions in which an emotion that the caller gave (input_given, output_given) wins over what was read.

    Where the reader found the same emotion its valence and arousal stay, else they are those of the label. A label that is not known
    changes no statistics; it stays as ``given_emotion``.
    """
    given = frame.select("input_given", "output_given").unpivot(value_name="label")["label"].drop_nulls().unique()
    known = [(label, *labels()[fold(label)]) for label in given if fold(label) in labels()]
    if not known:
        return frame
    table = pl.DataFrame(
        known,
        schema={"_label": pl.String, "_emotion": pl.String, "_valence": pl.Float64, "_arousal": pl.Float64},
        orient="row",
    )

    def looked_up(column: str, what: str, kind: type[pl.DataType] = pl.String) -> pl.Expr:
        return pl.col(column).replace_strict(table["_label"], table[what], default=None, return_dtype=kind)

    differs = looked_up("given_emotion", "_emotion").is_not_null() & (
        looked_up("given_emotion", "_emotion") != pl.col("emotion")
    )
    return frame.with_columns(
        emotion=pl.coalesce(looked_up("given_emotion", "_emotion"), "emotion"),
        input_emotion=pl.coalesce(looked_up("input_given", "_emotion"), "input_emotion"),
        output_emotion=pl.coalesce(looked_up("output_given", "_emotion"), "output_emotion"),
        valence=pl.when(differs).then(looked_up("given_emotion", "_valence", pl.Float64)).otherwise("valence"),
        arousal=pl.when(differs).then(looked_up("given_emotion", "_arousal", pl.Float64)).otherwise("arousal"),
    )
