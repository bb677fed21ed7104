"""Conversations of published research: LoCoMo (Maharana et al., 2024) and MemoryBank (Zhong et al., 2023)."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.fields import listing, mapping, string
from plugins.sources.normalise import reject
from plugins.sources.reading import read_json
from plugins.sources.times import in_utc
from records.errors import SourceError

LOCOMO_TIME = "%I:%M %p on %d %B, %Y"
"""How LoCoMo writes times."""

LATEST = datetime(9_000, 1, 1)
"""Later times are this one: they are from the future, and times are added to them."""

SESSION = re.compile(r"^session_(\d{1,9})$")


class LoCoMo(Source):
    """LoCoMo's list of conversations; each is one memory, its speakers are people, an image counts through its caption."""

    name = "locomo"
    suffixes = (".json",)

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether it has questions and conversations with speakers."""
        return path.suffix.lower() in self.suffixes and (
            ('"conversation"' in head and '"speaker_a"' in head)
            or ('"evidence"' in head[:4000] and '"qa"' in head[:200])
        )

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield one batch per conversation; turn i of a session is i times 30 seconds after its start.

        Raises:
            SourceError: it holds no such conversation.
        """
        path = Path(target)
        data = read_json(path, options.encoding)
        items = data if isinstance(data, list) else [data]
        if not any(isinstance(mapping(item).get("conversation"), dict) for item in items):
            raise SourceError(f"{path.name}: no item of it has a 'conversation': not LoCoMo")
        for number, item in enumerate(items, start=1):
            if isinstance(mapping(item).get("conversation"), dict):
                yield self._conversation(item, number, len(items), path.name, options)
            else:
                refused = reject(self.name, path.name, number, "no 'conversation'", item)
                yield SourceBatch(rejects=[refused], done=number / len(items))

    def _conversation(
        self, item: dict[str, Any], number: int, total: int, file: str, options: SourceOptions
    ) -> SourceBatch:
        batch = SourceBatch(done=number / total)
        name, talk = str(item.get("sample_id") or f"conversation-{number}"), item["conversation"]
        for key in sorted((k for k in talk if SESSION.match(k)), key=lambda k: int(k[8:])):
            try:
                local = datetime.strptime(string(talk.get(f"{key}_date_time")) or "", LOCOMO_TIME)
                start = in_utc(min(local, LATEST), options)
            except ValueError:
                batch.rejects.append(
                    reject(self.name, file, number, f"{key} has no time", str(talk.get(f"{key}_date_time")))
                )
                continue
            for turn, said in enumerate(listing(talk[key]), start=1):
                speaker, caption = string(mapping(said).get("speaker")), string(mapping(said).get("blip_caption"))
                text = f"{string(mapping(said).get('text')) or ''}{f' [image: {caption}]' if caption else ''}"
                if speaker is None or not text.strip():
                    reason = "no speaker" if speaker is None else "no text"
                    batch.rejects.append(reject(self.name, file, number, reason, said))
                    continue
                batch.rows.append(
                    {
                        "line": number,
                        "session_id": f"{name}/{key}",
                        "agent_id": options.agent or name,
                        "user_id": options.user,
                        "speaker_id": f"{name}/{speaker}",
                        "speaker_name": speaker,
                        "role": "user",
                        "text": text,
                        "turn": turn,
                        "occurred_at": start + timedelta(seconds=30 * (turn - 1)),
                        "source_ref": string(said.get("dia_id")),
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
        return (
            path.suffix.lower() in self.suffixes and '"history"' in head and '"query"' in head and '"response"' in head
        )

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield one batch per user; the exchange i of a day is i minutes after its start.

        Raises:
            SourceError: nobody in it has a history.
        """
        path = Path(target)
        data = mapping(read_json(path, options.encoding))
        if not any(isinstance(mapping(item).get("history"), dict) for item in data.values()):
            raise SourceError(f"{path.name}: not MemoryBank: no object of users with a history")
        for number, (user, item) in enumerate(data.items(), start=1):
            batch = SourceBatch(done=number / len(data))
            for day, exchanges in mapping(mapping(item).get("history")).items():
                self._day(day, listing(exchanges), user, number, path.name, options, batch)
            yield batch

    def _day(
        self,
        day: str,
        exchanges: list[Any],
        user: str,
        number: int,
        file: str,
        options: SourceOptions,
        batch: SourceBatch,
    ) -> None:
        """Add a day's exchanges to a batch."""
        agent = options.agent or "memorybank"
        try:
            start = in_utc(min(datetime.fromisoformat(day).replace(hour=9, tzinfo=None), LATEST), options)
        except ValueError:
            batch.rejects.append(reject(self.name, file, number, "a day that is no date", day))
            return
        for turn, exchange in enumerate(exchanges, start=1):
            if not isinstance(exchange, dict):
                batch.rejects.append(reject(self.name, file, number, "not an exchange", exchange))
                continue
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
