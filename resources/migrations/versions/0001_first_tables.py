"""First tables of the store, and the guard of immutable core memory inside the database.

Columns are written out: a migration says what was, not what the records say today.
"""

import sqlalchemy as sa
from alembic import op

from resources.tables import UTCDateTime

revision = "0001"
down_revision = None

POSTGRES_GUARD = (
    """
    CREATE FUNCTION core_memory_guard() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'TRUNCATE' THEN
            IF EXISTS (SELECT 1 FROM core_memory WHERE NOT is_mutable) THEN
                RAISE EXCEPTION 'core memory holds immutable entries';
            END IF;
            RETURN NULL;
        END IF;
        IF NOT OLD.is_mutable THEN
            RAISE EXCEPTION 'core memory entry is immutable';
        END IF;
        IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
        RETURN NEW;
    END $$
    """,
    """CREATE TRIGGER core_memory_row BEFORE UPDATE OR DELETE ON core_memory
       FOR EACH ROW EXECUTE FUNCTION core_memory_guard()""",
    """CREATE TRIGGER core_memory_all BEFORE TRUNCATE ON core_memory
       FOR EACH STATEMENT EXECUTE FUNCTION core_memory_guard()""",
)

SQLITE_GUARD = (
    """CREATE TRIGGER core_memory_update BEFORE UPDATE ON core_memory WHEN NOT OLD.is_mutable
       BEGIN SELECT RAISE(ABORT, 'core memory entry is immutable'); END""",
    """CREATE TRIGGER core_memory_delete BEFORE DELETE ON core_memory WHEN NOT OLD.is_mutable
       BEGIN SELECT RAISE(ABORT, 'core memory entry is immutable'); END""",
    # REPLACE deletes without firing delete triggers: it is stopped before it does.
    """CREATE TRIGGER core_memory_replace BEFORE INSERT ON core_memory
       WHEN EXISTS (SELECT 1 FROM core_memory WHERE agent_id = NEW.agent_id AND category = NEW.category
                    AND key = NEW.key AND NOT is_mutable)
       BEGIN SELECT RAISE(ABORT, 'core memory entry is immutable'); END""",
)


def text(name: str, *, null: bool = False, key: bool = False) -> sa.Column:
    """Return a string column."""
    return sa.Column(name, sa.String(), nullable=null, primary_key=key)


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "speakers",
        text("speaker_id", key=True),
        text("kind"),
        text("display_name"),
        sa.Column("opt_out_training", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "sessions",
        text("session_id", key=True),
        text("agent_id"),
        text("user_id", null=True),
        sa.Column("opt_out_training", sa.Boolean(), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=False),
        sa.Column("ended_at", UTCDateTime()),
        text("source"),
        text("metadata", null=True),
    )
    op.create_table(
        "messages",
        text("message_id"),
        text("session_id"),
        text("agent_id"),
        text("user_id", null=True),
        text("speaker_id"),
        text("role"),
        text("text"),
        text("emotion", null=True),
        sa.Column("turn", sa.BigInteger()),
        text("location", null=True),
        text("participants", null=True),
        text("model_version", null=True),
        text("metadata", null=True),
        sa.Column("occurred_at", UTCDateTime(), nullable=False),
        text("week"),
        text("source"),
        text("source_ref", null=True),
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("received_at", UTCDateTime(), nullable=False),
        sa.Column("synced_at", UTCDateTime()),
        sqlite_autoincrement=True,
    )
    op.create_index("messages_by_id", "messages", ["message_id"], unique=True)
    op.create_index("messages_by_week", "messages", ["week"])
    op.create_index("messages_by_session", "messages", ["session_id"])
    op.create_index("messages_by_speaker", "messages", ["speaker_id"])
    op.create_index(
        "messages_unsynced",
        "messages",
        ["agent_id", "user_id", "week"],
        sqlite_where=sa.text("synced_at IS NULL"),
        postgresql_where=sa.text("synced_at IS NULL"),
    )
    op.create_table(
        "core_memory",
        text("agent_id", key=True),
        text("category", key=True),
        text("key", key=True),
        text("value"),
        sa.Column("is_mutable", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "feedback",
        text("feedback_id", key=True),
        text("message_id"),
        sa.Column("rating", sa.Float()),
        sa.Column("correct", sa.Boolean()),
        text("correction", null=True),
        sa.Column("quality_override", sa.Float()),
        sa.Column("given_at", UTCDateTime(), nullable=False),
    )
    op.create_table(
        "rejects",
        text("reject_id", key=True),
        text("source"),
        text("file"),
        sa.Column("line", sa.BigInteger(), nullable=False),
        text("reason"),
        text("raw", null=True),
    )
    op.create_table(
        "tombstones",
        text("subject_hash", key=True),
        text("kind"),
        sa.Column("erased_at", UTCDateTime(), nullable=False),
    )
    op.create_table(
        "datasets",
        text("dataset_id", key=True),
        text("kind"),
        text("persona_id"),
        text("week", null=True),
        text("path"),
        sa.Column("n_train", sa.BigInteger(), nullable=False),
        sa.Column("n_eval", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
    )
    op.create_table(
        "adapters",
        text("adapter_id", key=True),
        text("layer"),
        text("persona_id"),
        text("week", null=True),
        text("base_model"),
        text("dataset_id"),
        text("path"),
        text("config"),
        text("metrics"),
        text("status"),
        sa.Column("created_at", UTCDateTime(), nullable=False),
    )
    for statement in POSTGRES_GUARD if op.get_bind().dialect.name == "postgresql" else SQLITE_GUARD:
        op.execute(statement)


def downgrade() -> None:
    """There is nothing before the first tables; dropping them would lose what was said."""
    raise RuntimeError("the first migration is not undone: it would delete every message")
