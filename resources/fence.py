"""The fence between making and erasing: what was read before an erasure cannot be committed after it.

Every erasure raises a number in the store, with the first thing it writes and again with the last. A step of a run takes the number
down before it reads anything, and commits what it made only while that number stands, under a lock that an erasure holds from its
first moment to its last. A step that comes too late is made again, from what is left.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from records.errors import ErasedMeanwhile

if TYPE_CHECKING:
    import sqlalchemy as sa

    from resources.store import InteractionStore

GENERATION = "erasure_generation"
"""Name of the number among the store's `installation_state`."""

LOCK = ".erasing.lock"


class Fence:
    """The fence of one installation.

    Args:
        home: The installation's folder, where the lock lies.
        store: Returns the store, asked for when it is needed.
    """

    def __init__(self, home: Path, store: Callable[[], InteractionStore]) -> None:
        self._lock = home / LOCK
        self._store = store
        self._reader: tuple[Any, ...] | None = None
        self._since: int | None = None

    def reading(self, reader: tuple[Any, ...]) -> None:
        """Take the number down for who is about to read; once for each reader, however many things it reads.

        Args:
            reader: What tells a step of a run, and its attempt, from others. A process makes one at a time.
        """
        if self._reader != reader:
            self._reader, self._since = reader, generation(self._store())

    def done(self) -> None:
        """Forget who was reading: what this process writes from now on was not read by a step."""
        self._reader = self._since = None

    @contextlib.contextmanager
    def committing(self) -> Iterator[None]:
        """Keep erasures out while something is committed; they wait for it, or it for them.

        Raises:
            ErasedMeanwhile: something was erased since the step began to read; nothing of it may be written.
        """
        from filelock import FileLock

        self._check()
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._lock):
            self._check()
            yield

    def _check(self) -> None:
        if self._since is not None and generation(self._store()) != self._since:
            self.done()
            raise ErasedMeanwhile("something was erased while this was made: make it again, from what is left")

    @contextlib.contextmanager
    def erasing(self) -> Iterator[None]:
        """Keep commits out for the length of an erasure, and let nothing be committed that was read before it or during it.

        A killed one leaves the first of both numbers: what was read from then on may be committed, and whoever finishes the erasure
        looks at everything once more.
        """
        from filelock import FileLock

        self._lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._lock):
            try:
                yield
            finally:
                store = self._store()
                with store.writer.begin() as connection:
                    raise_generation(connection, store)


def generation(store: InteractionStore, connection: sa.Connection | None = None) -> int:
    """Return how often erasures have raised the number.

    Args:
        connection: Of a writing transaction, for the length of which the number is kept from being raised.
    """
    import sqlalchemy as sa

    table = store.meta.tables["installation_state"]
    query = sa.select(table.c.value).where(table.c.name == GENERATION)
    if connection is None:
        return int(store.scalar(query))
    return int(connection.execute(query.with_for_update(read=True)).scalar_one())


def raise_generation(connection: sa.Connection, store: InteractionStore) -> None:
    """Raise the number, as part of a transaction: whoever writes what was said either is done before, or sees that it was raised."""
    import sqlalchemy as sa

    table = store.meta.tables["installation_state"]
    number = sa.cast(sa.cast(table.c.value, sa.BigInteger) + 1, sa.String)
    connection.execute(sa.update(table).where(table.c.name == GENERATION).values(value=number))
