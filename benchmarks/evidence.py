"""Questions with evidence, from LoCoMo, BEAM and REALTALK, in one shape; and the metrics of ranked evidence."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any


@dataclass
class Turn:
    """One utterance."""

    ref: str
    session: str
    speaker: str
    text: str
    at: datetime
    role: str = "user"


@dataclass
class Question:
    """A question and the references of the turns that answer it."""

    text: str
    category: str
    evidence: list[str]


@dataclass
class Conversation:
    """A conversation with its questions; ``malformed`` counts evidence ids that had to be mended, ``unknown`` those that name no turn."""

    name: str
    turns: list[Turn]
    questions: list[Question]
    malformed: int = 0
    unknown: int = 0
    without_evidence: int = 0


LOCOMO_CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}
DIALOG_ID = re.compile(r"D\s*(\d+)\s*:\s*(\d+)")


def normalised(raw: Any) -> list[str]:
    """Return evidence ids as ``D8:6`` from lists, ``'D8:6; D9:17'``, ``'D30:05'`` and ranges such as ``'D12:3-D12:5'``."""
    found: list[str] = []
    for item in raw if isinstance(raw, list) else [raw]:
        text = str(item)
        ids = [(int(session), int(turn)) for session, turn in DIALOG_ID.findall(text)]
        if len(ids) == 2 and re.search(r"\d\s*[-–]\s*D", text) and ids[0][0] == ids[1][0]:
            ids = [(ids[0][0], turn) for turn in range(ids[0][1], ids[1][1] + 1)]
        found += [f"D{session}:{turn}" for session, turn in ids]
    return list(dict.fromkeys(found))


def locomo(path: Path) -> Iterator[Conversation]:
    """Yield the conversations of a LoCoMo file; an image counts through its caption."""
    for item in json.loads(path.read_text(encoding="utf-8")):
        talk = item["conversation"]
        turns = []
        for key in sorted((k for k in talk if re.fullmatch(r"session_\d+", k)), key=lambda k: int(k[8:])):
            start = datetime.strptime(talk[f"{key}_date_time"], "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)
            for number, said in enumerate(talk[key]):
                caption = f" [image: {said['blip_caption']}]" if said.get("blip_caption") else ""
                turns.append(
                    Turn(
                        said["dia_id"],
                        key,
                        said["speaker"],
                        (said.get("text") or "") + caption,
                        start + timedelta(seconds=30 * number),
                    )
                )
        yield _checked(
            Conversation(
                item["sample_id"],
                turns,
                [
                    Question(
                        str(qa["question"]),
                        LOCOMO_CATEGORIES.get(qa.get("category"), "other"),
                        qa.get("evidence") or [],
                    )
                    for qa in item["qa"]
                ],
            )
        )


def realtalk(path: Path) -> Iterator[Conversation]:
    """Yield the conversations of REALTALK's Chat_*.json files in a folder (or one file)."""
    for file in sorted(path.glob("Chat_*.json")) if path.is_dir() else [path]:
        item = json.loads(file.read_text(encoding="utf-8"))
        turns = []
        for key in sorted((k for k in item if re.fullmatch(r"session_\d+", k)), key=lambda k: int(k[8:])):
            for number, said in enumerate(item[key]):
                at = _realtalk_time(said.get("date_time") or item.get(f"{key}_date_time"), number)
                caption = f" [image: {said['blip_caption']}]" if said.get("blip_caption") else ""
                turns.append(
                    Turn(
                        said["dia_id"],
                        key,
                        said["speaker"],
                        str(said.get("clean_text") or said.get("text") or "") + caption,
                        at,
                    )
                )
        yield _checked(
            Conversation(
                file.stem,
                turns,
                [
                    Question(str(qa["question"]), str(qa.get("category", "other")), qa.get("evidence") or [])
                    for qa in item.get("qa", [])
                ],
            )
        )


def _realtalk_time(text: Any, number: int) -> datetime:
    for pattern in ("%d.%m.%Y, %H:%M:%S", "%I:%M %p on %d %B, %Y", "%Y-%m-%d %H:%M:%S"):
        try:
            return datetime.strptime(str(text), pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=30 * number)


def beam(path: Path) -> Iterator[Conversation]:
    """Yield BEAM's chats: folders with chat.json and probing_questions.json."""
    for folder in sorted(
        (p for p in path.iterdir() if (p / "chat.json").exists()), key=lambda p: int(p.name) if p.name.isdigit() else 0
    ):
        turns = []
        for batch in json.loads((folder / "chat.json").read_text(encoding="utf-8")):
            start = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=7 * int(batch["batch_number"]))
            for group in batch["turns"]:
                for said in group:
                    text = re.sub(r"\s*->->\s*[\d,]+\s*$", "", said["content"])
                    turns.append(
                        Turn(
                            str(said["id"]),
                            f"batch-{batch['batch_number']}",
                            said["role"],
                            text,
                            start + timedelta(minutes=len(turns)),
                            "agent" if said["role"] == "assistant" else "user",
                        )
                    )
        questions = []
        for category, asked in json.loads((folder / "probing_questions.json").read_text(encoding="utf-8")).items():
            questions += [Question(q["question"], category, _flat(q.get("source_chat_ids"))) for q in asked]
        yield _known(Conversation(f"beam-{folder.name}", turns, questions))


def _flat(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return list(dict.fromkeys(ref for item in value for ref in _flat(item)))
    return [] if value is None else [str(value)]


def _checked(conversation: Conversation) -> Conversation:
    """Return the conversation with its dialogue ids normalised."""
    for question in conversation.questions:
        clean = normalised(question.evidence)
        conversation.malformed += clean != [str(ref) for ref in question.evidence]
        question.evidence = clean
    return _known(conversation)


def _known(conversation: Conversation) -> Conversation:
    refs = {turn.ref for turn in conversation.turns}
    for question in conversation.questions:
        kept = [ref for ref in question.evidence if ref in refs]
        conversation.unknown += len(question.evidence) - len(kept)
        question.evidence = kept
    conversation.without_evidence = sum(not question.evidence for question in conversation.questions)
    return conversation


def convai(path: Path) -> Iterator[Conversation]:
    """Yield the dialogues of ConvAI 2018's export_*.json (a file or a folder); it has no questions, and its days are made up."""
    for file in sorted(path.glob("export_*.json")) if path.is_dir() else [path]:
        for number, item in enumerate(json.loads(file.read_text(encoding="utf-8"))):
            start = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=number)
            turns = [
                Turn(str(said["id"]), "one", str(said["sender"]), str(said["text"]), start + timedelta(minutes=place))
                for place, said in enumerate(item["dialog"])
            ]
            if len({turn.speaker for turn in turns}) == 2:
                yield Conversation(f"{file.stem}-{number}", turns, [])


FORMATS = {"locomo": locomo, "beam": beam, "realtalk": realtalk}
CUTS = (5, 10, 25, 50)


def metrics(ranked: list[str], evidence: list[str]) -> dict[str, float]:
    """Return recall@5/10/25/50, hit@10 and nDCG@10 of one question (binary gains)."""
    wanted = set(evidence)
    row = {f"recall@{k}": len(wanted & set(ranked[:k])) / len(wanted) for k in CUTS}
    row["hit@10"] = float(bool(wanted & set(ranked[:10])))
    gain = sum(1 / math.log2(place + 2) for place, ref in enumerate(ranked[:10]) if ref in wanted)
    row["ndcg@10"] = gain / sum(1 / math.log2(place + 2) for place in range(min(len(wanted), 10)))
    return row


def averaged(rows: list[tuple[str, dict[str, float]]]) -> dict[str, Any]:
    """Return the means over all questions and per category, in percent."""

    def mean(part: list[dict[str, float]]) -> dict[str, float]:
        return {name: round(100 * sum(row[name] for row in part) / len(part), 1) for name in part[0]}

    categories = sorted({category for category, _ in rows})
    return {
        "overall": mean([row for _, row in rows]),
        "questions": len(rows),
        "by_category": {name: mean([row for category, row in rows if category == name]) for name in categories},
    }
