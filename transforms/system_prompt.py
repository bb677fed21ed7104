"""Layer 0: an agent's system prompt from its core memory."""

from collections.abc import Sequence
from typing import Any

ORDER = ("identity", "personality", "style", "like", "dislike", "friend", "rule")


def system_prompt(entries: Sequence[dict[str, Any]]) -> str:
    """Return the prompt for rows of the record CoreMemory: one line an entry, categories in a fixed order."""

    def place(entry: dict[str, Any]) -> tuple[int, str, str]:
        category = entry["category"]
        return (ORDER.index(category) if category in ORDER else len(ORDER), category, entry["key"])

    lines = []
    for entry in sorted(entries, key=place):
        name = entry["key"].replace("_", " ")
        lines.append(
            f"{name}: {entry['value']}"
            if entry["category"] == "identity"
            else f"{entry['category']} ({name}): {entry['value']}"
        )
    return "\n".join(lines)
