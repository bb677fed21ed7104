"""Chats as messengers export them: WhatsApp's text file and Discord's JSON (DiscordChatExporter)."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.normalise import reject, zone
from plugins.sources.reading import read_json, read_text
from records.errors import SourceError

# "[12/01/25, 10:11:12] Ana: hola" (iOS) and "12/1/25, 10:11 p. m. - Ana: hola" (Android)
STAMP = re.compile(
    r"^[\u200e\u200f\u202a]?\[?(\d{1,4})[/.\-](\d{1,2})[/.\-](\d{1,4}),?\s+(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?"
    r"[\s\u202f\u00a0]*([ap]\.?[\s\u202f\u00a0]?m\.?)?\]?\s*[-–]?\s*(.*)$",
    re.IGNORECASE,
)
SAID = re.compile(r"^[\u200e\u200f]?([^:]{1,60}?):\s(.*)$", re.DOTALL)
NO_TEXT = re.compile(
    r"^[\u200e\u200f]?(<[^>]*(omit|adjunto|attached)[^>]*>|.{1,30} (omitted|omitid[oa])|"
    r"(null|This message was deleted\.?|Se eliminó este mensaje\.?))$",
    re.IGNORECASE,
)
BATCH = 5_000


class WhatsApp(Source):
    """WhatsApp's "Export chat" file, iOS and Android, 12 or 24 hours, English and Spanish.

    A session is a day of the chat, so that the file can be exported again, longer, without changing what is known.
    """

    name = "whatsapp"
    suffixes = (".txt",)

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether one of the first lines starts with a date as WhatsApp writes it."""
        return path.suffix in self.suffixes and any(STAMP.match(line) for line in head.split("\n")[:5])

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches; notices of the app and media without text are rejects."""
        path = Path(target)
        entries = self._entries(read_text(path, options.encoding))
        if not entries:
            raise SourceError(f"{path.name}: no line looks like a WhatsApp message")
        day_first = _day_first(entries) if options.day_first is None else options.day_first
        said = [(line, stamp, SAID.match(body)) for line, stamp, body in entries]
        names = sorted({match[1].strip() for _, _, match in said if match})
        others = [name for name in names if name != options.agent]
        user = options.user or (others[0] if len(others) == 1 else None)
        chat = path.stem
        seen: Counter[tuple[Any, ...]] = Counter()
        batch = SourceBatch()
        for number, ((line, stamp, match), (_, _, body)) in enumerate(zip(said, entries, strict=True), start=1):
            moment = _moment(stamp, day_first, options)
            if moment is None:
                batch.rejects.append(reject(self.name, path.name, line, "a date that does not exist", body))
            elif match is None:
                batch.rejects.append(reject(self.name, path.name, line, "a notice of the app, nobody said it", body))
            elif NO_TEXT.match(match[2].strip()):
                batch.rejects.append(reject(self.name, path.name, line, "media or deleted message, no text", body))
            else:
                name, text = match[1].strip(), match[2].strip()
                key = (name, moment, text)
                seen[key] += 1
                batch.rows.append(
                    {
                        "line": line,
                        "session_id": f"{chat}/{moment:%Y-%m-%d}",
                        "agent_id": options.agent or chat,
                        "user_id": user,
                        "speaker_id": name,
                        "speaker_name": name,
                        "role": "agent" if name == options.agent else "user",
                        # Minutes are all the file has: the same words twice in one are told apart by their count.
                        "text": text,
                        "occurred_at": moment,
                        "source_ref": str(seen[key]),
                        "group": len(names) > 2,
                    }
                )
            if len(batch.rows) >= BATCH:
                batch.done = number / len(entries)
                yield batch
                batch = SourceBatch()
        yield batch

    @staticmethod
    def _entries(text: str) -> list[tuple[int, tuple[str | None, ...], str]]:
        entries: list[tuple[int, tuple[str | None, ...], str]] = []
        for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
            match = STAMP.match(line)
            if match:
                entries.append((number, match.groups()[:7], match[8]))
            elif entries:
                first, stamp, body = entries[-1]
                entries[-1] = (first, stamp, f"{body}\n{line}")
        return [(number, stamp, body.rstrip("\n")) for number, stamp, body in entries]


def _day_first(entries: list[tuple[int, tuple[str | None, ...], str]]) -> bool:
    """Return whether 03/04 is 3 April: a second number above 12 anywhere says that it is not."""
    return not any(int(stamp[1] or 0) > 12 for _, stamp, _ in entries)


def _moment(stamp: tuple[str | None, ...], day_first: bool, options: SourceOptions) -> datetime | None:
    first, second, third, hour, minute, seconds = (int(part or 0) for part in stamp[:6])
    if first > 31:
        year, month, day = first, second, third
    else:
        day, month, year = (first, second, third) if day_first else (second, first, third)
    half = (stamp[6] or "").lower()
    if half:
        hour = hour % 12 + (12 if half.startswith("p") else 0)
    try:
        return datetime(
            year + 2000 if year < 100 else year, month, day, hour, minute, seconds, tzinfo=zone(options.timezone)
        )
    except ValueError:
        return None


class Discord(Source):
    """A channel as DiscordChatExporter writes it in JSON; a session is a day of the channel, bots are agents."""

    name = "discord"
    suffixes = (".json",)

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether it has a guild and a channel."""
        return path.suffix == ".json" and '"guild"' in head and '"channel"' in head

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches; messages without text (images, joins) are rejects."""
        path = Path(target)
        data = read_json(path, options.encoding)
        if not isinstance(data, dict) or not isinstance(data.get("messages"), list) or "channel" not in data:
            raise SourceError(f"{path.name}: not a Discord export: no 'channel' and 'messages'")
        channel, messages = data["channel"], data["messages"]
        people = {str(m.get("author", {}).get("id")) for m in messages if not m.get("author", {}).get("isBot")}
        agent = options.agent or next(
            (str(m["author"].get("name")) for m in messages if m.get("author", {}).get("isBot")), None
        )
        batch = SourceBatch()
        for number, item in enumerate(messages, start=1):
            author = item.get("author") or {}
            if not str(item.get("content") or "").strip():
                batch.rejects.append(reject(self.name, path.name, number, "no text (image, sticker or notice)", item))
                continue
            bot = bool(author.get("isBot")) or author.get("name") == options.agent
            speaker = str(author.get("name")) if bot else str(author.get("id") or author.get("name"))
            batch.rows.append(
                {
                    "line": number,
                    "session_id": f"discord/{channel.get('id') or channel.get('name')}/{str(item.get('timestamp'))[:10]}",
                    "agent_id": agent or f"discord/{channel.get('name')}",
                    "speaker_id": speaker,
                    "user_id": options.user or (next(iter(people)) if len(people) == 1 else None),
                    "speaker_name": author.get("nickname") or author.get("name"),
                    "role": "agent" if bot else "user",
                    "text": item["content"],
                    "occurred_at": item.get("timestamp"),
                    "source_ref": str(item.get("id") or number),
                    "group": len(people) > 1,
                }
            )
            if len(batch.rows) >= BATCH:
                batch.done = number / len(messages)
                yield batch
                batch = SourceBatch()
        yield batch
