"""The leak test looks everywhere: what is put into any column of any table, or any kind of file, is reported, with the place."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import lancedb
import polars as pl
import pytest
import sqlalchemy as sa

from memory_assets.tables import LAKE_RECORDS
from memory_assets.tools import Tools
from plugins.sources.scratch import scratch, within
from privacy.leak_test import search
from resources.scrub import scrub_store
from resources.settings import Settings
from resources.tables import UTCDateTime, store_metadata
from tests.conftest import fast_settings, message_rows, write_rows

SAID = "quózwort of the seventh bridge"

COLUMNS = [
    (table.name, column.name)
    for table in store_metadata().tables.values()
    for column in table.columns
    if isinstance(column.type, sa.String)
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return a small installation, which every test leaves as it was."""
    settings = fast_settings(tmp_path_factory.mktemp("places"))
    write_rows(Tools(settings).store, message_rows(2))
    return settings


def reported(settings: Settings) -> dict[str, int]:
    """Return where the leak test finds it."""
    tools = Tools(settings)
    found = search([SAID.lower()], settings, tools.store, tools.vectors).found
    tools.store.close()
    return found


def row(table: sa.Table, column: str) -> dict[str, Any]:
    """Return a row of a table with the text in one column."""
    # Every flag is set: a core memory that cannot be changed could not be taken away again.
    now = datetime(2025, 1, 6, tzinfo=UTC)
    values: dict[type, Any] = {bool: True, int: 999, float: 0.5, str: "x"}
    made = {
        one.name: now if isinstance(one.type, UTCDateTime) else values[one.type.python_type] for one in table.columns
    }
    return made | {column: SAID}


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=[".".join(pair) for pair in COLUMNS])
def test_a_text_in_any_column_of_the_store_is_reported(table: str, column: str, home: Settings) -> None:
    store = Tools(home).store
    of = store.meta.tables[table]
    with store.writer.begin() as connection:
        connection.execute(sa.insert(of).values(row(of, column)))
    try:
        found = reported(home)
        # Of receipts only what is to be done is read, but all bytes are.
        in_bytes = table == "receipts" and column != "work" and found.keys() & {"store.sqlite", "store.sqlite-wal"}
        assert f"store.{table}" in found or in_bytes
    finally:
        with store.writer.begin() as connection:
            connection.execute(sa.delete(of).where(of.c[column] == SAID))
        store.close()


# -- files ------------------------------------------------------------------------------------------------------------

FRAME = pl.DataFrame({"key": ["k"], "said": [["nothing", SAID]]})


def text(path: Path) -> None:
    path.write_text(f"x {SAID} x", encoding="utf-8")


def escaped(path: Path) -> None:
    path.write_text(json.dumps({"said": SAID.upper()}), encoding="utf-8")


def parquet(path: Path) -> None:
    FRAME.write_parquet(path, compression="zstd")


def half(path: Path) -> None:
    parquet(path)
    path.write_bytes(path.read_bytes()[:-30])


def database(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE said AS SELECT * FROM FRAME")


def sqlite(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE said (said TEXT)")
        connection.execute("INSERT INTO said VALUES (?)", [SAID])
    connection.close()


def freed(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA secure_delete=OFF")  # some builds overwrite what is deleted
    connection.execute("CREATE TABLE said (said TEXT)")
    connection.executemany("INSERT INTO said VALUES (?)", [[f"{SAID} {n}"] for n in range(200)])
    connection.execute("DROP TABLE said")
    connection.close()


FILES: dict[str, Callable[[Path], None]] = {
    **{f"lake/{asset}/2025-01-06.parquet": parquet for asset in sorted(LAKE_RECORDS)},
    **{f"lake/{asset}/.2025-01-06.parquet.1-1.00000000.aside": parquet for asset in ("raw_interactions", "facts")},
    "lake/facts/.2025-01-13.parquet.1-1.00000000.aside": half,
    "lake/personality_dataset/lumi.parquet": parquet,
    "lake/episodic_dataset/lumi/2025-01-06.parquet": parquet,
    "analytics.duckdb": database,
    "analytics.1.duckdb": database,
    ".analytics.duckdb.1-1.00000000.aside": database,
    "datasets/d_1/train.jsonl": escaped,
    "datasets/d_1/eval.jsonl": text,
    "datasets/d_1/manifest.parquet": parquet,
    "datasets/d_1/card.md": text,
    "datasets/d_1/.train.jsonl.1-1.00000000.aside": escaped,
    "adapters/a_1/adapter/adapter_model.safetensors": text,
    "adapters/a_1/metrics.jsonl": escaped,
    "adapters/a_1/others.jsonl": escaped,
    "adapters/a_1/checkpoints/checkpoint-2/trainer_state.json": escaped,
    "deployed/lumi/adapter/adapter_config.json": escaped,
    "exports/x_1.parquet": parquet,
    "exports/.x_1.parquet.1-1.00000000.aside": parquet,
    "errors/20250106T000000-00000000.txt": text,
    "dagster/history/runs.db": sqlite,
    "dagster/history/runs/0.db": freed,
    "dagster/schedules/schedules.db": sqlite,
    "dagster/storage/run/compute_logs/step.out": text,
    "dagster/storage/run/compute_logs/step.err": escaped,
    "memo.sqlite": sqlite,
    "vault.sqlite": sqlite,
    "personas/lumi.json": escaped,
    "plugins/own.py": text,
    "logs/deep/er/some.log": text,
    "vectors/message_embeddings.json": escaped,
    "vectors/message_embeddings__0.lance/_indices/1/tokens.lance": text,
    "vectors/message_embeddings__0.lance/_deletions/1.arrow": text,
}


@pytest.mark.parametrize("place", FILES)
def test_a_text_in_any_file_is_reported(place: str, home: Settings) -> None:
    path = home.home / place
    before = {folder for folder in path.parents if folder.is_dir()}
    path.parent.mkdir(parents=True, exist_ok=True)
    FILES[place](path)
    try:
        found = reported(home)
        assert place.partition("/")[0] in found, found
    finally:
        path.unlink()
        for folder in path.parents:
            if folder not in before:
                shutil.rmtree(folder, ignore_errors=True)
    assert place.partition("/")[0] not in reported(home)


def test_a_text_that_an_import_under_way_unpacked_is_reported_and_gone_when_it_was_killed(home: Settings) -> None:
    with within(home.home / "unpacked"), scratch() as folder:
        text(folder / "_chat.txt")
        assert reported(home)["unpacked"] == 1
    left = home.home / "unpacked/of-a-killed-one"
    left.mkdir()
    text(left / "_chat.txt")
    assert "unpacked" not in reported(home)
    assert not left.exists()


def test_a_text_in_an_export_that_lies_where_it_was_written_is_reported(home: Settings, tmp_path: Path) -> None:
    store, path = Tools(home).store, tmp_path / "out.jsonl"
    of = store.meta.tables["exports"]
    path.write_text(json.dumps({"said": SAID}), encoding="utf-8")
    with store.writer.begin() as connection:
        connection.execute(sa.insert(of).values(row(of, "export_id") | {"export_id": "x_1", "path": str(path)}))
    try:
        assert reported(home)["exported"] == 1
        path.rename(tmp_path / "elsewhere.jsonl")
        assert "exported" not in reported(home)
    finally:
        with store.writer.begin() as connection:
            connection.execute(sa.delete(of))
        store.close()


@pytest.mark.parametrize(
    "when",
    [
        "now",
        "in an old version",
        "in a commit that was killed",
    ],
)
@pytest.mark.parametrize("kind", ["message_embeddings", "fact_embeddings", "episode_embeddings"])
def test_a_text_in_a_table_of_vectors_is_reported(kind: str, when: str, home: Settings) -> None:
    folder = home.home / "vectors"
    # Written often enough that the column is packed, so that it does not stand in the bytes as it is.
    rows = [{"text": f"{SAID} {n}", "vector": [1.0, 0.0]} for n in range(3_000)]
    table = lancedb.connect(str(folder)).create_table(f"{kind}__0", rows)
    if when == "in an old version":
        table.delete("true")
        table.add([{"text": "nothing", "vector": [1.0, 0.0]}])
    elif when == "in a commit that was killed":
        [data] = (folder / f"{kind}__0.lance/data").glob("*.lance")
        shutil.copy(data, folder / "killed.lance")
        table = lancedb.connect(str(folder)).create_table(
            f"{kind}__0", [{"text": "nothing", "vector": [1.0, 0.0]}], mode="overwrite"
        )
        shutil.rmtree(folder / f"{kind}__0.lance")
        lancedb.connect(str(folder)).create_table(f"{kind}__0", [{"text": "nothing", "vector": [1.0, 0.0]}])
        (folder / "killed.lance").rename(folder / f"{kind}__0.lance/data/killed.lance")
    try:
        assert "vectors" in reported(home)
    finally:
        shutil.rmtree(folder)


@pytest.mark.postgres
def test_what_postgresql_remembers_of_values_goes_with_them_where_a_table_is_emptied(
    tmp_path: Path, postgres_url: str
) -> None:
    settings = fast_settings(tmp_path, store_url=postgres_url)
    tools = Tools(settings)
    tables = [table for table in tools.store.meta.tables.values() if table.name != "installation_state"]
    alone = tools.store.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    with alone as connection:
        for table in tables:
            for value in range(2):  # of two values there is a histogram
                given = row(table, next(c.name for c in table.columns if isinstance(c.type, sa.String)))
                given = {name: f"{SAID} {value}" if isinstance(one, str) else one for name, one in given.items()}
                given |= {name: value for name, one in given.items() if type(one) is int}
                connection.execute(sa.insert(table).values(given))
            connection.execute(sa.text(f'VACUUM (FULL, ANALYZE) "{table.name}"'))
            connection.execute(sa.delete(table))
        before = made(connection)
        assert "store.files" in search([SAID], settings, tools.store, tools.vectors).found
        assert scrub_store(tools.store)
        assert search([SAID], settings, tools.store, tools.vectors).found == {}
        assert made(connection) == before
    tools.store.close()


def made(connection: sa.Connection) -> list[Any]:
    """Return how the tables and indexes of the store are made."""
    columns = "SELECT table_name, column_name, data_type, collation_name, column_default, is_nullable FROM information_schema.columns"
    indexes = "SELECT tablename, indexname, indexdef, '', '', '' FROM pg_indexes"
    query = f"{columns} WHERE table_schema = 'public' UNION ALL {indexes} WHERE schemaname = 'public' ORDER BY 1, 2, 3"
    return list(connection.execute(sa.text(query)).all())
