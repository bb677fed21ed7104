"""The three trained layers of a persona (layer 0 is its core memory): their assets' names and partitions.

1 personality, once per persona; 2 episodic, per persona and week; 3 skill, per persona and skill, on demand.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import dagster as dg

from memory_assets.partitions import PERSONA_SKILLS, PERSONAS, persona_weeks
from records.names import file_name, named_by_file


@dataclass(frozen=True)
class Slot:
    """Whose adapter of which layer."""

    layer: str
    persona: str
    week: str | None = None
    skill: str | None = None


@dataclass(frozen=True)
class Layer:
    """One layer's assets, from its dataset to what is deployed."""

    name: str
    number: int
    dataset: str
    adapter: str
    evaluation: str
    deployed: str
    dimension: str | None = None

    def partitions(self, weekly: dg.WeeklyPartitionsDefinition) -> Any:
        """Return how its assets are partitioned."""
        return {None: PERSONAS, "week": persona_weeks(weekly), "skill": PERSONA_SKILLS}[self.dimension]

    def slot(self, context: Any, personas: Iterable[str]) -> Slot:
        """Return whose adapter a run's partition is, of those personas that there are."""
        key = context.partition_key
        if self.dimension is None:
            return Slot(self.name, named_by_file(key, personas))
        assert isinstance(key, dg.MultiPartitionKey)
        parts = key.keys_by_dimension
        return Slot(self.name, named_by_file(parts["persona"], personas), **{self.dimension: parts[self.dimension]})

    def key(self, slot: Slot) -> str:
        """Return the partition of a slot."""
        persona = file_name(slot.persona)
        if self.dimension is None:
            return persona
        return dg.MultiPartitionKey({"persona": persona, self.dimension: getattr(slot, self.dimension)})

    @property
    def assets(self) -> tuple[str, ...]:
        """Return its assets in order."""
        return (self.dataset, self.adapter, self.evaluation, self.deployed)


LAYERS: dict[str, Layer] = {
    layer.name: layer
    for layer in (
        Layer("personality", 1, "personality_dataset", "personality_adapter", "adapter_evaluation", "deployed_adapter"),
        Layer(
            "episodic", 2, "episodic_dataset", "episodic_adapter", "episodic_evaluation", "deployed_episodic", "week"
        ),
        Layer("skill", 3, "skill_dataset", "skill_adapter", "skill_evaluation", "deployed_skill", "skill"),
    )
}
