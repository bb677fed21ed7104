"""What was recalled how often, affinity, moods, and memories that agents share."""

import sqlalchemy as sa
from alembic import op

from resources.tables import UTCDateTime

revision = "0002"
down_revision = "0001"


def text(name: str, *, key: bool = False) -> sa.Column:
    """Return a string column."""
    return sa.Column(name, sa.String(), nullable=False, primary_key=key)


def moment(name: str) -> sa.Column:
    """Return a time column."""
    return sa.Column(name, UTCDateTime(), nullable=False)


def number(name: str) -> sa.Column:
    """Return a float column."""
    return sa.Column(name, sa.Float(), nullable=False)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "recalled",
        text("memory_id", key=True),
        text("agent_id"),
        text("kind"),
        sa.Column("times", sa.BigInteger(), nullable=False),
        moment("last_recalled"),
    )
    op.create_index("recalled_by_agent", "recalled", ["agent_id"])
    op.create_table(
        "affinity", text("user_id", key=True), text("persona_id", key=True), number("points"), moment("updated_at")
    )
    op.create_table(
        "moods", text("session_id", key=True), text("agent_id"), text("name"), number("intensity"), moment("started_at")
    )
    op.create_table(
        "shared_memories",
        text("memory_id", key=True),
        text("agent_id", key=True),
        text("shared_by"),
        moment("shared_at"),
    )
