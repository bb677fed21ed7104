"""Builds the models into a DuckDB connection, and tests them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from dbt_like_sql.project import SOURCE_SCHEMA, Model, ModelTest, Project
from records.errors import ModelError

if TYPE_CHECKING:
    from records.base import Record


@dataclass(frozen=True)
class LakeTable:
    """A table of the lake as the models see it: Parquet files, or a frame; its record says the columns when it is empty."""

    paths: tuple[str, ...] = ()
    frame: pl.DataFrame | None = None
    record: type[Record] | None = None


@dataclass(frozen=True)
class Built:
    """A model that was built."""

    name: str
    rows: int
    columns: dict[str, str]


def attach_lake(connection: Any, tables: Mapping[str, LakeTable]) -> None:
    """Offer the lake's tables as ``lake.<name>`` in memory: nothing of it is stored in the file that is built."""
    connection.execute(f"ATTACH ':memory:' AS {SOURCE_SCHEMA}")
    for name, table in tables.items():
        if table.paths:
            listed = ", ".join("'" + path.replace("'", "''") + "'" for path in table.paths)
            connection.execute(f"CREATE VIEW {SOURCE_SCHEMA}.{name} AS SELECT * FROM read_parquet([{listed}])")
            continue
        frame = (
            table.frame if table.frame is not None else table.record.create_empty() if table.record else pl.DataFrame()
        )
        connection.register("_frame", frame.to_arrow())
        connection.execute(f"CREATE TABLE {SOURCE_SCHEMA}.{name} AS SELECT * FROM _frame")
        connection.unregister("_frame")


def build_model(connection: Any, project: Project, model: Model) -> Built:
    """Create the model's table.

    Raises:
        ModelError: DuckDB refuses the SQL; the message names file and line, and holds no data.
    """
    import duckdb

    try:
        connection.execute(f"CREATE OR REPLACE TABLE {model.name} AS {model.sql}")
    except duckdb.Error as error:
        raise ModelError(
            f"{model.path.relative_to(project.folder.parent)}:{_line_of(error, model.sql)}: {_reason(error)}"
        ) from None
    # Sums of integers are HUGEINT, which notebooks receive as decimals: counts fit 64 bits.
    for name, dtype in described(connection, model.name).items():
        if dtype == "HUGEINT":
            connection.execute(f"ALTER TABLE {model.name} ALTER {name} TYPE BIGINT")
    rows = connection.execute(f"SELECT count(*) FROM {model.name}").fetchone()[0]
    return Built(model.name, int(rows), described(connection, model.name))


def described(connection: Any, table: str) -> dict[str, str]:
    """Return column to type of a table."""
    return {row[0]: row[1] for row in connection.execute(f"DESCRIBE {table}").fetchall()}


def run_test(connection: Any, project: Project, test: ModelTest) -> int:
    """Return the number of rows that break a test.

    Raises:
        ModelError: the test's SQL is refused.
    """
    import duckdb

    try:
        return int(connection.execute(test.query).fetchone()[0])
    except duckdb.Error as error:
        raise ModelError(f"models/schema.yml: {test.model}: {test.name}: {_reason(error)}") from None


def order_of(project: Project, wanted: Iterable[str]) -> list[Model]:
    """Return the wanted models in the order in which they are built."""
    chosen = set(wanted)
    return [project.models[name] for name in project.order if name in chosen]


def _line_of(error: Exception, sql: str) -> int:
    """Return the line DuckDB points at; its message counts lines of `CREATE … AS <sql>`, which starts on the same line."""
    import re

    found = re.search(r"LINE (\d+):", str(error))
    return int(found[1]) if found else 1


def _reason(error: Exception) -> str:
    """Return the error's first line if it is about the SQL; a conversion or constraint error may quote a value."""
    import duckdb

    about_sql = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.SyntaxException)
    return str(error).splitlines()[0] if isinstance(error, about_sql) else type(error).__name__
