"""The way of one interaction: as it was said, as it was judged, and as it may leave the house."""

from collections.abc import Callable
from typing import Any

import dataframely as dy
import polars as pl

from records.base import Record

ROLES = ("user", "agent", "system")
"""Who speaks: a person, an agent (companion, character, bot), or the platform itself."""

EMOTIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
"""Ekman's six and neutral."""

UTC_TIME: dict[str, Any] = {"time_zone": "UTC", "time_unit": "us"}


def one_of(values: tuple[str, ...]) -> Callable[[pl.Expr], pl.Expr]:
    """Return a dataframely check that a string column holds one of ``values``."""
    return lambda column: column.is_in(list(values))


class RawInteractions(Record):
    """One row per utterance of the week, as captured; the snapshot everything else is made from."""

    message_id = dy.String(primary_key=True, description="Content id of the utterance")
    interaction_id = dy.String(description="Content id of the exchange it belongs to within this week")
    session_id = dy.String(description="Conversation it was said in")
    session_key = dy.String(description="Keyed pseudonym of session_id; the only name of a session outside the memory")
    agent_id = dy.String(description="Whose memory it belongs to: an agent, or a group that is observed")
    world_id = dy.String(nullable=True, description="World that the agent lives in; null outside of worlds")
    user_id = dy.String(nullable=True, description="The person the session belongs to; null in worlds")
    user_key = dy.String(
        nullable=True, description="Keyed pseudonym of user_id; the only name of a user outside the memory"
    )
    speaker_id = dy.String(description="Who said it")
    speaker_name = dy.String(description="Display name of the speaker, speaker_id when none is known")
    role = dy.String(check=one_of(ROLES), description="user, agent or system")
    text = dy.String(min_length=1, description="What was said")
    emotion = dy.String(nullable=True, description="Emotion as given by the capturing service, if any")
    importance = dy.Float64(
        nullable=True, min=0, max=1, description="Importance as given by the capturing service, if any"
    )
    position = dy.Int64(
        description="Sorts the messages of a session as they were said, across weeks; see transforms/order.py"
    )
    turn = dy.Int64(min=0, description="Turn number given by the source, else position within session and week, from 1")
    location = dy.String(nullable=True, description="Where it was said, in worlds")
    participants = dy.List(
        dy.String(), description="Speakers who were present, sorted; in a crowd those around the message"
    )
    model_version = dy.String(nullable=True, description="Model that produced an agent's message")
    metadata = dy.String(nullable=True, description="Free metadata, JSON")
    occurred_at = dy.Datetime(**UTC_TIME, description="When it was said, UTC")
    week = dy.String(description="Monday of its week")
    opt_out = dy.Bool(description="True when the session or its speaker must not be trained on")
    source = dy.String(description="Importer or client that brought it")
    source_ref = dy.String(nullable=True, description="Its id in the source")
    quality_override = dy.Float64(nullable=True, min=0, max=1, description="Quality set by a person, if any")
    feedback_rating = dy.Float64(nullable=True, min=-1, max=1, description="Mean feedback on this message, -1 to 1")
    correction = dy.String(
        nullable=True, description="What should have been said instead, as feedback says; the latest"
    )


class ScoredInteractions(Record):
    """One row per interaction: an agent's message with what the others said since its last one.

    In a log without agents every speaker's message closes an interaction. What nobody answered is a row without output.
    An exchange that crosses Monday 00:00 UTC is two rows, one in each week.
    """

    interaction_id = dy.String(primary_key=True, description="Content id over its messages")
    session_id = dy.String(description="Conversation")
    session_key = dy.String(description="Keyed pseudonym of session_id")
    agent_id = dy.String(description="Whose memory it belongs to")
    world_id = dy.String(nullable=True, description="World that the agent lives in; null outside of worlds")
    user_id = dy.String(nullable=True, description="The person the session belongs to")
    user_key = dy.String(nullable=True, description="Keyed pseudonym of user_id")
    persona_id = dy.String(nullable=True, description="Agent that answered; null when no agent did")
    week = dy.String(description="Monday of its week")
    started_at = dy.Datetime(**UTC_TIME, description="First message, UTC")
    occurred_at = dy.Datetime(**UTC_TIME, description="Last message, UTC")
    position = dy.Int64(description="That of its last message: sorts the interactions of a session as they happened")
    turn_first = dy.Int64(description="First turn")
    turn_last = dy.Int64(description="Last turn")
    n_messages = dy.Int64(min=1, description="Utterances in it")
    input_text = dy.String(description="What the others said, one utterance a line; empty when the agent spoke first")
    output_text = dy.String(description="What was answered; empty when nobody did")
    participants = dy.List(dy.String(), description="Speaker ids, sorted")
    participant_names = dy.List(dy.String(), description="Display names of the speakers, sorted")
    source_message_ids = dy.List(dy.String(), description="Messages it is made of, in order")
    opt_out = dy.Bool(description="True when any message of it must not be trained on")
    location = dy.String(nullable=True, description="Where it happened, if it was given")
    model_version = dy.String(nullable=True, description="Model that answered, if it was given")
    given_emotion = dy.String(
        nullable=True, description="Emotion as the capturing service named it: of the input, else of the answer"
    )
    given_importance = dy.Float64(
        nullable=True, min=0, max=1, description="Highest importance given for a message of it"
    )
    metadata = dy.String(
        nullable=True, description="Free metadata of its messages, JSON; where two say something, the later one"
    )
    correction = dy.String(nullable=True, description="What should have been answered, as somebody said in feedback")
    language = dy.String(description="en, es or und, from function words")
    quality = dy.Float64(min=0, max=1, description="What is kept and trained on: scorer, feedback or override")
    quality_source = dy.String(check=one_of(("scorer", "feedback", "override")), description="Which of them decided")
    q_relevance = dy.Float64(
        min=0, max=1, nullable=True, description="How much of the input's content words the answer takes up"
    )
    q_informativeness = dy.Float64(min=0, max=1, nullable=True, description="Distinct content words, saturating")
    q_specificity = dy.Float64(min=0, max=1, nullable=True, description="Numbers, names and rare words")
    q_coherence = dy.Float64(
        min=0, max=1, nullable=True, description="Whether the answer touches its input or what came just before"
    )
    q_length = dy.Float64(min=0, max=1, nullable=True, description="Fitness of the answer's length")
    q_originality = dy.Float64(
        min=0, max=1, nullable=True, description="One minus repetition inside the answer and across the session"
    )
    q_engagement = dy.Float64(min=0, max=1, nullable=True, description="Questions, warmth, and what the user wrote")
    q_reaction = dy.Float64(
        min=0, max=1, nullable=True, description="How the user's next message takes it; 0.5 where none follows"
    )
    junk = dy.String(
        nullable=True,
        description="Why it is junk: empty, recalled, bot_error, pleasantry, echo, repeated, boilerplate; null when it is not",
    )
    emotion = dy.String(check=one_of(EMOTIONS), description="Dominant emotion of the whole interaction")
    input_emotion = dy.String(check=one_of(EMOTIONS), description="Emotion of the input")
    output_emotion = dy.String(check=one_of(EMOTIONS), description="Emotion of the answer")
    arousal = dy.Float64(min=0, max=1, description="Intensity")
    valence = dy.Float64(min=-1, max=1, description="Unpleasant -1 to pleasant 1")
    topics = dy.List(dy.String(), description="Named topics, strongest first")
    scored_by = dy.String(description="Fingerprints of scorer, emotion and topic plugins")


class AnonymizedInteractions(Record):
    """One row per interaction without anybody's name, contact, id or place; the only text that may leave the memory."""

    interaction_id = dy.String(primary_key=True, description="Content id over its messages")
    session_key = dy.String(description="Keyed pseudonym of the session")
    agent_id = dy.String(description="Whose memory it belongs to")
    user_key = dy.String(nullable=True, description="Keyed pseudonym of the user")
    persona_id = dy.String(nullable=True, description="Agent that answered")
    week = dy.String(description="Monday of its week")
    started_at = dy.Datetime(**UTC_TIME, description="First message, UTC")
    occurred_at = dy.Datetime(**UTC_TIME, description="Last message, UTC")
    position = dy.Int64(description="That of its last message: sorts the interactions of a session as they happened")
    position = dy.Int64(description="As scored: sorts the interactions of a session")
    turn_first = dy.Int64(description="First turn")
    input_text = dy.String(description="What the others said, anonymized")
    output_text = dy.String(description="What was answered, anonymized")
    n_messages = dy.Int64(min=1, description="Utterances in it")
    source_message_ids = dy.List(dy.String(), description="Messages it is made of")
    opt_out = dy.Bool(description="True when it must not be trained on")
    language = dy.String(description="en, es or und")
    quality = dy.Float64(min=0, max=1, description="As scored")
    junk = dy.String(nullable=True, description="As scored")
    emotion = dy.String(check=one_of(EMOTIONS), description="As scored")
    arousal = dy.Float64(min=0, max=1, description="As scored")
    valence = dy.Float64(min=-1, max=1, description="As scored")
    topics = dy.List(dy.String(), description="As scored")
    model_version = dy.String(nullable=True, description="Model that answered, if it was given")
    correction = dy.String(
        nullable=True, description="What should have been answered, anonymized; null: nobody said so"
    )
    n_replaced = dy.Int64(min=0, description="Spans replaced in it")
    residual = dy.Int64(min=0, description="Spans the second look still found; above zero it is not exported")
    anonymized_by = dy.String(description="Fingerprint of the anonymizer")
    made_from = dy.String(
        nullable=True, description="Keyed hash of all it was made from: where it is the same, the row is not made again"
    )

    @dy.rule()
    def week_is_a_monday(cls) -> pl.Expr:
        """The week names a Monday."""
        return pl.col("week").str.to_date("%Y-%m-%d", strict=False).dt.weekday() == 1
