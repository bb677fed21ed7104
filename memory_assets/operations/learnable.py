"""What there is to be learned, by persona and week, without making a dataset of it."""

from memory_assets.tools import Tools
from privacy.consent import withdrawn
from records.ids import text_hash
from records.interactions import AnonymizedInteractions
from transforms.samples import trainable


def learnable_by_week(tools: Tools) -> list[tuple[str, str, int, str]]:
    """Return persona, week, interactions that may be learned, and a digest of them; cost: one scan of the anonymized weeks."""
    columns = [
        "interaction_id", "persona_id", "week", "opt_out", "residual", "junk", "quality", "input_text", "output_text",
        "source_message_ids",
    ]  # fmt: skip
    every = tools.lake.collect("anonymized_interactions", AnonymizedInteractions, columns=columns)
    every = every.filter(~withdrawn(tools, every))
    found = []
    for (persona, week), part in (
        every.drop_nulls("persona_id").partition_by("persona_id", "week", as_dict=True).items()
    ):
        usable = trainable(part, str(persona), tools.settings.dataset.min_quality)
        found.append((str(persona), str(week), usable.height, text_hash(" ".join(sorted(usable["interaction_id"])))))
    return sorted(found)
