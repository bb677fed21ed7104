"""Tables in text files with one message or one exchange a row: JSON, a line or an item each, and CSV.

Which column means what does not belong here (see `plugins.sources.tables.columns`).
"""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.conversations.json_values import JsonValue, json_values
from plugins.sources.fields import listing
from plugins.sources.normalise import reject
from plugins.sources.reading import checked
from plugins.sources.tables.columns import Taken, checked_columns, checked_map, notes_of, recognised, unclear
from plugins.sources.tables.csv_records import records
from plugins.sources.tables.table_rows import TableRows
from records.errors import SourceError

BATCH = 5_000

SHAPES = 1_000
"""Sets of columns of which it is told what they were taken for, and columns of such a set."""

ROWS = ("data", "rows", "messages", "records", "items", "results")
"""Keys of an object under which its rows lie, where it is no row itself."""

PEOPLE_AND_TIMES = (
    '"occurred_at"',
    '"timestamp"',
    '"created_at"',
    '"date"',
    '"time"',
    '"role"',
    '"speaker"',
    '"speaker_id"',
    '"speaker_name"',
    '"sender"',
    '"author"',
    '"from"',
    '"user_id"',
)
"""What a JSON file has beside a text where that was said by somebody at some time."""

SPEECH = ('"text"', '"message"', '"content"', '"body"', '"input_text"', '"output_text"', '"utterance"')


class JsonLines(Source):
    """One JSON object a line, a message or an exchange each; also an array of such objects."""

    name = "jsonl"
    suffixes = (".jsonl", ".ndjson")
    general = True
    in_order = False

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether the suffix says so, or a JSON file holds texts with people or times."""
        suffix = path.suffix.lower()
        said = any(key in head for key in SPEECH) and any(key in head for key in PEOPLE_AND_TIMES)
        return suffix in self.suffixes or (suffix == ".json" and said)

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches; what is no JSON object is a reject.

        Raises:
            SourceError: nothing in it is JSON, or a map names a column that no message has.
        """
        path = Path(target)
        checked_map(options.columns)
        batch, known = SourceBatch(), dict[tuple[str, ...], Taken]()
        values = json_values(path, options.encoding, broken="not a JSON object")
        head = list(itertools.islice(values, 1))
        whole = head[0] if head and head[0].done == 1.0 else None
        table = TableRows(
            options,
            self.name,
            path.name,
            _looked_at([whole] if whole else json_values(path, options.encoding), options),
        )
        for number, value, broken, done in itertools.chain(head, values):
            rows = _rows(value) if whole is not None else [value]
            for place, row in enumerate(rows):
                line = number + place
                if broken is not None or not isinstance(row, dict):
                    batch.rejects.append(reject(self.name, path.name, line, broken or "not a JSON object", row))
                else:
                    self._take(row, line, table, batch, known)
                if len(batch.rows) + len(batch.rejects) >= BATCH - 1:  # an exchange is two
                    batch.rows, batch.done = table.batch(batch.rows), done
                    batch.rejects += table.refused()
                    yield batch
                    batch = SourceBatch()
        batch.rows = table.batch(batch.rows)
        batch.rejects += table.refused()
        batch.notes += [*notes_of(known.values(), path.name, options.at), *_missing(known, options, path.name)]
        batch.notes += [*table.notes, *table.last_notes()]
        yield batch

    def _take(
        self,
        row: dict[str, Any],
        line: int,
        table: TableRows,
        batch: SourceBatch,
        known: dict[tuple[str, ...], Taken],
    ) -> None:
        taken = recognised(row, table.options.columns)
        if len(known) < SHAPES and len(row) <= SHAPES:
            known.setdefault(tuple(row), taken)
        missing = unclear(taken)
        if missing is not None and (taken.unclear or not taken):
            batch.rejects.append(reject(self.name, table.name, line, missing, row))
            return
        batch.rows.extend(table.of(row, taken, line))


def _looked_at(values: Iterable[JsonValue], options: SourceOptions) -> Iterator[tuple[dict[str, Any], Taken]]:
    """Yield the rows of a file with what their columns mean."""
    for found in values:
        for row in _rows(found.value) if found.broken is None else ():
            if isinstance(row, dict):
                yield row, recognised(row, options.columns)


def _rows(value: Any) -> list[Any]:
    """Return the rows of a file that is one value: an array, an object that holds one, or a single row."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        for key in ROWS:
            inner = listing(value.get(key))
            if inner and all(isinstance(row, dict) for row in inner):
                return inner
    return [value]


def _missing(known: dict[tuple[str, ...], Taken], options: SourceOptions, file: str) -> list[str]:
    """Return a note of the columns of a map that no line has."""
    never = [
        f"{ours}={theirs}"
        for ours, theirs in options.columns.items()
        if not any(ours in taken for taken in known.values())
    ]
    return [f"{file}: no line has the column of --map {', --map '.join(never)}"] if never and known else []


class Csv(Source):
    """Values between commas, semicolons, tabs or bars, with a header."""

    name = "csv"
    suffixes = (".csv", ".tsv")
    general = True
    in_order = False

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether the suffix says so."""
        return path.suffix.lower() in self.suffixes

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches; a row with too many or too few fields is a reject.

        Raises:
            SourceError: it has no header with a text, or no rows.
        """
        path = checked(Path(target))
        found = records(path, options.encoding)
        header = next(found, None)
        if header is None:
            raise SourceError(f"{path.name}: the file is empty")
        names = [name.strip() for name in header.fields]
        taken = checked_columns(names, options.columns, path.name)
        looked = ((dict(zip(names, record.fields, strict=False)), taken) for record in records(path, options.encoding))
        next(looked)  # the header
        table = TableRows(options, self.name, path.name, looked)
        size, read = max(path.stat().st_size, 1), 0
        batch = SourceBatch(notes=[*notes_of([taken], path.name, options.at), *table.notes])
        for record in found:
            read += record.length
            fields = record.fields
            if len(fields) > len(names) and not any(field.strip() for field in fields[len(names) :]):
                fields = fields[: len(names)]
            if record.broken is not None or len(fields) != len(names):
                reason = record.broken or "another number of fields than the header"
                batch.rejects.append(reject(self.name, path.name, record.line, reason, fields))
            elif any(field.strip() for field in fields):
                batch.rows.extend(table.of(dict(zip(names, fields, strict=True)), taken, record.line))
            if len(batch.rows) + len(batch.rejects) >= BATCH - 1:  # an exchange is two
                batch.rows, batch.done = table.batch(batch.rows), min(1.0, read / size)
                batch.rejects += table.refused()
                yield batch
                batch = SourceBatch()
        if not read:
            raise SourceError(f"{path.name}: no rows, only a header")
        batch.rows = table.batch(batch.rows)
        batch.rejects += table.refused()
        batch.notes += table.last_notes()
        yield batch
