"""Episodes by rules: sessions cut at pauses, kept by what was felt and said, titled with their own words."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from language.lexicon import any_of, content_words
from plugins.contracts import EpisodeExtractor, PluginConfig, Spent
from plugins.extractors.segmentation import SEGMENTATION, boundaries, content
from records.ids import content_id
from records.memory import Episodes
from records.names import world_and_name
from transforms.interactions import TALK

DISCLOSURE = [
    "my mom",
    "my dad",
    "my mother",
    "my father",
    "my sister",
    "my brother",
    "secret",
    "never told",
    "honestly",
    "confess*",
    "to tell you",
    "diagnos*",
    "mi madre",
    "mi padre",
    "mi hermana",
    "mi hermano",
    "secreto",
    "nunca le he contado",
    "la verdad es que",
    "confes*",
    "contarte",
    "i feel",
    "me siento",
    "mi abuela",
    "mi abuelo",
    "my grandm*",
    "my grandf*",
    "lost my",
    "he perdido",
]
DECISION = [
    "decided",
    "i will",
    "i'm going to",
    "promise*",
    "i quit",
    "said yes",
    "moved",
    "accepted",
    "he decidido",
    "decidí",
    "voy a",
    "prometo",
    "lo dejo",
    "he aceptado",
    "me mudo",
    "me he mudado",
    "me mudé",
    "i moved",
    "signed",
    "firm[éo]",
]
TYPES: tuple[tuple[str, tuple[str, ...], list[str]], ...] = (  # the first that fits; sets of emotions, and words
    ("decision", (), DECISION),
    ("conflict", ("anger", "disgust"), ["argu*", "fight", "fought", "discut*", "pele*"]),
    ("support", ("sadness", "fear"), []),
    (
        "celebration",
        (),
        [
            "birthday",
            "congrat*",
            "celebrat*",
            "won",
            "cumple*",
            "enhorabuena",
            "felicidades",
            "ganamos",
            "gané",
            "celebr*",
        ],
    ),
    ("disclosure", (), DISCLOSURE),
    ("plan", (), ["plan*", "next week", "tomorrow", "mañana", "la semana que viene"]),
)
IN_ORDER = (*TALK, "position", "interaction_id")
"""Columns that sort interactions as they happened, each person's part in a conversation for itself."""
SENTENCE = re.compile(r"(?<=[.!?…])\s+|\n+")
TITLE_LENGTH = 80


class RuleEpisodes(EpisodeExtractor):
    """Cuts a session where nobody spoke for ``gap_minutes``, where the topic shifts, where others come or go, where the feeling turns, and
    after ``longest`` interactions; keeps an episode when

    importance > 0.7, or arousal > 0.8, or at least two took part and importance > 0.5 (criteria of the world-memory design).

    In a world every agent that spoke keeps an episode from its own side: the same event, with the feeling of its own lines.
    """

    class Config(PluginConfig):
        """Where to cut and what to keep."""

        gap_minutes: int = 45
        longest: int = 10
        shortest: int = 3
        topic_shifts: bool = True
        valence_turn: float = 1.2
        min_importance: float = 0.7
        min_arousal: float = 0.8
        min_shared_importance: float = 0.5

    name = "rules"
    version = "3"

    def files(self) -> Sequence[Path]:
        """Return the weights of the topic shifts."""
        return (SEGMENTATION,)

    def extract(self, interactions: pl.DataFrame) -> pl.DataFrame:
        """Return Episodes; cost is linear in the interactions."""
        self.spent = Spent()
        if interactions.is_empty():
            return Episodes.create_empty()
        segments = self._segments(interactions)
        kept = self._kept(segments.with_columns(_novelty=_novelty(segments)))
        keywords = _keywords(kept)
        rows = []
        for row in kept.iter_rows(named=True):
            episode = self._episode(row, keywords[row["_segment"]])
            rows.append(episode)
            rows += self._sides(episode, row)
        return Episodes.shaped(pl.DataFrame(rows, schema=Episodes.polars_schema(), orient="row"))

    def _segments(self, interactions: pl.DataFrame) -> pl.DataFrame:
        """Return one row per segment with its aggregates and its interactions' texts."""
        gap = (pl.col("started_at") - pl.col("occurred_at").shift(1)).dt.total_minutes() > self.config.gap_minutes
        text = pl.concat_str("input_text", "output_text", separator="\n").str.strip_chars("\n")
        frame = interactions.sort(*IN_ORDER).with_columns(
            _pause=gap.fill_null(value=False).over(TALK),
            _company=(pl.col("participants") != pl.col("participants").shift(1).over(TALK)).fill_null(value=False)
            & (pl.col("participants").list.len() > 2),
            _turned=(
                (pl.col("valence") - pl.col("valence").shift(1).over(TALK)).abs() > self.config.valence_turn
            ).fill_null(value=False),
            _shift=pl.Series(self._shifts(interactions), dtype=pl.Boolean),
        )
        frame = frame.with_columns(_part=pl.Series(self._parts(frame), dtype=pl.Int64))
        return (
            frame.with_columns(
                _text=text,
                _segment=pl.struct(*TALK, "_part").rank("dense"),
                _disclosed=text.str.count_matches(any_of(DISCLOSURE)),
                _decided=text.str.count_matches(any_of(DECISION)),
                _words=text.str.count_matches(r"\w+"),
                _named=text.str.count_matches(r"[a-záéíóúñ,] \p{Lu}\p{Ll}{2,}"),
            )
            .group_by("_segment", maintain_order=True)
            .agg(
                pl.col("agent_id", "world_id", "user_id", "user_key", "session_id", "week").first(),
                pl.col("location").drop_nulls().last(),
                pl.col("given_importance").max(),
                pl.col("given_importance").is_not_null().all().alias("_all_given"),
                pl.col("started_at").min(),
                pl.col("occurred_at").max().alias("ended_at"),
                pl.col("turn_first").min(),
                pl.col("turn_last").max(),
                _flat("participants").unique().sort(),
                _flat("source_message_ids").unique(maintain_order=True),
                pl.col("arousal").max(),
                pl.col("arousal").mean().alias("_mean_arousal"),
                pl.col("valence").mean(),
                pl.col("valence").abs().max().alias("_felt"),
                pl.col("quality").mean(),
                pl.col("emotion").alias("_emotions"),
                pl.col("persona_id").alias("_personas"),
                pl.col("arousal").alias("_arousals"),
                pl.col("valence").alias("_valences"),
                pl.col("quality_source").is_in(["feedback", "override"]).any().alias("_judged"),
                _flat("topics").alias("_topics"),
                pl.col("_text"),
                pl.col("_disclosed", "_decided", "_words", "_named").sum(),
                pl.col("junk").is_not_null().mean().alias("_junk"),
            )
        )

    def _shifts(self, interactions: pl.DataFrame) -> list[bool]:
        """Return whether each interaction, in the order of the segments, begins another topic."""
        ordered = interactions.sort(*IN_ORDER)
        if not self.config.topic_shifts:
            return [False] * ordered.height
        # An interaction turns to a topic with what was said to the agent; where nobody spoke before, with what it said.
        said = pl.when(pl.col("input_text") != "").then("input_text").otherwise("output_text")
        sessions = ordered.group_by(TALK, maintain_order=True).agg(said=said)["said"].to_list()
        found = [
            place in here
            for texts, here in zip(sessions, map(set, boundaries(sessions)), strict=True)
            for place in range(len(texts))
        ]
        return found

    def _parts(self, frame: pl.DataFrame) -> list[int]:
        """Return the number of the segment of each interaction; soft cuts wait until a segment has ``shortest`` interactions."""
        parts, part, length, session = [], 0, 0, None
        for name, pause, soft in frame.select(
            pl.struct(TALK).rank("dense"), "_pause", pl.any_horizontal("_company", "_turned", "_shift")
        ).rows():
            if name != session:
                session, part, length = name, 0, 0
            elif pause or length >= self.config.longest or (soft and length >= self.config.shortest):
                part, length = part + 1, 0
            parts.append(part)
            length += 1
        return parts

    def _sides(self, episode: dict[str, Any], row: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the episode as the other agents that spoke in it remember it: those of the same world, or outside of any as this one."""
        own: dict[str, list[tuple[float, float, str]]] = {}
        for who, arousal, valence, emotion in zip(
            row["_personas"], row["_arousals"], row["_valences"], row["_emotions"], strict=True
        ):
            here = who is not None and world_and_name(who)[0] == world_and_name(row["agent_id"])[0]
            if here and who != row["agent_id"]:
                own.setdefault(who, []).append((arousal, valence, emotion))
        sides = []
        for agent, lines in sorted(own.items()):
            felt = Counter(emotion for _, _, emotion in lines if emotion != "neutral")
            sides.append(
                {
                    **episode,
                    "episode_id": content_id("e", agent, *row["source_message_ids"], self.fingerprint),
                    "agent_id": agent,
                    "arousal": max(arousal for arousal, _, _ in lines),
                    "valence": round(sum(valence for _, valence, _ in lines) / len(lines), 4),
                    "dominant_emotion": min(felt, key=lambda name: (-felt[name], name)) if felt else "neutral",
                }
            )
        return sides

    def _kept(self, segments: pl.DataFrame) -> pl.DataFrame:
        importance = (
            0.08
            + 0.22 * pl.col("arousal")
            + 0.2 * pl.col("_felt")
            + 0.18 * _saturating("_disclosed", 1.5)
            + 0.12 * _saturating("_decided", 1.5)
            + 0.1 * _saturating("_named", 4)
            + 0.1 * _saturating("_words", 150)
            + 0.1 * pl.col("quality")
            + 0.08 * pl.col("_novelty")
            + 0.1 * (pl.col("_judged") & (pl.col("quality") > 0.5)).cast(pl.Float64)
            - 0.3 * pl.col("_junk")
        )
        # A caller's word wins; where only some of it was given, what the rules find in the rest counts, too.
        importance = importance.clip(0, 1).round(4)
        importance = (
            pl.when("_all_given").then("given_importance").otherwise(pl.max_horizontal(importance, "given_importance"))
        )
        company = pl.col("participants").list.len() >= 2
        config = self.config
        return segments.with_columns(importance=importance).filter(
            (pl.col("importance") > config.min_importance)
            | (pl.col("arousal") > config.min_arousal)
            | (company & (pl.col("importance") > config.min_shared_importance))
        )

    def _episode(self, row: dict[str, Any], keywords: list[str]) -> dict[str, Any]:
        felt = Counter(emotion for emotion in row["_emotions"] if emotion != "neutral")
        dominant = min(felt, key=lambda name: (-felt[name], name)) if felt else "neutral"
        text = "\n".join(row["_text"])
        # In a world each answer's input repeats what others heard before: every sentence counts once.
        sentences = list(dict.fromkeys(s.strip() for s in SENTENCE.split(text) if len(s.strip()) > 8)) or [
            text.strip()[:200] or "…"
        ]
        best = sorted(range(len(sentences)), key=lambda i: (-_weight(sentences[i], keywords), i))
        event = sentences[best[0]][:400]
        summary = " ".join(sentences[i] for i in sorted(best[:3]))[:800]
        topics = Counter(row["_topics"])
        return {
            "episode_id": content_id("e", *row["source_message_ids"], self.fingerprint),
            **{
                name: row[name]
                for name in (
                    "agent_id",
                    "user_id",
                    "user_key",
                    "session_id",
                    "week",
                    "world_id",
                    "location",
                    "started_at",
                    "ended_at",
                    "turn_first",
                    "turn_last",
                    "participants",
                    "importance",
                    "arousal",
                    "source_message_ids",
                )
            },
            "type": episode_type(text, dominant),
            "title": _title(event),
            "event": event,
            "summary": summary,
            "valence": round(row["valence"], 4),
            "dominant_emotion": dominant,
            "keywords": keywords,
            "tags": sorted(topics, key=lambda name: (-topics[name], name))[:4],
            "extracted_by": self.fingerprint,
        }


def _novelty(segments: pl.DataFrame) -> pl.Series:
    """Return the share of each segment's content words that its agent has not said or heard before in these interactions, 0 to 1."""
    known: dict[str, set[int]] = {}
    shares: dict[str, float] = {}
    ordered = segments.sort("agent_id", "started_at", "_segment").select("_segment", "agent_id", "_text")
    for segment, agent, texts in ordered.iter_rows():
        words = set(content("\n".join(texts)))
        past = known.setdefault(agent, set())
        shares[segment] = len(words - past) / len(words) if words and past else 0.0
        past |= words
    return pl.Series([shares[segment] for segment in segments["_segment"]], dtype=pl.Float64)


def _saturating(column: str, scale: float) -> pl.Expr:
    """Return 0 for a count of 0, 0.63 at ``scale``, towards 1 beyond."""
    return 1 - (-(pl.col(column) / scale)).exp()


def _flat(column: str) -> pl.Expr:
    return pl.col(column).list.explode(keep_nulls=False, empty_as_null=False)


def episode_type(text: str, emotion: str) -> str:
    """Return the first type whose emotions or words fit, else conversation."""
    for name, emotions, words in TYPES:
        if emotion in emotions or (words and re.search(any_of(words), text)):
            return name
    return "conversation"


def _title(sentence: str) -> str:
    if len(sentence) <= TITLE_LENGTH:
        return sentence.strip(" .,;") or "…"
    return sentence[:TITLE_LENGTH].rsplit(" ", 1)[0].strip(" .,;") + "…"


def _weight(sentence: str, keywords: list[str]) -> float:
    """Return how well a sentence stands for its episode: the rarest words count most, first persons count, length is damped."""
    lower = sentence.lower()
    found = sum(1.0 / (place + 1) for place, word in enumerate(keywords) if word in lower)
    personal = 0.4 * bool(re.search(r"(?i)\b(?:i|my|me|mi|yo|he|soy|tengo|voy)\b", sentence))
    told = 0.5 * bool(re.search(any_of([*DISCLOSURE, *DECISION]), sentence))
    return (found + personal + told) / math.log2(8 + len(sentence.split())) - 0.3 * sentence.rstrip().endswith("?")


def _keywords(segments: pl.DataFrame, most: int = 8) -> dict[str, list[str]]:
    """Return segment to the words that set it apart from the agent's other segments (TF-IDF), ties alphabetically."""
    if segments.is_empty():
        return {}
    words = (
        segments.select("_segment", "agent_id", pl.col("_text").list.join("\n"))
        .select("_segment", "agent_id", word=content_words("_text"))
        .explode("word")
        .drop_nulls("word")
    )
    total = segments.group_by("agent_id").agg(_n=pl.len())
    spread = words.group_by("agent_id", "word").agg(_df=pl.len())
    ranked = (
        words.join(spread, on=["agent_id", "word"])
        .join(total, on="agent_id")
        .with_columns(
            _w=((1 + pl.col("_n")) / pl.col("_df")).log() * pl.col("word").str.len_chars().clip(upper_bound=8)
        )
        .sort("_segment", "_w", "word", descending=[False, True, False])
        .group_by("_segment", maintain_order=True)
        .agg(pl.col("word").head(most))
    )
    found = {row[0]: row[1] for row in ranked.iter_rows()}
    return {segment: found.get(segment, []) for segment in segments["_segment"]}
