"""Analytics that are still to be published: a run that is killed after its last week leaves nothing else to do, and says so here.

A row of the store's state is written before the first week and dropped when the analytics are published. One whose process is gone
was left by a run that did not come that far; so was one whose process works in another folder, of which this one is a copy.
"""

import contextlib
from collections.abc import Iterator
from uuid import uuid4

import sqlalchemy as sa

from memory_assets.tools import Tools
from resources.processes import is_gone, this_process

OWED = "analytics_owed_"


def are_owed(tools: Tools) -> bool:
    """Return whether a run that is gone changed what analytics are made of, and did not publish them."""
    return bool(_left(tools))


@contextlib.contextmanager
def owing(tools: Tools) -> Iterator[None]:
    """Owe the analytics until the block ends well, which is to publish them; then what killed runs owed is paid, too."""
    name = f"{OWED}{uuid4().hex[:12]}"
    left = _left(tools)
    tools.store.register("installation_state", {"name": name, "value": f"{_folder(tools)} {this_process()}"})
    yield
    table = tools.store.meta.tables["installation_state"]
    with tools.store.writer.begin() as connection:
        connection.execute(sa.delete(table).where(table.c.name.in_([name, *left])))


def _left(tools: Tools) -> list[str]:
    rows = tools.store.rows("installation_state")
    begun = {row["name"]: row["value"].split(" ", 1) for row in rows if row["name"].startswith(OWED)}
    return [name for name, (folder, process) in begun.items() if folder != _folder(tools) or is_gone(process)]


def _folder(tools: Tools) -> str:
    there = tools.settings.home.stat()
    return f"{there.st_dev}:{there.st_ino}"
