"""Which record the frames of each lake asset have."""

from records.base import Record
from records.interactions import AnonymizedInteractions, RawInteractions, ScoredInteractions
from records.memory import ConsolidatedEpisodes, Episodes, Facts
from records.training import DatasetManifest

LAKE_RECORDS: dict[str, type[Record]] = {
    "raw_interactions": RawInteractions,
    "scored_interactions": ScoredInteractions,
    "anonymized_interactions": AnonymizedInteractions,
    "facts": Facts,
    "episodes": Episodes,
    "consolidated_episodes": ConsolidatedEpisodes,
    "personality_dataset": DatasetManifest,
    "episodic_dataset": DatasetManifest,
}
