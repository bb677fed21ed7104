"""How every partition was made: stamps in the store, written after the partition itself.

A run that is killed between the two leaves an old stamp, so that the partition counts as out of date and is made once more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resources.store import InteractionStore


@dataclass(frozen=True)
class Stamp:
    """How a partition was made last; see the record AssetVersions."""

    made_by: str
    inputs: dict[str, str]
    content: str
    rows: int


class Versions:
    """The stamps of one installation."""

    def __init__(self, store: InteractionStore) -> None:
        self.store = store

    def put(self, asset: str, stamps: Mapping[str, Stamp]) -> None:
        """Write or replace the stamps of an asset's partitions, in one transaction."""
        now = datetime.now(UTC)
        rows = [
            {
                "asset": asset,
                "part": part,
                "made_by": stamp.made_by,
                "inputs": json.dumps(stamp.inputs, sort_keys=True),
                "content": stamp.content,
                "row_count": stamp.rows,
                "made_at": now,
            }
            for part, stamp in stamps.items()
        ]
        self.store.register("asset_versions", *rows)

    def drop(self, asset: str, parts: Iterable[str]) -> None:
        """Forget how partitions were made: they count as never made."""
        import sqlalchemy as sa

        from resources.store import chunks

        table = self.store.meta.tables["asset_versions"]
        with self.store.writer.begin() as connection:
            for batch in chunks(parts):
                connection.execute(sa.delete(table).where(table.c.asset == asset, table.c.part.in_(batch)))

    def of(self, asset: str) -> dict[str, Stamp]:
        """Return partition to stamp."""
        return {
            row["part"]: Stamp(row["made_by"], json.loads(row["inputs"]), row["content"], row["row_count"])
            for row in self.store.rows("asset_versions", asset=asset)
        }


def content(stamps: Mapping[str, Stamp], part: str | None) -> str:
    """Return the hash of a partition's content, or of all partitions together for None; empty when nothing was made.

    Partitions without rows do not count: whether an empty week was made changes nothing that is made of all weeks.
    """
    if part is not None:
        return stamps[part].content if part in stamps and stamps[part].rows else ""
    made = [(name, stamps[name].content) for name in sorted(stamps) if stamps[name].rows]
    return blake2b(json.dumps(made).encode(), digest_size=16).hexdigest() if made else ""
