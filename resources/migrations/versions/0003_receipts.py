"""Receipts of erasures."""

import sqlalchemy as sa
from alembic import op

from resources.tables import UTCDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "receipts",
        sa.Column("receipt_id", sa.String(), nullable=False, primary_key=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject_hash", sa.String(), nullable=False),
        sa.Column("asked_at", UTCDateTime(), nullable=False),
        sa.Column("done_at", UTCDateTime(), nullable=True),
        sa.Column("removed", sa.String(), nullable=False),
        sa.Column("pending", sa.String(), nullable=False),
        sa.Column("leaks", sa.BigInteger(), nullable=True),
        sa.Column("work", sa.String(), nullable=True),
        sa.Column("signature", sa.String(), nullable=True),
    )
