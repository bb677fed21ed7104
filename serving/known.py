"""Opening the store of an installation: one that was there and is gone is not begun anew.

A SQLite file on a disk that is not there would be made again, empty, where the disk belongs, and what goes in would be lost.
"""

import contextlib
from pathlib import Path

from records.errors import StoreUnreachable
from records.ids import text_hash
from resources.reaching import is_file, unreachable_file
from resources.store import InteractionStore

MARK = "store.known"


def opened(store: InteractionStore, home: Path) -> InteractionStore:
    """Return the store, migrated; of a SQLite file it is noted in the installation that it is there.

    Raises:
        StoreUnreachable: it cannot be used, or it was there and is gone.
    """
    if not is_file(store.url):
        return store.migrate()
    path, mark = Path(str(store.url.database)), home / MARK
    called = text_hash(str(path.absolute()))
    if not path.exists() and _read(mark) == called:
        raise StoreUnreachable(f"{unreachable_file(path)}; to begin a new one, delete {mark}")
    store.migrate()
    if _read(mark) != called:
        with contextlib.suppress(OSError):  # a folder that can only be read
            home.mkdir(parents=True, exist_ok=True)
            mark.write_text(called, encoding="ascii")
    return store


def _read(mark: Path) -> str | None:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return mark.read_text(encoding="ascii")
    return None
