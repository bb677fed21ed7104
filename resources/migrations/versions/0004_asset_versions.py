"""How each partition was made, and what an installation remembers of itself."""

import sqlalchemy as sa
from alembic import op

from resources.tables import UTCDateTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "asset_versions",
        sa.Column("asset", sa.String(), nullable=False, primary_key=True),
        sa.Column("part", sa.String(), nullable=False, primary_key=True),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("inputs", sa.String(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("made_at", UTCDateTime(), nullable=False),
    )
    op.create_table(
        "installation_state",
        sa.Column("name", sa.String(), nullable=False, primary_key=True),
        sa.Column("value", sa.String(), nullable=False),
    )
