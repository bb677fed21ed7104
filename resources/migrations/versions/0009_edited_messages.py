"""Which messages that no run has taken in were edited is asked before every recall from many of them: by an index, not by reading all."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the index; it holds edited messages until a run has taken them in, mostly none."""
    edited = sa.text("synced_at IS NULL AND edited_at IS NOT NULL")
    op.create_index(
        "messages_edited", "messages", ["agent_id", "edited_at"], sqlite_where=edited, postgresql_where=edited
    )
