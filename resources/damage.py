"""Telling what a library says of a file that it cannot read from an error of this project, or of the code."""

from records.errors import MemoryAssetsError


def is_foreign(error: BaseException) -> bool:
    """Return whether an error may be what Polars, Arrow, LanceDB or the system says of a file: whether it is, the file tells.

    Libraries in Rust panic at some files; each has a class of its own for that, of which some are no `Exception`.
    """
    import polars as pl
    import pyarrow as pa

    if isinstance(error, MemoryAssetsError):
        return False
    kinds = (pl.exceptions.PolarsError, pa.ArrowException, OSError, RuntimeError, ValueError)
    return isinstance(error, kinds) or type(error).__name__ in ("PanicException", "RustPanic")
