"""The tables of the interaction store, the source of truth. Lists and free metadata are JSON strings there."""

import dataframely as dy

from records.base import Record
from records.interactions import ROLES, UTC_TIME, one_of

ERASABLE = ("user", "session", "conversation", "message")
"""What is erased: a conversation is a session of one agent, where several use one id."""

ADAPTER_STATUSES = ("candidate", "approved", "deployed", "quarantined", "retired")


class Speakers(Record):
    """People, agents and characters."""

    speaker_id = dy.String(primary_key=True, description="Id of a person, agent or character")
    kind = dy.String(check=one_of(("user", "agent")), description="user or agent")
    opt_out_training = dy.Bool(description="True when nothing this person said may be trained on")


class SpeakerNames(Record):
    """Names that speakers go by, each in the memory of one agent: what one calls somebody renames nobody for another."""

    agent_id = dy.String(primary_key=True, description="In whose memory")
    speaker_id = dy.String(primary_key=True, description="Whose name")
    display_name = dy.String(description="Name shown in a conversation")
    since = dy.Datetime(**UTC_TIME, description="Latest message under that name; a later one is kept")


class Sessions(Record):
    """Conversations; two agents may use the same id for two."""

    session_id = dy.String(primary_key=True, description="Id of the conversation, within the agent's memory")
    agent_id = dy.String(primary_key=True, description="Whose memory it belongs to")
    user_id = dy.String(nullable=True, description="The person it belongs to; null in worlds and groups")
    opt_out_training = dy.Bool(description="True when nothing in it may be trained on")
    started_at = dy.Datetime(**UTC_TIME, description="Given, or time of the first message")
    ended_at = dy.Datetime(**UTC_TIME, nullable=True, description="When it was ended, if it was")
    source = dy.String(description="Importer or client that brought it")
    metadata = dy.String(nullable=True, description="Free metadata, JSON")
    world_id = dy.String(nullable=True, description="World that the agent lives in; null outside of worlds")


class Messages(Record):
    """Utterances, each once."""

    message_id = dy.String(
        primary_key=True,
        description="Content id: agent, session, and the source's id or speaker, time, text and number",
    )
    session_id = dy.String(description="Conversation")
    agent_id = dy.String(description="Whose memory it belongs to (as in the session)")
    world_id = dy.String(nullable=True, description="World that the agent lives in; null outside of worlds")
    user_id = dy.String(nullable=True, description="The person it belongs to (as in the session)")
    speaker_id = dy.String(description="Who said it")
    role = dy.String(check=one_of(ROLES), description="user, agent or system")
    text = dy.String(min_length=1, description="What was said")
    emotion = dy.String(nullable=True, description="Emotion as given by the capturing service, any label")
    importance = dy.Float64(nullable=True, min=0, max=1, description="Importance as given by the capturing service")
    turn = dy.Int64(nullable=True, description="Turn number given by the source")
    follows = dy.String(
        nullable=True,
        description="Message that its source has right before it, where their times do not say so; of several sources, all of them",
    )
    location = dy.String(nullable=True, description="Where, in worlds")
    participants = dy.String(nullable=True, description="JSON list of speaker ids that were present")
    model_version = dy.String(nullable=True, description="Model that produced it")
    metadata = dy.String(nullable=True, description="Free metadata, JSON")
    occurred_at = dy.Datetime(**UTC_TIME, description="When it was said")
    edited_at = dy.Datetime(
        **UTC_TIME, nullable=True, description="When the text became what it is; null: never edited"
    )
    week = dy.String(description="Monday of its week")
    source = dy.String(description="Importer or client that brought it")
    source_ref = dy.String(nullable=True, description="Its id in the source")


class CoreMemory(Record):
    """What an agent is: entries that form its system prompt. Immutable ones are guarded by the database itself."""

    agent_id = dy.String(primary_key=True, description="Agent or persona")
    category = dy.String(primary_key=True, description="identity, like, dislike, friend, …")
    key = dy.String(primary_key=True, description="Name of the entry")
    value = dy.String(description="Its value")
    is_mutable = dy.Bool(
        description="False: no path can change or delete it, but the erasure of a person whom it names"
    )


class Feedback(Record):
    """What people said of an answer."""

    feedback_id = dy.String(primary_key=True, description="Content id")
    message_id = dy.String(description="The answer it is about")
    rating = dy.Float64(nullable=True, min=-1, max=1, description="-1 to 1")
    correct = dy.Bool(nullable=True, description="Whether the answer was right")
    correction = dy.String(nullable=True, description="What should have been said")
    quality_override = dy.Float64(nullable=True, min=0, max=1, description="Quality set by a person")
    given_at = dy.Datetime(**UTC_TIME, description="When")


class Rejects(Record):
    """Input that could not be taken, kept with the reason."""

    reject_id = dy.String(primary_key=True, description="Content id over file, line and reason")
    source = dy.String(description="Format of the file")
    file = dy.String(description="File name")
    line = dy.Int64(description="Line or item number, from 1")
    reason = dy.String(description="Why")
    raw = dy.String(nullable=True, description="What stood there, first 2,000 characters")


class Tombstones(Record):
    """Erased subjects, as keyed hashes, so that a later import does not bring them back."""

    subject_hash = dy.String(primary_key=True, description="Keyed hash of kind and id")
    kind = dy.String(check=one_of(ERASABLE), description="What was erased")
    erased_at = dy.Datetime(**UTC_TIME, description="When")


class Receipts(Record):
    """Erasures: what was erased where and when, signed, without what it was."""

    receipt_id = dy.String(primary_key=True, description="Content id")
    kind = dy.String(check=one_of(ERASABLE), description="What was erased")
    subject_hash = dy.String(description="Keyed hash of kind and id")
    asked_at = dy.Datetime(**UTC_TIME, description="When it was asked for")
    done_at = dy.Datetime(**UTC_TIME, nullable=True, description="When everything was erased; null while it is not")
    removed = dy.String(description="Rows per table, JSON")
    pending = dy.String(description="What is to be made again, JSON list")
    leaks = dy.Int64(nullable=True, min=0, description="Places where the leak test found something; null: not tested")
    work = dy.String(nullable=True, description="What is still to be erased, JSON; null when it is done")
    signature = dy.String(nullable=True, description="HMAC-SHA256 with the installation's key")


class Datasets(Record):
    """Registry of exported datasets."""

    dataset_id = dy.String(primary_key=True, description="Content id over its samples")
    kind = dy.String(check=one_of(("personality", "episodic", "skill")), description="personality, episodic or skill")
    persona_id = dy.String(description="Persona")
    week = dy.String(nullable=True, description="Monday of its week, episodic ones only")
    skill = dy.String(nullable=True, description="Name of its skill, skill ones only")
    path = dy.String(description="Folder, relative to MEMORY_HOME")
    n_train = dy.Int64(min=0, description="Samples to train on")
    n_eval = dy.Int64(min=0, description="Samples held out")
    created_at = dy.Datetime(**UTC_TIME, description="When")


class Exports(Record):
    """Files that were written for use elsewhere, so that trace and erasure know them."""

    export_id = dy.String(primary_key=True, description="Content id over path, content and time")
    agent_id = dy.String(description="Persona")
    layer = dy.String(check=one_of(("personality", "episodic", "skill")), description="personality, episodic or skill")
    week = dy.String(nullable=True, description="Monday of the only week in it; null: all weeks")
    skill = dy.String(nullable=True, description="Name of its skill, skill ones only")
    format = dy.String(description="Exporter plugin")
    path = dy.String(description="Where it was written")
    n_samples = dy.Int64(min=0, description="Samples in it")
    content_hash = dy.String(description="Hash of the file as it was written")
    created_at = dy.Datetime(**UTC_TIME, description="When")


class Adapters(Record):
    """Registry of adapter versions."""

    adapter_id = dy.String(primary_key=True, description="Content id over dataset, base, trainer and its configuration")
    layer = dy.String(check=one_of(("personality", "episodic", "skill")), description="Layer 1, 2 or 3")
    persona_id = dy.String(description="Persona")
    week = dy.String(nullable=True, description="Monday of its week, episodic ones only")
    skill = dy.String(nullable=True, description="Name of its skill, skill ones only")
    base_model = dy.String(description="Base model and its digest")
    dataset_id = dy.String(description="Dataset it was trained on")
    path = dy.String(description="Folder, relative to MEMORY_HOME")
    config = dy.String(description="Trainer configuration, JSON")
    metrics = dy.String(description="Losses and speed of the training, JSON")
    lineage = dy.String(
        nullable=True, description="Hash of the manifest, versions of the code and of the trainer, JSON"
    )
    evaluation = dy.String(nullable=True, description="What the gate found, JSON; null: not evaluated")
    status = dy.String(
        check=one_of(ADAPTER_STATUSES), description="candidate, approved, deployed, quarantined, retired"
    )
    created_at = dy.Datetime(**UTC_TIME, description="When")


class Deployments(Record):
    """What was served from when to when: one adapter at a time for a persona, target, layer and skill."""

    deployment_id = dy.String(primary_key=True, description="Content id over adapter, target and time")
    persona_id = dy.String(description="Persona")
    target = dy.String(description="Deployer plugin")
    layer = dy.String(check=one_of(("personality", "episodic", "skill")), description="Layer 1, 2 or 3")
    skill = dy.String(nullable=True, description="Name of its skill, skill ones only")
    adapter_id = dy.String(description="Adapter")
    place = dy.String(description="Where servers find it, as the deployer says")
    probe = dy.String(nullable=True, description="How the endpoint's answers compared with the local adapter's, JSON")
    deployed_at = dy.Datetime(**UTC_TIME, description="Since when")
    withdrawn_at = dy.Datetime(**UTC_TIME, nullable=True, description="Until when; null: still")


class Recalled(Record):
    """How often a memory was recalled; it decays more slowly for it."""

    memory_id = dy.String(primary_key=True, description="Message, fact or episode")
    agent_id = dy.String(
        primary_key=True, description="Who recalled it: one that was told to others is recalled by each"
    )
    kind = dy.String(check=one_of(("message", "fact", "episode")), description="message, fact or episode")
    times = dy.Int64(min=1, description="How often")
    last_recalled = dy.Datetime(**UTC_TIME, description="When last")


class Affinity(Record):
    """How close a persona is to a person; permanent."""

    user_id = dy.String(primary_key=True, description="The person")
    persona_id = dy.String(primary_key=True, description="The agent or persona")
    points = dy.Float64(min=-100, max=100, description="From -100 (enemy) to 100 (devoted)")
    updated_at = dy.Datetime(**UTC_TIME, description="When it last changed")


class Moods(Record):
    """The mood of an agent within a conversation."""

    agent_id = dy.String(primary_key=True, description="Whose mood")
    session_id = dy.String(primary_key=True, description="Conversation")
    name = dy.String(min_length=1, description="As in the persona's template")
    intensity = dy.Float64(min=0, max=1, description="How strong")
    started_at = dy.Datetime(**UTC_TIME, description="When it began")


class SharedMemories(Record):
    """Memories that an agent decided to share with another; the other recalls them as told."""

    memory_id = dy.String(primary_key=True, description="Message or episode")
    agent_id = dy.String(primary_key=True, description="With whom it was shared")
    shared_by = dy.String(description="Whose memory it is")
    shared_at = dy.Datetime(**UTC_TIME, description="When")


class AssetVersions(Record):
    """How each partition of an asset was made last; what differs from how it would be made now is out of date."""

    asset = dy.String(primary_key=True, description="Name of the asset")
    part = dy.String(primary_key=True, description="Monday of the week, or all")
    made_by = dy.String(description="Code version and fingerprints of the plugins and of the key that made it")
    inputs = dy.String(description="Source asset to the hash of its content then, JSON")
    content = dy.String(description="Hash of what was written")
    row_count = dy.Int64(min=0, description="Rows written")
    made_at = dy.Datetime(**UTC_TIME, description="When")


class InstallationState(Record):
    """What an installation must remember of itself."""

    name = dy.String(primary_key=True, description="What it is, e.g. pseudonym_key")
    value = dy.String(description="Its value: a hash, never a secret")


STORE_TABLES: tuple[type[Record], ...] = (
    Speakers,
    SpeakerNames,
    Sessions,
    Messages,
    CoreMemory,
    Feedback,
    Rejects,
    Tombstones,
    Receipts,
    Datasets,
    Exports,
    Adapters,
    Deployments,
    Recalled,
    Affinity,
    Moods,
    SharedMemories,
    AssetVersions,
    InstallationState,
)
"""Every table of the store; Messages has three more columns there (seq, synced_at, received_at), see resources/store.py."""
