"""The lake as Dagster's IO manager: validate, write aside, rename, say what was written."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import dagster as dg
import polars as pl

from records.errors import ErasedMeanwhile
from resources.lake import WHOLE, Lake, Written

if TYPE_CHECKING:
    from records.base import Record
    from resources.fence import Fence

ATTEMPTS = 20
"""Times that a step is made again which an erasure overtook."""


class StampBook(Protocol):
    """Is told what is read and written."""

    def reading(self, asset: str, source: str) -> None:
        """Take down that an asset is about to read a source."""

    def known(self, asset: str) -> Mapping[str, str]:
        """Return partition to the hash under which it was written, of those that have rows."""

    def wrote(self, asset: str, written: dict[str, tuple[str, int]]) -> None:
        """Take down what was written: partition to hash and rows."""


class LakeIOManager(dg.IOManager):
    """Stores a frame per asset and partition; a frame of several partitions is split by its ``week`` column.

    Args:
        lake: Where the files lie.
        records: Asset name to the record its frames must have.
        stamps: Told what is read, before it is, and what was written, after it was.
        fence: Keeps out what was read before an erasure.
    """

    def __init__(
        self,
        lake: Lake,
        records: Mapping[str, type[Record]],
        stamps: StampBook | None = None,
        fence: Fence | None = None,
    ) -> None:
        self.lake = lake
        self.records = records
        self.stamps = stamps
        self.fence = fence

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write the frame; metadata are counts, sizes and hashes."""
        asset = context.asset_key.path[-1]
        record = self.records[asset]
        frame = record.shaped(obj.collect() if isinstance(obj, pl.LazyFrame) else obj)
        keys = list(context.asset_partition_keys) if context.has_asset_partitions else [None]
        written = self._commit(asset, keys, frame)
        if self.stamps is not None:
            self.stamps.wrote(
                asset, {key or WHOLE: (part.content_hash, part.rows) for key, part in zip(keys, written, strict=True)}
            )
        context.step_context.set_data_version(context.asset_key, dg.DataVersion(_joined(written)))
        context.add_output_metadata(
            {
                "dagster/row_count": sum(part.rows for part in written),
                "bytes": sum(part.bytes for part in written),
                "partitions": len(written),
                "content_hash": _joined(written),
                "dagster/column_schema": column_schema(record),
            }
        )

    def _commit(self, asset: str, keys: Sequence[str | None], frame: pl.DataFrame) -> list[Written]:
        """Write the partitions, unless something was erased since the step began to read: then it is asked for again."""
        parts = {keys[0]: frame}
        if len(keys) > 1:
            parts = {week: part for (week,), part in frame.partition_by("week", as_dict=True).items()}
        try:
            with self.fence.committing() if self.fence is not None else contextlib.nullcontext():
                written = [self.lake.write(asset, key, parts.get(key, frame.clear())) for key in keys]
        except ErasedMeanwhile as error:
            raise dg.RetryRequested(max_retries=ATTEMPTS) from error
        if self.fence is not None:
            self.fence.done()
        return written

    def load_input(self, context: dg.InputContext) -> pl.LazyFrame:
        """Return one lazy frame over all partitions asked for.

        Raises:
            DamagedError: one of them is damaged; what is made of it would fail later, and could not say why.
        """
        asset = context.asset_key.path[-1]
        if self.fence is not None:
            with contextlib.suppress(dg.DagsterInvariantViolationError):  # see below
                step = context.step_context
                self.fence.reading((step.run_id, step.op.name, step.previous_attempt_count))
        if self.stamps is not None:
            with contextlib.suppress(dg.DagsterInvariantViolationError):  # a notebook reads an asset outside of any op
                self.stamps.reading(context.op_def.name, asset)
        partitions = list(context.asset_partition_keys) if context.has_asset_partitions else None
        if self.lake.local is not None:
            known = self.stamps.known(asset) if self.stamps is not None else None
            self.lake.verify(asset, self.records[asset], partitions, known)
        return self.lake.read(asset, self.records[asset], partitions)


def column_schema(record: type[Record]) -> dg.TableSchema:
    """Return a record's columns and what they mean, as the UI shows them."""
    columns = [
        dg.TableColumn(name=name, type=str(dtype), description=record.docs()[name])
        for name, dtype in record.polars_schema().items()
    ]
    return dg.TableSchema(columns=columns)


def _joined(written: list[Written]) -> str:
    from hashlib import blake2b

    if len(written) == 1:
        return written[0].content_hash
    return blake2b("".join(part.content_hash for part in written).encode(), digest_size=16).hexdigest()
