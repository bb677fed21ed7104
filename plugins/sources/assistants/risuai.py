"""RisuAI's exported chats: one, or all of a character, as JSON. The file does not tell the character's name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.batches import in_batches, kept
from plugins.sources.fields import dig, flag, identity, listing, mapping, mappings, moment, string
from plugins.sources.normalise import reject
from plugins.sources.people import named_agent
from plugins.sources.reading import read_json
from records.errors import SourceError
from records.ids import content_id
from records.names import same_name

KINDS = ("risuChat", "risuAllChats")
LONGEST = 200


class RisuAI(Source):
    """Chats with a character; a session is a chat, and a message keeps the id that the application gave it."""

    name = "risuai"
    suffixes = (".json",)

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether it says that it is a chat of RisuAI."""
        return path.suffix.lower() == ".json" and any(f'"{kind}"' in head for kind in KINDS)

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield the messages; comments and those that were switched off are rejects."""
        path = Path(target)
        data = mapping(read_json(path, options.encoding))
        chats = mappings(data.get("data")) if isinstance(data.get("data"), list) else [mapping(data.get("data"))]
        if data.get("type") not in KINDS or not any(isinstance(chat.get("message"), list) for chat in chats):
            raise SourceError(f"{path.name}: not a chat of RisuAI: no 'message' in its 'data'")
        agent = named_agent(options, [], path.name)
        total = sum(len(listing(chat.get("message"))) for chat in chats)
        yield from in_batches(self._found(chats, agent, path.name, options), total)

    def _found(
        self, chats: list[dict[str, Any]], agent: str, file: str, options: SourceOptions
    ) -> Iterator[dict[str, Any]]:
        person = options.user or "user"
        for line, chat in enumerate(chats, start=1):
            session, time = _session(chat), options.at
            names = {string(each.get("name")) for each in mappings(chat.get("message")) if each.get("role") == "char"}
            title = (string(chat.get("name")) or "")[:LONGEST]
            for item in listing(chat.get("message")):
                role, text = dig(item, "role"), string(dig(item, "data"))
                time = moment(dig(item, "time"), options) or time
                if role not in ("user", "char"):
                    yield reject(self.name, file, line, "no message of a person or a character", item)
                elif flag(item.get("isComment")) or flag(item.get("disabled")):
                    yield reject(self.name, file, line, "a comment, or a message that was switched off", item)
                elif text is None:
                    yield reject(self.name, file, line, "no text", item)
                else:
                    name, known = string(item.get("name")), identity(item.get("chatId"))
                    # Of one character the file may have another name than the agent's; of several, names tell them apart.
                    other = len(names - {None}) > 1 and name is not None and not same_name(name, agent)
                    yield {
                        "line": line,
                        "session_id": session,
                        "agent_id": agent,
                        "user_id": person,
                        "speaker_id": person if role == "user" else name if other else agent,
                        "speaker_name": name,
                        "role": "user" if role == "user" else "agent",
                        "text": text,
                        "occurred_at": time,
                        "model_version": string(dig(item, "generationInfo", "model")) if role == "char" else None,
                        "metadata": kept(title=title),
                        "source_ref": known,
                        "is_id": known is not None,
                    }


def _session(chat: dict[str, Any]) -> str:
    """Return the id of a chat; one without is known by its first message."""
    opening = mapping(next(iter(listing(chat.get("message"))), None))
    own = identity(opening.get("chatId")) or content_id("c", opening.get("time"), string(opening.get("data")))
    return f"risuai/{identity(chat.get('id')) or own}"
