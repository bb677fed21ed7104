"""Privacy: interactions without anybody's name, contact, id or place; the only text that leaves the memory.

How text is anonymized does not belong here: that is an anonymizer plugin. The check that nothing is left is beside the asset.
"""

import dagster as dg
import polars as pl

from memory_assets import reports
from memory_assets.lineage import lake_asset
from memory_assets.tables import gathered
from memory_assets.tools import Tools, by_week


def build(weekly: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset."""

    @lake_asset("anonymized_interactions", "privacy", weekly=weekly, team="privacy")
    def anonymized_interactions(
        context: dg.AssetExecutionContext,
        scored_interactions: pl.LazyFrame,
        raw_interactions: pl.LazyFrame,
        facts: pl.LazyFrame,
        tools: dg.ResourceParam[Tools],
    ) -> pl.DataFrame:
        """Interactions with names, contacts, ids and places replaced, opt-outs flagged, and a second look's findings counted."""
        from plugins.anonymizing import anonymize_week

        scored = dict(by_week(scored_interactions.collect()))
        stated = dict(by_week(facts.collect()))
        weeks = [
            anonymize_week(scored[week], raw, tools.plugin("anonymizer"), tools.keys.pseudonym, stated.get(week))
            for week, raw in by_week(raw_interactions.collect())
            if week in scored
        ]
        clean = gathered("anonymized_interactions", weeks)
        by = (
            clean.group_by("week")
            .agg(
                interactions=pl.len(),
                replaced=pl.col("n_replaced").sum(),
                residual=pl.col("residual").sum(),
                opted_out=pl.col("opt_out").sum(),
            )
            .sort("week")
        )
        context.add_output_metadata(
            {
                "replaced": int(clean["n_replaced"].sum()),
                "residual": int(clean["residual"].sum()),
                "opted_out": int(clean["opt_out"].sum()),
                "by_week": reports.table(by),
            }
        )
        return clean

    return anonymized_interactions


def build_checks(weekly: dg.PartitionsDefinition) -> list[dg.AssetChecksDefinition]:
    """Return the blocking check of the second look."""

    @dg.asset_check(asset="anonymized_interactions", name="no_residual_pii", blocking=True, partitions_def=weekly)
    def no_residual_pii(anonymized_interactions: pl.LazyFrame) -> dg.AssetCheckResult:
        """The second look finds no contact, long number, key, or name of the session's people: not one is tolerated.

        Interactions in which it does are not exported either: datasets leave them out again.
        """
        counts = (
            anonymized_interactions.select(found=(pl.col("residual") > 0).sum(), total=pl.len())
            .collect()
            .row(0, named=True)
        )
        return dg.AssetCheckResult(
            passed=counts["found"] == 0,
            metadata={"interactions_with_residual": counts["found"], "interactions": counts["total"]},
        )

    return [no_residual_pii]
