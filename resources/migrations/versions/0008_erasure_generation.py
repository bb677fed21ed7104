"""The number that every erasure raises: what was read before it is not committed after it."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Begin with none."""
    op.execute("INSERT INTO installation_state (name, value) VALUES ('erasure_generation', '0')")
