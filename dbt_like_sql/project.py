"""Reads the models: their SQL, what they depend on, in which order they run, and where each column comes from."""

from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, cast

from dbt_like_sql.parsing import DIALECT, tables_of
from records.errors import ModelError

MODELS = Path(__file__).parent / "models"
SOURCE_SCHEMA = "lake"


@dataclass(frozen=True)
class ModelTest:
    """A test of `schema.yml`: ``query`` counts the rows that break it."""

    model: str
    name: str
    query: str
    description: str


@dataclass(frozen=True)
class Model:
    """One select in a file.

    Attributes:
        sources: Lake tables it reads (``lake.…`` in the SQL).
        parents: Models it reads.
    """

    name: str
    layer: str
    path: Path
    sql: str
    description: str
    sources: tuple[str, ...]
    parents: tuple[str, ...]
    tests: tuple[ModelTest, ...] = field(default=())


class Project:
    """All models of a folder.

    Raises:
        ModelError: a file is no single select, a table is unknown, models go in a circle, or schema.yml does not fit; the
            message names file and line.
    """

    def __init__(self, folder: Path = MODELS) -> None:
        self.folder = folder
        schema = self._schema()
        self.models: dict[str, Model] = {}
        parsed = {path.stem: (path, *self._read(path)) for path in sorted(folder.rglob("*.sql"))}
        for name, (path, sql, tables) in parsed.items():
            for schema_name, table, line in tables:
                if schema_name != SOURCE_SCHEMA and table not in parsed:
                    raise ModelError(
                        f"{self._where(path)}:{line}: no model {table!r}; models are {', '.join(sorted(parsed))}; "
                        f"lake tables are written {SOURCE_SCHEMA}.<name>"
                    )
            entry = schema.pop(name, {})
            self.models[name] = Model(
                name,
                path.parent.name,
                path,
                sql,
                str(entry.get("description", "")),
                tuple(sorted({table for schema_name, table, _ in tables if schema_name == SOURCE_SCHEMA})),
                tuple(sorted({table for schema_name, table, _ in tables if schema_name != SOURCE_SCHEMA})),
                tuple(self._tests(name, entry.get("tests") or [], parsed)),
            )
        if schema:
            raise ModelError(f"{self._where(folder / 'schema.yml')}: no model named {', '.join(sorted(schema))}")
        self.order = self._ordered()

    def _where(self, path: Path) -> str:
        return str(path.relative_to(self.folder.parent)) if path.is_relative_to(self.folder.parent) else str(path)

    def _read(self, path: Path) -> tuple[str, list[tuple[str, str, int]]]:
        sql = path.read_text(encoding="utf-8")
        return sql, tables_of(sql, self._where(path))

    def _schema(self) -> dict[str, Any]:
        import yaml

        path = self.folder / "schema.yml"
        if not path.exists():
            return {}
        try:
            return dict(
                (
                    yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
                    or {}
                ).get("models")
                or {}
            )
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ModelError(f"{self._where(path)}:{line}: {error.problem}") from None

    def _tests(self, model: str, entries: list[Any], known: Any) -> list[ModelTest]:
        tests = []
        for entry in entries:
            if not isinstance(entry, dict) or len(entry) != 1:
                raise ModelError(f"{self._where(self.folder / 'schema.yml')}: {model}: a test is `kind: arguments`")
            kind, arguments = next(iter(entry.items()))
            tests += self._test(model, kind, arguments, known)
        return tests

    def _test(self, model: str, kind: str, arguments: Any, known: Any) -> list[ModelTest]:
        columns = arguments if isinstance(arguments, list) else [arguments]
        if kind == "unique":
            return [
                ModelTest(
                    model,
                    f"unique_{c}",
                    f"select count(*) from (select {c} from {model} group by {c} having count(*) > 1)",
                    f"{c} is unique",
                )
                for c in columns
            ]
        if kind == "not_null":
            return [
                ModelTest(
                    model, f"not_null_{c}", f"select count(*) from {model} where {c} is null", f"{c} is never null"
                )
                for c in columns
            ]
        if kind == "accepted_values":
            listed = ", ".join("'" + str(value).replace("'", "''") + "'" for value in arguments["values"])
            return [
                ModelTest(
                    model,
                    f"accepted_values_{arguments['column']}",
                    f"select count(*) from {model} where {arguments['column']} not in ({listed})",
                    f"{arguments['column']} is one of {', '.join(map(str, arguments['values']))}",
                )
            ]
        if kind == "relationships":
            if arguments["to"] not in known:
                raise ModelError(
                    f"{self._where(self.folder / 'schema.yml')}: {model}: relationships to {arguments['to']!r}, which is no model"
                )
            return [
                ModelTest(
                    model,
                    f"relationships_{arguments['column']}",
                    f"select count(*) from {model} a where a.{arguments['column']} is not null and not exists "
                    f"(select 1 from {arguments['to']} b where b.{arguments['field']} = a.{arguments['column']})",
                    f"every {arguments['column']} stands in {arguments['to']}.{arguments['field']}",
                )
            ]
        if kind == "expression":
            return [
                ModelTest(
                    model,
                    f"expression_{number}" if number else "expression",
                    f"select count(*) from {model} where not ({text})",
                    str(text),
                )
                for number, text in enumerate(columns)
            ]
        raise ModelError(
            f"{self._where(self.folder / 'schema.yml')}: {model}: no test {kind!r}; there are unique, not_null, "
            "accepted_values, relationships, expression"
        )

    def _ordered(self) -> list[str]:
        try:
            return list(
                TopologicalSorter({name: model.parents for name, model in sorted(self.models.items())}).static_order()
            )
        except CycleError as error:
            raise ModelError(f"models go in a circle: {' -> '.join(error.args[1])}") from None

    def with_parents(self, names: set[str]) -> set[str]:
        """Return the models and everything they read, directly or not."""
        found: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo += self.models[name].parents
        return found

    @cached_property
    def sources(self) -> list[str]:
        """Return every lake table that a model reads."""
        return sorted({source for model in self.models.values() for source in model.sources})

    def column_lineage(self, name: str, schemas: dict[str, dict[str, str]]) -> dict[str, list[tuple[str, str]]]:
        """Return column to (table, column) pairs it is made from, one step up.

        Args:
            schemas: Columns and types of the tables the model reads, by table name.
        """
        import sqlglot
        from sqlglot.lineage import lineage
        from sqlglot.optimizer.qualify import qualify

        nested = {table: columns for table, columns in schemas.items() if not table.startswith(f"{SOURCE_SCHEMA}.")}
        lake = {
            table.removeprefix(f"{SOURCE_SCHEMA}."): columns
            for table, columns in schemas.items()
            if table.startswith(f"{SOURCE_SCHEMA}.")
        }
        # One level for all: tables of the lake are renamed for the analysis, schemas of mixed depth are refused.
        sql = self.models[name].sql
        tree = sqlglot.parse_one(sql, read=DIALECT)
        for table in tree.find_all(sqlglot.exp.Table):
            if table.db == SOURCE_SCHEMA:
                table.set("db", None)
                table.set("this", sqlglot.to_identifier(f"lake__{table.name}"))
        known: dict[str, Any] = {**nested, **{f"lake__{table}": columns for table, columns in lake.items()}}
        qualified = qualify(tree, schema=known, dialect=DIALECT, validate_qualify_columns=False)
        found: dict[str, list[tuple[str, str]]] = {}
        for column in [select.alias_or_name for select in cast(sqlglot.exp.Query, qualified).selects]:
            try:
                node = lineage(column, qualified.copy(), schema=known, dialect=DIALECT)
            except (sqlglot.errors.SqlglotError, ValueError, KeyError):
                continue
            leaves = {
                (leaf.expression.name, leaf.name.split(".")[-1].strip('"'))
                for leaf in node.walk()
                if not leaf.downstream and isinstance(leaf.expression, sqlglot.exp.Table)
            }
            found[column] = sorted((table.removeprefix("lake__"), origin) for table, origin in leaves)
        return found
