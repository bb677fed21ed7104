"""What was served when; skills, lineage and evaluation of adapters."""

import sqlalchemy as sa
from alembic import op

from resources.tables import UTCDateTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the table and add the columns."""
    op.create_table(
        "deployments",
        sa.Column("deployment_id", sa.String(), nullable=False, primary_key=True),
        sa.Column("persona_id", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("layer", sa.String(), nullable=False),
        sa.Column("skill", sa.String(), nullable=True),
        sa.Column("adapter_id", sa.String(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("probe", sa.String(), nullable=True),
        sa.Column("deployed_at", UTCDateTime(), nullable=False),
        sa.Column("withdrawn_at", UTCDateTime(), nullable=True),
    )
    op.add_column("datasets", sa.Column("skill", sa.String(), nullable=True))
    for name in ("skill", "lineage", "evaluation"):
        op.add_column("adapters", sa.Column(name, sa.String(), nullable=True))
