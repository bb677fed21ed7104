"""The warehouse: readers never see a half, models say where they are wrong, lineage is read from the SQL."""

import multiprocessing
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from dbt_like_sql.project import Project
from memory_assets.tools import Tools
from records.errors import ModelError, StoreError
from resources.settings import Settings
from resources.warehouse import Warehouse
from tests.conftest import weekly_run
from tests.integration.test_pipeline import WEEKS, fill, three_weeks

ROOT = Path(__file__).parents[2]


def read_in_a_loop(path: str, stop, result) -> None:
    """Open, compare and close, over and over: both tables always hold the same number, and all of it."""
    import duckdb

    reads = 0
    while not stop.is_set() or reads == 0:
        connection = duckdb.connect(path, read_only=True)
        one, other, rows = connection.execute(
            "SELECT (SELECT max(n) FROM a), (SELECT max(n) FROM b), (SELECT count(*) FROM a)"
        ).fetchone()
        connection.close()
        if one != other or rows != 1000:
            result.put(f"half a file: {one} {other} {rows}")
            return
        reads += 1
    result.put(reads)


def test_a_reader_in_another_process_during_fifty_publications(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path / "analytics.duckdb", keep=2)

    def publish(number: int) -> None:
        with warehouse.build(from_published=number > 0) as (connection, publication):
            for table in ("a", "b"):
                connection.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT {number} AS n FROM range(1000)")
            publication.confirm()

    publish(0)
    context = multiprocessing.get_context("spawn")
    stop, result = context.Event(), context.Queue()
    reader = context.Process(target=read_in_a_loop, args=(str(warehouse.path), stop, result))
    reader.start()
    with warehouse.connect() as held:  # opened before, it keeps what it opened
        for number in range(1, 51):
            publish(number)
        assert held.execute("SELECT max(n) FROM a").fetchone() == (0,)
    stop.set()
    found = result.get(timeout=60)
    reader.join(30)
    assert isinstance(found, int), found
    assert found > 0
    assert sorted(p.name for p in tmp_path.glob("*.duckdb")) == [
        "analytics.1.duckdb",
        "analytics.2.duckdb",
        "analytics.duckdb",
    ]
    assert not list(tmp_path.glob(".*.aside*"))


def test_what_is_not_confirmed_changes_nothing(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path / "a.duckdb")
    with warehouse.build(from_published=False) as (connection, publication):
        connection.execute("CREATE TABLE t AS SELECT 1 AS x")
        publication.confirm()
    with warehouse.build(from_published=True) as (connection, _):
        connection.execute("DROP TABLE t")
    with warehouse.connect() as connection:
        assert connection.execute("SELECT x FROM t").fetchone() == (1,)


KILLED_BUILD = """
import os, signal, sys
from pathlib import Path
from resources.warehouse import Warehouse
with Warehouse(Path(sys.argv[1])).build(from_published=True) as (connection, publication):
    connection.execute("CREATE OR REPLACE TABLE t AS SELECT 2 AS x")
    publication.confirm()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_build_killed_half_way_leaves_the_published_file_and_the_next_one_tidies_up(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path / "a.duckdb")
    for value in (1, 3):
        with warehouse.build(from_published=value > 1) as (connection, publication):
            connection.execute(f"CREATE OR REPLACE TABLE t AS SELECT {value} AS x")
            publication.confirm()
        if value == 1:
            killed = subprocess.run([sys.executable, "-c", KILLED_BUILD, str(warehouse.path)], cwd=ROOT, check=False)
            assert killed.returncode == -signal.SIGKILL
            with warehouse.connect() as connection:
                assert connection.execute("SELECT x FROM t").fetchone() == (1,)
            assert list(tmp_path.glob(".*.aside*"))
    assert not list(tmp_path.glob(".*.aside*"))
    with warehouse.connect() as connection:
        assert connection.execute("SELECT x FROM t").fetchone() == (3,)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_text('{other}')",
        "SELECT * FROM read_csv('{other}')",
        "SELECT * FROM glob('{folder}/*')",
        "COPY t TO '{folder}/out.csv'",
        "EXPORT DATABASE '{folder}/all'",
        "ATTACH '{other}'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "CREATE TABLE u AS SELECT 1",
        "DROP TABLE t",
        "SET enable_external_access = true",
    ],
)
def test_a_query_reads_the_published_file_and_reaches_nothing_else(tmp_path: Path, query: str) -> None:
    other = tmp_path / "other.txt"
    other.write_text("private")
    warehouse = Warehouse(tmp_path / "a.duckdb")
    with warehouse.build(from_published=False) as (connection, publication):
        connection.execute("CREATE TABLE t AS SELECT 1 AS x")
        publication.confirm()
    before = sorted(tmp_path.iterdir())
    with warehouse.connect() as connection:
        with pytest.raises(duckdb.Error):
            connection.execute(query.format(folder=tmp_path, other=other)).fetchall()
        assert connection.execute("SELECT x FROM t").fetchone() == (1,)
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_that_is_held_or_damaged_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"import duckdb, time; c = duckdb.connect({str(path)!r}); print(1, flush=True); time.sleep(60)"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(StoreError, match="held by another program"):
        Warehouse(path).connect()
    holder.kill()
    holder.wait()
    path.write_bytes(b"no database at all, whatever its name says" * 500)
    with pytest.raises(StoreError, match="is damaged: `memory repair` removes it and makes it again"):
        Warehouse(path).connect()


def project(folder: Path, files: dict[str, str], schema: str = "models: {}\n") -> Path:
    models = folder / "models"
    for name, sql in files.items():
        path = models / "marts" / f"{name}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(sql)
    (models / "schema.yml").write_text(schema)
    return models


@pytest.mark.parametrize(
    ("files", "schema", "message"),
    [
        ({"a": "select 1 as x\nfrom nowhere"}, "models: {}", r"marts/a.sql:2: no model 'nowhere'"),
        ({"a": "select (1 as x\nfrom b"}, "models: {}", r"marts/a.sql:2: "),
        ({"a": "drop table x"}, "models: {}", r"marts/a.sql:1: a model is one select"),
        ({"a": "select 1; select 2"}, "models: {}", r"one select, here are 2"),
        ({"a": "select x from b", "b": "select x from a"}, "models: {}", "circle"),
        ({"a": "select 1 as x"}, "models:\n  b: {description: d}", "no model named b"),
        ({"a": "select 1 as x"}, "models:\n  a: {tests: [{uniqe: x}]}", "no test 'uniqe'"),
        ({"a": "select 1 as x"}, "models:\n  a: [", "schema.yml:"),
    ],
)
def test_a_wrong_model_is_named_with_file_and_line(
    tmp_path: Path, files: dict[str, str], schema: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        Project(project(tmp_path, files, schema))


def test_order_and_lineage_come_from_the_sql() -> None:
    shipped = Project()
    assert shipped.order.index("stg_interactions") < shipped.order.index("agent_quality")
    assert shipped.models["fact_changes"].parents == ("stg_facts",)
    assert shipped.models["stg_facts"].sources == ("facts",)
    schemas = {
        "stg_messages": {"week": "VARCHAR", "agent_id": "VARCHAR"},
        "stg_facts": {"week": "VARCHAR", "agent_id": "VARCHAR"},
        "stg_episodes": {"week": "VARCHAR", "agent_id": "VARCHAR"},
    }
    lineage = shipped.column_lineage("memory_growth", schemas)
    assert {table for table, _ in lineage["week"]} == {"stg_messages", "stg_facts", "stg_episodes"}


def test_a_failing_test_keeps_the_published_file(settings: Settings, tmp_path: Path) -> None:
    import dagster as dg

    from memory_assets.code_location import build_defs

    fill(settings, three_weeks())
    assert weekly_run(settings, WEEKS[0], analytics=True).success
    models = project(
        tmp_path,
        {"counted": "select count(*) as n from lake.raw_interactions"},
        "models:\n  counted: {tests: [{expression: n > 1000}]}",
    )
    defs = build_defs(tools=Tools(settings), project=Project(models))
    before = Tools(settings).warehouse.path.read_bytes()
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def("analytics_build").execute_in_process(instance=instance, raise_on_error=False)
    assert [check.passed for check in result.get_asset_check_evaluations()] == [False]
    assert Tools(settings).warehouse.path.read_bytes() == before


def test_a_selection_is_built_with_what_it_reads_and_the_rest_stays(settings: Settings) -> None:
    import dagster as dg

    from memory_assets.code_location import build_defs

    fill(settings, three_weeks())
    assert weekly_run(settings, WEEKS[0], WEEKS[-1], analytics=True).success
    with dg.DagsterInstance.ephemeral() as instance:
        job = build_defs(settings).resolve_job_def("analytics_build")
        result = job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey("agent_quality")])
    made = [event.asset_key.to_user_string() for event in result.get_asset_materialization_events()]
    assert made == ["agent_quality"]
    lineage = (
        result.get_asset_materialization_events()[0]
        .materialization.metadata["dagster/column_lineage"]
        .value.deps_by_column
    )
    assert [dep.asset_key.to_user_string() for dep in lineage["quality"]] == ["stg_interactions"]
    with Tools(settings).warehouse.connect() as connection:
        tables = {row[0] for row in connection.execute("SHOW TABLES").fetchall()}
        assert set(Project().models) == tables
        assert connection.execute("SELECT count(*) FROM duckdb_views() WHERE NOT internal").fetchone() == (0,)


def test_analytics_hold_no_id_and_no_private_text(settings: Settings) -> None:
    fill(settings, three_weeks())
    weekly_run(settings, WEEKS[0], WEEKS[-1], analytics=True)
    with Tools(settings).warehouse.connect() as connection:
        dump = "".join(
            str(connection.execute(f"SELECT * FROM {table}").fetchall())
            for (table,) in connection.execute("SHOW TABLES").fetchall()
        )
    for private in ("user-ana", "user-ben", "Bilbao", "Rose", "Ana"):
        assert private not in dump, private


def test_a_small_file_has_small_blocks_and_one_that_has_grown_the_usual_ones(tmp_path: Path) -> None:
    path = tmp_path / "analytics.duckdb"
    with duckdb.connect(str(path)) as connection:  # as published by an earlier release: blocks of 256 KB
        connection.execute("CREATE TABLE t AS SELECT 1 AS n")
    warehouse = Warehouse(path, keep=0)

    def publish(rows: int, *, from_published: bool) -> int:
        with warehouse.build(from_published=from_published) as (connection, publication):
            for number in range(30):
                what = f"SELECT n, hash(n) AS h, {number} AS k FROM range({rows}) r(n)"
                connection.execute(f"CREATE OR REPLACE TABLE t{number} AS {what}")
            publication.confirm()
        with warehouse.connect() as connection:
            assert connection.execute("SELECT count(*) FROM t29").fetchone() == (rows,)
            return int(connection.execute("SELECT block_size FROM pragma_database_size()").fetchone()[0])

    assert publish(10, from_published=True) == 262_144
    assert publish(10, from_published=False) == 16_384
    assert path.stat().st_size < 2_500_000
    assert publish(160_000, from_published=False) == 16_384
    assert path.stat().st_size > 32 << 20
    assert publish(10, from_published=False) == 262_144
