"""Conversations of published research: LoCoMo (Maharana et al., 2024) and MemoryBank (Zhong et al., 2023)."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.normalise import reject, zone
from plugins.sources.reading import read_json
from records.errors import SourceError

LOCOMO_TIME = "%I:%M %p on %d %B, %Y"
SESSION = re.compile(r"^session_(\d+)$")


class LoCoMo(Source):
    """LoCoMo's list of conversations; each is one memory, its speakers are people, an image counts through its caption."""

    name = "locomo"
    suffixes = (".json",)

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether it has questions and conversations with speakers."""
        return (path.suffix == ".json" and '"conversation"' in head and '"speaker_a"' in head) or (
            '"evidence"' in head[:4000] and '"qa"' in head[:200]
        )

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield one batch per conversation; turn i of a session is i times 30 seconds after its start."""
        path = Path(target)
        data = read_json(path, options.encoding)
        items = data if isinstance(data, list) else [data]
        for number, item in enumerate(items, start=1):
            if not isinstance(item, dict) or not isinstance(item.get("conversation"), dict):
                raise SourceError(f"{path.name}: item {number} has no 'conversation': not LoCoMo")
            yield self._conversation(item, number, len(items), path.name, options)

    def _conversation(
        self, item: dict[str, Any], number: int, total: int, file: str, options: SourceOptions
    ) -> SourceBatch:
        batch = SourceBatch(done=number / total)
        name, talk = str(item.get("sample_id") or f"conversation-{number}"), item["conversation"]
        for key in sorted((k for k in talk if SESSION.match(k)), key=lambda k: int(k[8:])):
            try:
                start = datetime.strptime(talk[f"{key}_date_time"], LOCOMO_TIME).replace(tzinfo=zone(options.timezone))
            except (KeyError, ValueError):
                batch.rejects.append(
                    reject(self.name, file, number, f"{key} has no time", str(talk.get(f"{key}_date_time")))
                )
                continue
            for turn, said in enumerate(talk[key], start=1):
                caption = said.get("blip_caption")
                text = str(said.get("text") or "") + (f" [image: {caption}]" if caption else "")
                batch.rows.append(
                    {
                        "line": number,
                        "session_id": f"{name}/{key}",
                        "agent_id": options.agent or name,
                        "user_id": options.user,
                        "speaker_id": f"{name}/{said.get('speaker')}",
                        "speaker_name": said.get("speaker"),
                        "role": "user",
                        "text": text,
                        "turn": turn,
                        "occurred_at": start + timedelta(seconds=30 * (turn - 1)),
                        "source_ref": said.get("dia_id"),
                        "group": True,
                    }
                )
        return batch


class MemoryBank(Source):
    """MemoryBank's companion chats, one user per key and one session per day; day sessions start at 09:00."""

    name = "memorybank"
    suffixes = (".json",)

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether users have a history."""
        return path.suffix == ".json" and '"history"' in head and '"query"' in head and '"response"' in head

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield one batch per user; the exchange i of a day is i minutes after its start."""
        path = Path(target)
        data = read_json(path, options.encoding)
        if not isinstance(data, dict):
            raise SourceError(f"{path.name}: not MemoryBank: no object of users")
        agent = options.agent or "memorybank"
        for number, (user, item) in enumerate(data.items(), start=1):
            batch = SourceBatch(done=number / len(data))
            for day, exchanges in (item.get("history") or {}).items():
                try:
                    start = datetime.fromisoformat(day).replace(hour=9, tzinfo=zone(options.timezone))
                except ValueError:
                    batch.rejects.append(reject(self.name, path.name, number, "a day that is no date", day))
                    continue
                for turn, exchange in enumerate(exchanges, start=1):
                    for step, (side, role) in enumerate((("query", "user"), ("response", "agent"))):
                        batch.rows.append(
                            {
                                "line": number,
                                "session_id": f"{agent}/{user}/{day}",
                                "agent_id": agent,
                                "user_id": user,
                                "speaker_id": user if role == "user" else agent,
                                "speaker_name": user if role == "user" else None,
                                "role": role,
                                "text": exchange.get(side),
                                "turn": 2 * turn - 1 + step,
                                "occurred_at": start + timedelta(minutes=turn - 1, seconds=20 * step),
                            }
                        )
            yield batch
