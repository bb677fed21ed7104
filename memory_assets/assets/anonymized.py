"""Privacy: interactions without anybody's name, contact, id or place; the only text that leaves the memory.

How text is anonymized does not belong here: that is an anonymizer plugin. The check that nothing is left is beside the asset.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from memory_assets import reports
from memory_assets.lineage import lake_asset
from memory_assets.tables import gathered
from memory_assets.tools import Tools, by_week

if TYPE_CHECKING:
    from plugins.contracts import Anonymizer


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
        from transforms.anonymization import anonymize_week

        scored = dict(by_week(scored_interactions.collect()))
        stated = dict(by_week(facts.collect()))
        anonymizer = tools.plugin("anonymizer")
        # A vault is told every replacement as it is made: with one, nothing is taken over.
        earlier = tools.as_it_stands if tools.vault is None else lambda asset, week: None
        with sealed(tools, anonymizer):
            weeks = [
                anonymize_week(
                    scored[week],
                    raw,
                    anonymizer,
                    tools.keys.pseudonym,
                    stated.get(week),
                    earlier("anonymized_interactions", week),
                )
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


@contextmanager
def sealed(tools: Tools, anonymizer: "Anonymizer") -> Iterator[None]:
    """Keep in the vault what is replaced meanwhile, if there is one: the input's surrogates, then the answer's."""
    if tools.vault is None:
        yield
        return
    replaced: dict[str, list[tuple[str, str, str]]] = {}

    def collect(text: str, items: list[tuple[str, str, str]]) -> None:
        replaced.setdefault(text[1:], []).extend(items)  # ids are the side's letter and the interaction's id

    anonymizer.on_replaced = collect
    try:
        yield
    finally:
        anonymizer.on_replaced = None
    with tools.fence.committing():
        tools.vault.put(replaced)


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
