"""Personalities as LuminoraCore writes them, as templates: parameters are traits, ranges of affinity are levels.

    {"persona": {"name": "Alicia"}, "core_traits": {…}, "advanced_parameters": {"empathy": 0.95},
     "hierarchical_config": {"enabled": true, "relationship_levels": [
        {"name": "friend", "affinity_range": [41, 60], "modifiers": {"advanced_parameters": {"empathy": 0.2}}}]},
     "mood_config": {"enabled": true, "moods": {"shy": {"modifiers": {"advanced_parameters": {"formality": 0.2}}}}}}

What a template does not know (tone, vocabulary, rules, triggers, examples) is left where it is: in the file.
"""

import math
from collections.abc import Mapping
from typing import Any

from records.errors import MemoryAssetsError

LEVELS = ((0.0, "stranger"), (21.0, "acquaintance"), (41.0, "friend"), (61.0, "close_friend"), (81.0, "soulmate"))
"""LuminoraCore's own levels, for personalities that define none: people who migrate keep the level they had."""

PARTS = (
    "core_traits",
    "linguistic_profile",
    "advanced_parameters",
    "behavioral_rules",
    "hierarchical_config",
    "mood_config",
)


def is_personality(data: Any) -> bool:
    """Return whether a JSON value is a personality of LuminoraCore."""
    return isinstance(data, dict) and isinstance(data.get("persona"), dict) and any(part in data for part in PARTS)


def as_template(data: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Return a personality in the shape of a template (see `transforms.persona_template`).

    A level holds from the start of its range until the next one starts; modifiers of parameters that the personality does
    not have are left out, as LuminoraCore does.

    Raises:
        MemoryAssetsError: it has no name, or a level has no name or no range; the message names the field.
    """
    name = data["persona"].get("name")
    if not isinstance(name, str) or not name.strip():
        raise MemoryAssetsError(f"{file}: persona.name: a personality needs a name")
    traits = {**_numbers(data.get("core_traits")), **_numbers(data.get("advanced_parameters"))}
    traits = {trait: min(1.0, max(0.0, value)) for trait, value in traits.items()}
    levels = _levels(data.get("hierarchical_config", data.get("hierarchical")), traits, file)
    return {
        "name": name.strip(),
        "traits": traits,
        "levels": levels or [{"name": level, "from": start} for start, level in LEVELS],
        "moods": _moods(data.get("mood_config", data.get("moods")), traits),
    }


def _levels(config: Any, traits: Mapping[str, float], file: str) -> list[dict[str, Any]]:
    listed = config.get("relationship_levels", config.get("levels")) if isinstance(config, dict) else config
    if not isinstance(listed, list) or (isinstance(config, dict) and config.get("enabled") is False):
        return []
    levels = []
    for number, level in enumerate(listed):
        where = f"{file}: hierarchical_config.relationship_levels.{number}"
        if not isinstance(level, dict) or not isinstance(level.get("name"), str):
            raise MemoryAssetsError(f"{where}.name: a level needs a name")
        start = _start(level.get("affinity_range"))
        if start is None or not -100 <= start <= 100:
            raise MemoryAssetsError(
                f"{where}.affinity_range: two numbers from -100 to 100 were expected, e.g. [41, 60]"
            )
        levels.append({"name": level["name"], "from": start, "traits": _modifiers(level, traits)})
    return levels


def _start(given: Any) -> float | None:
    """Return where a range begins: of ``[41, 60]``, or of an object with its least points."""
    if isinstance(given, list) and given:
        return _number(given[0])
    if isinstance(given, dict):
        return next(
            (found for key in ("min", "min_points", "from", "start") if (found := _number(given.get(key))) is not None),
            None,
        )
    return None


def _moods(config: Any, traits: Mapping[str, float]) -> dict[str, dict[str, float]]:
    if not isinstance(config, dict) or config.get("enabled") is False:
        return {}
    listed = config.get("moods", config)
    if not isinstance(listed, dict):
        return {}
    return {name: _modifiers(mood, traits) for name, mood in listed.items() if isinstance(mood, dict)}


def _modifiers(part: Mapping[str, Any], traits: Mapping[str, float]) -> dict[str, float]:
    """Return what a level or a mood adds to the traits there are."""
    given = part.get("modifiers")
    given = given if isinstance(given, dict) else {}
    shifts = _numbers(given.get("advanced_parameters")) or _numbers(given)
    return {trait: shift for trait, shift in shifts.items() if trait in traits}


def _numbers(values: Any) -> dict[str, float]:
    """Return the entries of an object that are numbers."""
    if not isinstance(values, dict):
        return {}
    return {key: number for key, value in values.items() if (number := _number(value)) is not None}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None
