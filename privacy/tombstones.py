"""Who was erased, kept twice: in the store, and beside its keys in a file, which a store restored from a backup cannot undo."""

import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from resources.fence import raise_generation
from resources.store import InteractionStore

FILE = "erased.jsonl"


class Tombstones:
    """The keyed hashes of one installation's erased subjects.

    Args:
        home: The installation's folder; the file lies in ``keys``, as without the key the hashes tell nothing.
    """

    def __init__(self, home: Path, store: InteractionStore) -> None:
        self.path = home / "keys" / FILE
        self.store = store

    def add(self, kind: str, subject: str) -> None:
        """Keep a subject out from now on, and raise the fence: in the file first, then in the store, in one transaction."""
        known = {row["subject_hash"] for row in self._beside()}
        rows = [row for row in self.store.rows("tombstones") if row["subject_hash"] not in known]
        if subject not in known | {row["subject_hash"] for row in rows}:
            rows.append({"subject_hash": subject, "kind": kind, "erased_at": datetime.now(UTC)})
        self._append(rows)
        self._insert([{"subject_hash": subject, "kind": kind, "erased_at": datetime.now(UTC)}])

    def lost(self) -> list[dict[str, Any]]:
        """Return subject_hash and kind of those that the store does not know: it was restored, or an erasure was killed at its first step."""
        if not self.path.exists():
            return []
        known = {row["subject_hash"] for row in self.store.rows("tombstones")}
        return [row for row in self._beside() if row["subject_hash"] not in known]

    def restore(self, rows: Iterable[dict[str, Any]]) -> None:
        """Let the store know subjects again."""
        rows = list(rows)
        if not rows:
            return
        self._insert(
            [
                {
                    "subject_hash": row["subject_hash"],
                    "kind": row["kind"],
                    "erased_at": datetime.fromisoformat(row["erased_at"]),
                }
                for row in rows
            ]
        )

    def _insert(self, rows: list[dict[str, Any]]) -> None:
        table = self.store.meta.tables["tombstones"]
        with self.store.writer.begin() as connection:
            connection.execute(self.store.upsert(table).on_conflict_do_nothing(), rows)
            raise_generation(connection, self.store)

    def _append(self, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A line that a kill cut short is closed by the line break before the next.
        lines = [json.dumps({**row, "erased_at": row["erased_at"].isoformat()}) for row in rows]
        with os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as file:
            file.write("".join(f"\n{line}\n" for line in lines).encode())
            file.flush()
            os.fsync(file.fileno())

    def _beside(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        rows = []
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # empty, or cut short
            if isinstance(row, dict) and {"subject_hash", "kind", "erased_at"} <= row.keys():
                rows.append(row)
        return rows
