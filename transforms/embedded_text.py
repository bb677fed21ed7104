"""The text that is embedded, and the rows that hold it: of messages, of episodes, of facts."""

import polars as pl

from language.terms import term_lists, traits
from records.ids import text_hash
from transforms.interactions import SESSION

JUDGED: dict[str, pl.DataType | type[pl.DataType]] = {
    "source_message_ids": pl.List(pl.String),
    "emotion": pl.String,
    "quality": pl.Float64,
}


def message_rows(said: pl.DataFrame, scored: pl.DataFrame | None) -> pl.DataFrame:
    """Return a week's MessageEmbeddings without embedder.

    Args:
        said: Its messages in order, with their ``owner`` (see `transforms.interactions.with_owner`).
        scored: Its ScoredInteractions; None where nothing was judged.
    """
    judged = (
        (scored if scored is not None else pl.DataFrame(schema=JUDGED))
        .select(*JUDGED)
        .explode("source_message_ids")
        .rename({"source_message_ids": "message_id"})
        .group_by("message_id")
        .agg(pl.col("emotion").sort_by("emotion").first().alias("_emotion"), pl.col("quality").max().alias("_quality"))
    )
    return (
        said.with_columns(window_text=window(), terms=term_lists(spoken(said).to_list()), traits=traits())
        .join(judged, on="message_id", how="left", maintain_order="left")
        .with_columns(
            emotion=pl.coalesce("_emotion", pl.lit("neutral")),
            importance=pl.coalesce("importance", "_quality", pl.lit(0.0)),
            text_hash=hashes(spoken(said)),
        )
    )


def episode_rows(episodes: pl.DataFrame) -> pl.DataFrame:
    """Return the week's EpisodeEmbeddings without embedder."""
    text = episodes.select(pl.concat_str("title", "summary", separator=". ")).to_series()
    return episodes.rename({"dominant_emotion": "emotion"}).with_columns(text=text, text_hash=hashes(text))


def fact_rows(history: pl.DataFrame) -> pl.DataFrame:
    """Return the week's FactEmbeddings without embedder."""
    text = history.select(
        pl.format("{}, {}: {}. {}", "category", pl.col("key").str.replace_all(r"[._]", " "), "value", "quote")
    ).to_series()
    return history.with_columns(text=text, text_hash=hashes(text))


def spoken(messages: pl.DataFrame) -> pl.Series:
    """Return the text that is embedded for each message: with its speaker's name.

    A question names people; without the names multilingual-e5-small found 7 % of LoCoMo's evidence in the first ten, with them 52 %.
    """
    return messages.select(pl.concat_str("speaker_name", "text", separator=": ")).to_series()


def window() -> pl.Expr:
    """Return the text for keyword search: a message with its neighbours, each with its speaker's name.

    Neighbours are those of the same person's part in the conversation (`owner`, see `transforms.interactions.with_owner`).
    """
    part = (*SESSION, "owner")
    line = pl.concat_str("speaker_name", "text", separator=": ")
    return pl.concat_str(line.shift(1).over(part), line, line.shift(-1).over(part), separator="\n", ignore_nulls=True)


def hashes(texts: pl.Series) -> pl.Series:
    """Return the hash of each text."""
    return pl.Series("text_hash", [text_hash(text) for text in texts], dtype=pl.String)
