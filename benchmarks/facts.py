"""Facts read by rules in ConvAI's chats, against the personas the speakers were given.

    python -m benchmarks.facts PATH/convai

A persona sentence counts as stated when a message of its speaker says at least two thirds of its content words (two or more of
them). Recall: of the stated sentences, the share for which a fact was read from such a message with half of its value's content
words in the sentence. Precision: of the facts read from such messages, the share whose value has at least half of its content words
in one of the speaker's persona sentences.
"""

import argparse
import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from language.lexicon import STOP_WORDS
from language.terms import WORD, term
from plugins.extractors.facts_rules import RuleFacts

STATED = 2 / 3
SAME = 0.5


def content(text: str) -> set[int]:
    """Return the stems of the content words."""
    return {term(word, "en") for word in WORD.findall(text.lower()) if word not in STOP_WORDS and len(word) > 1}


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    personas: dict[str, list[set[int]]] = {}
    start = datetime(2018, 7, 1, tzinfo=UTC)
    for file in sorted(options.path.glob("export_*.json")):
        for dialog in json.loads(file.read_text(encoding="utf-8")):
            kinds = {"user_profile": "Human", "bot_profile": "Bot"}
            for number, said in enumerate(dialog["dialog"]):
                # In the later exports the sender is named by class; in the others the first participant is the human.
                who = str(
                    said.get("sender_class") or {"participant1": "Human", "participant2": "Bot"}.get(said["sender"], "")
                )
                speaker = f"{dialog['dialog_id']}/{who}"
                rows.append(
                    {
                        "message_id": f"{dialog['dialog_id']}/{number}",
                        "session_id": str(dialog["dialog_id"]),
                        "agent_id": "bot",
                        "user_id": speaker,
                        "user_key": None,
                        "speaker_id": speaker,
                        "speaker_name": who,
                        "role": "user",
                        "text": said["text"] or "-",
                        "turn": number,
                        "week": "2018-07-02",
                        "occurred_at": start + timedelta(seconds=len(rows)),
                    }
                )
            for field, who in kinds.items():
                sentences = dialog.get(field) or []
                personas[f"{dialog['dialog_id']}/{who}"] = [
                    content(text) for text in sentences if isinstance(text, str)
                ]
    messages = pl.DataFrame(rows, schema_overrides={"user_key": pl.String})
    begun = time.perf_counter()
    facts = RuleFacts().extract(messages)
    took = time.perf_counter() - begun
    read: dict[str, list[set[int]]] = {}
    for source, value in facts.select(pl.col("source_message_ids").list.first(), "value").iter_rows():
        read.setdefault(source, []).append(content(value))
    stated = found = judged = right = 0
    by_speaker: dict[str, list[tuple[str, set[int]]]] = {}
    for row in rows:
        by_speaker.setdefault(row["speaker_id"], []).append((row["message_id"], content(row["text"])))
    for speaker, sentences in personas.items():
        told = by_speaker.get(speaker, [])
        stating: set[str] = set()
        for sentence in sentences:
            where = [key for key, words in told if len(words & sentence) >= max(2, STATED * len(sentence))]
            stating.update(where)
            if where:
                stated += 1
                values = [value for key in where for value in read.get(key, [])]
                found += any(len(value & sentence) >= max(1, SAME * len(value)) for value in values if value)
        for key in stating:
            for value in read.get(key, []):
                if value:
                    judged += 1
                    right += any(len(value & sentence) >= SAME * len(value) for sentence in sentences)
    line = {
        "benchmark": "facts",
        "messages": messages.height,
        "facts": facts.height,
        "stated": stated,
        "recall": round(found / max(stated, 1), 3),
        "precision": round(right / max(judged, 1), 3),
        "judged": judged,
        "messages_per_s": round(messages.height / took),
        "load": os.getloadavg()[0],
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
