"""Receipts of erasures: what was erased where and when, signed, without what it was."""

import hmac
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from records.ids import content_id
from resources.fence import raise_generation
from resources.keys import Keys
from resources.store import InteractionStore

SIGNED = ("receipt_id", "kind", "subject_hash", "asked_at", "done_at", "removed", "pending", "leaks")


@dataclass
class Work:
    """What an erasure still has to do, kept until it is done: a killed one goes on from here.

    Attributes:
        messages: Ids of the messages.
        weeks: Weeks of the messages.
        derived: Table to ids of what was made of the messages.
        personas: Personas whose datasets hold them.
        datasets: Datasets that hold them, also those of which the registry is all that is left.
        remembered: Hashes of the texts they stand in, under which a memo may hold where names were found.
        called: Ids and names of the subject.
        prompted: Agents whose core memory names it, so that samples of their datasets do.
    """

    value: str
    messages: list[str] = field(default_factory=list)
    weeks: list[str] = field(default_factory=list)
    derived: dict[str, list[str]] = field(default_factory=dict)
    personas: list[str] = field(default_factory=list)
    datasets: list[str] = field(default_factory=list)
    remembered: list[str] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    prompted: list[str] = field(default_factory=list)

    def joined(self, other: "Work") -> "Work":
        """Return this work with what another has beyond it."""
        lists = ("messages", "weeks", "personas", "datasets", "remembered", "called", "prompted")
        both = {name: list(dict.fromkeys(getattr(self, name) + getattr(other, name))) for name in lists}
        tables = dict.fromkeys([*self.derived, *other.derived])
        derived = {
            table: list(dict.fromkeys(self.derived.get(table, []) + other.derived.get(table, []))) for table in tables
        }
        return Work(self.value, derived=derived, **both)


ANALYTICS_AGAIN = "publish analytics again"
SCRUB_AGAIN = "overwrite the freed pages of the store, once no reader holds its old state"


def week_again(week: str) -> str:
    """Return how a receipt says that a week is to be made again."""
    return f"materialize week {week}"


def weeks_again(pending: Iterable[str]) -> list[str]:
    """Return the weeks that a receipt names as to be made again."""
    return [entry.removeprefix(week_again("")) for entry in pending if entry.startswith(week_again(""))]


def without_rebuilding(pending: Iterable[str]) -> list[str]:
    """Return what is left of a receipt's pending work once its weeks and the analytics were made again."""
    return [entry for entry in pending if entry != ANALYTICS_AGAIN and not entry.startswith(week_again(""))]


def train_again(persona: str) -> str:
    """Return how a receipt says that a persona's adapter is to be trained again."""
    return f"train {persona} again"


def delete_by_hand(path: str) -> str:
    """Return how a receipt says that an exported file was moved or changed, so that it is not the one that was written."""
    return f"delete what was exported to {path}"


class Receipts:
    """The receipts of one store."""

    def __init__(self, store: InteractionStore, keys: Keys) -> None:
        self.store = store
        self.keys = keys
        self.table = store.meta.tables["receipts"]

    def begun(self, subject: str) -> Work | None:
        """Return the work of a subject's erasure that was begun and not finished, None if there is none."""
        held = [row["work"] for row in self.store.rows("receipts", subject_hash=subject) if row["done_at"] is None]
        return Work(**json.loads(held[0])) if held else None

    def removed_so_far(self, subject: str) -> dict[str, int]:
        """Return what an erasure that was begun and not finished has removed, in rows per table."""
        rows = [row for row in self.store.rows("receipts", subject_hash=subject) if row["done_at"] is None]
        return dict(json.loads(rows[0]["removed"])) if rows else {}

    def progress(self, receipt: str, removed: dict[str, int]) -> None:
        """Keep what a begun erasure has removed: killed, its counts are not lost."""
        self._update(receipt, removed=json.dumps(removed, sort_keys=True))

    def open(self, kind: str, subject: str, work: Work) -> str:
        """Begin a receipt, or go on with the one of the subject that was not finished; return its id."""
        for row in self.store.rows("receipts", subject_hash=subject):
            if row["done_at"] is None:
                self._update(row["receipt_id"], work=json.dumps(work.__dict__))
                return str(row["receipt_id"])
        now = datetime.now(UTC)
        receipt = content_id("e", kind, subject, now.isoformat())
        self.store.insert_once(
            "receipts",
            [
                {
                    "receipt_id": receipt,
                    "kind": kind,
                    "subject_hash": subject,
                    "asked_at": now,
                    "done_at": None,
                    "removed": "{}",
                    "pending": "[]",
                    "leaks": None,
                    "work": json.dumps(work.__dict__),
                    "signature": None,
                }
            ],
        )
        return receipt

    def unfinished(self) -> list[tuple[str, str]]:
        """Return kind and subject of the erasures that were begun and not finished."""
        return [
            (row["kind"], json.loads(row["work"])["value"])
            for row in self.store.rows("receipts")
            if row["done_at"] is None
        ]

    def newest(self, subject: str) -> dict[str, Any] | None:
        """Return the newest receipt of a subject, with its pending work as a list; None if there is none."""
        rows = sorted(self.store.rows("receipts", subject_hash=subject), key=lambda row: row["asked_at"])
        return {**rows[-1], "pending": json.loads(rows[-1]["pending"])} if rows else None

    def weeks_pending(self) -> list[str]:
        """Return the weeks that any receipt names as to be made again."""
        return sorted({week for row in self.store.rows("receipts") for week in weeks_again(json.loads(row["pending"]))})

    def close(self, receipt: str, removed: dict[str, int], pending: list[str]) -> dict[str, Any]:
        """Say that everything is erased: the work is dropped, the receipt signed; return it."""
        with self.store.writer.begin() as connection:  # what was read while it was under way is not committed after it
            raise_generation(connection, self.store)
        values = {"removed": json.dumps(removed, sort_keys=True), "pending": json.dumps(pending), "work": None}
        return self._changed(receipt, lambda row: {"done_at": datetime.now(UTC), **values})

    def note(self, receipt: str, *, pending: list[str], leaks: int | None) -> dict[str, Any]:
        """Say what is still pending and what the leak test found; return the receipt, signed again."""

        def noted(row: dict[str, Any]) -> dict[str, Any]:
            # What others did meanwhile stays done.
            left = [entry for entry in pending if entry in json.loads(row["pending"])]
            return {"pending": json.dumps(left), "leaks": leaks}

        return self._changed(receipt, noted)

    def add(self, receipt: str, entries: Iterable[str]) -> list[str]:
        """Say that more is to be done; return all that is pending."""

        def added(row: dict[str, Any]) -> dict[str, Any]:
            return {"pending": json.dumps(list(dict.fromkeys([*json.loads(row["pending"]), *more])))}

        more = list(entries)
        return list(self._changed(receipt, added)["pending"])

    def scrub_pending(self) -> list[str]:
        """Return the receipts that wait for the freed pages of the store."""
        return [row["receipt_id"] for row in self.store.rows("receipts") if SCRUB_AGAIN in json.loads(row["pending"])]

    def fulfil(
        self,
        *,
        weeks: Iterable[str] = (),
        persona: str | None = None,
        analytics: bool = False,
        scrubbed: Iterable[str] = (),
    ) -> int:
        """Say that work which receipts name as pending is done; return how many receipts it stood in.

        Args:
            scrubbed: Receipts of erasures whose freed pages were overwritten.
        """
        overwritten = set(scrubbed)
        entries = {*map(week_again, weeks), *([train_again(persona)] if persona is not None else [])}
        entries |= {ANALYTICS_AGAIN} if analytics else set()

        def left(row: dict[str, Any]) -> list[str]:
            done = entries | ({SCRUB_AGAIN} if row["receipt_id"] in overwritten else set())
            return [entry for entry in json.loads(row["pending"]) if entry not in done]

        changed = 0
        for row in self.store.rows("receipts"):
            if row["done_at"] is not None and left(row) != json.loads(row["pending"]):
                self._changed(row["receipt_id"], lambda now: {"pending": json.dumps(left(now))})
                changed += 1
        return changed

    def retraining(self) -> dict[str, str]:
        """Return persona to the receipt that asks for its training, once nothing else of that erasure is pending."""
        asked: dict[str, str] = {}
        for row in self.store.rows("receipts"):
            pending = json.loads(row["pending"])
            personas = [entry[6:-6] for entry in pending if entry == train_again(entry[6:-6])]
            if row["done_at"] is not None and personas and len(personas) == len(pending):
                asked.update(dict.fromkeys(personas, row["receipt_id"]))
        return asked

    def all(self) -> list[dict[str, Any]]:
        """Return every receipt, the newest first, with ``valid``: whether its signature fits; without the work."""
        rows = sorted(self.store.rows("receipts"), key=lambda row: row["asked_at"], reverse=True)
        return [self._shown(row) for row in rows]

    def _changed(self, receipt: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        """Change a receipt as it stands now, and sign it; return it. Others who change it wait, and see what it has become."""
        this = self.table.c.receipt_id == receipt
        self.keys.signature(
            ""
        )  # of a key that is used for the first time the store is told, which cannot wait within the other
        with self.store.writer.begin() as connection:
            row = dict(connection.execute(sa.select(self.table).where(this).with_for_update()).mappings().one())
            values = change(row)
            values["signature"] = self._signature(row | values)
            connection.execute(sa.update(self.table).where(this).values(**values))
        return self._shown(row | values)

    def _signature(self, row: dict[str, Any]) -> str:
        parts = [row[name].isoformat() if isinstance(row[name], datetime) else row[name] for name in SIGNED]
        return self.keys.signature(json.dumps(["receipt", *parts]))

    def _shown(self, row: dict[str, Any]) -> dict[str, Any]:
        valid = row["signature"] is not None and hmac.compare_digest(row["signature"], self._signature(row))
        state = "begun" if row["done_at"] is None else "done"
        shown = {name: value for name, value in row.items() if name != "work"}
        return {
            **shown,
            "removed": json.loads(row["removed"]),
            "pending": json.loads(row["pending"]),
            "state": state,
            "valid": valid,
        }

    def _update(self, receipt: str, **values: Any) -> None:
        with self.store.writer.begin() as connection:
            connection.execute(sa.update(self.table).where(self.table.c.receipt_id == receipt).values(**values))
