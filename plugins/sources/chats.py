"""Conversations as models are trained on: ChatML (messages: role, content) and ShareGPT (conversations: from, value)."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.normalise import parse_time, reject
from plugins.sources.reading import read_json, read_text
from records.errors import SourceError
from records.ids import content_id

TIMES = ("timestamp", "created_at", "create_time", "time", "occurred_at")


class Conversations(Source):
    """Shared reading of both formats; message i of a conversation without times is i seconds after its start."""

    field = ""
    role_key = ""
    text_key = ""
    suffixes = (".jsonl", ".json")

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether the file holds such conversations."""
        keys = (self.field, self.role_key, self.text_key)
        return path.suffix in self.suffixes and all(f'"{key}"' in head for key in keys)

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield one batch per 200 conversations."""
        path = Path(target)
        items, rejects = self._items(path, options.encoding)
        batch = SourceBatch(rejects=rejects)
        for count, (number, item) in enumerate(items, start=1):
            said = item.get(self.field) if isinstance(item, dict) else None
            if not isinstance(said, list):
                batch.rejects.append(reject(self.name, path.name, number, f"no list '{self.field}'", item))
                continue
            batch.rows.extend(self._messages(item, said, number, options))
            if count % 200 == 0:
                batch.done = count / len(items)
                yield batch
                batch = SourceBatch()
        yield batch

    def _items(self, path: Path, encoding: str) -> tuple[list[tuple[int, Any]], list[dict[str, Any]]]:
        text = read_text(path, encoding)
        if text.lstrip().startswith("["):
            return list(enumerate(read_json(path, encoding), start=1)), []
        items, rejects = [], []
        lines = text.split("\n")
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                items.append((number, json.loads(line)))
            except json.JSONDecodeError:
                last = number == len(lines)
                rejects.append(
                    reject(
                        self.name,
                        path.name,
                        number,
                        "the last line ends in the middle (truncated?)" if last else "not valid JSON",
                        line,
                    )
                )
        if not items:
            raise SourceError(f"{path.name}: no line of it is JSON")
        return items, rejects

    def _messages(
        self, item: dict[str, Any], said: list[Any], number: int, options: SourceOptions
    ) -> Iterator[dict[str, Any]]:
        session = (
            item.get("id") or item.get("session_id") or content_id("s", json.dumps(said, sort_keys=True, default=str))
        )
        start = next((item[key] for key in TIMES if item.get(key)), None)
        agent, user = item.get("agent_id") or options.agent, item.get("user_id") or options.user or f"user of {session}"
        for turn, message in enumerate(said, start=1):
            if not isinstance(message, dict):
                yield {"line": number, "text": None}
                continue
            role = str(message.get(self.role_key, "")).lower()
            own = next((message[key] for key in TIMES if message.get(key)), None)
            row = {
                "line": number,
                "session_id": str(session),
                "agent_id": agent,
                "user_id": user,
                "role": role,
                "turn": turn,
                "text": _plain(message.get(self.text_key)),
                "speaker_name": message.get("name"),
                "occurred_at": own,
                "speaker_id": agent if role in ("assistant", "gpt", "bot", "model", "chatgpt") else user,
            }
            if own is None and (start is not None or options.at is not None):
                try:
                    row["occurred_at"] = parse_time(start, options) + timedelta(seconds=turn - 1)
                except ValueError:
                    row["occurred_at"] = start
            yield row


def _plain(content: Any) -> Any:
    """Return the text of a message whose content may be a list of parts."""
    if isinstance(content, list):
        return "\n".join(
            str(part.get("text", "")) for part in content if isinstance(part, dict) and part.get("type") == "text"
        )
    return content


class ChatML(Conversations):
    """OpenAI's messages format."""

    name, field, role_key, text_key = "chatml", "messages", "role", "content"


class ShareGPT(Conversations):
    """ShareGPT's conversations format."""

    name, field, role_key, text_key = "sharegpt", "conversations", "from", "value"
