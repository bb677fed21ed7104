"""Quality of an interaction from plain, named signals."""

import polars as pl

from plugins.contracts import PluginConfig, Scorer
from plugins.lexicon import WORD, any_of, content_words

PLEASANTRY = [
    "hi",
    "hello",
    "hey",
    "hola",
    "buenas",
    "buenos días",
    "good morning",
    "good night",
    "ok",
    "okay",
    "vale",
    "lol",
    "jaja*",
    "haha*",
    "thanks",
    "gracias",
    "bye",
    "adiós",
    "sí",
    "si",
    "no",
    "yes",
    "yeah",
    "nice",
    "cool",
    "hmm*",
    "gg",
]
BOT_ERROR = [
    "internal server error",
    "as an ai language model",
    "i cannot process",
    "error 5\\d\\d",
    "timeout",
    "undefined",
    "null",
    "traceback",
    "rate limit*",
    "something went wrong",
    "error interno",
    "ha ocurrido un error",
    "no puedo procesar",
]


class HeuristicScorer(Scorer):
    """Weighted mean of relevance, informativeness, specificity, length, originality and engagement.

    The weights sum to 1. An interaction without an answer gets at most 0.3, junk at most 0.1: neither can be learned from.
    """

    class Config(PluginConfig):
        """Weights of the components."""

        relevance: float = 0.2
        informativeness: float = 0.25
        specificity: float = 0.1
        length: float = 0.15
        originality: float = 0.2
        engagement: float = 0.1

    name = "heuristic"
    version = "1"

    def score(self, interactions: pl.DataFrame) -> pl.DataFrame:
        """Return interaction_id, quality, q_…, junk; cost is linear in the characters."""
        reply, said = pl.col("output_text"), pl.col("input_text")
        frame = interactions.select(
            "interaction_id",
            "session_id",
            "input_text",
            "output_text",
            _in=content_words("input_text"),
            _out=content_words("output_text"),
            _words=reply.str.count_matches(WORD),
            _said=said.str.count_matches(WORD),
        )
        out_n, in_n = pl.col("_out").list.len(), pl.col("_in").list.len()
        shared = pl.col("_in").list.set_intersection("_out").list.len()
        marked = reply.str.count_matches(r"\d+") + reply.str.count_matches(r"[a-záéíóúñ,;] \p{Lu}\p{Ll}+")
        template = reply.str.to_lowercase().str.replace_all(r"[^\p{L}]+", " ").str.strip_chars()
        frame = frame.with_columns(
            q_relevance=pl.when((in_n == 0) | (out_n == 0))
            .then(0.5)
            .otherwise((0.4 + 2 * shared / in_n.clip(lower_bound=1)).clip(0, 1)),
            q_informativeness=1 - (-(out_n / 8)).exp(),
            q_specificity=1 - (-(marked / 2)).exp(),
            q_length=_length_fitness(pl.col("_words")),
            _unique=pl.when(pl.col("_words") == 0)
            .then(0.0)
            .otherwise(
                reply.str.to_lowercase().str.extract_all(WORD).list.n_unique() / pl.col("_words").clip(lower_bound=1)
            ),
            # The same answer again within a session or across many sessions is a template.
            _repeats=pl.len().over(template) - 1,
            q_engagement=(
                0.3 * (said.str.contains(r"[?¿]") | reply.str.contains(r"[?¿]")).cast(pl.Float64)
                + 0.7 * (1 - (-(pl.col("_said") / 12)).exp())
            ),
        ).with_columns(q_originality=(pl.col("_unique") / (1 + pl.col("_repeats"))).clip(0, 1))
        weights = self.config.model_dump()
        total = sum(weights.values()) or 1.0
        mean = pl.sum_horizontal([pl.col(f"q_{name}") * weight for name, weight in weights.items()]) / total
        only_pleasant = f"(?i)^(?:[^\\p{{L}}]*{any_of(PLEASANTRY)[4:]})+[^\\p{{L}}]*$"
        everything = pl.concat_str(said, reply, separator=" ")
        junk = (
            pl.when(pl.col("_words") + pl.col("_said") == 0)
            .then(pl.lit("empty"))
            .when(reply.str.contains(any_of(BOT_ERROR)))
            .then(pl.lit("bot_error"))
            .when(everything.str.contains(only_pleasant))
            .then(pl.lit("pleasantry"))
            .when((pl.col("_repeats") >= 3) & (pl.col("_words") > 0))
            .then(pl.lit("repeated"))
            .otherwise(pl.lit(None, pl.String))
        )
        capped = (
            pl.when(pl.col("junk").is_not_null())
            .then(mean.clip(upper_bound=0.1))
            .when(pl.col("_words") == 0)
            .then(mean.clip(upper_bound=0.3))
            .otherwise(mean)
        )
        components = [pl.col(f"q_{name}").round(4) for name in weights]
        return frame.with_columns(junk=junk).select(
            "interaction_id", capped.clip(0, 1).round(4).alias("quality"), *components, "junk"
        )


def _length_fitness(words: pl.Expr) -> pl.Expr:
    """Return 0 for nothing, 1 from 8 to 80 words, falling to 0.3 at 300: the range of the persona's own good answers."""
    rising = words / 8
    falling = 1 - 0.7 * (words.cast(pl.Float64) - 80) / 220
    return pl.when(words < 8).then(rising).when(words <= 80).then(1.0).otherwise(falling.clip(0.3, 1))
