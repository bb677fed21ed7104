"""Handing over what a source finds in batches, and the little that chats of all applications have in common there.

What a format looks like does not belong here.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from plugins.contracts import SourceBatch
from records.ids import content_id

BATCH = 5_000

DAY_BEGINS = timedelta(hours=4)
"""After midnight, when a day of a chat begins: what is asked at 23:59 is answered at 00:01 in one conversation."""

EARLIEST = datetime(1, 1, 2, tzinfo=UTC)


def in_batches(
    found: Iterable[dict[str, Any]], total: int = 0, notes: Sequence[str | None] = ()
) -> Iterator[SourceBatch]:
    """Yield rows and rejects (told apart by their ``reject_id``) in their order, the notes with the first batch.

    ``total`` is the number of items to expect, 0 where nobody knows.
    """
    batch = SourceBatch(notes=[note for note in notes if note is not None])
    for count, item in enumerate(found, start=1):
        (batch.rejects if "reject_id" in item else batch.rows).append(item)
        if len(batch.rows) + len(batch.rejects) >= BATCH:
            batch.done = min(1.0, count / total) if total else 0.0
            yield batch
            batch = SourceBatch()
    yield batch


def counted(reactions: Iterable[str | None]) -> dict[str, int] | None:
    """Return how often each reaction was given, None where there is none."""
    return dict(Counter(reaction for reaction in reactions if reaction)) or None


def kept(**values: Any) -> dict[str, Any]:
    """Return the metadata that say something."""
    return {key: value for key, value in values.items() if value not in (None, "", [], {})}


def day_of(moment: datetime) -> str:
    """Return the day of a chat that a time (UTC) belongs to: the same whatever offset an export was made with."""
    return f"{max(moment, EARLIEST) - DAY_BEGINS:%Y-%m-%d}"


class Days:
    """Sessions of a chat that the file has no id for: a day each, told apart by the time of the day's first message.

    Names do not tell two chats apart: in everybody's own export the one who wrote it is "Me". The first message of a day
    stays the first when the file is renamed, exported again or cut between days.
    """

    def __init__(self, source: str, chat: str) -> None:
        self._chat = f"{source}/{chat}"
        self._first: dict[str, str] = {}

    def session(self, moment: datetime) -> str:
        """Return the session of a message at this time; rows come in the order of the file."""
        day = day_of(moment)
        if day not in self._first:
            self._first[day] = content_id("d", moment.isoformat())[2:10]
        return f"{self._chat}-{self._first[day]}/{day}"
