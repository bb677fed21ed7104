"""Checks that every table has, made from its record: schema, keys and rules, blocking what is downstream.

Checks of one asset's own promise stand beside that asset.
"""

from typing import Any

import dagster as dg
import polars as pl

from memory_assets.assets.vector_weeks import encoder_of
from memory_assets.layers import LAYERS
from memory_assets.tables import LAKE_RECORDS
from memory_assets.tools import Tools
from plugins.embedders.passages import is_long


def schema_checks(weekly: dg.WeeklyPartitionsDefinition) -> list[dg.AssetChecksDefinition]:
    """Return a blocking check per lake table: what lies on disk has the record's columns, types, keys and rules."""
    partitions: dict[str, dg.PartitionsDefinition | None] = {
        "consolidated_episodes": None,
        "fact_history": None,
        "memory_strength": None,
        "relationships": None,
        **{layer.dataset: layer.partitions(weekly) for layer in LAYERS.values()},
    }
    return [_schema_check(asset, partitions.get(asset, weekly)) for asset in LAKE_RECORDS]


def _schema_check(asset: str, partitions: dg.PartitionsDefinition | None) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset,
        name="schema",
        blocking=True,
        partitions_def=partitions,
        description="Columns, types, keys and rules of the record, read back from the lake.",
    )
    def schema(context: dg.AssetCheckExecutionContext, tools: dg.ResourceParam[Tools]) -> dg.AssetCheckResult:
        record = LAKE_RECORDS[asset]
        keys = list(context.partition_keys) if partitions is not None else None
        frame = tools.lake.collect(asset, record, keys)
        wrong_type = {
            name: str(frame.schema.get(name))
            for name, dtype in record.polars_schema().items()
            if frame.schema.get(name) != dtype
        }
        failures = {} if wrong_type else record.failures(frame)
        return dg.AssetCheckResult(
            passed=not wrong_type and not failures,
            metadata={"rows": frame.height, "failing_rules": failures, "wrong_columns": wrong_type},
        )

    return schema


def embedding_checks(weekly: dg.WeeklyPartitionsDefinition) -> list[dg.AssetChecksDefinition]:
    """Return the checks of the vector tables: keys unique, every text of the week there, vectors of length one."""
    return [
        _embedding_check("message_embeddings", "message_id", weekly),
        _embedding_check("episode_embeddings", "episode_id", None),
        _embedding_check("fact_embeddings", "fact_id", None),
    ]


def _embedding_check(asset: str, key: str, weekly: dg.WeeklyPartitionsDefinition | None) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset,
        name="unique_and_normalised",
        blocking=True,
        partitions_def=weekly,
        description="Keys are unique and vectors have length one (of a text in several passages: at most one), within the weeks "
        "of this run.",
    )
    def unique_and_normalised(
        context: dg.AssetCheckExecutionContext, tools: dg.ResourceParam[Tools]
    ) -> dg.AssetCheckResult:
        from transforms.embedded_text import spoken

        encoder = encoder_of(tools, asset)
        lance = tools.vectors.open(asset, encoder.fingerprint)
        if lance is None:
            return dg.AssetCheckResult(passed=True, metadata={"rows": 0})
        rows = lance.search()
        if weekly is not None:
            weeks = list(context.partition_keys)
            rows = rows.where(f"week >= '{weeks[0]}' AND week <= '{weeks[-1]}'")
        wanted = [key, "vector", *(name for name in ("speaker_name", "text") if name in lance.schema.names)]
        with tools.vectors.reading(lance.name):
            found: Any = pl.from_arrow(rows.select(wanted).limit(None).to_arrow())
        texts = spoken(found) if "speaker_name" in found.columns else found["text"]
        cut = pl.Series([is_long(text, encoder.embedder.passage) for text in texts], dtype=pl.Boolean)
        lengths = (
            found["vector"].arr.eval(pl.element() ** 2).arr.sum() if found.height else pl.Series([], dtype=pl.Float32)
        )
        off = int((((lengths - 1).abs() > 1e-3) & ~(cut & lengths.is_between(1e-6, 1.001))).sum())
        repeated = found.height - found[key].n_unique()
        return dg.AssetCheckResult(
            passed=off == 0 and repeated == 0,
            metadata={"rows": found.height, "repeated_keys": repeated, "not_normalised": off},
        )

    return unique_and_normalised
