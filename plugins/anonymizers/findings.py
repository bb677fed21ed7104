"""What would expose somebody: findings in a text, and how findings of several detectors become one list.

Where findings come from does not belong here (see pii_patterns.py, pii_model.py and pii_names.py), nor what is put in their place (see
anonymizer.py).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

KINDS = (
    "secret",
    "email",
    "url",
    "iban",
    "card",
    "id",
    "ip",
    "plate",
    "phone",
    "handle",
    "address",
    "birth",
    "person",
    "organisation",
    "place",
    "date",
    "age",
    "title",
    "nationality",
    "sex",
    "relative",
)
"""What is told apart. Where two findings overlap the earlier kind gives the name."""

QUASI = ("date", "age", "title", "nationality", "sex", "relative")
"""Kinds that expose nobody alone: found where everything is looked for (clinical notes), not in chats, whose sense they carry."""


@dataclass(frozen=True)
class Finding:
    """A stretch of a text, ``text[start:end]``, of a kind."""

    start: int
    end: int
    kind: str


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings without overlaps, in order: overlapping ones become one stretch of the most telling kind."""
    rank = {kind: place for place, kind in enumerate(KINDS)}
    found: list[Finding] = []
    for item in sorted(findings, key=lambda f: (f.start, -f.end)):
        if found and item.start < found[-1].end:
            last = found[-1]
            kind = min(last.kind, item.kind, key=lambda k: rank[k])
            found[-1] = Finding(last.start, max(last.end, item.end), kind)
        else:
            found.append(item)
    return found


def scores(findings: Sequence[Sequence[Finding]], truth: Sequence[Sequence[tuple[int, int]]]) -> dict[str, float]:
    """Return recall, precision and F2 of findings against true spans, any overlap, whatever the kinds."""
    hit = gold = right = made = 0
    for found, spans in zip(findings, truth, strict=True):
        gold += len(spans)
        made += len(found)
        hit += sum(any(f.start < end and start < f.end for f in found) for start, end in spans)
        right += sum(any(f.start < end and start < f.end for start, end in spans) for f in found)
    recall, precision = hit / max(gold, 1), right / max(made, 1)
    f2 = 5 * precision * recall / max(4 * precision + recall, 1e-9)
    return {"recall": round(recall, 3), "precision": round(precision, 3), "f2": round(f2, 3)}
