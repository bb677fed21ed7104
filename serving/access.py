"""What was recalled how often: counted in memory, written behind in batches, and read back for the ranking.

A process that dies loses the counts of its last seconds, never a memory.
"""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from records.errors import StoreUnreachable
from resources.store import InteractionStore
from serving.reach import Reach

FLUSH_AFTER = 256
"""Recalled memories that are gathered before they are written."""

FLUSH_SECONDS = 5.0
"""Age at which gathered counts are written with the next recall."""

FRESH_SECONDS = 60.0
"""How long counts that were read are used."""


MOST = 10_000
"""Memories whose counts are gathered while the store cannot be written."""


class Access:
    """Access counts of one installation."""

    def __init__(self, store: InteractionStore, reach: Reach | None = None) -> None:
        """Open them.

        Args:
            reach: The way to the store; None: it is there, or counting is an error.
        """
        self.store = store
        self._reach = reach
        self._lock = threading.Lock()
        self._pending: Counter[tuple[str, str, str]] = Counter()
        self._last: dict[tuple[str, str, str], datetime] = {}
        self._since = time.monotonic()
        self._read: dict[str, tuple[float, dict[str, tuple[int, datetime]]]] = {}
        self._writer: threading.Thread | None = None

    def recalled(self, agent_id: str, memories: list[tuple[str, str]], now: datetime) -> None:
        """Count (kind, id) pairs; the caller does not wait for the store."""
        with self._lock:
            for kind, memory_id in memories:
                key = (agent_id, kind, memory_id)
                self._pending[key] += 1
                self._last[key] = now
            due = sum(self._pending.values()) >= FLUSH_AFTER or time.monotonic() - self._since > FLUSH_SECONDS
            if not due or (self._writer is not None and self._writer.is_alive()):
                return
            self._writer = threading.Thread(target=self.flush, name="memory-access", daemon=True)
        self._writer.start()

    def flush(self) -> int:
        """Write what was gathered, in one transaction; return the number of memories.

        While the store cannot be written it stays gathered, and what is beyond `MOST` memories is not counted.
        """
        with self._lock:
            pending, last = self._pending, self._last
            self._pending, self._last, self._since = Counter(), {}, time.monotonic()
        if not pending:
            return 0
        rows: list[dict[str, Any]] = [
            {"memory_id": key[2], "agent_id": key[0], "kind": key[1], "times": count, "last_recalled": last[key]}
            for key, count in sorted(pending.items())
        ]
        table = self.store.meta.tables["recalled"]
        insert = self.store.upsert(table)
        statement = insert.on_conflict_do_update(
            index_elements=["memory_id", "agent_id"],
            set_={"times": table.c.times + insert.excluded.times, "last_recalled": insert.excluded.last_recalled},
        )

        def write() -> None:
            with self.store.writer.begin() as connection:
                connection.execute(statement, rows)

        try:
            write() if self._reach is None else self._reach.ask(write, writes=True)
        except StoreUnreachable:
            with self._lock:
                if len(pending) + len(self._pending) <= MOST:
                    self._pending.update(pending)
                    self._last = {**last, **self._last}
            return 0
        return len(rows)

    def counts(self, agent_id: str) -> dict[str, tuple[int, datetime]]:
        """Return memory id to how often and when last an agent recalled it, at most a minute old."""
        held = self._read.get(agent_id)
        if held is not None and time.monotonic() - held[0] < FRESH_SECONDS:
            return held[1]
        table = self.store.meta.tables["recalled"]
        query = sa.select(table.c.memory_id, table.c.times, table.c.last_recalled).where(table.c.agent_id == agent_id)

        def read() -> Sequence[Any]:
            with self.store.engine.connect() as connection:
                return connection.execute(query).all()

        try:
            rows = read() if self._reach is None else self._reach.ask(read)
        except StoreUnreachable:
            return held[1] if held is not None else {}
        found = {row.memory_id: (int(row.times), row.last_recalled) for row in rows}
        if len(self._read) > 1_000:
            self._read.clear()
        self._read[agent_id] = (time.monotonic(), found)
        return found
