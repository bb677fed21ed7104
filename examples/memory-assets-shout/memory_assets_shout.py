"""A scorer that marks down answers in capitals, and an asset that counts them per week.

Choose it in memory.toml:

    [plugins.scorer]
    use = "shout"
    most = 0.3
"""

from typing import Any

import polars as pl

from plugins.contracts import Plugin, PluginConfig, Scorer
from plugins.hookspecs import hookimpl


class ShoutScorer(Scorer):
    """Quality is one minus the share of capital letters, once it is above ``most``."""

    class Config(PluginConfig):
        """What is still no shouting."""

        most: float = 0.5

    name = "shout"
    version = "1"

    def score(self, interactions: pl.DataFrame) -> pl.DataFrame:
        """Return the columns that a scorer returns; parts it does not judge are neutral."""
        reply = pl.col("output_text")
        letters = reply.str.count_matches(r"\p{L}").clip(lower_bound=1)
        share = reply.str.count_matches(r"\p{Lu}") / letters
        neutral = {
            f"q_{name}": pl.lit(0.5)
            for name in ("relevance", "informativeness", "specificity", "length", "originality", "engagement")
        }
        return interactions.select(
            "interaction_id",
            quality=pl.when(share > self.config.most).then(1 - share).otherwise(0.8),
            junk=pl.lit(None, pl.String),
            **neutral,
        )


@hookimpl
def register_plugins() -> list[type[Plugin]]:
    """Return the plugin classes of this package."""
    return [ShoutScorer]


@hookimpl
def dagster_definitions() -> Any:
    """Return one more asset; Dagster is imported here, because only the code location asks."""
    import dagster as dg

    @dg.asset(group_name="plugins", kinds={"polars"}, deps=["scored_interactions"])
    def shouted_interactions() -> dg.MaterializeResult:
        """Says that it was made by a plugin."""
        return dg.MaterializeResult(metadata={"made_by": "memory-assets-shout"})

    return dg.Definitions(assets=[shouted_interactions])
