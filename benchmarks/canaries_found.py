"""Search of an installation for strings, apart from the product's own leak test: bytes of every file, and what its readers see.

A find is a place and a string. Places: ``store.<table>.<column>``; a path under the installation's folder, the same with ``!`` for what
a reader of its format sees; ``../<name>`` for a file beside the installation, ``temp/<path>`` for one in the folder of temporary files;
``vectors.<table>.<column>@<version>`` for a version of a vector table (``now``: the newest; ``other``: of a table that nobody reads);
``pg.heap.<table>``, ``pg.index.<index>``, ``pg.toast.<table>`` for files of PostgreSQL.
"""

import contextlib
import json
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from memory_assets.tools import Tools

Find = tuple[str, str]


def find(strings: Iterable[str], home: Path, tools: Tools, temporary: Path) -> set[Find]:
    """Return where each of the strings stands: in an installation, in files beside it (``../``), in a folder for temporary files."""
    wanted = {string: _as_bytes(string) for string in strings}
    found: set[Find] = set()
    for place, path in files(home, temporary):
        with contextlib.suppress(FileNotFoundError):  # others are at work: what they removed holds nothing
            found |= _in(place, path.read_bytes(), wanted)
            found |= {(f"{place}!{column}", one) for column, text in _packed(path) for one in _within(text, wanted)}
    for place, text in (*_store(tools), *_vectors(tools)):
        found |= {(place, string) for string in _within(text, wanted)}
    if not tools.store.is_sqlite:
        for place, data in _relations(tools.store.engine):
            found |= _in(place, data, wanted)
    return found


def files(home: Path, temporary: Path) -> Iterator[tuple[str, Path]]:
    """Yield place and path of every file that is searched."""
    for prefix, root in (("", home), ("temp/", temporary)):
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            yield f"{prefix}{path.relative_to(root)}", path
    for path in sorted(path for path in home.parent.glob("*") if path.is_file()):
        yield f"../{path.name}", path


def _as_bytes(string: str) -> set[bytes]:
    """Return a string as it may be written: any case that is usual, without accents as a word index has it, escaped, as UTF-16."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", string) if not unicodedata.combining(c))
    forms = {string, string.lower(), string.upper(), string.capitalize(), plain, plain.lower()}
    forms |= {json.dumps(form)[1:-1] for form in forms}
    return {form.encode() for form in forms} | {form.encode("utf-16-le") for form in (string, string.lower())}


def _in(place: str, data: bytes, wanted: dict[str, set[bytes]]) -> set[Find]:
    return {(place, string) for string, forms in wanted.items() if any(form in data for form in forms)}


def _within(text: str, wanted: dict[str, set[bytes]]) -> Iterator[str]:
    data = text.encode()
    for string, forms in wanted.items():
        if any(form in data for form in forms):
            yield string


def _packed(path: Path) -> Iterator[tuple[str, str]]:
    """Yield column and content of what a Parquet or DuckDB file holds, by its first bytes."""
    head = path.read_bytes()[:12]
    if head.startswith(b"PAR1"):
        try:
            frame = pl.read_parquet(path)
        except pl.exceptions.PolarsError:
            return  # a half
        for column in frame.columns:
            yield column, json.dumps(frame[column].to_list(), ensure_ascii=False, default=str)
    elif head[8:12] == b"DUCK":
        import duckdb

        with duckdb.connect(str(path), read_only=True) as connection:
            for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
                rows = connection.execute(f'SELECT * FROM "{name}"').fetchall()
                yield name, json.dumps(rows, ensure_ascii=False, default=str)


def _store(tools: Tools) -> Iterator[tuple[str, str]]:
    with tools.store.engine.connect() as connection:
        for table in tools.store.meta.tables.values():
            for column in table.columns:
                values = connection.execute(sa.select(column)).scalars().all()
                yield f"store.{table.name}.{column.name}", "\n".join(map(str, values))


def _vectors(tools: Tools) -> Iterator[tuple[str, str]]:
    vectors = tools.vectors
    for name in vectors.names("*"):
        lance = vectors.open_table(name)
        if lance is None:
            continue
        newest, current = lance.version, vectors.current(name.partition("__")[0]) or {}
        for version in lance.list_versions():
            lance.checkout(version["version"])
            which = str(version["version"]) if version["version"] != newest else "now"
            frame = pl.DataFrame(lance.search().limit(None).to_arrow()).drop("vector", "tokens", strict=False)
            for column in frame.columns:
                text = json.dumps(frame[column].to_list(), ensure_ascii=False, default=str)
                yield f"vectors.{name}.{column}@{which if current.get('table') == name else 'other'}", text


def _relations(engine: sa.Engine) -> Iterator[tuple[str, bytes]]:
    """Yield the bytes of every file of the schema's tables, their indexes, and what is kept outside of rows; for a superuser."""
    query = sa.text(
        "SELECT c.oid, c.relname, c.relkind, coalesce(t.relname, c.relname) AS of FROM pg_class c "
        "LEFT JOIN pg_class t ON t.reltoastrelid = c.oid OR t.oid = (SELECT indrelid FROM pg_index WHERE indexrelid = c.oid) "
        "LEFT JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE (n.nspname IN ('public', 'pg_toast') OR c.relname LIKE 'pg_statistic%') "
        "AND c.relkind IN ('r', 'i', 't') AND pg_relation_filepath(c.oid) IS NOT NULL"
    )
    kinds: dict[Any, str] = {"r": "heap", "i": "index", "t": "toast", b"r": "heap", b"i": "index", b"t": "toast"}
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("CHECKPOINT"))
        for oid, name, kind, of in connection.execute(query).all():
            data = connection.execute(
                sa.text(
                    "SELECT pg_read_binary_file(pg_relation_filepath(CAST(:oid AS oid)::regclass), 0, 536870912, true)"
                ),
                {"oid": oid},
            ).scalar()
            yield f"pg.{kinds[kind]}.{of if kinds[kind] == 'toast' else name}", bytes(data or b"")
