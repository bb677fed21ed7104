"""Context for a reply: recent messages, facts and memories within a token budget, as a block for the prompt."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import polars as pl

from serving.recall import Memory

CHARACTERS_PER_TOKEN = 3.2
"""Estimate for English and Spanish with current tokenizers: 3.2 to 4.2 were usual; the low end keeps within the budget."""

HEADINGS = {
    "en": {"facts": "What I know", "memories": "What I remember", "recent": "Just now", "turn": "turn", "ago": "ago"},
    "es": {
        "facts": "Lo que sé",
        "memories": "Lo que recuerdo",
        "recent": "Hace un momento",
        "turn": "turno",
        "ago": "hace",
    },
}


@dataclass
class Context:
    """A rendered block, what it holds, and what it costs by estimate."""

    text: str
    tokens: int
    memories: list[Memory] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def tokens_of(text: str) -> int:
    """Return the estimated number of tokens."""
    return int(len(text) / CHARACTERS_PER_TOKEN) + 1


def age_of(moment: datetime, now: datetime, language: str) -> str:
    """Return how long ago something was, in words."""
    seconds = max(0.0, (now - moment).total_seconds())
    units = (("d", 86_400), ("h", 3_600), ("min", 60))
    for unit, length in units:
        if seconds >= length:
            amount = f"{int(seconds // length)} {unit}"
            break
    else:
        amount = "1 min"
    return f"hace {amount}" if language == "es" else f"{amount} ago"


def render(
    facts: pl.DataFrame,
    memories: list[Memory],
    recent: pl.DataFrame,
    *,
    budget: int,
    language: str,
    now: datetime | None = None,
    notes: list[str] | None = None,
) -> Context:
    """Return the block; recent messages come first in the budget, then facts, then memories by rank; nothing stands twice."""
    now, words = now or datetime.now(UTC), HEADINGS.get(language, HEADINGS["en"])
    left, used = budget, []
    said = set(recent["message_id"]) if recent.height else set()
    parts: dict[str, list[str]] = {"facts": [], "memories": [], "recent": []}

    def take(part: str, line: str) -> bool:
        nonlocal left
        cost = tokens_of(line) + (0 if parts[part] else tokens_of(words[part]) + 2)
        if cost > left:
            return False
        left -= cost
        parts[part].append(line)
        return True

    for row in reversed(recent.to_dicts()):
        if not take("recent", f"{row['speaker_name']}: {row['text']}"):
            break
    for row in facts.to_dicts():
        take("facts", f"- {row['category']}, {row['key']}: {'' if row['polarity'] else 'not '}{row['value']}")
    for memory in memories:
        if said.issuperset(memory.source_ids):
            continue
        who = f"{memory.speaker}: " if memory.speaker else ""
        line = f"- ({words['turn']} {memory.turn}, {age_of(memory.occurred_at, now, language)}) {who}{memory.text} [{memory.emotion}]"
        if take("memories", line.replace("\n", " ")):
            used.append(memory)
            said.update(memory.source_ids if memory.kind == "message" else [])
    parts["recent"].reverse()
    text = "\n\n".join(
        f"{words[name]}:\n" + "\n".join(parts[name]) for name in ("facts", "memories", "recent") if parts[name]
    )
    return Context(text, tokens_of(text) if text else 0, used, notes or [])
