"""Erasing from LanceDB for good: no file, old version, index or log of the table keeps what was deleted.

LanceDB marks rows as deleted and leaves their bytes; compaction writes a file anew only when a tenth of it is deleted. So every
file that holds deleted rows is written anew here, the indexes are made again, and the versions before are removed.
"""

import shutil
import warnings
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pyarrow as pa

from resources.vectors import VectorStore, quoted

ROWS_AT_ONCE = 20_000
"""Rows written anew in one commit: some 100 MB with their vectors."""


def erase(vectors: VectorStore, kind: str, column: str, values: Sequence[str]) -> int:
    """Erase rows by a string column from every table of a kind, those of earlier embedders too; return how many.

    Killed at any moment no other row is lost, and the next call does the rest: each commit is whole, and what is left to do is
    seen from the table itself. Cost: the files that hold the rows are written anew, and the table's indexes are made again.
    """
    removed = 0
    for name in vectors.names(kind):
        with vectors.locked(kind):
            lance = vectors.open_table(name)
            if lance is None:  # killed while it was made: nobody reads it, and what it was to hold is made again
                shutil.rmtree(vectors.folder / f"{name}.lance", ignore_errors=True)
                continue
            removed += _delete(vectors, lance, column, values)
            touched = _with_deletions(vectors, name)
            if touched or removed:
                for number in touched:
                    _write_anew(vectors, lance, number)
                for index in lance.list_indices():
                    # An index of words or ids holds those of deleted rows until it is made anew.
                    vectors.make_index(lance, index.columns[0], replace=True)
            with warnings.catch_warnings():
                # That readers of an old version lose it is what is wanted; files of a killed commit go with them.
                warnings.filterwarnings("ignore", message="optimize.cleanup_older_than=0")
                vectors.retried(lance.optimize, cleanup_older_than=timedelta(0), delete_unverified=True)
    return removed


def held(vectors: VectorStore, kind: str, column: str, values: Sequence[str]) -> int:
    """Return how many rows `erase` would remove."""
    tables = [vectors.open_table(name) for name in vectors.names(kind)]
    conditions = list(_conditions(column, values))
    return sum(lance.count_rows(condition) for lance in tables if lance is not None for condition in conditions)


def _delete(vectors: VectorStore, lance: Any, column: str, values: Sequence[str]) -> int:
    """Delete rows; return how many. They are named by their addresses: LanceDB writes down by what a commit deleted."""
    removed = 0
    for condition in _conditions(column, values):
        found = lance.search().where(condition).select([column]).with_row_id(True).limit(None).to_arrow()
        if len(found):
            rows = ", ".join(map(str, found["_rowid"].to_pylist()))
            vectors.retried(lance.delete, f"_rowid IN ({rows})")
            removed += len(found)
    return removed


def _conditions(column: str, values: Sequence[str]) -> Iterator[str]:
    for start in range(0, len(values), 500):
        listed = ", ".join(quoted(value) for value in values[start : start + 500])
        yield f"{column} IN ({listed})"


def _with_deletions(vectors: VectorStore, name: str) -> list[int]:
    """Return the numbers of the table's files that hold, or held in an old version, deleted rows, by what lies in ``_deletions``."""
    folder = vectors.folder / f"{name}.lance" / "_deletions"
    return sorted({int(path.name.split("-")[0]) for path in folder.glob("*-*")}) if folder.is_dir() else []


def _write_anew(vectors: VectorStore, lance: Any, number: int) -> None:
    """Move the rows of a file into a new one, part by part: a merge of rows onto themselves is one commit."""
    key = next(
        field.name for field in lance.schema if (field.metadata or {}).get(b"lance-schema:unenforced-primary-key")
    )
    # A row's address is the number of its file and its place in it, 32 bits each.
    of_file = f"_rowid >= {number << 32} AND _rowid < {(number + 1) << 32}"
    while True:
        rows: pa.Table = lance.search().where(of_file).limit(ROWS_AT_ONCE).to_arrow()
        if not len(rows):
            return
        vectors.retried(lambda rows=rows: lance.merge_insert(key).when_matched_update_all().execute(rows))
