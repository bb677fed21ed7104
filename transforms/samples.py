"""Training samples of a persona from anonymized interactions: what may be learned from, each once, nobody too loud, split by session."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import polars as pl

from records.ids import content_id, text_hash
from records.training import DatasetManifest

Count = Callable[[Sequence[str]], list[int]]
"""Returns the tokens of each text."""

PER_MESSAGE = 5
"""Tokens a chat template puts around one message: ChatML's four and a line break."""
FEW = 1.5
"""A cap on shares is at least this many times an even share: two people may not stand 50 to 50."""
AT_ONCE = 50_000
"""Interactions whose words are Python's own at a time: a million at once would hold gigabytes."""
SENTENCE = r"[^.!?…\n]+[.!?…\n]*\s*"
ROLES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))


TALK = ("agent_id", "session_key", "user_key")
"""What names a person's part in a conversation outside of the memory."""

NEEDED = (
    *(
        "interaction_id",
        "session_key",
        "user_key",
        "persona_id",
        "week",
        "agent_id",
        "position",
        "input_text",
        "output_text",
        "correction",
    ),
    *("source_message_ids", "opt_out", "quality", "junk", "topics", "residual", "emotion", "language"),
)
"""Columns of AnonymizedInteractions that decide what is learned, or by which a skill may choose."""


@dataclass(frozen=True)
class Limits:
    """What may enter a dataset.

    Attributes:
        min_quality: Lowest score of an interaction.
        eval_share: Share of the sessions that are held out.
        history: Earlier exchanges of the session that are given as context, as far as they fit.
        longest: Tokens of a sample; 0 for no limit. Longer answers are split at their sentences.
        max_user_share, max_topic_share: Most that one user or topic may have of the samples; 1 for no limit.
        near_duplicates: Jaccard similarity of word pairs from which on two exchanges count as one; 1 for equal ones only.
    """

    min_quality: float = 0.45
    eval_share: float = 0.15
    history: int = 2
    longest: int = 0
    max_user_share: float = 0.5
    max_topic_share: float = 0.5
    near_duplicates: float = 0.8


@dataclass
class Built:
    """A dataset's manifest, and how many interactions were left out why."""

    samples: pl.DataFrame
    left_out: dict[str, int] = field(default_factory=dict)


def build_samples(
    interactions: pl.DataFrame,
    persona_id: str,
    system_prompt: str,
    limits: Limits,
    count: Count,
    chosen: pl.Expr | None = None,
) -> Built:
    """Return DatasetManifest rows for a persona.

    Opted-out interactions, junk, residual personal data and low quality are left out here again, whatever ran before.
    Earlier exchanges of the session become context only if they may be learned from, too. Cost is that of a sort.

    Args:
        interactions: Rows of AnonymizedInteractions.
        chosen: Which of them become samples; the others may be context. All by default.
    """
    own = corrected(interactions.select(NEEDED).filter(pl.col("persona_id") == persona_id))
    usable = trainable(own, persona_id, limits.min_quality).sort(*TALK, "position", "interaction_id")
    wanted = usable if chosen is None else usable.filter(chosen)
    single = without_duplicates(wanted, limits.near_duplicates)
    even = balanced(balanced(single, "user_key", limits.max_user_share), "_topic", limits.max_topic_share)
    left_out = {
        "not_to_be_learned": own.height - usable.height,
        "not_chosen": usable.height - wanted.height,
        "duplicates": wanted.height - single.height,
        "of_loud_users_and_topics": single.height - even.height,
    }
    frame = _with_history(_counted(usable, count), limits.history)
    frame = frame.filter(pl.col("interaction_id").is_in(even["interaction_id"].implode()))
    head = _tokens(count, system_prompt) if system_prompt else 0
    room = max(limits.longest - head, 0) if limits.longest else 2**31
    short = frame.filter(pl.col("_own") <= room)
    pieces = [_samples(part, persona_id, system_prompt, limits, room, head) for part in short.iter_slices(AT_ONCE)] or [
        _samples(short, persona_id, system_prompt, limits, room, head)
    ]
    parts, lost = _split(frame.filter(pl.col("_own") > room), room, count)
    if lost:
        left_out["longer_than_the_base_reads"] = lost
    if parts.height:
        pieces.append(_samples(parts, persona_id, system_prompt, limits, room, head))
    rows = pl.concat(pieces)
    return Built(DatasetManifest.shaped(rows.sort("week", "session_key", "sample_id")), left_out)


def corrected(interactions: pl.DataFrame) -> pl.DataFrame:
    """Return the interactions with what should have been answered as the answer, and what was answered as ``rejected``.

    An answer that somebody corrected is learned as corrected, however badly it was rated.
    """
    better = pl.col("correction").is_not_null() & (pl.col("correction") != pl.col("output_text"))
    return interactions.with_columns(
        rejected=pl.when(better).then("output_text"),
        output_text=pl.when(better).then("correction").otherwise("output_text"),
        quality=pl.when(better).then(1.0).otherwise("quality"),
        junk=pl.when(~better).then("junk"),  # what made the old answer junk is no part of the better one
    ).drop("correction")


def spoken_text() -> pl.Expr:
    """Return what is said in a sample's ``messages`` (JSON), without the system prompt."""
    turns = pl.col("messages").str.json_decode(ROLES)
    said = turns.list.eval(pl.element().struct.field("content").filter(pl.element().struct.field("role") != "system"))
    return said.list.join("\n")


def trainable(interactions: pl.DataFrame, persona_id: str, min_quality: float) -> pl.DataFrame:
    """Return the interactions of a persona that may be trained on."""
    return interactions.filter(
        (pl.col("persona_id") == persona_id)
        & ~pl.col("opt_out")
        & (pl.col("residual") == 0)
        & pl.col("junk").is_null()
        & (pl.col("quality") >= min_quality)
        & (pl.col("input_text") != "")
        & (pl.col("output_text") != "")
    )


def split_of(session_key: str, eval_share: float) -> str:
    """Return train or eval for a session; the same for ever, because it depends on the session alone."""
    number = int.from_bytes(blake2b(session_key.encode(), digest_size=4).digest(), "big") / 2**32
    return "eval" if number < eval_share else "train"


def without_duplicates(frame: pl.DataFrame, similarity: float) -> pl.DataFrame:
    """Return the interactions without those that say nearly the same as a better one; ties go to the smaller id.

    Similarity is the Jaccard index of the pairs of neighbouring words, estimated by 128 MinHashes (Broder 1997; library rensa).
    Cost is linear in the words.
    """
    said = pl.concat_str("input_text", pl.lit(" | "), "output_text").str.to_lowercase()
    ranked = frame.with_columns(_said=said).sort("quality", "interaction_id", descending=[True, False])
    ranked = ranked.unique("_said", keep="first", maintain_order=True)
    if similarity < 1 and ranked.height > 1:
        from rensa import RMinHash, RMinHashDeduplicator

        words = pl.col("_said").str.extract_all(r"[\p{L}\p{N}|]+")
        pairs = pl.element() + " " + pl.element().shift(-1, fill_value="")
        known = RMinHashDeduplicator(similarity, 128, True, 16)
        fresh: list[bool] = []
        for part in ranked.select("_said").iter_slices(AT_ONCE):
            sets = part.select(words.list.eval(pairs)).to_series().to_list()
            hashed = RMinHash.from_token_sets(sets, num_perm=128, seed=42)
            fresh += [known.add(str(place), one) for place, one in enumerate(hashed, start=len(fresh))]
        ranked = ranked.filter(pl.Series(fresh, dtype=pl.Boolean))
    kept = ranked["interaction_id"].implode()
    return frame.filter(pl.col("interaction_id").is_in(kept))


def balanced(frame: pl.DataFrame, by: str, share: float) -> pl.DataFrame:
    """Return the interactions with at most ``share`` of them from one group; the best of a group stay, those without group all.

    With few groups the share is at least 1.5 times an even one: the data of two people is not thrown away to make them equal.
    """
    if by == "_topic":
        frame = frame.with_columns(_topic=pl.col("topics").list.first())
    counts = frame.drop_nulls(by).group_by(by).len()["len"].to_list()
    if counts and share < 1:
        most = _cap(counts, frame.height - sum(counts), max(share, FEW / len(counts)))
        place = pl.struct(-pl.col("quality"), "interaction_id").rank("ordinal").over(by)
        frame = frame.filter(pl.col(by).is_null() | (place <= most))
    return frame.drop("_topic") if by == "_topic" else frame


def _cap(counts: list[int], others: int, share: float) -> int:
    """Return the largest cap under which no group has more than its share of what is left; at least 1."""
    low, high = 1, max(counts)
    while low < high:
        middle = (low + high + 1) // 2
        total = others + sum(min(count, middle) for count in counts)
        low, high = (middle, high) if min(middle, max(counts)) <= share * total else (low, middle - 1)
    return low


def _tokens(count: Count, text: str) -> int:
    return count([text])[0] + PER_MESSAGE


def _counted(usable: pl.DataFrame, count: Count) -> pl.DataFrame:
    """Return the interactions with the tokens of each exchange (_own)."""
    own = [
        inputs + outputs + 2 * PER_MESSAGE
        for part in usable.select("input_text", "output_text").iter_slices(AT_ONCE)
        for inputs, outputs in zip(*(count(part[name].to_list()) for name in part.columns), strict=True)
    ]
    return usable.with_columns(_own=pl.Series(own, dtype=pl.Int64))


HISTORY = ("interaction_id", "input_text", "output_text", "source_message_ids", "quality", "_own")


def _with_history(frame: pl.DataFrame, history: int) -> pl.DataFrame:
    """Return the exchanges with those before them in the session, nearest first, as columns with a number."""
    return frame.with_columns(
        pl.col(name).shift(back).over(TALK).alias(f"{name}{back}") for back in range(1, history + 1) for name in HISTORY
    )


def _samples(frame: pl.DataFrame, persona_id: str, system: str, limits: Limits, room: int, head: int) -> pl.DataFrame:
    """Return one manifest row per exchange, with as much of its history as fits."""
    used, fits, kept = pl.col("_own"), pl.lit(value=True), []
    for back in range(1, limits.history + 1):
        used = used + pl.col(f"_own{back}").fill_null(2**31)
        fits = fits & (used <= room)
        kept.append(fits)
    backs = list(enumerate(kept, start=1))[::-1]  # the oldest first

    def along(name: str) -> pl.Expr:
        earlier = [pl.when(fit).then(pl.col(f"{name}{back}")) for back, fit in backs]
        return pl.concat_list([*earlier, pl.col(name)]).list.drop_nulls()

    def said(role: str, name: str, fit: pl.Expr | None = None) -> pl.Expr:
        message = pl.struct(role=pl.lit(role), content=pl.col(name))
        return message if fit is None else pl.when(fit).then(message)

    turns = [said("system", "_system")] if system else []
    for back, fit in backs:
        turns += [said("user", f"input_text{back}", fit), said("assistant", f"output_text{back}", fit)]
    turns += [said("user", "input_text"), said("assistant", "output_text")]
    tokens = pl.col("_own") + head
    for back, fit in backs:
        tokens = tokens + pl.when(fit).then(pl.col(f"_own{back}")).otherwise(0)
    sources = [
        *(
            pl.when(fit).then(pl.col(f"source_message_ids{back}")).otherwise(pl.lit([], dtype=pl.List(pl.String)))
            for back, fit in backs
        ),
        pl.col("source_message_ids"),
    ]
    made = frame.with_columns(_system=pl.lit(system)).select(
        "session_key",
        "week",
        interaction_ids=along("interaction_id"),
        source_message_ids=pl.concat_list(sources),
        quality=along("quality").list.mean().round(4),
        n_tokens=tokens.cast(pl.Int64),
        rejected="rejected",
        _messages=pl.concat_list(turns).list.drop_nulls(),
        _part=pl.col("_part") if "_part" in frame.columns else pl.lit(0),
    )
    text = pl.struct(messages="_messages").struct.json_encode().str.strip_prefix('{"messages":').str.strip_suffix("}")
    made = made.with_columns(messages=text).drop("_messages")
    splits = {key: split_of(key, limits.eval_share) for key in made["session_key"].unique()}
    ids = [
        content_id("t", persona_id, *ids, *([str(part)] if part else []))
        for ids, part in made.select("interaction_ids", "_part").iter_rows()
    ]
    return made.drop("_part").with_columns(
        sample_id=pl.Series(ids, dtype=pl.String),
        split=pl.col("session_key").replace_strict(splits, return_dtype=pl.String),
        content_hash=pl.Series([text_hash(sample) for sample in made["messages"]], dtype=pl.String),
    )


def _split(frame: pl.DataFrame, room: int, count: Count) -> tuple[pl.DataFrame, int]:
    """Return exchanges that are too long as several of one answer's sentences each, and how many cannot be split.

    The input is not learned; of one that is longer than half the room the end is kept, which stands next to the answer.
    """
    rows: list[dict[str, Any]] = []
    lost = 0
    for row in frame.iter_rows(named=True):
        said = _last(row["input_text"], room // 2, count)
        space = room - count([said])[0] - 2 * PER_MESSAGE
        parts = _pieces(row["output_text"], space, count)
        if said == "" or not parts:
            lost += 1
            continue
        for number, part in enumerate(parts, start=1):
            tokens = sum(count([said, part])) + 2 * PER_MESSAGE
            rows.append(
                {**row, "input_text": said, "output_text": part, "rejected": None, "_own": tokens, "_part": number}
            )
    return pl.DataFrame(rows, schema={**frame.schema, "_part": pl.Int32}, orient="row"), lost


def _sentences(text: str) -> list[str]:
    return pl.Series([text]).str.extract_all(SENTENCE).to_list()[0]


def _pieces(text: str, space: int, count: Count) -> list[str]:
    """Return the text as pieces of whole sentences that fit, in order; a sentence that is longer is cut between words."""
    pieces, held = [], ""
    for sentence in _sentences(text):
        for part in [sentence] if count([sentence])[0] <= space else _by_words(sentence, space, count):
            if held and count([held + part])[0] > space:
                pieces.append(held.strip())
                held = ""
            held += part
    return [piece for piece in [*pieces, held.strip()] if piece]


def _by_words(sentence: str, space: int, count: Count) -> list[str]:
    parts, held = [], ""
    for word in sentence.split():
        if held and count([f"{held} {word}"])[0] > space:
            parts.append(held + " ")
            held = word
        else:
            held = f"{held} {word}".strip()
    return [part for part in [*parts, held + " "] if count([part])[0] <= space]


def _last(text: str, space: int, count: Count) -> str:
    """Return the text, or as many of its last sentences as fit."""
    if count([text])[0] <= space:
        return text
    kept = ""
    for sentence in reversed(_sentences(text)):
        if count([sentence + kept])[0] > space:
            break
        kept = sentence + kept
    return kept.strip() or " ".join(text.split()[-space // 2 :])
