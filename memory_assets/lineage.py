"""How the memory's assets are made: of which others, by which plugins, by which version of their code.

The definitions take their code versions from here, runs stamp what they made with it, and `memory_assets.operations.plan` compares. A test
holds this table equal to the graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from memory_assets.fencing import fenced_step
from memory_assets.partitions import ONE_RUN
from resources.versions import Stamp, content

if TYPE_CHECKING:
    from memory_assets.tools import Tools


@dataclass(frozen=True)
class Made:
    """How one asset is made.

    Attributes:
        sources: Assets it is made of.
        plugins: Kinds of plugins whose change changes it.
        code: Version of the asset's own code: raise it when the output changes.
        weekly: Whether it has a partition per week; others are made of all weeks at once.
        keyed: Whether it makes pseudonyms: a new key changes it.
        remembers: Whether it is made of anonymized text where ``anonymize_memory`` is on.
    """

    sources: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    code: str = "1"
    weekly: bool = True
    keyed: bool = False
    remembers: bool = False


HOW: dict[str, Made] = {
    "raw_interactions": Made(code="3", keyed=True),
    "scored_interactions": Made(("raw_interactions",), ("scorer", "emotion", "topics"), code="3"),
    "message_embeddings": Made(
        ("raw_interactions", "scored_interactions"), ("embedder", "tokens"), code="4", remembers=True
    ),
    "facts": Made(("raw_interactions",), ("facts",), code="3", remembers=True),
    "anonymized_interactions": Made(
        ("raw_interactions", "scored_interactions", "facts"), ("anonymizer",), code="5", keyed=True
    ),
    "fact_history": Made(("facts",), code="2", weekly=False),
    "fact_embeddings": Made(("fact_history",), ("embedder",), weekly=False),
    "episodes": Made(("raw_interactions", "scored_interactions"), ("episodes",), code="3", remembers=True),
    "consolidated_episodes": Made(("episodes",), ("consolidator",), weekly=False),
    "episode_embeddings": Made(("consolidated_episodes",), ("embedder",), code="2", weekly=False),
    "memory_strength": Made(("consolidated_episodes",), code="2", weekly=False),
    "relationships": Made(("episodes",), weekly=False),
}
"""In the order of the data: an asset stands after those it is made of."""


def made_by(tools: Tools, asset: str) -> str:
    """Return what makes an asset now: code version, plugin fingerprints, model and key, as far as they change the output."""
    how = HOW[asset]
    anonymized = how.remembers and tools.settings.anonymize_memory
    parts = [f"code/{how.code}"]
    for kind in (*how.plugins, *(["anonymizer"] if anonymized else [])):
        plugin = tools.plugin(kind)
        model = f"@{tools.settings.llm.model}" if plugin.asks_llm else ""
        parts.append(f"{plugin.fingerprint}{model}")
    if how.keyed or anonymized:
        parts.append(f"key/{tools.keys.identity()}")
    return " ".join(parts)


def inputs(
    tools: Tools, asset: str, parts: Sequence[str], read: Mapping[str, Mapping[str, Stamp]] | None = None
) -> dict[str, dict[str, str]]:
    """Return per partition source to the hash of its content: of the same week, or of all weeks for a whole asset.

    Args:
        read: Stamps of sources as they were when they were read; others are looked up now.
    """
    found: dict[str, dict[str, str]] = {part: {} for part in parts}
    for source in HOW[asset].sources:
        stamps = (read or {}).get(source)
        stamps = tools.versions.of(source) if stamps is None else stamps
        for part in parts:
            same = HOW[source].weekly and HOW[asset].weekly
            found[part][source] = content(stamps, part if same else None)
    return found


class Stamps:
    """Says how partitions were made, once they are written.

    What an asset is made of is looked up before it is read: if another run writes it meanwhile, the stamp names the older content,
    and the asset counts as out of date.
    """

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self._read: dict[str, dict[str, dict[str, Stamp]]] = {}

    def reading(self, asset: str, source: str) -> None:
        """Take down what stands in a source that an asset is about to read."""
        if asset in HOW and source in HOW[asset].sources:
            self._read.setdefault(asset, {})[source] = self.tools.versions.of(source)

    def known(self, asset: str) -> dict[str, str]:
        """Return partition to the hash of its file as it was written, of those that have rows."""
        return {part: stamp.content for part, stamp in self.tools.versions.of(asset).items() if stamp.rows}

    def wrote(self, asset: str, written: dict[str, tuple[str, int]]) -> None:
        """Stamp partitions that are now written: partition to hash and rows. Assets that are no memory have no stamp."""
        if asset not in HOW:
            return
        made_of = inputs(self.tools, asset, list(written), self._read.pop(asset, None))
        maker = made_by(self.tools, asset)
        self.tools.versions.put(
            asset, {part: Stamp(maker, made_of[part], hashed, rows) for part, (hashed, rows) in written.items()}
        )


def lake_asset(name: str, group: str, *, weekly: dg.PartitionsDefinition | None = None, team: str = "memory") -> Any:
    """Return the decorator of an asset of the memory that is a Parquet file per week, or one file."""
    asset = dg.asset(
        name=name,
        partitions_def=weekly,
        backfill_policy=ONE_RUN if weekly is not None else None,
        group_name=group,
        kinds={"polars", "parquet"},
        io_manager_key="lake",
        owners=[f"team:{team}"],
        code_version=HOW[name].code,
    )
    return lambda made: asset(fenced_step(made))
