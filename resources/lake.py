"""The lake: one zstd Parquet file per asset and partition, in a folder or behind any fsspec URL."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import polars as pl

from records.errors import DamagedError
from resources.damage import is_foreign
from resources.files import file_hash, written_aside

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
        self._whole: dict[str, tuple[int, int, int]] = {}

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

    def collect(
        self,
        asset: str,
        record: type[Record],
        partitions: Sequence[str] | None = None,
        *,
        where: pl.Expr | None = None,
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """Return the rows of the partitions asked for, of all or of those ``where`` something holds.

        Raises:
            DamagedError: one of the partitions cannot be read; it is named.
        """
        rows = self.read(asset, record, partitions)
        rows = rows if where is None else rows.filter(where)
        try:
            return (rows if columns is None else rows.select(columns)).collect()
        except BaseException as error:
            if is_foreign(error):
                self.verify(asset, record, partitions)
            raise

    # -- damage ---------------------------------------------------------------------------------------------------

    def verify(
        self,
        asset: str,
        record: type[Record],
        partitions: Sequence[str] | None = None,
        known: Mapping[str, str] | None = None,
    ) -> None:
        """Look at partitions before something is made of them: a lazy frame would fail in the middle of it, and name no file.

        A local file that is as it was written needs no more than its hash: 1 GB/s, and once as long as it is not replaced. Others
        are read whole. A remote lake answers for its objects itself.

        Args:
            known: Partition to the hash under which it was written with rows.

        Raises:
            DamagedError: a partition that was written is gone, cannot be read, or lacks columns.
        """
        there = self.partitions(asset)
        for partition in sorted({*there, *(known or {})}) if partitions is None else partitions:
            told = (known or {}).get(partition)
            if partition in there:
                if self.is_damaged(asset, record, partition, told):
                    raise DamagedError(self.shown(asset, partition))
            elif told is not None:
                raise DamagedError(self.shown(asset, partition), how="gone")

    def is_damaged(self, asset: str, record: type[Record], partition: str, known: str | None = None) -> bool:
        """Return whether a partition cannot be read whole, or lacks columns that it has had."""
        if self.local is None:
            return not self._is_readable(asset, record, partition, known=None)
        path = Path(self.location(asset, partition))
        now = path.stat()
        stamp = (now.st_ino, now.st_mtime_ns, now.st_size)
        if self._whole.get(str(path)) == stamp:
            return False
        if (known is None or file_hash(path) != known) and not self._is_readable(asset, record, partition, known):
            return True
        self._whole[str(path)] = stamp
        return False

    def _is_readable(self, asset: str, record: type[Record], partition: str, known: str | None) -> bool:
        """Return whether a partition can be read whole.

        One of an earlier version may lack columns, as it was written; not those by which rows are found, and none if it is not as
        it was written.
        """
        try:
            rows = self.read(asset, record, [partition])
            held = set(pl.read_parquet_schema(self.location(asset, partition))) if self.local is not None else None
            rows.collect()
        except BaseException as error:
            if not is_foreign(error):
                raise
            return False
        columns = set(record.column_names())
        needed = columns if known is not None else columns & {*record.primary_key(), "source_message_ids"}
        return held is None or needed <= held

    def shown(self, asset: str, partition: str) -> str:
        """Return how a person is told of a partition: its path below the installation."""
        return f"lake/{self.location(asset, partition).removeprefix(self._fs[1].rstrip('/')).lstrip('/')}"


def _path_part(key: str) -> str:
    """Return a part of a key as a file or folder is called: no other folder, and not hidden."""
    written = quote(key, safe="")
    return f"%2E{written[1:]}" if written.startswith(".") else written
