"""Facts: what people said of themselves and of those close to them, each with its quoted source.

How facts are read does not belong here: that is a facts plugin (rules, or a language model).
"""

import dagster as dg
import polars as pl

from memory_assets import reports
from memory_assets.partitions import ONE_RUN
from memory_assets.tables import gathered
from memory_assets.tools import Tools, by_week
from plugins.contracts import Spent


def build(weekly: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset."""

    @dg.asset(
        partitions_def=weekly,
        backfill_policy=ONE_RUN,
        group_name="memory",
        kinds={"polars", "parquet"},
        io_manager_key="lake",
        owners=["team:memory"],
        code_version="1",
    )
    def facts(
        context: dg.AssetExecutionContext, raw_interactions: pl.LazyFrame, tools: dg.ResourceParam[Tools]
    ) -> pl.DataFrame:
        """Facts stated in the week: category, key, value, the verbatim quote and the message it stands in."""
        from plugins.anonymizing import anonymize_texts

        extractor = tools.plugin("facts")
        weeks, spent = [], []
        for _, raw in by_week(raw_interactions.collect()):
            said = (
                anonymize_texts(raw, raw, ["text"], "message_id", tools.plugin("anonymizer"), tools.keys.pseudonym)
                if tools.settings.anonymize_memory
                else raw
            )
            weeks.append(extractor.extract(said))
            spent.append(extractor.spent)
        found = gathered("facts", weeks)
        categories = (
            found.group_by("category").agg(facts=pl.len(), confidence=pl.col("confidence").mean()).sort("category")
        )
        context.add_output_metadata(
            {
                "facts": found.height,
                "people": found["user_key"].n_unique(),
                "categories": reports.table(categories),
                **spent_metadata(spent),
            }
        )
        return found

    return facts


def spent_metadata(spent: list[Spent]) -> dict[str, int | float]:
    """Return what an extractor spent; nothing for one that spends nothing."""
    total = {name: sum(getattr(part, name) for part in spent) for name in Spent.__dataclass_fields__}
    return total if any(total.values()) else {}


def build_checks(weekly: dg.PartitionsDefinition) -> list[dg.AssetChecksDefinition]:
    """Return the check that facts are grounded."""

    @dg.asset_check(
        asset="facts",
        name="quotes_are_verbatim",
        blocking=True,
        partitions_def=weekly,
        additional_ins={"raw_interactions": dg.AssetIn("raw_interactions")},
    )
    def quotes_are_verbatim(
        facts: pl.LazyFrame, raw_interactions: pl.LazyFrame, tools: dg.ResourceParam[Tools]
    ) -> dg.AssetCheckResult:
        """Every quote stands letter by letter in its source message."""
        if tools.settings.anonymize_memory:
            return dg.AssetCheckResult(
                passed=True, metadata={"reason": "memory is anonymized: quotes stand in the anonymized text"}
            )
        said = raw_interactions.select("message_id", "text").collect()
        quoted = (
            facts.select("quote", message_id=pl.col("source_message_ids").list.first())
            .collect()
            .join(said, on="message_id", how="left")
        )
        wrong = quoted.filter(~pl.col("text").str.contains(pl.col("quote"), literal=True).fill_null(value=False)).height
        return dg.AssetCheckResult(passed=wrong == 0, metadata={"facts": quoted.height, "not_in_source": wrong})

    return [quotes_are_verbatim]
