"""A store that is put back from a backup while a client has it open: noticed, and without whom was erased since.

Another file in its place is seen by its number on the disk, before anything else is asked. What is restored into the same file, or
into a server's database, is seen by the number that erasures raise: it goes back.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from resources.fence import generation
from resources.reaching import is_file

if TYPE_CHECKING:
    from serving.installation import Installation

EVERY_S = 1.0
"""Seconds after which the number is looked at again on a server, which would be asked twice for each answer."""


class Replaced:
    """What was last seen of the store of one installation."""

    def __init__(self, installation: "Installation") -> None:
        self._of = installation
        self._file = self._inode()
        self._state = self._now()
        self._generation = generation(installation.unopened_store)

    def look(self) -> None:
        """Erase once more what came back. Cost: 30 µs for a file that nobody wrote to, else one row of the store."""
        from privacy.tombstones import Tombstones
        from serving.known import opened

        of, store = self._of, self._of.unopened_store
        there, state = self._inode(), self._now()
        is_other = there is not None and there != self._file
        if not is_other and state == self._state:
            return
        if is_other:
            store.close()  # connections of before read the file of before
            opened(store, of.settings.home)
        now = generation(store)
        if (is_other or now < self._generation) and Tombstones(of.settings.home, store).lost():
            of.erase_again()
            now = generation(store)
        # Last: where it fails, the next one who asks looks again.
        self._file, self._state, self._generation = there or self._file, state, now

    def _now(self) -> str:
        """Return what is another text once something may have been written."""
        store = self._of.unopened_store
        return f"{time.monotonic() // EVERY_S}" if not store.is_sqlite else str(store.state())

    def _inode(self) -> tuple[int, int] | None:
        url = self._of.unopened_store.url
        if not is_file(url):
            return None
        try:
            lies = Path(str(url.database)).stat()
        except OSError:
            return None
        return lies.st_dev, lies.st_ino
