"""What is remembered: facts, episodes, and the vectors by which messages and episodes are found again."""

import dataframely as dy

from records.base import Record
from records.interactions import EMOTIONS, UTC_TIME, one_of

FACT_CATEGORIES = (
    "identity",
    "family",
    "pet",
    "work",
    "home",
    "origin",
    "age",
    "like",
    "dislike",
    "plan",
    "health",
    "possession",
    "routine",
    "contact",
    "other",
)
FACT_MODALITIES = ("statement", "plan", "correction")
FACT_STATUSES = ("current", "superseded", "corrected", "denied")
EPISODE_TYPES = (
    "conversation",
    "disclosure",
    "conflict",
    "celebration",
    "decision",
    "plan",
    "support",
    "event",
    "routine",
)


class Facts(Record):
    """One row per thing somebody said of themselves or of somebody close, with the words it was said in."""

    fact_id = dy.String(primary_key=True, description="Content id over source, category, key, value and extractor")
    agent_id = dy.String(description="Whose memory it belongs to")
    user_id = dy.String(nullable=True, description="The person the session belongs to")
    user_key = dy.String(nullable=True, description="Keyed pseudonym of the user")
    subject = dy.String(
        description="Whom it is about: a speaker id, or a relation of the user such as 'sister'; 'speaker: sister' of somebody else"
    )
    category = dy.String(check=one_of(FACT_CATEGORIES), description="identity, family, work, …")
    key = dy.String(description="What is stated, e.g. 'city' or 'sister.name'; one current value per subject and key")
    value = dy.String(min_length=1, description="The stated value")
    polarity = dy.Bool(description="False when it was denied ('I don't like …', 'no longer …')")
    modality = dy.String(check=one_of(FACT_MODALITIES), description="statement, plan (not yet an event), or correction")
    confidence = dy.Float64(min=0, max=1, description="How sure the extractor is")
    quote = dy.String(min_length=1, description="The words, verbatim from the source message")
    first_mentioned = dy.Datetime(**UTC_TIME, description="When it was said; valid from then on")
    position = dy.Int64(description="That of the message: what was said later in the same second comes later")
    week = dy.String(description="Monday of its week")
    source_message_ids = dy.List(dy.String(), description="The messages it was read from")
    extracted_by = dy.String(description="Fingerprint of the extractor")


class FactHistory(Facts):
    """All facts of all weeks with their validity in time: one row per statement that said something new."""

    status = dy.String(
        check=one_of(FACT_STATUSES),
        description="current; superseded by a newer value; corrected (was never true); denied by a later statement",
    )
    valid_from = dy.Datetime(**UTC_TIME, description="When it was first said")
    valid_to = dy.Datetime(
        **UTC_TIME, nullable=True, description="When another value took its place; null while it is current"
    )
    superseded_by = dy.String(nullable=True, description="The fact that closed it")
    mentions = dy.Int64(min=1, description="How often it was said, with the same meaning")


class Episodes(Record):
    """One row per stretch of a session that is worth remembering as one event."""

    episode_id = dy.String(primary_key=True, description="Content id over its messages and its maker")
    agent_id = dy.String(description="Whose memory it belongs to")
    user_id = dy.String(nullable=True, description="The person the session belongs to")
    user_key = dy.String(nullable=True, description="Keyed pseudonym of the user")
    session_id = dy.String(description="Conversation")
    week = dy.String(description="Monday of its week")
    world_id = dy.String(nullable=True, description="World that the agent lives in; null outside of worlds")
    started_at = dy.Datetime(**UTC_TIME, description="First message, UTC")
    ended_at = dy.Datetime(**UTC_TIME, description="Last message, UTC")
    turn_first = dy.Int64(description="First turn")
    turn_last = dy.Int64(description="Last turn")
    type = dy.String(check=one_of(EPISODE_TYPES), description="conversation, disclosure, conflict, …")
    title = dy.String(min_length=1, description="One line")
    event = dy.String(description="The sentence that carries it, verbatim")
    summary = dy.String(description="A few sentences")
    participants = dy.List(dy.String(), description="Speaker ids, sorted")
    location = dy.String(nullable=True, description="Where, in worlds")
    importance = dy.Float64(min=0, max=1, description="How much it deserves to be remembered")
    arousal = dy.Float64(min=0, max=1, description="Highest intensity in it")
    valence = dy.Float64(min=-1, max=1, description="Mean pleasantness")
    dominant_emotion = dy.String(check=one_of(EMOTIONS), description="Most frequent emotion that is not neutral")
    keywords = dy.List(dy.String(), description="Words that set it apart within its agent and week")
    tags = dy.List(dy.String(), description="Topics")
    source_message_ids = dy.List(dy.String(), description="The messages it is made of, in order")
    extracted_by = dy.String(description="Fingerprint of the extractor")


class ConsolidatedEpisodes(Episodes):
    """All episodes of all weeks after consolidation: similar unimportant ones merged, pruned ones left out."""

    is_consolidated = dy.Bool(description="True when it stands for several episodes")
    consolidated_from = dy.List(dy.String(), description="Episodes it stands for; they remain in the episodes table")


class MessageEmbeddings(Record):
    """One row per utterance with its vector; a LanceDB table per embedder."""

    message_id = dy.String(primary_key=True, description="Content id of the utterance")
    agent_id = dy.String(description="Whose memory it belongs to")
    user_id = dy.String(nullable=True, description="The person the session belongs to")
    session_id = dy.String(description="Conversation")
    speaker_id = dy.String(description="Who said it")
    speaker_name = dy.String(description="Display name of the speaker")
    role = dy.String(description="user, agent or system")
    week = dy.String(description="Monday of its week")
    occurred_at = dy.Datetime(**UTC_TIME, description="When it was said")
    position = dy.Int64(description="Sorts the messages of a session as they were said; see transforms/order.py")
    turn = dy.Int64(description="Turn number")
    source_ref = dy.String(nullable=True, description="Its id in the source")
    emotion = dy.String(description="Emotion of its interaction")
    importance = dy.Float64(description="Quality of its interaction")
    text = dy.String(description="What was said")
    window_text = dy.String(description="The same with one neighbour on each side, for keyword search")
    terms = dy.List(dy.Int32(), description="Hashed stems of the speaker's name and the text, in order")
    traits = dy.Int64(description="Bits: asks, names a time, a number, a name, a reason, a feeling, the speaker")
    text_hash = dy.String(description="Hash of the text that was embedded")
    embedder = dy.String(description="Fingerprints of the embedder and the token embedder")


class EpisodeEmbeddings(Record):
    """One row per episode that consolidation kept, with its vector."""

    episode_id = dy.String(primary_key=True, description="Content id of the episode")
    agent_id = dy.String(description="Whose memory it belongs to")
    user_id = dy.String(nullable=True, description="The person the session belongs to")
    session_id = dy.String(description="Conversation")
    week = dy.String(description="Monday of its week")
    started_at = dy.Datetime(**UTC_TIME, description="First message")
    turn_first = dy.Int64(description="First turn")
    turn_last = dy.Int64(description="Last turn")
    type = dy.String(description="conversation, disclosure, conflict, …")
    title = dy.String(description="One line")
    event = dy.String(description="The sentence that carries it")
    participants = dy.List(dy.String(), description="Speaker ids")
    emotion = dy.String(description="Dominant emotion")
    importance = dy.Float64(description="How much it deserves to be remembered")
    is_consolidated = dy.Bool(description="True when it stands for several episodes")
    source_message_ids = dy.List(dy.String(), description="The messages it is made of")
    text = dy.String(description="Title and summary, as embedded")
    text_hash = dy.String(description="Hash of the text that was embedded")
    embedder = dy.String(description="Fingerprint of the embedder")


class FactEmbeddings(Record):
    """One row per fact of the history with its vector: a further key to the message it was read from."""

    fact_id = dy.String(primary_key=True, description="Content id of the fact")
    agent_id = dy.String(description="Whose memory it belongs to")
    user_id = dy.String(nullable=True, description="The person the session belongs to")
    week = dy.String(description="Monday of the week it was first said in")
    subject = dy.String(description="Whom it is about")
    category = dy.String(description="identity, family, work, …")
    key = dy.String(description="What is stated")
    value = dy.String(description="The stated value")
    polarity = dy.Bool(description="False when it was denied")
    modality = dy.String(description="statement, plan or correction")
    status = dy.String(description="current, superseded, corrected or denied")
    valid_from = dy.Datetime(**UTC_TIME, description="When it was first said")
    valid_to = dy.Datetime(**UTC_TIME, nullable=True, description="When another value took its place")
    confidence = dy.Float64(description="How sure the extractor is")
    mentions = dy.Int64(description="How often it was said")
    quote = dy.String(description="The words")
    source_message_ids = dy.List(dy.String(), description="The messages it was read from")
    text = dy.String(description="Key, value and quote, as embedded")
    text_hash = dy.String(description="Hash of the text that was embedded")
    embedder = dy.String(description="Fingerprint of the embedder")


class MemoryStrength(Record):
    """One row per episode that consolidation kept: how strongly it is still there."""

    memory_id = dy.String(primary_key=True, description="Episode")
    agent_id = dy.String(description="Whose memory it belongs to")
    importance = dy.Float64(min=0, max=1, description="How much it deserves to be remembered")
    age_days = dy.Float64(min=0, description="Days from its end to the end of the newest episode")
    times_recalled = dy.Int64(min=0, description="How often it was recalled")
    last_recalled = dy.Datetime(**UTC_TIME, nullable=True, description="When last")
    strength = dy.Float64(
        min=0, max=1, description="After decay, see transforms/decay.py; age counts from the last recall"
    )


class Relationships(Record):
    """One row per agent, other participant and week in which they shared an episode."""

    agent_id = dy.String(primary_key=True, description="Whose side it is")
    other_id = dy.String(primary_key=True, description="The person or agent")
    week = dy.String(primary_key=True, description="Monday of its week")
    other_kind = dy.String(check=one_of(("user", "agent")), description="user or agent")
    episodes = dy.Int64(min=1, description="Shared episodes of the week")
    strength = dy.Float64(min=0, max=1, description="Bond after the week, see transforms/relationships.py")
    valence = dy.Float64(min=-1, max=1, description="How it felt, older weeks fading")
    affinity = dy.Float64(nullable=True, description="Points of closeness now, in the newest week of a person")
