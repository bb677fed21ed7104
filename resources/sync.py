"""Sync state of messages: what no run has taken in yet, counted cheaply, and marked exactly."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from resources.store import InteractionStore, chunks


@dataclass(frozen=True)
class UnsyncedWeek:
    """A week that holds unsynced messages of a conversation pair at or above the threshold."""

    week: str
    messages: int
    watermark: int


class SyncState:
    """Reads and writes the sync columns of the messages table; counts use the partial index on unsynced rows."""

    def __init__(self, store: InteractionStore) -> None:
        self.store = store
        self.messages = store.meta.tables["messages"]

    def largest_pair(self) -> int:
        """Return the largest number of unsynced messages of any pair of agent and user."""
        m = self.messages
        pairs = (
            sa.select(sa.func.count().label("n"))
            .where(m.c.synced_at.is_(None))
            .group_by(m.c.agent_id, m.c.user_id)
            .subquery()
        )
        return int(self.store.scalar(sa.select(sa.func.coalesce(sa.func.max(pairs.c.n), 0))))

    def unsynced(self) -> int:
        """Return the number of unsynced messages of all pairs."""
        return int(self.store.scalar(sa.select(sa.func.count()).where(self.messages.c.synced_at.is_(None))))

    def pair_count(self, agent_id: str, user_id: str | None) -> int:
        """Return the unsynced messages of one pair."""
        m = self.messages
        same_user = m.c.user_id.is_not_distinct_from(user_id)
        return int(
            self.store.scalar(
                sa.select(sa.func.count()).where(m.c.synced_at.is_(None), m.c.agent_id == agent_id, same_user)
            )
        )

    def due(self, threshold: int) -> list[UnsyncedWeek]:
        """Return the weeks to sync: those with unsynced messages of pairs that reached the threshold, oldest first.

        The watermark is the highest arrival number among the unsynced messages of the week.
        """
        m = self.messages
        ripe = (
            sa.select(m.c.agent_id, m.c.user_id)
            .where(m.c.synced_at.is_(None))
            .group_by(m.c.agent_id, m.c.user_id)
            .having(sa.func.count() >= threshold)
            .subquery()
        )
        same_pair = sa.and_(ripe.c.agent_id == m.c.agent_id, ripe.c.user_id.is_not_distinct_from(m.c.user_id))
        ripe_weeks = sa.select(m.c.week).distinct().where(m.c.synced_at.is_(None)).join(ripe, same_pair)
        query = (
            sa.select(m.c.week, sa.func.count(), sa.func.max(m.c.seq))
            .where(m.c.synced_at.is_(None), m.c.week.in_(ripe_weeks))
            .group_by(m.c.week)
            .order_by(m.c.week)
        )
        with self.store.engine.connect() as connection:
            return [UnsyncedWeek(week, int(n), int(mark)) for week, n, mark in connection.execute(query)]

    def unsynced_weeks(self) -> list[str]:
        """Return every week that holds an unsynced message, oldest first."""
        m = self.messages
        query = sa.select(m.c.week).where(m.c.synced_at.is_(None)).distinct().order_by(m.c.week)
        with self.store.engine.connect() as connection:
            return list(connection.execute(query).scalars())

    def mark(self, message_ids: Iterable[str]) -> int:
        """Mark exactly these messages as synced; return how many were not before."""
        with self.store.writer.begin() as connection:
            return self._mark(connection, message_ids)

    def mark_unchanged(self, weeks: Iterable[str], still: Callable[[str], Iterable[str]]) -> int:
        """Mark the messages that still are what a run took in; return how many were not marked before.

        What was edited, rated or put elsewhere meanwhile stays unsynced, however late it came: between the last look at a week and
        its mark nobody changes its messages. PostgreSQL locks their rows, but for those that somebody is changing; SQLite, which
        keeps out all who write, is looked at before, and once more only if somebody wrote since.

        Args:
            still: Reads a week from the store, and returns which messages of it may be marked.
        """
        m, changed = self.messages, 0
        for week in weeks:
            mine = sa.select(m.c.message_id).where(m.c.week == week, m.c.synced_at.is_(None))
            seen = self.store.state() if self.store.is_sqlite else None
            same = still(week) if seen is not None else ()
            with self.store.writer.begin() as connection:
                free = set(connection.execute(mine.with_for_update(skip_locked=True)).scalars())
                if seen is None or self.store.state() != seen:
                    same = still(week)
                changed += self._mark(connection, [message for message in same if message in free])
        return changed

    def _mark(self, connection: sa.Connection, message_ids: Iterable[str]) -> int:
        m, now, changed = self.messages, datetime.now(UTC), 0
        for batch in chunks(message_ids):
            made = sa.update(m).where(m.c.message_id.in_(batch), m.c.synced_at.is_(None)).values(synced_at=now)
            changed += connection.execute(made).rowcount
        return changed

    def reopen(self, week: str) -> int:
        """Mark a week's messages as unsynced, so that the next sync makes it again; return how many."""
        m = self.messages
        with self.store.writer.begin() as connection:
            return connection.execute(sa.update(m).where(m.c.week == week).values(synced_at=None)).rowcount
