"""The store's tables as SQLAlchemy sees them, generated from the records."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from records.store import STORE_TABLES, Messages, Recalled

VERSION_TABLE = "memory_schema_version"
"""Alembic's table, under a name of its own: Dagster's storage in the same database has one, too."""


class UTCDateTime(sa.types.TypeDecorator[datetime]):
    """A moment in UTC: ``timestamptz`` on PostgreSQL, naive UTC text on SQLite; always aware in Python."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Refuse naive values; give SQLite naive UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without time zone reached the store")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Return an aware UTC time."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def store_metadata() -> sa.MetaData:
    """Return the metadata of all tables, as the newest migration leaves them."""
    from sqlalchemy.dialects import postgresql

    metadata = sa.MetaData()
    for record in STORE_TABLES:
        columns = []
        for column in record.to_sqlalchemy_columns(postgresql.dialect()):
            kind = UTCDateTime() if isinstance(column.type, sa.DateTime) else column.type
            is_key = column.primary_key and record is not Messages
            columns.append(sa.Column(column.name, kind, primary_key=is_key, nullable=bool(column.nullable)))
        name = record.table_name()
        if record is Messages:
            # Arrival order is a column of its own: the watermark of a sync, and no part of what was said.
            columns += [
                sa.Column(
                    "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
                ),
                sa.Column("received_at", UTCDateTime(), nullable=False),
                sa.Column("synced_at", UTCDateTime(), nullable=True),
            ]
        table = sa.Table(name, metadata, *columns, sqlite_autoincrement=record is Messages)
        if record is Recalled:
            sa.Index("recalled_by_agent", table.c.agent_id)
        if record is Messages:
            unsynced: dict[str, Any] = {
                "sqlite_where": sa.text("synced_at IS NULL"),
                "postgresql_where": sa.text("synced_at IS NULL"),
            }
            sa.Index("messages_by_id", table.c.message_id, unique=True)
            sa.Index("messages_by_week", table.c.week)
            sa.Index("messages_by_session", table.c.session_id, table.c.agent_id, table.c.occurred_at)
            sa.Index("messages_by_speaker", table.c.speaker_id)
            sa.Index("messages_by_user", table.c.user_id, table.c.agent_id)
            sa.Index("messages_unsynced", table.c.agent_id, table.c.user_id, table.c.week, **unsynced)
            edited: dict[str, Any] = {
                "sqlite_where": sa.text("synced_at IS NULL AND edited_at IS NOT NULL"),
                "postgresql_where": sa.text("synced_at IS NULL AND edited_at IS NOT NULL"),
            }
            sa.Index("messages_edited", table.c.agent_id, table.c.edited_at, **edited)
    return metadata
