"""Claude: claude.ai's data export (one file, numbered parts, or the whole archive), and single conversations as its web page gets them.

What was said by the person and by Claude is taken, on the branch that the chat went on with. Thinking, calls to tools, what they
gave back, and the content of attached files are no speech.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from plugins.contracts import SourceOptions
from plugins.sources.assistants.branches import chosen_branch
from plugins.sources.assistants.exports import ConversationsExport
from plugins.sources.batches import kept
from plugins.sources.fields import dig, first, identity, listing, mapping, mappings, moment, string
from plugins.sources.normalise import reject
from plugins.sources.reading import read_json
from records.errors import SourceError
from records.ids import content_id

ROOT = "00000000-0000-4000-8000-000000000000"
"""What a first message is said to follow."""

ROLES = {"human": "user", "user": "user", "assistant": "agent"}
WORDS = ("text", "voice_note")
"""Types of content that were said; thinking, tool_use, tool_result, token_budget … were not."""

WRAPPER = re.compile(r"<(/?)(antThinking|antArtifact)\b[^<>]{0,1000}>")
UNSUPPORTED = re.compile(r"```\s*This block is not supported on your current device yet\.\s*```")
"""Older exports flatten thinking and documents into the text like this."""

BESIDE = ("memories.json", "projects.json")
LONGEST_NAME = 200
FILES_NAMED = 20


class Claude(ConversationsExport):
    """claude.ai's conversations; a session is a conversation, and a message keeps its id when the export is made again."""

    name = "claude"
    suffixes = (".json",)
    assistant = "Claude"
    messages = ("chat_messages", list)

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether conversations have messages as claude.ai calls them."""
        return path.suffix.lower() == ".json" and '"chat_messages"' in head

    def conversations(self, file: Path, options: SourceOptions) -> list[Any]:
        """Return the conversations of a file."""
        return _conversations(file, options)

    def left_out(self, folder: Path) -> str | None:
        """Return what else an export holds."""
        beside = [name for name in BESIDE if (folder / name).is_file()]
        return f"{', '.join(beside)}: not read; only conversations are" if beside else None

    def conversation(
        self, talk: dict[str, Any], line: int, file: str, options: SourceOptions
    ) -> Iterator[dict[str, Any]]:
        """Yield what was said on the branch that the chat went on with, and why the rest is left out."""
        messages = _by_id(talk["chat_messages"])
        for broken in (item for item in talk["chat_messages"] if not isinstance(item, dict)):
            yield reject(self.name, file, line, "not a JSON object", broken)
        ages = {key: time.timestamp() for key, item in messages.items() if (time := _time(item, options)) is not None}
        branch = chosen_branch(_parents(messages), identity(talk.get("current_leaf_message_uuid")), ages)
        session, model = _session(talk, messages), string(talk.get("model"))
        told = kept(title=_short(talk.get("name")), project=_short(dig(talk, "project", "name")))
        times = [_time(messages[key], options) for key in branch]
        # A message without time was said when the one before was.
        time = next((each for each in times if each is not None), None) or moment(talk.get("created_at"), options)
        for key, own in zip(branch, times, strict=True):
            message = messages[key]
            time = own or time
            text, reason = _said(message)
            if reason is not None:
                yield reject(self.name, file, line, reason, message)
                continue
            role = ROLES[message["sender"]]
            edited, named = moment(message.get("updated_at"), options), not key.startswith("#")
            row = {
                "line": line,
                "session_id": session,
                "user_id": options.user or "user",
                "role": role,
                "text": text,
                "occurred_at": time,
                "edited_at": edited if edited is not None and (own is None or edited > own) else None,
                "model_version": (string(message.get("model")) or model) if role == "agent" else None,
                "metadata": kept(**told, files=_files_of(message)),
                "source_ref": key if named else None,
                "is_id": named,
            }
            rating = _rating(message)
            yield row if rating is None else {**row, "feedback": {"rating": rating}}
        count = sum(1 for key in set(messages).difference(branch) if _said(messages[key])[1] is None)
        if count:
            reason = "not on the branch that the chat went on with: before an edit, or another answer"
            yield reject(self.name, file, line, reason, {"conversation": session, "messages": count})


def _conversations(file: Path, options: SourceOptions) -> list[Any]:
    """Return the conversations of a file.

    Raises:
        SourceError: it has none.
    """
    data = read_json(file, options.encoding)
    if isinstance(data, dict):
        data = [data] if "chat_messages" in data else data.get("conversations")
    items = listing(data)
    if not isinstance(data, list) or (items and not any("chat_messages" in mapping(item) for item in items)):
        raise SourceError(f"{file.name}: not a Claude export: no conversation with 'chat_messages'")
    return items


def _by_id(items: list[Any]) -> dict[str, dict[str, Any]]:
    """Return the messages by their ids, in the order of the file; one without id is known by its place here."""
    return {identity(item.get("uuid")) or f"#{place}": item for place, item in enumerate(mappings(items))}


def _parents(messages: Mapping[str, dict[str, Any]]) -> dict[str, str | None]:
    """Return message to the one before it; where a message does not say, as in older exports, that of the file."""
    parents: dict[str, str | None] = {}
    before: str | None = None
    for key, item in messages.items():
        told = "parent_message_uuid" in item
        parent = identity(item.get("parent_message_uuid")) if told else before
        parents[key] = None if parent == ROOT else parent
        before = key
    return parents


def _session(talk: Mapping[str, Any], messages: Mapping[str, Any]) -> str:
    known = identity(first(talk, "uuid", "id"))
    if known is None:
        known = content_id("s", talk.get("created_at"), next(iter(messages), "-"))
    return f"claude/{known}"


def _time(message: Mapping[str, Any], options: SourceOptions) -> Any:
    return moment(message.get("created_at"), options)


def _said(message: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return what was said and None, or None and why it is no speech."""
    sender, content = message.get("sender"), mappings(message.get("content"))
    if not isinstance(sender, str) or sender not in ROLES:
        return None, "no sender that is known"
    blocks = [string(block.get("text")) for block in content if block.get("type") in WORDS]
    text = string("\n\n".join(block.strip() for block in blocks if block is not None))
    if text is None and (sender != "assistant" or not content):
        # Older exports have no content; of an answer that has, the flat text is thinking and calls to tools.
        text = string(message.get("text"))
    if text is not None:
        text = string(UNSUPPORTED.sub("", _unwrapped(text)))
    if text is not None:
        return text, None
    if content and sender == "assistant":
        return None, "thinking or a call to a tool, nothing said"
    return None, "a file without words" if _files_of(message) else "no text"


def _unwrapped(text: str) -> str:
    """Return a text without the thinking and the documents in it; one that does not end stays."""
    pieces: list[str] = []
    place, inside = 0, ""
    for tag in WRAPPER.finditer(text):
        if not tag[1] and not inside:
            pieces.append(text[place : tag.start()])
            place, inside = tag.start(), tag[2]
        elif tag[1] and tag[2] == inside:
            place, inside = tag.end(), ""
    return "".join((*pieces, text[place:]))


def _files_of(message: Mapping[str, Any]) -> list[str]:
    """Return the names of what was attached; what is in it was not said."""
    files = [*mappings(message.get("attachments")), *mappings(message.get("files"))]
    names = [string(file.get("file_name")) or "without name" for file in files[:FILES_NAMED]]
    return [name[:LONGEST_NAME] for name in names]


def _rating(message: Mapping[str, Any]) -> float | None:
    kind = string(dig(message, "chat_feedback", "type")) or ""
    return 1.0 if kind == "upvote" else -1.0 if kind == "downvote" or kind.startswith("flag") else None


def _short(value: Any) -> str | None:
    text = string(value)
    return text[:LONGEST_NAME] if text is not None else None
