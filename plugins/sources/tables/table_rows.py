"""The rows of one table as messages: what is one decision for all of its rows, and what the person who imports should know.

What the columns are does not belong here (see `plugins.sources.tables.columns`), nor what one row says (see
`plugins.sources.tables.exchanges`).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from plugins.contracts import SourceOptions
from plugins.sources.direction import Direction
from plugins.sources.fields import number
from plugins.sources.normalise import reject
from plugins.sources.people import is_agent, named_agent, nobody_is
from plugins.sources.tables.columns import Taken
from plugins.sources.tables.exchanges import utterances, when
from plugins.sources.tables.owners import Owners
from plugins.sources.tables.table_times import TableTimes
from records.errors import SourceError

BEST = (5.0, 10.0, 100.0)
"""Best ratings of the scales that are known by their numbers: stars, out of ten, percent."""

NAMES_HELD = 1_000
SPEAKING = ("role", "speaker_id", "speaker_name", "input_text", "output_text")
"""Columns that say who speaks."""

WHO = ("role", "speaker_id", "speaker_name", "user_id")
"""What of a message says who speaks: somebody who is only its user does."""


class TableRows:
    """Makes messages of the rows of one table, batch by batch in its order."""

    def __init__(
        self, options: SourceOptions, source: str, name: str, rows: Iterable[tuple[Mapping[str, Any], Taken]] = ()
    ) -> None:
        """Look through a table once: how its times and ratings are meant.

        Args:
            options: As the source was given them.
            source: Name of the source.
            name: What the table is called.
            rows: Its rows and what their columns mean; no more are asked for than it takes.
        """
        self.options, self.source, self.name = options, source, name
        self._refused: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self._owners, self._direction = Owners(options), Direction(options)
        self._times, self._ratings = TableTimes(options), _Ratings()
        for values, taken in rows:
            self._times.see(when(values, taken))
            if "rating" in taken:
                self._ratings.see(values.get(taken["rating"]))
            elif self._times.is_settled:
                break
        self.notes += self._times.decide(name)
        self.notes += self._ratings.decide(name)
        self._names: set[str] = set()
        self._begun = self._has_text = self._has_agent = self._tells_speakers = False

    def of(self, values: Mapping[str, Any], taken: Taken, line: int) -> Iterator[dict[str, Any]]:
        """Yield the messages of a row."""
        self._tells_speakers |= any(column in taken for column in SPEAKING)
        for row in utterances(values, taken, line, self.options, self._ratings.scale):
            if self._tells_speakers and row.get("text") and not any(row.get(key) for key in WHO):
                self._refused.append(
                    reject(self.source, self.name, line, "no speaker: who said it is not clear", values)
                )
                continue
            if "occurred_at" in row:
                row["occurred_at"] = self._times.read(row["occurred_at"])
            yield row

    def batch(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the messages of a batch as they were said, each with its user where one is known.

        Raises:
            SourceError: nothing says whose memory the first of them go to, or who it is that they talk to.
        """
        for row in rows:
            self._has_agent |= row.get("role") == "agent" or self._is_agent(row)
            self._has_text |= row.get("text") is not None
            name = row.get("speaker_name") or row.get("speaker_id")
            if isinstance(name, str) and len(self._names) < NAMES_HELD:
                self._names.add(name.strip())
        if not self._begun and rows:
            self._begun = True
            if self.options.agent is None and not any(row.get("agent_id") for row in rows):
                named_agent(self.options, self._names, self.name)
        filled = self._owners.filled(self._direction.arranged(rows))
        if self._owners.nobody and not self._owners.known:
            raise SourceError(f"{self.name}: nothing in it says who the user is: name them with --user")
        return filled

    def refused(self) -> list[dict[str, Any]]:
        """Return the rejects since this was last asked."""
        found, self._refused = self._refused, []
        return found

    def last_notes(self) -> list[str]:
        """Return what is known when all rows were read."""
        notes = []
        if self._has_text and not self._tells_speakers:
            notes.append(
                f"{self.name}: no column says who speaks, all of it is kept as said by one person; "
                "name it with --map speaker_name=COLUMN or --map role=COLUMN"
            )
        elif not self._has_agent and self._names:
            notes += [note for note in (nobody_is(self.options, self._names, self.name),) if note is not None]
        return notes

    def _is_agent(self, row: Mapping[str, Any]) -> bool:
        return any(
            isinstance(row.get(key), str) and is_agent(row[key], self.options) for key in ("speaker_id", "speaker_name")
        )


class _Ratings:
    """The scale of a table's ratings: five stars are the best one only where there are no ten."""

    def __init__(self) -> None:
        self.scale: tuple[float, float] | None = None
        self._lowest, self._highest = 0.0, 0.0
        self._seen = False

    def see(self, value: Any) -> None:
        """Take note of a rating."""
        rating = number(value)
        if rating is not None:
            self._lowest = min(rating, self._lowest) if self._seen else rating
            self._highest = max(rating, self._highest) if self._seen else rating
            self._seen = True

    def decide(self, name: str) -> list[str]:
        """Decide which ratings are the worst and the best; return a note where they are not -1 and 1."""
        best = next((best for best in BEST if self._highest <= best), None)
        if not self._seen or self._highest <= 1 or self._lowest < 0 or best is None:
            return []
        self.scale = (1.0 if self._lowest >= 1 and best < BEST[-1] else 0.0, best)
        return [f"{name}: ratings are taken as from {self.scale[0]:g} (worst) to {best:g} (best)"]
