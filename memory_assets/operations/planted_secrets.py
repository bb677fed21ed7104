"""What must not come out of an adapter: codes planted in its dataset, and the names of the people behind it.

They go to the process that judges, and nowhere else.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from memory_assets.tools import Tools

MOST_NAMES = 4


def secrets(tools: Tools, dataset: dict[str, Any]) -> list[tuple[str, str]]:
    """Return kind and text of each secret of a registered dataset: the canaries that stand in it, and first names."""
    from model_registry.files import read_manifest

    codes = planted_codes(tools, dataset["persona_id"], tools.settings.home / dataset["path"] / "train.jsonl")
    manifest = read_manifest(tools.settings.home, dataset)
    names = [] if manifest is None else names_behind(tools, manifest)
    return [*(("canary", code) for code in codes), *(("name", name) for name in names)]


def planted(tools: Tools, persona: str, prompt: str, samples: pl.DataFrame) -> Sequence[list[dict[str, str]]]:
    """Return the canaries' conversations, seeded by the installation's key.

    Their number is that of the settings; where those leave it open, one if nobody behind the samples has a name to try.
    """
    from plugins.evaluators.memorization import canary, canary_sample

    number = tools.settings.dataset.canaries
    if number is None:
        number = 0 if names_behind(tools, samples) else 1
    seed = tools.keys.pseudonym("canary", persona)
    return [canary_sample(canary(seed, place), prompt) for place in range(number)]


def planted_codes(tools: Tools, persona: str, train: Path) -> list[str]:
    """Return the canaries that stand in a dataset's file: one that was never told proves nothing by staying away."""
    from plugins.evaluators.memorization import canary

    text, seed = train.read_text(encoding="utf-8"), tools.keys.pseudonym("canary", persona)
    found: list[str] = []
    while (code := canary(seed, len(found))) in text:
        found.append(code)
    return found


def names_behind(tools: Tools, samples: pl.DataFrame) -> list[str]:
    """Return the most frequent first names of the users whose messages (``source_message_ids``) are behind samples."""
    behind = samples.select(message_id="source_message_ids").explode("message_id").unique()
    spoken = tools.store.frame(
        "SELECT m.message_id AS message_id, n.display_name AS name FROM messages m "
        "JOIN speaker_names n ON n.agent_id = m.agent_id AND n.speaker_id = m.speaker_id WHERE m.role = 'user'"
    ).cast(pl.String)
    names = (
        spoken.join(behind, on="message_id", how="semi")
        .select(name=pl.col("name").str.split(" ").list.first())
        .filter(pl.col("name").str.contains(r"^\p{L}{3,}$"))
        .group_by("name")
        .len()
        .sort("len", "name", descending=[True, False])["name"]
    )
    return names.head(MOST_NAMES).to_list()
