"""Tables with one message or one exchange a row: JSONL, CSV, Parquet, and any SQLAlchemy URL."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.normalise import COLUMNS, reject
from plugins.sources.reading import read_bytes, read_text
from records.errors import SourceError

BATCH = 5_000
EXCHANGE = ("input_text", "output_text", "input_emotion", "output_emotion")


def mapped(row: dict[str, Any], columns: dict[str, str]) -> dict[str, Any]:
    """Return the row with the file's column names replaced by ours."""
    out = dict(row)
    for ours, theirs in columns.items():
        out[ours] = row.get(theirs)
    return out


def utterances(row: dict[str, Any], line: int) -> Iterator[dict[str, Any]]:
    """Yield a row as it is, or an exchange (input_text, output_text) as its two utterances."""
    row = {**row, "line": line}
    if row.get("input_text") is None and row.get("output_text") is None:
        yield row
        return
    shared = {key: value for key, value in row.items() if key not in EXCHANGE}
    for number, (side, role) in enumerate((("input", "user"), ("output", "agent"))):
        said = row.get(f"{side}_text")
        if said is not None and str(said).strip():
            ref = f"{row['source_ref']}/{side}" if row.get("source_ref") is not None else side
            turn = row.get("turn")
            yield {
                **shared,
                "text": said,
                "role": role,
                "emotion": row.get(f"{side}_emotion"),
                "source_ref": ref,
                "speaker_id": row.get("agent_id") if role == "agent" else row.get("user_id"),
                "turn": None if turn in (None, "") else 2 * int(float(str(turn))) + number,
            }


def check_columns(found: Iterable[str], columns: dict[str, str], name: str) -> None:
    """Refuse a table without a text column, and a map that names what is not there.

    Raises:
        SourceError: with the columns that were found.
    """
    found = list(found)
    for ours, theirs in columns.items():
        if theirs not in found:
            raise SourceError(f"{name}: --map {ours}={theirs}: there is no column {theirs!r}; found {', '.join(found)}")
        if ours not in COLUMNS and ours not in EXCHANGE:
            raise SourceError(
                f"--map {ours}={theirs}: {ours!r} is no column of a message; known are {', '.join(COLUMNS)}"
            )
    have = set(found) | set(columns)
    if "text" not in have and "input_text" not in have:
        raise SourceError(
            f"{name}: no column 'text' (or input_text/output_text); found {', '.join(found)}; "
            "name it with --map text=COLUMN"
        )


class JsonLines(Source):
    """One JSON object a line, a message or an exchange each."""

    name = "jsonl"
    suffixes = (".jsonl", ".ndjson")

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether the first line is an object with a text."""
        return path.suffix in self.suffixes and '"messages"' not in head and '"conversations"' not in head

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches; a line that is no JSON object is a reject."""
        path = Path(target)
        lines = read_text(path, options.encoding).split("\n")  # not splitlines: JSON may hold U+2028
        columns = dict(options.columns)
        batch = SourceBatch()
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("not a JSON object")
                batch.rows.extend(utterances(mapped(row, columns), number))
            except ValueError as error:
                last = number == len(lines) and isinstance(error, json.JSONDecodeError)
                reason = "the last line ends in the middle (truncated?)" if last else "not a JSON object"
                batch.rejects.append(reject(self.name, path.name, number, reason, line))
            if len(batch.rows) + len(batch.rejects) >= BATCH:
                batch.done = number / len(lines)
                yield batch
                batch = SourceBatch()
        yield batch


class Csv(Source):
    """Comma-separated values with a header."""

    name = "csv"
    suffixes = (".csv", ".tsv")

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether the suffix says so."""
        return path.suffix in self.suffixes

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches; a row with too many or too few fields is a reject."""
        import csv
        import io

        path = Path(target)
        text = read_text(path, options.encoding)
        reader = csv.DictReader(
            io.StringIO(text, newline=""), delimiter="\t" if path.suffix == ".tsv" else ",", restkey="__more__"
        )
        columns = dict(options.columns)
        check_columns(reader.fieldnames or [], columns, path.name)
        total = text.count("\n") + 1
        batch = SourceBatch()
        try:
            for row in reader:
                if "__more__" in row or any(value is None for value in row.values()):
                    batch.rejects.append(
                        reject(self.name, path.name, reader.line_num, "another number of fields than the header", row)
                    )
                else:
                    batch.rows.extend(utterances(mapped(row, columns), reader.line_num))
                if len(batch.rows) >= BATCH:
                    batch.done = reader.line_num / total
                    yield batch
                    batch = SourceBatch()
        except csv.Error as error:
            raise SourceError(f"{path.name}: line {reader.line_num}: {error}") from None
        yield batch


class Parquet(Source):
    """Parquet files."""

    name = "parquet"
    suffixes = (".parquet",)

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether the file starts as Parquet does."""
        return head.startswith("PAR1")

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches."""
        path = Path(target)
        if not read_bytes(path).startswith(b"PAR1"):
            raise SourceError(f"{path.name}: not a Parquet file")
        try:
            frame = pl.read_parquet(path)
        except pl.exceptions.PolarsError:
            raise SourceError(f"{path.name}: the Parquet file cannot be read (truncated?)") from None
        yield from frame_batches(frame, dict(options.columns), path.name)


class Database(Source):
    """A table of any database that SQLAlchemy reaches."""

    name = "sql"

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches of the table named by ``--table``, read with a server-side cursor where there is one."""
        import sqlalchemy as sa

        if options.table is None:
            raise SourceError("a database needs --table TABLE (and --map text=COLUMN … where names differ)")
        try:
            engine = sa.create_engine(target)
            inspector = sa.inspect(engine)
        except (sa.exc.SQLAlchemyError, ModuleNotFoundError) as error:
            raise SourceError(
                f"the database cannot be opened: {type(error).__name__}; check the URL and that its driver is installed"
            ) from None
        if options.table not in [*inspector.get_table_names(), *inspector.get_view_names()]:
            raise SourceError(
                f"no table {options.table!r}; there are {', '.join(inspector.get_table_names()) or 'none'}"
            )
        table = sa.Table(options.table, sa.MetaData(), autoload_with=engine)
        columns = dict(options.columns)
        check_columns([column.name for column in table.columns], columns, options.table)
        with engine.connect().execution_options(stream_results=True) as connection:
            total = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            number = 0
            result = connection.execute(sa.select(table).order_by(*table.primary_key.columns)).mappings()
            for part in result.partitions(BATCH):
                batch = SourceBatch()
                for row in part:
                    number += 1
                    batch.rows.extend(utterances(mapped(dict(row), columns), number))
                batch.done = number / max(total, 1)
                yield batch
        engine.dispose()


def frame_batches(frame: pl.DataFrame, columns: dict[str, str], name: str) -> Iterator[SourceBatch]:
    """Yield a frame's rows in batches, numbered from 1."""
    check_columns(frame.columns, columns, name)
    for start in range(0, max(frame.height, 1), BATCH):
        batch = SourceBatch(done=min(1.0, (start + BATCH) / max(frame.height, 1)))
        for number, row in enumerate(frame[start : start + BATCH].iter_rows(named=True), start=start + 1):
            batch.rows.extend(utterances(mapped(row, columns), number))
        yield batch
