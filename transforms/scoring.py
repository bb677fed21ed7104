"""Judgement of a week: quality, emotion and topics of every interaction, by the chosen plugins."""

import polars as pl

from language.feelings import as_given
from language.lexicon import language
from plugins.contracts import Emotion, Scorer, Topics
from records.interactions import ScoredInteractions
from transforms.interactions import TALK, interactions


def score_week(
    raw: pl.DataFrame, scorer: Scorer, emotion: Emotion, topics: Topics, earlier: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Return ScoredInteractions for one week of RawInteractions; feedback and a person's override win over the scorer.

    Args:
        earlier: The week as it was judged before: what the same emotion plugin read in the same texts is taken over.
    """
    built = interactions(raw)
    if built.is_empty():
        return ScoredInteractions.create_empty()
    # To a scorer a conversation is one name: two agents, and two persons, may use the same one.
    conversation = pl.struct(TALK).rank("dense").cast(pl.String).alias("session_id")
    whole = pl.concat_str("input_text", "output_text", separator="\n")
    texts = built.select("interaction_id", text=whole)
    known = _felt_before(built, emotion, earlier)
    feelings = pl.concat([known, _emotions(built.join(known, on="interaction_id", how="anti"), emotion)])
    named = topics.name_topics(texts.rename({"interaction_id": "id"})).rename({"id": "interaction_id"})
    scores = scorer.score(built.select("interaction_id", conversation, "input_text", "output_text"))
    # A scorer names the components it has; those of others stay empty.
    others = [
        name for name in ScoredInteractions.column_names() if name.startswith("q_") and name not in scores.columns
    ]
    scores = scores.with_columns(pl.lit(None, pl.Float64).alias(name) for name in others)
    frame = built.join(scores, on="interaction_id").join(feelings, on="interaction_id").join(named, on="interaction_id")
    frame = as_given(frame)
    judged = (
        pl.when(pl.col("quality_override").is_not_null())
        .then(pl.lit("override"))
        .when(pl.col("feedback_rating").is_not_null())
        .then(pl.lit("feedback"))
        .otherwise(pl.lit("scorer"))
    )
    return ScoredInteractions.shaped(
        frame.with_columns(
            quality=pl.coalesce("quality_override", (pl.col("feedback_rating") + 1) / 2, "quality").clip(0, 1),
            quality_source=judged,
            language=language(whole),
            scored_by=pl.lit(f"{scorer.fingerprint} {emotion.fingerprint} {topics.fingerprint}"),
        )
    )


FELT = ("interaction_id", "emotion", "arousal", "valence", "input_emotion", "output_emotion")


def _felt_before(built: pl.DataFrame, emotion: Emotion, earlier: pl.DataFrame | None) -> pl.DataFrame:
    """Return what this emotion plugin read before in interactions that say the same."""
    if earlier is None:
        earlier = ScoredInteractions.create_empty()
    reader = pl.col("scored_by").str.split(" ").list.get(1, null_on_oob=True)
    same = earlier.filter(reader == emotion.fingerprint)
    return same.join(built, on=["interaction_id", "input_text", "output_text"], how="semi").select(FELT)


def _emotions(built: pl.DataFrame, emotion: Emotion) -> pl.DataFrame:
    """Return emotion of the whole, the input and the answer in one call, so that a model loads and batches once."""
    sides = pl.concat(
        [
            built.select(
                id=pl.concat_str(pl.lit("w"), "interaction_id"),
                text=pl.concat_str("input_text", "output_text", separator="\n"),
            ),
            built.select(id=pl.concat_str(pl.lit("i"), "interaction_id"), text="input_text"),
            built.select(id=pl.concat_str(pl.lit("o"), "interaction_id"), text="output_text"),
        ]
    )
    read = emotion.read(sides).with_columns(_side=pl.col("id").str.head(1), interaction_id=pl.col("id").str.slice(1))

    def side(name: str, **columns: str) -> pl.DataFrame:
        return read.filter(pl.col("_side") == name).select(
            "interaction_id", **{new: pl.col(old) for new, old in columns.items()}
        )

    return (
        side("w", emotion="emotion", arousal="arousal", valence="valence")
        .join(side("i", input_emotion="emotion"), on="interaction_id")
        .join(side("o", output_emotion="emotion"), on="interaction_id")
        .select(FELT)
    )
