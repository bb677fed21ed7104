"""Questions whose answers make a persona, from its core memory: what is right, and what somebody else would say."""

from collections.abc import Sequence
from typing import Any

from language.lexicon import load
from plugins.evaluators.manners import QUESTIONS
from plugins.training.contracts import Asked

MOST = 12
"""Questions that are asked."""


def identity_questions(
    entries: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]], language: str
) -> tuple[Asked, ...]:
    """Return questions to rows of the record CoreMemory.

    Args:
        entries: The persona's.
        others: Those of other personas: their values under the same key are wrong answers, before the bundled ones.
        language: en or es; any other is asked in English.
    """
    data = load(QUESTIONS)
    questions, strangers = data["questions"][language if language in data["questions"] else "en"], data["others"]
    found = []
    for entry in sorted(entries, key=lambda row: (row["category"] != "identity", row["category"], row["key"])):
        key = entry["key"] if entry["category"] == "identity" else entry["category"]
        wrong = [row["value"] for row in others if (row["category"], row["key"]) == (entry["category"], entry["key"])]
        wrong += strangers.get(key, strangers[""])
        wrong = [value for value in dict.fromkeys(wrong) if value.lower() != entry["value"].lower()]
        for text in questions.get(key, questions[""]):
            found.append(Asked(text.format(key=entry["key"].replace("_", " ")), entry["value"], tuple(wrong[:4])))
    return tuple(found[:MOST])
