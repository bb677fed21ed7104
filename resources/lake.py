"""The lake: one zstd Parquet file per asset and partition, in a folder or behind any fsspec URL."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import polars as pl

from resources.files import written_aside

if TYPE_CHECKING:
    from records.base import Record

WHOLE = "all"
"""Name of the only partition of an asset that has none."""


@dataclass(frozen=True)
class Written:
    """What was written: rows, bytes, and a hash of the bytes, which is the data version."""

    rows: int
    bytes: int
    content_hash: str


class Lake:
    """Reads and writes partitions; a reader sees the file before or the file after, never a half."""

    def __init__(self, url: str) -> None:
        self.url = url

    @cached_property
    def _fs(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        return url_to_fs(self.url)

    @property
    def local(self) -> Path | None:
        """Return the folder of a local lake, None for a remote one."""
        if "://" not in self.url:
            return Path(self.url)
        return Path(self._fs[1]) if "file" in self._fs[0].protocol else None

    def location(self, asset: str, partition: str | None) -> str:
        """Return the path of a partition; a key of two dimensions (persona|week) is a folder and a file."""
        parts = [_path_part(part) for part in (partition or WHOLE).split("|")]
        return f"{self._fs[1].rstrip('/')}/{asset}/{'/'.join(parts)}.parquet"

    def write(self, asset: str, partition: str | None, frame: pl.DataFrame) -> Written:
        """Write a partition, replacing the one before in one step; the same frame gives the same bytes."""
        buffer = io.BytesIO()
        frame.write_parquet(buffer, compression="zstd", statistics=True)
        data = buffer.getvalue()
        target = self.location(asset, partition)
        if self.local is not None:
            with written_aside(Path(target)) as aside:
                aside.write_bytes(data)
        else:
            self._fs[0].pipe_file(target, data)  # an object store shows an object when its upload is complete
        return Written(frame.height, len(data), blake2b(data, digest_size=16).hexdigest())

    def exists(self, asset: str, partition: str | None) -> bool:
        """Return whether a partition was written."""
        return bool(self._fs[0].exists(self.location(asset, partition)))

    def delete(self, asset: str, partition: str | None) -> bool:
        """Remove a partition; return whether it was there."""
        if not self.exists(asset, partition):
            return False
        self._fs[0].rm(self.location(asset, partition))
        return True

    def partitions(self, asset: str) -> list[str]:
        """Return the keys of the partitions there are, in order."""
        root = f"{self._fs[1].rstrip('/')}/{asset}"
        if not self._fs[0].exists(root):
            return []
        found = self._fs[0].find(root)
        keys = [
            path[len(root) + 1 :].removesuffix(".parquet")
            for path in found
            if path.endswith(".parquet") and "/." not in path[len(root) :]
        ]
        return sorted("|".join(unquote(part) for part in key.split("/")) for key in keys)

    def read(self, asset: str, record: type[Record], partitions: Sequence[str] | None = None) -> pl.LazyFrame:
        """Return one lazy frame over the partitions asked for (all by default); absent ones are empty.

        A partition that was written before a column existed has nulls there, until it is made again.
        """
        there = self.partitions(asset)
        wanted = there if partitions is None else sorted(set(partitions) & set(there))
        if not wanted:
            return record.create_empty().lazy()
        paths = [self.location(asset, partition) for partition in wanted]
        if self.local is None:
            protocol = self.url.split("://", 1)[0]
            paths = [f"{protocol}://{path}" for path in paths]
        return pl.scan_parquet(paths, schema=record.polars_schema(), missing_columns="insert", extra_columns="ignore")


def _path_part(key: str) -> str:
    """Return a part of a key as a file or folder is called: no other folder, and not hidden."""
    written = quote(key, safe="")
    return f"%2E{written[1:]}" if written.startswith(".") else written
