"""Columns of Arrow tables as arrays."""

from typing import Any

import numpy as np
import pyarrow as pa


def matrix(column: Any) -> np.ndarray:
    """Return a vector column as float32 (rows, dim)."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    dim = array.type.list_size
    return (
        np.asarray(array.flatten(), dtype=np.float32).reshape(-1, dim) if len(array) else np.zeros((0, dim), np.float32)
    )
