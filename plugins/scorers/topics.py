"""Topics by name, the same from week to week."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from language.lexicon import any_of, load
from plugins.contracts import PluginConfig, Topics

TOPICS = Path(__file__).with_name("topics.json")


class LexiconTopics(Topics):
    """Names the topics whose words stand in a text, most frequent first, ties alphabetically."""

    class Config(PluginConfig):
        """How many topics a text may have."""

        most: int = 3

    name = "lexicon"
    version = "1"

    def files(self) -> Sequence[Path]:
        """Return the word list."""
        return (TOPICS,)

    def name_topics(self, texts: pl.DataFrame) -> pl.DataFrame:
        """Return id, topics."""
        words = {name: stems for name, stems in load(TOPICS).items() if not name.startswith("_")}
        counts = texts.select(
            "id", **{name: pl.col("text").str.count_matches(any_of(stems)) for name, stems in words.items()}
        )
        found = (
            counts.unpivot(index="id", variable_name="topic", value_name="n")
            .filter(pl.col("n") > 0)
            .sort("id", "n", "topic", descending=[False, True, False])
            .group_by("id", maintain_order=True)
            .agg(pl.col("topic").head(self.config.most).alias("topics"))
        )
        empty = pl.lit([], dtype=pl.List(pl.String))
        return (
            texts.select("id")
            .join(found, on="id", how="left", maintain_order="left")
            .with_columns(pl.col("topics").fill_null(empty))
        )
