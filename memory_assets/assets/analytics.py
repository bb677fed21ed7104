"""Analytics: every SQL model of `dbt_like_sql` as an asset of one file, built aside, tested, published by rename.

What a number means does not belong here: that is its `.sql` file.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl

from dbt_like_sql.build import Built, LakeTable, attach_lake, build_model, described, order_of, run_test
from dbt_like_sql.project import SOURCE_SCHEMA, Model, Project
from memory_assets.fencing import fenced
from memory_assets.tables import LAKE_RECORDS
from memory_assets.tools import Tools

UPSTREAM_ASSETS = {"store_weeks": "synced_messages", "adapters": None}
"""Lake tables that are no asset of this name: the asset after which they are read, if any."""


def build(project: Project) -> dg.AssetsDefinition:
    """Return the multi-asset; a selection of models is built together with what it reads, the others stay as published."""
    specs = [
        dg.AssetSpec(
            model.name,
            deps=_deps(model),
            group_name=f"analytics_{model.layer}",
            kinds={"duckdb", "sql"},
            skippable=True,
            description=f"{model.description}\n\n```sql\n{model.sql}```",
            owners=["team:analytics"],
            code_version="1",
        )
        for model in project.models.values()
    ]
    checks = [
        dg.AssetCheckSpec(test.name, asset=model.name, description=test.description, blocking=True)
        for model in project.models.values()
        for test in model.tests
    ]

    @dg.multi_asset(name="analytics", specs=specs, check_specs=checks, can_subset=True)
    def analytics(context: dg.AssetExecutionContext, tools: dg.ResourceParam[Tools]) -> Iterator[Any]:
        """Builds the selected models aside and publishes the file when every test passed."""
        with fenced(context, tools):
            yield from build_and_publish(context, tools)

    def build_and_publish(context: dg.AssetExecutionContext, tools: Tools) -> Iterator[Any]:
        selected = {key.path[-1] for key in context.selected_asset_keys} or set(project.models)
        if tools.warehouse.is_damaged():  # nothing can be kept of it, and it is no version to keep
            tools.warehouse.path.unlink(missing_ok=True)
        whole = not tools.warehouse.path.exists()
        wanted = set(project.models) if whole else project.with_parents(selected)
        failed = 0
        # Of all models nothing published is needed: a file in which every table was replaced is twice as large.
        with tools.warehouse.build(from_published=wanted != set(project.models), committing=tools.fence.committing) as (
            connection,
            publication,
        ):
            attach_lake(connection, lake_tables(tools, project))
            schemas = {
                f"{SOURCE_SCHEMA}.{name}": described(connection, f"{SOURCE_SCHEMA}.{name}") for name in project.sources
            }
            results: list[Any] = []
            for model in order_of(project, wanted):
                built = build_model(connection, project, model)
                schemas[model.name] = built.columns
                if model.name in selected:
                    results.append(dg.MaterializeResult(model.name, metadata=_metadata(project, model, built, schemas)))
                for test in model.tests:
                    wrong = run_test(connection, project, test)
                    failed += wrong > 0
                    if model.name in selected:
                        results.append(
                            dg.AssetCheckResult(
                                passed=wrong == 0,
                                asset_key=model.name,
                                check_name=test.name,
                                metadata={"failing_rows": wrong},
                            )
                        )
            connection.execute(f"DETACH {SOURCE_SCHEMA}")
            if failed == 0:
                publication.confirm()
        if failed == 0:
            tools.receipt_book.fulfil(analytics=True)
        context.log.info(f"{len(wanted)} models built, {failed} tests failed: {'not ' if failed else ''}published")
        yield from results

    return analytics


def _deps(model: Model) -> list[str]:
    sources = [UPSTREAM_ASSETS.get(source, source) for source in model.sources]
    return sorted({source for source in sources if source} | set(model.parents))


def _metadata(project: Project, model: Model, built: Built, schemas: dict[str, dict[str, str]]) -> dict[str, Any]:
    lineage = project.column_lineage(model.name, schemas)
    deps = {
        column: [
            dg.TableColumnDep(asset_key=UPSTREAM_ASSETS.get(table) or table, column_name=origin)
            for table, origin in origins
        ]
        for column, origins in lineage.items()
    }
    return {
        "dagster/row_count": built.rows,
        "dagster/column_lineage": dg.TableColumnLineage(deps_by_column=deps),
        "dagster/column_schema": dg.TableSchema([dg.TableColumn(name, dtype) for name, dtype in built.columns.items()]),
        "file": f"models/{model.layer}/{model.path.name}",
    }


def lake_tables(tools: Tools, project: Project) -> dict[str, LakeTable]:
    """Return what the models may read: lake assets by file, and small frames about the stores."""
    from records.store import Adapters

    tables = {}
    for source in project.sources:
        if source in LAKE_RECORDS:
            keys = tools.lake.partitions(source)
            if tools.lake.local is not None:
                tools.lake.verify(source, LAKE_RECORDS[source], known=tools.stamps.known(source))
                tables[source] = LakeTable(
                    paths=tuple(tools.lake.location(source, key) for key in keys), record=LAKE_RECORDS[source]
                )
            else:  # DuckDB's httpfs is a download: a remote lake is read by Polars
                tables[source] = LakeTable(frame=tools.lake.collect(source, LAKE_RECORDS[source]))
        elif source.endswith("_embeddings"):
            tables[source] = LakeTable(frame=vector_weeks(tools, source))
        elif source == "store_weeks":
            tables[source] = LakeTable(frame=store_weeks(tools))
        elif source == "adapters":
            rows = tools.store.rows("adapters")
            tables[source] = LakeTable(frame=pl.DataFrame(rows, schema=Adapters.polars_schema(), orient="row"))
    return tables


def vector_weeks(tools: Tools, kind: str) -> pl.DataFrame:
    """Return week, rows, embedder of the table that readers use."""
    schema = {"week": pl.String, "rows": pl.Int64, "embedder": pl.String}
    lance = tools.vectors.open(kind)
    if lance is None:
        return pl.DataFrame(schema=schema)
    frame = tools.vectors.columns(lance, ["week", "embedder"])
    counted = frame.group_by("week").agg(rows=pl.len().cast(pl.Int64), embedder=pl.col("embedder").first())
    return counted.sort("week").select(*schema)


def store_weeks(tools: Tools) -> pl.DataFrame:
    """Return week, messages, unsynced of the store."""
    import sqlalchemy as sa

    m = tools.store.meta.tables["messages"]
    query = (
        sa.select(m.c.week, sa.func.count(), sa.func.sum(sa.case((m.c.synced_at.is_(None), 1), else_=0)))
        .group_by(m.c.week)
        .order_by(m.c.week)
    )
    with tools.store.engine.connect() as connection:
        rows = [(week, int(n), int(unsynced)) for week, n, unsynced in connection.execute(query)]
    return pl.DataFrame(rows, schema={"week": pl.String, "messages": pl.Int64, "unsynced": pl.Int64}, orient="row")
