"""Facts: what people said of themselves and of those close to them, each with its quoted source.

How facts are read does not belong here: that is a facts plugin (rules, or a language model).
"""

import dagster as dg
import polars as pl

from memory_assets import reports
from memory_assets.lineage import lake_asset
from memory_assets.tables import gathered
from memory_assets.tools import Tools, by_week
from plugins.contracts import Spent

MOST_REJECTED = 0.5
"""Share of a language model's proposals that may lack a verbatim quote before the check fails: beyond it the model invents."""


def build(weekly: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Return the facts of a week, and the history of all."""

    @lake_asset("facts", "memory", weekly=weekly)
    def facts(
        context: dg.AssetExecutionContext, raw_interactions: pl.LazyFrame, tools: dg.ResourceParam[Tools]
    ) -> pl.DataFrame:
        """Facts stated in the week: category, key, value, the verbatim quote and the message it stands in."""
        from plugins.scorers.junk import without_recalled
        from transforms.anonymization import anonymize_texts

        extractor = tools.plugin("facts")
        weeks, spent = [], []
        # What the bot was reminded of is no statement of today: nothing is learned from a memory a second time.
        messages = raw_interactions.with_columns(without_recalled(pl.col("text")))
        for _, raw in by_week(messages.collect()):
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

    @lake_asset("fact_history", "memory")
    def fact_history(context: dg.AssetExecutionContext, facts: pl.LazyFrame) -> pl.DataFrame:
        """Facts of all weeks with their validity: since when, until when, closed by which other."""
        from transforms.fact_validity import resolve

        stated = facts.collect()
        history = resolve(stated)
        context.add_output_metadata(
            {
                "statements": stated.height,
                "facts": history.height,
                "status": reports.table(history.group_by("status").agg(facts=pl.len()).sort("status")),
            }
        )
        return history

    return [facts, fact_history]


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

    @dg.asset_check(asset="facts", name="few_rejects", blocking=True)
    def few_rejects(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        """At most half of what the extractor proposed was rejected for want of a quote."""
        event = context.instance.get_latest_materialization_event(dg.AssetKey("facts"))
        made = event.asset_materialization.metadata if event is not None and event.asset_materialization else {}
        kept, rejected = (int(str(made[name].value)) if name in made else 0 for name in ("facts", "rejected"))
        share = rejected / max(kept + rejected, 1)
        return dg.AssetCheckResult(
            passed=share <= MOST_REJECTED, metadata={"rejected": rejected, "kept": kept, "share": share}
        )

    return [quotes_are_verbatim, few_rejects]
