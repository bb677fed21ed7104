"""What every record can do beyond dataframely: give its Arrow schema, its documentation, and a frame of its shape."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import dataframely as dy
import polars as pl

from records.errors import RecordError

if TYPE_CHECKING:
    import pyarrow as pa


class Record(dy.Schema):
    """A table. Columns are declared once, in order; the primary key is also the sort order on disk."""

    @classmethod
    def table_name(cls) -> str:
        """Return the snake_case name of the table."""
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in cls.__name__).lstrip("_")

    @classmethod
    def polars_schema(cls) -> pl.Schema:
        """Return the Polars schema."""
        return _schema_of(cls)

    @classmethod
    def arrow_schema(cls) -> pa.Schema:
        """Return the Arrow schema, with plain (not large) string types, the description of a column in its metadata."""
        import pyarrow as pa

        fields = []
        columns = cls.columns()
        for name, dtype in cls.polars_schema().items():
            meta = {"description": columns[name].description or ""}
            fields.append(pa.field(name, _arrow_type(dtype), nullable=columns[name].nullable, metadata=meta))
        return pa.schema(fields)

    @classmethod
    def docs(cls) -> dict[str, str]:
        """Return column name to description."""
        return {name: column.description or "" for name, column in cls.columns().items()}

    @classmethod
    def shaped(cls, frame: pl.DataFrame) -> pl.DataFrame:
        """Return ``frame`` with exactly this record's columns, types and key order, validated.

        Raises:
            RecordError: a column is missing or a rule fails; the message counts rows per rule and shows no value.
        """
        missing = [name for name in cls.column_names() if name not in frame.columns]
        if missing:
            raise RecordError(f"{cls.table_name()}: missing columns {missing}; found {frame.columns}")
        try:
            cast = frame.select(cls.column_names()).cast(dict(cls.polars_schema().items()))
        except pl.exceptions.PolarsError as error:
            # Polars quotes the offending values: only the kind of error may leave this function.
            raise RecordError(f"{cls.table_name()}: a column cannot be cast ({type(error).__name__})") from None
        failures = cls.failures(cast)
        if failures:
            raise RecordError(f"{cls.table_name()}: rules failed {failures} of {cast.height} rows")
        return cast.sort(cls.primary_key()) if cls.primary_key() else cast

    @classmethod
    def failures(cls, frame: pl.DataFrame) -> dict[str, int]:
        """Return the number of failing rows per rule, empty when the frame is valid."""
        _, failure = cls.filter(frame)
        return dict(failure.counts())


@cache
def _schema_of(record: type[Record]) -> pl.Schema:
    """Return the schema; making an empty frame for it takes 2 ms, too long for a read path."""
    return record.create_empty().schema


def _arrow_type(dtype: Any) -> pa.DataType:
    import pyarrow as pa

    if isinstance(dtype, pl.List):
        return pa.list_(_arrow_type(dtype.inner))
    if isinstance(dtype, pl.Array):
        return pa.list_(_arrow_type(dtype.inner), dtype.size)
    if dtype == pl.String or isinstance(dtype, pl.Enum):
        return pa.string()
    if isinstance(dtype, pl.Datetime):
        return pa.timestamp(dtype.time_unit, tz=dtype.time_zone)
    simple = {
        pl.Int64: pa.int64(),
        pl.Int32: pa.int32(),
        pl.Float64: pa.float64(),
        pl.Float32: pa.float32(),
        pl.Boolean: pa.bool_(),
        pl.Date: pa.date32(),
    }
    return simple[dtype.base_type()]
