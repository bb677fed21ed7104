"""Asking the store during a chat: never for long, and never again right after it could not be reached."""

import logging
import math
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from records.errors import StoreUnreachable
from resources.reaching import at_most, unreachable

if TYPE_CHECKING:
    from serving.installation import Installation

T = TypeVar("T")
log = logging.getLogger(__name__)

WAIT_S = 2.0
"""Seconds that a message waits for a lock before it is spooled. A run holds the store's lock for parts of a second."""

AGAIN_WAIT_S = 0.3
"""The same while the store was away when it was last asked."""

RETRY_S = 5.0
"""Seconds after which a store that could not be reached is asked again."""


class Door:
    """What was last seen of one way into the store: reading, or writing."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.why = ""
        self.asked = -math.inf

    @property
    def is_shut(self) -> bool:
        """Return whether the store could not be reached this way when it was last asked."""
        return bool(self.why)

    def is_resting(self, seconds: float) -> bool:
        """Return whether it could not be reached less than so many seconds ago."""
        return self.is_shut and time.monotonic() - self.asked < seconds

    def shut(self, why: str) -> None:
        """Note that it could not be reached; told once in the log until it is there again."""
        if not self.why:
            log.warning("the store cannot be used for %s: %s", self.what, why)
        self.why, self.asked = why, time.monotonic()

    def open(self) -> None:
        """Note that it answered."""
        self.why = ""


class Reach:
    """The way from a client to its store.

    A store that can be read may refuse to be written (locked, full, read-only): the two are known apart.
    """

    def __init__(self, installation: "Installation") -> None:
        self._of = installation
        self.retry_s = RETRY_S
        self.reading, self.writing = Door("reading"), Door("writing")

    def ask(self, asked: Callable[[], T], *, writes: bool = False) -> T:
        """Return what ``asked`` returns.

        Raises:
            StoreUnreachable: the store is away, or was when it was asked less than ``retry_s`` seconds ago.
        """
        doors = [self.reading, self.writing] if writes else [self.reading]
        was_shut = any(door.is_shut for door in doors)
        for door in doors:
            if door.is_resting(self.retry_s):
                raise StoreUnreachable(door.why)
        with at_most(AGAIN_WAIT_S if was_shut else WAIT_S):
            try:
                if was_shut:
                    self._knock()
                _ = self._of.store  # opened and migrated at the first call that reaches it
                self._of.replaced.look()
            except StoreUnreachable as error:
                self.reading.shut(str(error))
                raise
            try:
                answer = asked()
            except StoreUnreachable as error:
                doors[-1].shut(str(error))
                raise
        for door in doors:
            door.open()
        return answer

    def read(self, asked: Callable[[], T], otherwise: T) -> T:
        """Return what ``asked`` returns, or something else while the store is away."""
        try:
            return self.ask(asked)
        except StoreUnreachable:
            return otherwise

    @property
    def why(self) -> str:
        """Return why the store cannot be used, empty where it could when it was last asked."""
        return self.reading.why or self.writing.why

    def is_resting(self) -> bool:
        """Return whether writing would be refused at once: the store could not be reached a moment ago."""
        return self.reading.is_resting(self.retry_s) or self.writing.is_resting(self.retry_s)

    def try_again(self) -> None:
        """Let the next call ask the store, however short ago it could not be reached."""
        self.reading.asked = self.writing.asked = -math.inf

    def _knock(self) -> None:
        """See whether a server of before listens again: a host that answers nothing would take seconds to connect to."""
        url = self._of.unopened_store.url
        if url.get_backend_name() != "postgresql" or not url.host or "," in url.host or url.host.startswith("/"):
            return
        try:
            socket.create_connection((url.host, url.port or 5432), timeout=AGAIN_WAIT_S).close()
        except OSError as error:
            raise unreachable(url, error) from None
