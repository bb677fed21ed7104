"""Quality of an interaction from named components: plain weights, and weights learned from people's ratings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from language.lexicon import WORD, any_of, content_words, load
from plugins.contracts import PluginConfig, Scorer
from plugins.scorers.emotion import EMOTIONS
from plugins.scorers.junk import JUNK, junk, plain

QUALITY = Path(__file__).with_name("quality.json")

JUNK_AT_MOST = 0.1
UNANSWERED_AT_MOST = 0.3
"""Highest scores of junk and of an interaction without an answer: neither can be learned from."""


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
    version = "2"

    def files(self) -> Sequence[Path]:
        """Return the list of what is junk."""
        return (JUNK,)

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
        ).join(junk(interactions), on="interaction_id", maintain_order="left")
        out_n, in_n = pl.col("_out").list.len(), pl.col("_in").list.len()
        shared = pl.col("_in").list.set_intersection("_out").list.len()
        frame = frame.with_columns(
            q_relevance=pl.when((in_n == 0) | (out_n == 0))
            .then(0.5)
            .otherwise((0.4 + 2 * shared / in_n.clip(lower_bound=1)).clip(0, 1)),
            q_informativeness=_saturating(out_n, 8),
            q_specificity=_saturating(_marked(reply), 2),
            q_length=_length_fitness(pl.col("_words")),
            # The same answer again within a session or across many sessions is a template.
            q_originality=(_unique(reply) / (1 + pl.col("repeats"))).clip(0, 1),
            q_engagement=(
                0.3 * (said.str.contains(r"[?¿]") | reply.str.contains(r"[?¿]")).cast(pl.Float64)
                + 0.7 * _saturating(pl.col("_said"), 12)
            ),
        )
        return _judged(frame, self.config.model_dump())


class LearnedScorer(Scorer):
    """Monotone model of eight components whose weights are learned from people's ratings of turns and of dialogues.

    quality = (weighted mean of the components - lowest) / (highest - lowest), clipped: 0 and 1 are the worst and the best
    hundredth among the rated turns. No weight is negative, so that nothing gets worse by being better in a component.
    Coefficients and their making: ``plugins/scorers/quality.json``, ``python -m benchmarks.learn_quality``.

    - relevance: how much of the input's words the answer takes up (stems of five letters, both languages).
    - informativeness: distinct content words, saturating at about ten.
    - specificity: numbers, names and long words.
    - coherence: whether the answer touches the input or the two exchanges before it.
    - originality: few words said twice, unlike the answer before it, no template.
    - length: rising to eight words, falling beyond eighty.
    - engagement: asks, is warm, is no "I don't know".
    - reaction: what the other says next: calm, no complaint, warm, long; 0.5 where nothing follows.

    Feedback and a person's override win over it, see `transforms.scoring`.
    """

    name = "learned"
    version = "1"

    def files(self) -> Sequence[Path]:
        """Return the coefficients and the word lists."""
        return (QUALITY, EMOTIONS, JUNK)

    def score(self, interactions: pl.DataFrame) -> pl.DataFrame:
        """Return interaction_id, quality, q_…, junk; rows of a session come in the order of time. Cost: linear in the characters."""
        learned = load(QUALITY)
        return _judged(components(interactions), learned["weights"], learned["lowest"], learned["highest"])


def components(interactions: pl.DataFrame) -> pl.DataFrame:
    """Return interaction_id, session_id, the q_… components of `LearnedScorer`, junk and _words."""
    words = load(QUALITY)["words"]
    warm, cross = (load(EMOTIONS)["classes"][name]["words"] for name in ("joy", "anger"))
    cross = cross + load(EMOTIONS)["classes"]["disgust"]["words"]
    said, reply, follows = pl.col("input_text"), pl.col("output_text"), pl.col("_follows")
    frame = interactions.select(
        "interaction_id",
        "session_id",
        "input_text",
        "output_text",
        _in=_stems("input_text"),
        _out=_stems("output_text"),
        _words=reply.str.count_matches(WORD),
        _plain=plain(reply),
    ).join(junk(interactions), on="interaction_id", maintain_order="left")
    earlier = {
        name: pl.col(column).shift(back).over("session_id").fill_null(pl.lit([], dtype=pl.List(pl.String)))
        for name, column, back in (("_in1", "_in", 1), ("_out1", "_out", 1), ("_out2", "_out", 2))
    }
    frame = frame.with_columns(
        **earlier, _plain1=pl.col("_plain").shift(1).over("session_id"), _follows=said.shift(-1).over("session_id")
    )
    asked, told, shared = pl.col("_in").list.len(), pl.col("_out").list.len(), _shared("_in", "_out")
    before = pl.col("_in1").list.set_union("_out1").list.set_union("_out2").list.set_difference("_in")
    touches = (before.list.set_intersection("_out").list.len() > 0) | (shared > 0) | (asked == 0)
    again = _shared("_out1", "_out") / pl.min_horizontal(pl.col("_out1").list.len(), told).clip(lower_bound=1)
    unlike = (1 - again) * (pl.col("_plain1").ne_missing(pl.col("_plain"))).cast(pl.Float64) / (1 + pl.col("repeats"))
    return frame.select(
        "interaction_id",
        "session_id",
        "_words",
        "junk",
        q_relevance=pl.when(asked == 0)
        .then(0.5)
        .otherwise(0.5 * (shared > 0).cast(pl.Float64) + 0.5 * shared / asked.clip(lower_bound=1)),
        q_informativeness=_saturating(told, 3),
        q_specificity=(_saturating(_marked(reply), 2) + _saturating(reply.str.count_matches(r"\p{L}{8,}"), 2)) / 2,
        q_coherence=touches.cast(pl.Float64),
        q_originality=((_unique(reply) + unlike) / 2).clip(0, 1),
        q_length=_length_fitness(pl.col("_words")),
        q_engagement=(
            0.4 * reply.str.contains(r"[?¿]").cast(pl.Float64)
            + 0.4 * _has(reply, warm)
            + 0.2 * (1 - _has(reply, words["dull"]))
        ),
        q_reaction=pl.when(follows.is_null())
        .then(0.5)
        .otherwise(
            0.4 * (1 - _has(follows, cross))
            + 0.2 * (1 - _has(follows, words["complaint"]))
            + 0.2 * _has(follows, warm)
            + 0.2 * _saturating(follows.str.count_matches(WORD), 8)
        ),
    )


def _judged(frame: pl.DataFrame, weights: Mapping[str, Any], lowest: float = 0.0, highest: float = 1.0) -> pl.DataFrame:
    """Return interaction_id, quality, q_…, junk from the components and their weights."""
    total = sum(weights.values()) or 1.0
    mean = pl.sum_horizontal([pl.col(f"q_{name}") * weight for name, weight in weights.items()]) / total
    quality = ((mean - lowest) / (highest - lowest)).clip(0, 1)
    capped = (
        pl.when(pl.col("junk").is_not_null())
        .then(quality.clip(upper_bound=JUNK_AT_MOST))
        .when(pl.col("_words") == 0)
        .then(quality.clip(upper_bound=UNANSWERED_AT_MOST))
        .otherwise(quality)
    )
    named = [pl.col(f"q_{name}").cast(pl.Float64).round(4) for name in weights]
    return frame.select("interaction_id", capped.round(4).alias("quality"), *named, "junk")


def _stems(column: str) -> pl.Expr:
    """Return the distinct content words' first five letters without accents: one stem for both languages."""
    bare = pl.element()
    for accented, letter in zip("áéíóúü", "aeiouu", strict=True):
        bare = bare.str.replace_all(accented, letter, literal=True)
    return content_words(column).list.eval(bare.str.slice(0, 5)).list.unique(maintain_order=True)


def _shared(left: str, right: str) -> pl.Expr:
    return pl.col(left).list.set_intersection(right).list.len()


def _saturating(count: pl.Expr, scale: float) -> pl.Expr:
    return 1 - (-(count.cast(pl.Float64) / scale)).exp()


def _has(text: pl.Expr, words: list[str]) -> pl.Expr:
    return text.str.contains(any_of(words)).cast(pl.Float64)


def _marked(text: pl.Expr) -> pl.Expr:
    """Return how many numbers and names within a sentence stand in the text."""
    return text.str.count_matches(r"\d+") + text.str.count_matches(r"[a-záéíóúñ,;] \p{Lu}\p{Ll}+")


def _unique(text: pl.Expr) -> pl.Expr:
    """Return the share of different words; 0 without words."""
    words = text.str.to_lowercase().str.extract_all(WORD)
    return (
        pl.when(words.list.len() == 0).then(0.0).otherwise(words.list.n_unique() / words.list.len().clip(lower_bound=1))
    )


def _length_fitness(words: pl.Expr) -> pl.Expr:
    """Return 0 for nothing, 1 from 8 to 80 words, falling to 0.3 at 300: the range of the persona's own good answers."""
    rising = words / 8
    falling = 1 - 0.7 * (words.cast(pl.Float64) - 80) / 220
    return pl.when(words < 8).then(rising).when(words <= 80).then(1.0).otherwise(falling.clip(0.3, 1))
