"""Which record the frames of each lake asset have. Records load when asked for: dataframely brings SQLAlchemy and NumPy along,
a third of a step's start."""

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from records.base import Record

_WHERE = {
    "raw_interactions": ("records.interactions", "RawInteractions"),
    "scored_interactions": ("records.interactions", "ScoredInteractions"),
    "anonymized_interactions": ("records.interactions", "AnonymizedInteractions"),
    "facts": ("records.memory", "Facts"),
    "fact_history": ("records.memory", "FactHistory"),
    "episodes": ("records.memory", "Episodes"),
    "consolidated_episodes": ("records.memory", "ConsolidatedEpisodes"),
    "memory_strength": ("records.memory", "MemoryStrength"),
    "relationships": ("records.memory", "Relationships"),
    "personality_dataset": ("records.training", "DatasetManifest"),
    "episodic_dataset": ("records.training", "DatasetManifest"),
    "skill_dataset": ("records.training", "DatasetManifest"),
}


class LakeRecords(Mapping[str, "type[Record]"]):
    """Asset name to record."""

    def __getitem__(self, asset: str) -> "type[Record]":
        module, name = _WHERE[asset]
        record: type[Record] = getattr(importlib.import_module(module), name)
        return record

    def __iter__(self) -> Iterator[str]:
        return iter(_WHERE)

    def __len__(self) -> int:
        return len(_WHERE)


LAKE_RECORDS = LakeRecords()


def gathered(asset: str, weeks: list[pl.DataFrame]) -> pl.DataFrame:
    """Return the weeks of an asset as one frame, empty but shaped when there are none."""
    return pl.concat([LAKE_RECORDS[asset].create_empty(), *weeks])
