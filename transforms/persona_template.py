"""Personas: read-only templates whose traits follow from closeness and mood, compiled anew for every request.

    trait = clamp(base + level(affinity) + intensity * mood, 0, 1)

A template is a JSON file:

    {"name": "Lumi", "traits": {"warmth": 0.6, "humour": 0.5},
     "levels": [{"name": "stranger", "from": -100, "traits": {"warmth": -0.2}}, {"name": "friend", "from": 30, "traits": {"warmth": 0.2}}],
     "moods": {"cheerful": {"humour": 0.2}}}

Personalities of LuminoraCore are templates as well: see `transforms.persona_luminora`.
"""

import json
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from records.errors import MemoryAssetsError
from transforms.persona_luminora import as_template, is_personality

DEFAULT_LEVELS = (
    (-100.0, "enemy"),
    (-30.0, "wary"),
    (-5.0, "stranger"),
    (10.0, "acquaintance"),
    (30.0, "friend"),
    (60.0, "close friend"),
    (85.0, "devoted"),
)
"""Names of closeness for personas whose template names none: from these points on."""


class _Level(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    name: str
    start: float = Field(alias="from", ge=-100, le=100)
    traits: dict[str, float] = {}


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    traits: dict[str, float]
    levels: list[_Level] = []
    moods: dict[str, dict[str, float]] = {}


@dataclass(frozen=True)
class PersonaTemplate:
    """A persona; nothing of it can be changed once it is loaded."""

    name: str
    traits: Mapping[str, float]
    starts: tuple[float, ...]
    level_names: tuple[str, ...]
    level_traits: tuple[Mapping[str, float], ...]
    moods: Mapping[str, Mapping[str, float]]

    def level(self, points: float) -> str:
        """Return the name of the level of closeness."""
        return self.level_names[max(bisect_right(self.starts, points) - 1, 0)]

    def compiled(self, points: float = 0.0, mood: str | None = None, intensity: float = 0.0) -> dict[str, float]:
        """Return each trait in [0, 1] for a closeness and a mood; an unknown mood changes nothing."""
        level = self.level_traits[max(bisect_right(self.starts, points) - 1, 0)]
        shift = self.moods.get(mood, {}) if mood is not None else {}
        return {
            trait: min(1.0, max(0.0, base + level.get(trait, 0.0) + intensity * shift.get(trait, 0.0)))
            for trait, base in self.traits.items()
        }


@lru_cache(maxsize=256)
def load_persona(path: Path) -> PersonaTemplate:
    """Return the template of a file, read once per process.

    Raises:
        MemoryAssetsError: the file is missing or not a template; the message names the field.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
        made = _File.model_validate(as_template(data, path.name) if is_personality(data) else data)
    except FileNotFoundError:
        raise MemoryAssetsError(f"there is no persona template {path.name} in {path.parent}") from None
    except json.JSONDecodeError as error:
        raise MemoryAssetsError(f"{path.name}: no JSON at line {error.lineno}") from None
    except (UnicodeDecodeError, RecursionError):
        raise MemoryAssetsError(f"{path.name}: no JSON in UTF-8") from None
    except ValidationError as error:
        first: Any = error.errors()[0]
        raise MemoryAssetsError(f"{path.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    levels = sorted(made.levels, key=lambda level: level.start)
    unknown = {trait for level in levels for trait in level.traits} | {t for mood in made.moods.values() for t in mood}
    if unknown - set(made.traits):
        raise MemoryAssetsError(f"{path.name}: {', '.join(sorted(unknown - set(made.traits)))} is no trait of it")
    starts = tuple(level.start for level in levels) or tuple(start for start, _ in DEFAULT_LEVELS)
    names = tuple(level.name for level in levels) or tuple(name for _, name in DEFAULT_LEVELS)
    shifts = tuple(MappingProxyType(dict(level.traits)) for level in levels) or tuple(
        MappingProxyType({}) for _ in names
    )
    return PersonaTemplate(
        made.name,
        MappingProxyType(dict(made.traits)),
        starts,
        names,
        shifts,
        MappingProxyType({mood: MappingProxyType(dict(traits)) for mood, traits in made.moods.items()}),
    )


def affinity_change(valence: float, arousal: float, *, disclosed: bool = False) -> float:
    """Return how many points an exchange brings closer or apart: pleasant and lively ones most, a confidence half a point more."""
    return max(-2.0, min(2.0, valence * (0.5 + arousal) + (0.5 if disclosed else 0.0)))
