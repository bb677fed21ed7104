"""From utterances to interactions: who answered what, within one week, and whom it belongs to.

A conversation is mostly one person's, or nobody's (a group, a world). Where several use one id for theirs, as a bot does that calls all
of them "default", each has a part of its own in it.
"""

import json
from collections.abc import Callable

import polars as pl

from records.ids import content_id
from records.interactions import RawInteractions
from transforms.order import ORDER, ordered

LONGEST_INPUT = 20
"""Utterances of others that count as the input of one answer, the last ones."""

CROWD = 100
"""From more speakers on, a conversation of a week is a crowd: those who are present are those who speak around a message."""

AROUND = 50
"""Messages of a crowd that say who is present at each of them."""

SESSION = ORDER[:2]
"""What names a conversation: two agents may use one session id for two."""

TALK = (*SESSION, "user_id")
"""What names a person's part in a conversation, of rows that were made of messages (`interactions`): user_id is null for nobody's."""

PART = (*SESSION, "_part")
"""The same of messages, see `_in_parts`."""


SPANS_AT_ONCE = 20_000
"""Interactions whose messages are put together at a time; in a group a message is part of up to twenty."""

OF_EACH = (
    "message_id",
    "role",
    "owner",
    "speaker_id",
    "speaker_name",
    "text",
    "occurred_at",
    "position",
    "turn",
    "opt_out",
    "quality_override",
    "location",
    "emotion",
    "importance",
    "metadata",
)
"""What is read of every message of an interaction."""

OF_LAST = (
    *("session_id", "session_key", "agent_id", "world_id", "week"),
    *("role", "speaker_id", "feedback_rating", "correction", "model_version"),
)
"""What is read of the message that closes it."""


def with_owner(messages: pl.DataFrame) -> pl.DataFrame:
    """Return messages with ``owner``: the person whom each belongs to, null for nobody.

    An answer that names no person belongs to the one whom it answers, where nobody else speaks in its session; in a conversation of
    several what names nobody is nobody's.
    """
    asked = pl.col("user_id").filter(pl.col("role") == "user")
    only = pl.when(asked.n_unique().over(SESSION) == 1).then(asked.first().over(SESSION))
    return messages.with_columns(
        owner=pl.coalesce("user_id", pl.when(pl.col("role") != "user").then(only)),
    )


def _in_parts(messages: pl.DataFrame) -> pl.DataFrame:
    """Return messages with ``owner`` and ``_part``, sorted so that the parts of a session lie one after the other.

    Where every answer says whom it belongs to, each person's messages are a part; else a session is one.
    """
    frame = with_owner(messages)
    answers = pl.col("owner").filter(pl.col("role") == "agent")
    apart = (answers.null_count().over(SESSION) == 0) & (answers.len().over(SESSION) > 0)
    part = pl.when(apart).then("owner").fill_null("")  # no id is empty
    return frame.with_columns(_part=part).sort(*PART, "position")


def snapshot(messages: pl.DataFrame, pseudonym: Callable[[str, str], str]) -> pl.DataFrame:
    """Return RawInteractions for the messages of one week as the store gives them (see `resources.snapshot`).

    Cost: that of a sort. The order of rows in the store does not matter.
    """
    if messages.is_empty():
        return RawInteractions.create_empty()
    frame = ordered(messages)
    crowd = pl.col("speaker_id").n_unique().over(SESSION) > CROWD
    frame = frame.with_columns(_around=pl.when(crowd).then(pl.int_range(pl.len()).over(SESSION) // AROUND).otherwise(0))
    present = frame.group_by(*SESSION, "_around").agg(_present=pl.col("speaker_id").unique().sort())
    given = pl.col("participants").str.json_decode(pl.List(pl.String))
    frame = (
        _keyed(_keyed(frame, "user", pseudonym), "session", pseudonym)
        .join(present, on=[*SESSION, "_around"], how="left", maintain_order="left")
        .with_columns(
            pl.coalesce("turn", pl.int_range(1, pl.len() + 1).over(SESSION)).cast(pl.Int64).alias("turn"),
            participants=pl.coalesce(given, "_present"),
            opt_out=pl.col("session_opt_out") | pl.col("speaker_opt_out") | pl.col("user_opt_out"),
            feedback_rating=pl.mean_horizontal("rating", "correct").clip(-1, 1),
        )
    )
    frame = _in_parts(frame)
    found = spans(frame).select("interaction_id", "first", "closed")
    closing = frame.with_row_index("_position").select("message_id", pl.col("_position").cast(pl.Int64))
    spoken = closing.join_asof(found.sort("closed"), left_on="_position", right_on="closed", strategy="forward")
    frame = frame.join(
        spoken.select("message_id", "interaction_id"), on="message_id", how="left", maintain_order="left"
    )
    # Only messages of the platform itself can belong to no interaction.
    alone = pl.col("message_id").map_elements(lambda message: content_id("i", message), return_dtype=pl.String)
    return RawInteractions.shaped(frame.with_columns(interaction_id=pl.coalesce("interaction_id", alone)))


def _keyed(frame: pl.DataFrame, kind: str, pseudonym: Callable[[str, str], str]) -> pl.DataFrame:
    """Return the frame with ``<kind>_key``, the keyed pseudonym of ``<kind>_id``; each id is hashed once."""
    ids = frame[f"{kind}_id"].drop_nulls().unique().sort()
    keys = pl.DataFrame(
        {f"{kind}_id": ids, f"{kind}_key": [pseudonym(kind, value) for value in ids]},
        schema={f"{kind}_id": pl.String, f"{kind}_key": pl.String},
    )
    return frame.join(keys, on=f"{kind}_id", how="left", maintain_order="left")


def spans(frame: pl.DataFrame) -> pl.DataFrame:
    """Return one row per interaction: interaction_id, first, closed (row positions in ``frame``), anchor (whether answered).

    ``frame`` holds a week's messages as `_in_parts` gives them. An agent's message closes the interaction of what the others said since
    its last one; in a part without agents every message does. What follows the last answer is one open interaction.
    """
    rows = (
        frame.with_row_index("_position")
        .with_columns(pl.col("_position").cast(pl.Int64))
        .filter(pl.col("role") != "system")
    )
    rows = rows.with_columns(
        _start=pl.col("_position").min().over(PART),
        _agents=(pl.col("role") == "agent").any().over(PART),
    )
    anchors = rows.filter(~pl.col("_agents") | (pl.col("role") == "agent")).with_columns(
        _last=pl.col("_position").shift(1).over(*PART, "speaker_id")
    )
    answered = anchors.select(
        *PART,
        first=pl.max_horizontal(pl.coalesce(pl.col("_last") + 1, "_start"), pl.col("_position") - LONGEST_INPUT),
        closed="_position",
        anchor=pl.lit(value=True),
    )
    ends = anchors.group_by(PART).agg(_end=pl.col("_position").max())
    open_rows = rows.join(ends, on=PART, how="left").filter(pl.col("_position") > pl.col("_end").fill_null(-1))
    unanswered = (
        open_rows.group_by(PART)
        .agg(first=pl.col("_position").min(), closed=pl.col("_position").max())
        .with_columns(anchor=pl.lit(value=False))
    )
    found = pl.concat([answered, unanswered.select(answered.columns)]).sort("closed")
    members = _members(found, frame.select("message_id", "role"))
    ids = (
        members.group_by("closed", maintain_order=True)
        .agg(pl.col("message_id"))
        .with_columns(
            interaction_id=pl.col("message_id").map_elements(lambda ids: content_id("i", *ids), return_dtype=pl.String)
        )
    )
    return found.join(ids.select("closed", "interaction_id"), on="closed", maintain_order="left")


def _members(found: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the messages of each span in order, as rows (closed, …frame's columns); system messages are none."""
    positions = found.select("closed", "anchor", _position=pl.int_ranges("first", pl.col("closed") + 1)).explode(
        "_position"
    )
    numbered = frame.with_row_index("_position").with_columns(pl.col("_position").cast(pl.Int64))
    joined = positions.join(numbered, on="_position", maintain_order="left")
    return joined.filter(pl.col("role") != "system")


def interactions(raw: pl.DataFrame) -> pl.DataFrame:
    """Return one row per interaction of one week's RawInteractions, with texts, people and sources, not yet judged.

    Cost: linear; memory beyond the result is that of `SPANS_AT_ONCE` interactions.
    """
    frame = _in_parts(raw)
    found = spans(frame)
    built = pl.concat([_told(part, frame) for part in found.iter_slices(SPANS_AT_ONCE)] or [_told(found, frame)])
    keys = frame.select("user_id", "user_key").drop_nulls().unique("user_id")
    return built.join(keys, on="user_id", how="left", maintain_order="left")


def _told(found: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """Return what the messages of some spans of a frame tell together, a row each."""
    members = _members(found, frame.select(OF_EACH))
    is_answer = (pl.col("_position") == pl.col("closed")) & pl.col("anchor")
    several = pl.col("speaker_id").n_unique().over("closed") > 2
    line = (
        pl.when(several & ~is_answer)
        .then(pl.concat_str("speaker_name", pl.lit(": "), "text"))
        .otherwise(pl.col("text"))
    )
    return (
        members.with_columns(_line=line, _answer=is_answer)
        .group_by("closed", maintain_order=True)
        .agg(
            # What several said to each other is nobody's own.
            user_id=pl.when(pl.col("owner").n_unique() == 1).then(pl.col("owner").first()),
            started_at=pl.col("occurred_at").min(),
            occurred_at=pl.col("occurred_at").max(),
            position=pl.col("position").last(),
            turn_first=pl.col("turn").min(),
            turn_last=pl.col("turn").max(),
            n_messages=pl.len().cast(pl.Int64),
            input_text=pl.col("_line").filter(~pl.col("_answer")).str.join("\n"),
            output_text=pl.col("_line").filter(pl.col("_answer")).str.join("\n"),
            participants=pl.col("speaker_id").unique().sort(),
            participant_names=pl.col("speaker_name").unique().sort(),
            source_message_ids=pl.col("message_id"),
            opt_out=pl.col("opt_out").any(),
            quality_override=pl.col("quality_override").drop_nulls().last(),
            location=pl.col("location").drop_nulls().last(),
            input_given=pl.col("emotion").filter(~pl.col("_answer")).drop_nulls().last(),
            output_given=pl.col("emotion").filter(pl.col("_answer")).drop_nulls().last(),
            given_importance=pl.col("importance").max(),
            _metadata=pl.col("metadata").drop_nulls(),
        )
        .with_columns(
            metadata=pl.col("_metadata").map_elements(_together, return_dtype=pl.String),
            given_emotion=pl.coalesce("input_given", "output_given"),
        )
        .drop("_metadata")
        .join(_closing(frame, found), on="closed", maintain_order="left")
        .drop("closed")
    )


def _closing(frame: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """Return per interaction (closed) its id, its session, and what is told of its answer, if it has one."""
    last = found.select("closed", "interaction_id", "anchor").join(
        frame.select(OF_LAST).with_row_index("closed").with_columns(pl.col("closed").cast(pl.Int64)), on="closed"
    )
    answers = pl.when("anchor").then(pl.col("feedback_rating", "correction", "model_version"))
    return last.with_columns(
        answers, persona_id=pl.when(pl.col("anchor") & (pl.col("role") == "agent")).then("speaker_id")
    ).drop("anchor", "role", "speaker_id")


def _together(given: pl.Series) -> str | None:
    """Return the metadata of several messages as one JSON object; what is no object stands under ``value``."""
    together: dict[str, object] = {}
    for text in given:
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        together.update(value if isinstance(value, dict) else {"value": value})
    return json.dumps(together, sort_keys=True, ensure_ascii=False) if together else None
