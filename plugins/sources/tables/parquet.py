"""Parquet files: a table with one message or one exchange a row.

Which column means what does not belong here (see `plugins.sources.tables.columns`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.reading import checked
from plugins.sources.tables.columns import Taken, checked_columns, notes_of
from plugins.sources.tables.table_rows import TableRows
from records.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BATCH = 2_500
"""Rows read at a time; an exchange is two messages."""

MAGIC = b"PAR1"

FEW_ROWS = 200_000
ROWS_A_BYTE = 1
"""Rows beyond those that a byte of the file may stand for: a file of a few kB can claim billions."""

LARGEST_ROW_GROUP = 4 << 30
"""Bytes of one column's values within a row group."""

LARGEST_BATCH = 1 << 28
"""Characters of the texts of one batch: one text of 100 MB may be repeated by a few bits."""

DENSEST = 200
"""Times that all texts of a larger file may be larger than it."""


class Parquet(Source):
    """Parquet files; only the columns that are needed are read, some rows at a time."""

    name = "parquet"
    suffixes = (".parquet",)
    general = True
    in_order = False

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether the file starts as Parquet does."""
        return head.startswith("PAR1")

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches.

        Raises:
            SourceError: it is truncated or no Parquet, holds more than a file of its size can, or has no text or no rows.
        """
        import pyarrow as pa

        path = checked(Path(target))
        with path.open("rb") as handle:
            if handle.read(len(MAGIC)) != MAGIC:
                raise SourceError(f"{path.name}: not a Parquet file")
        try:
            yield from self._read(path, options)
        except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError):
            raise SourceError(f"{path.name}: the Parquet file cannot be read (truncated?)") from None

    def _read(self, path: Path, options: SourceOptions) -> Iterator[SourceBatch]:
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as probe:
            taken = checked_columns(list(probe.schema_arrow.names), options.columns, path.name)
            wanted = sorted({*taken.values(), *([taken.hour] if taken.hour else [])})
            total = _checked_size(probe, wanted, path)
            texts = [name for name in wanted if _is_text(probe.schema_arrow.field(name).type)]
        # Texts stay in their dictionary until their sizes are known.
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            table = TableRows(options, self.name, path.name, _looked_at(path, taken))
            notes, number, size = [*notes_of([taken], path.name, options.at), *table.notes], 0, 0
            for part in file.iter_batches(batch_size=BATCH, columns=wanted):
                size += _checked_texts(part, path)
                if size > max(LARGEST_BATCH, DENSEST * path.stat().st_size):
                    raise SourceError(f"{path.name}: {size} characters of text: more than an export can hold")
                columns = {name: _values(part.column(name)) for name in wanted}
                batch = SourceBatch(notes=notes, done=min(1.0, (number + part.num_rows) / total))
                for place in range(part.num_rows):
                    number += 1
                    values = {name: column[place] for name, column in columns.items()}
                    batch.rows.extend(table.of(values, taken, number))
                batch.rows = table.batch(batch.rows)
                batch.rejects += table.refused()
                yield batch
                notes = []
            yield SourceBatch(notes=table.last_notes())


def _looked_at(path: Path, taken: Taken) -> Iterator[tuple[dict[str, Any], Taken]]:
    """Yield the times and ratings of the rows, where they are text or numbers that may be meant in several ways."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        kinds = {
            name: file.schema_arrow.field(name).type
            for name in {*taken.values(), *([taken.hour] if taken.hour else [])}
        }
        times = [name for name in (taken.get("occurred_at"), taken.hour) if name is not None]
        wanted = [name for name in times if pa.types.is_string(kinds[name]) or pa.types.is_large_string(kinds[name])]
        wanted += [taken["rating"]] if "rating" in taken else []
        for part in file.iter_batches(batch_size=BATCH, columns=wanted) if wanted else ():
            columns = {name: _values(part.column(name)) for name in wanted}
            for place in range(part.num_rows):
                yield {name: column[place] for name, column in columns.items()}, taken


def _checked_size(file: "pq.ParquetFile", wanted: list[str], path: Path) -> int:
    """Return the number of rows.

    Raises:
        SourceError: there are none, or more than a file of this size can have.
    """
    told = file.metadata
    groups = [told.row_group(place) for place in range(told.num_row_groups)]
    rows = max(told.num_rows, sum(group.num_rows for group in groups))
    if rows <= 0:
        raise SourceError(f"{path.name}: no rows")
    sizes = [
        max(0, column.total_uncompressed_size)
        for group in groups
        for column in (group.column(place) for place in range(group.num_columns))
        if column.path_in_schema.split(".")[0] in wanted
    ]
    if rows > FEW_ROWS + ROWS_A_BYTE * path.stat().st_size or max(sizes, default=0) > LARGEST_ROW_GROUP:
        raise SourceError(f"{path.name}: {rows} rows in {path.stat().st_size} bytes: more than an export can hold")
    return rows


def _checked_texts(part: "pa.RecordBatch", path: Path) -> int:
    """Return how long the texts of a batch are together.

    Raises:
        SourceError: they would not fit into memory.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    size = 0
    for column in part.columns:
        if pa.types.is_dictionary(column.type) and _is_text(column.type):
            lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
            size += pc.sum(lengths).as_py() or 0
    if size > LARGEST_BATCH:
        raise SourceError(f"{path.name}: {BATCH} rows of it hold more text than an export can")
    return size


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def _values(column: "pa.Array") -> list[Any]:
    """Return the values of a column; a single one that Python cannot hold, such as a date in the year 300,000, is unreadable."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
    elif pa.types.is_duration(kind) or pa.types.is_time64(kind):
        column = column.cast(pa.int64())
    try:
        found: list[Any] = column.to_pylist()
        return found
    except (pa.ArrowException, ValueError, OverflowError):
        return [_value(item) for item in column]


def _value(item: "pa.Scalar") -> Any:
    import pyarrow as pa

    try:
        return item.as_py()
    except (pa.ArrowException, ValueError, OverflowError):
        return "unreadable"
