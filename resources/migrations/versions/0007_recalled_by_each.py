"""How often a memory was recalled is counted for each agent: one that was told to others is recalled by several."""

import sqlalchemy as sa
from alembic import op

from resources.tables import UTCDateTime

revision = "0007"
down_revision = "0006"

KEPT = """
INSERT INTO recalled_by_each (memory_id, agent_id, kind, times, last_recalled)
SELECT memory_id, agent_id, kind, times, last_recalled FROM recalled
"""


def upgrade() -> None:
    """Make the table anew with the agent in its key; counts stay with whom they stood."""
    op.create_table(
        "recalled_by_each",
        sa.Column("memory_id", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.Column("last_recalled", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("memory_id", "agent_id"),
    )
    op.execute(KEPT)
    op.drop_index("recalled_by_agent", "recalled")
    op.drop_table("recalled")
    op.rename_table("recalled_by_each", "recalled")
    op.create_index("recalled_by_agent", "recalled", ["agent_id"])
