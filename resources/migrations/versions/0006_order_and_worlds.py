"""Order as the source gave it, worlds, sessions and names within an agent's memory, importance, edits; exports."""

import sqlalchemy as sa
from alembic import op

from resources.tables import UTCDateTime

revision = "0006"
down_revision = "0005"

# What is known of the order of messages of one time is the order in which they arrived.
ARRIVED = """
UPDATE messages SET follows = before.previous
FROM (SELECT seq, lag(message_id) OVER (PARTITION BY agent_id, session_id, occurred_at ORDER BY seq) AS previous FROM messages) AS before
WHERE before.seq = messages.seq AND before.previous IS NOT NULL
"""

SESSIONS = """
INSERT INTO sessions_by_agent
    (agent_id, session_id, user_id, opt_out_training, started_at, ended_at, source, metadata)
SELECT agent_id, session_id, user_id, opt_out_training, started_at, ended_at, source, metadata FROM sessions
"""

# One id could be used by two agents; then the session of the second one stood nowhere.
OTHERS = """
INSERT INTO sessions_by_agent
    (agent_id, session_id, user_id, opt_out_training, started_at, ended_at, source, metadata)
SELECT m.agent_id, m.session_id, min(m.user_id), s.opt_out_training, min(m.occurred_at), NULL, min(m.source), NULL
FROM messages m JOIN sessions s ON s.session_id = m.session_id
WHERE m.agent_id <> s.agent_id
GROUP BY m.agent_id, m.session_id, s.opt_out_training
"""

NAMES = """
INSERT INTO speaker_names (agent_id, speaker_id, display_name, since)
SELECT m.agent_id, m.speaker_id, p.display_name, max(m.occurred_at)
FROM messages m JOIN speakers p ON p.speaker_id = m.speaker_id
WHERE p.display_name <> m.speaker_id
GROUP BY m.agent_id, m.speaker_id, p.display_name
"""

MOODS = """
INSERT INTO moods_by_agent (agent_id, session_id, name, intensity, started_at)
SELECT agent_id, session_id, name, intensity, started_at FROM moods
"""


def text(name: str, *, null: bool = False, key: bool = False) -> sa.Column:
    """Return a string column."""
    return sa.Column(name, sa.String(), nullable=null, primary_key=key)


def upgrade() -> None:
    """Add the columns, and make sessions, moods and names belong to an agent."""
    for column in (
        text("world_id", null=True),
        sa.Column("importance", sa.Float(), nullable=True),
        text("follows", null=True),
        sa.Column("edited_at", UTCDateTime(), nullable=True),
    ):
        op.add_column("messages", column)
    op.execute(ARRIVED)
    op.drop_index("messages_by_session", "messages")
    op.create_index("messages_by_session", "messages", ["session_id", "agent_id", "occurred_at"])
    op.create_index("messages_by_user", "messages", ["user_id", "agent_id"])
    op.create_table(
        "sessions_by_agent",
        text("session_id"),
        text("agent_id"),
        text("user_id", null=True),
        sa.Column("opt_out_training", sa.Boolean(), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=False),
        sa.Column("ended_at", UTCDateTime()),
        text("source"),
        text("metadata", null=True),
        text("world_id", null=True),
        sa.PrimaryKeyConstraint("agent_id", "session_id"),  # agents are asked for alone, too
    )
    op.execute(SESSIONS)
    op.execute(OTHERS)
    op.drop_table("sessions")
    op.rename_table("sessions_by_agent", "sessions")
    op.create_table(
        "moods_by_agent",
        text("agent_id", key=True),
        text("session_id", key=True),
        text("name"),
        sa.Column("intensity", sa.Float(), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=False),
    )
    op.execute(MOODS)
    op.drop_table("moods")
    op.rename_table("moods_by_agent", "moods")
    op.create_table(
        "speaker_names",
        text("agent_id", key=True),
        text("speaker_id", key=True),
        text("display_name"),
        sa.Column("since", UTCDateTime(), nullable=False),
    )
    op.execute(NAMES)
    op.drop_column("speakers", "display_name")
    op.create_table(
        "exports",
        text("export_id", key=True),
        text("agent_id"),
        text("layer"),
        text("week", null=True),
        text("skill", null=True),
        text("format"),
        text("path"),
        sa.Column("n_samples", sa.BigInteger(), nullable=False),
        text("content_hash"),
        sa.Column("created_at", UTCDateTime(), nullable=False),
    )
