"""Whether a LanceDB table can be read whole and its indexes can be used."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from records.ids import text_hash
from resources.arrow import matrix
from resources.damage import is_foreign

Damage = Literal["table", "index"]

LANCE = b"LANC"
"""The last bytes of a whole file of data or of an index."""

COMMON = ("the", "a", "i", "to", "is", "de", "la", "que", "el", "no", "y", "en")
"""Words that are searched for, so that an index of words is read: some of them stand in any text."""


OFF = 0.01
"""How far the length of a vector may be from 1: float32 is some 1e-7 off, and a bit that flips is mostly more than this."""

SURELY_WHOLE = 200
"""Characters up to which no embedder cuts a text into passages."""


def damage_of(folder: Path, name: str, embedded: Callable[[pl.DataFrame], pl.Series] | None = None) -> Damage | None:
    """Return what is damaged of a table: all of it, only indexes, or nothing. Cost: every column is read once, a batch at a time.

    It is opened anew, without what this process keeps of it in memory. LanceDB has no check sums: a byte that flips in the middle of
    a file is seen by the length of a vector, and by the hash of a text.

    Args:
        embedded: Returns the texts that were embedded, of rows of the table.
    """
    import lancedb

    try:
        lance = lancedb.connect(str(folder)).open_table(name)
        read, off = 0, 0
        for batch in lance.search().limit(None).to_batches():
            read += batch.num_rows
            off += _lengths_off(batch)
            if embedded is not None and not _hashes_fit(batch, embedded):
                return "table"
        indexes = list(lance.list_indices())
        # Of an embedder that does not make vectors of length 1, as it should, most are off.
        if read != lance.count_rows() or 0 < off <= read // 2:
            return "table"
    except BaseException as error:
        if not is_foreign(error):
            raise
        return "table"
    return None if _indexes_work(folder / f"{name}.lance", lance, indexes) else "index"


def _lengths_off(batch: pa.RecordBatch) -> int:
    if "vector" not in batch.schema.names or not batch.num_rows:
        return 0
    with np.errstate(all="ignore"):
        lengths = np.linalg.norm(matrix(batch["vector"]), axis=1)
        fits = np.abs(lengths - 1) <= OFF
    if "text" in batch.schema.names:
        # The vector of a text that was cut into passages is their mean, which is shorter.
        long = pc.greater(pc.utf8_length(batch["text"]), SURELY_WHOLE).fill_null(False).to_numpy(zero_copy_only=False)
        fits |= long & (lengths > OFF) & (lengths <= 1 + OFF)
    return int((~fits).sum())


def _hashes_fit(batch: pa.RecordBatch, embedded: Callable[[pl.DataFrame], pl.Series]) -> bool:
    frame = pl.DataFrame(pa.Table.from_batches([batch]).drop_columns(["vector"]))
    return [text_hash(text) for text in embedded(frame)] == frame["text_hash"].to_list()


def _indexes_work(folder: Path, lance: Any, indexes: list[Any]) -> bool:
    if not all(_ends_well(path) for path in folder.glob("_indices/*/*.lance")):
        return False
    try:
        for index in indexes:
            column = index.columns[0]
            if str(index.index_type) == "FTS":
                lance.search(" ".join(COMMON), query_type="fts", fts_columns=column).limit(1).to_arrow()
            elif column == "vector":
                lance.search([1.0] * lance.schema.field(column).type.list_size, vector_column_name=column).limit(
                    1
                ).to_arrow()
            else:  # every page of a tree is read
                lance.count_rows(f"{column} >= ''")
    except BaseException as error:
        if not is_foreign(error):
            raise
        return False
    return True


def _ends_well(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - len(LANCE), 0))
        return file.read() == LANCE
