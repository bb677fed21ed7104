"""What is no conversation worth keeping: empty, boilerplate, echoes, bot errors, and what the memory itself was fed back."""

from pathlib import Path

import polars as pl

from language.lexicon import WORD, any_of, load

JUNK = Path(__file__).with_name("junk.json")
"""What says nothing, and what a broken bot says."""


CONTEXT_HEADINGS = ("What I know", "What I remember", "Just now", "Lo que sé", "Lo que recuerdo", "Hace un momento")
"""Headings of the block that `MemoryClient.context` makes for a prompt; a test holds them equal to the template's words."""

HEADINGS = "|".join((*CONTEXT_HEADINGS, "(?:relevant |recalled )?memories", "recuerdos(?: relevantes)?"))
RECALLED_BLOCK = rf"(?im)^[#* ]*(?:{HEADINGS})[* ]*:[* \t]*\n(?:.*\S.*(?:\n|\z))+"
"""A heading of recalled memories with the lines under it, up to an empty line."""
RECALLED_LINE = r"(?im)^[-*• ]*\((?:turn|turno) \d+, [^)\n]*\)[^\n]*(?:\n|\z)"
"""A recalled memory alone: ``- (turn 142, 23 turns ago) María: …``."""

REPEATS = 3
"""Other interactions with the same answer, or the same sentences, that make it boilerplate."""
LEAST_ECHO = 4
"""Words an answer must have before repeating the input makes it an echo: "yes" said back is talk."""


def without_recalled(text: pl.Expr) -> pl.Expr:
    """Return the text without memories that were fed back to the bot: nothing is learned from them a second time."""
    return text.str.replace_all(RECALLED_BLOCK, "\n").str.replace_all(RECALLED_LINE, "\n")


def plain(text: pl.Expr) -> pl.Expr:
    """Return the words of the text in lower case, one space apart."""
    return text.str.to_lowercase().str.replace_all(r"[^\p{L}]+", " ").str.strip_chars()


def junk(frame: pl.DataFrame) -> pl.DataFrame:
    """Return interaction_id, junk (the label or null) and repeats (other interactions with the same answer).

    ``frame`` has interaction_id, input_text, output_text. Cost is linear in the characters.
    """
    said, reply, listed = pl.col("input_text"), pl.col("output_text"), load(JUNK)
    words = frame.select(
        "interaction_id",
        "input_text",
        "output_text",
        _words=reply.str.count_matches(WORD),
        _said=said.str.count_matches(WORD),
        _plain=plain(reply),
        _asked=plain(said),
        _kept=without_recalled(pl.concat_str(said, reply, separator="\n\n")).str.count_matches(WORD),
    ).with_columns(repeats=(pl.len().over("_plain") - 1).cast(pl.Int64))
    only_pleasant = f"(?i)^(?:[^\\p{{L}}]*{any_of(listed['pleasantry'])[4:]})+[^\\p{{L}}]*$"
    echo = (pl.col("_words") >= LEAST_ECHO) & (
        pl.concat_str(pl.lit(" "), "_asked", pl.lit(" ")).str.contains(
            pl.concat_str(pl.lit(" "), "_plain", pl.lit(" ")), literal=True
        )
    )
    label = (
        pl.when(pl.col("_words") + pl.col("_said") == 0)
        .then(pl.lit("empty"))
        .when(2 * pl.col("_kept") <= pl.col("_words") + pl.col("_said"))
        .then(pl.lit("recalled"))
        .when(reply.str.contains(any_of(listed["bot_error"])))
        .then(pl.lit("bot_error"))
        .when(pl.concat_str(said, reply, separator=" ").str.contains(only_pleasant))
        .then(pl.lit("pleasantry"))
        .when(echo)
        .then(pl.lit("echo"))
        .when((pl.col("repeats") >= REPEATS) & (pl.col("_words") > 0))
        .then(pl.lit("repeated"))
        .when(pl.col("_stock") >= 0.8)
        .then(pl.lit("boilerplate"))
        .otherwise(pl.lit(None, pl.String))
    )
    return (
        words.join(_stock(words), on="interaction_id", how="left", maintain_order="left")
        .with_columns(junk=label)
        .select("interaction_id", "junk", "repeats")
    )


def _stock(words: pl.DataFrame) -> pl.DataFrame:
    """Return interaction_id, _stock: the share of an answer's words in sentences that many other answers hold, too."""
    sentences = (
        words.select("interaction_id", _sentence=pl.col("output_text").str.extract_all(r"[^.!?…\n]+"))
        .explode("_sentence")
        .with_columns(_plain=plain(pl.col("_sentence")), _length=pl.col("_sentence").str.count_matches(WORD))
        .filter(pl.col("_length") > 0)
        .with_columns(_in=pl.col("interaction_id").n_unique().over("_plain"))
    )
    stock = (pl.col("_length") >= LEAST_ECHO) & (pl.col("_in") > REPEATS)
    return sentences.group_by("interaction_id").agg(_stock=(pl.col("_length") * stock).sum() / pl.col("_length").sum())
