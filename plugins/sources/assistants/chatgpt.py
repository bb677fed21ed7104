"""ChatGPT: the data export (one file, numbered parts, or the whole archive), and single conversations as its web page gets them.

What was said by the person and by the assistant is taken, on the branch that the chat went on with. Calls to tools, what they gave
back, thinking, and instructions are counted and left out.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from plugins.contracts import SourceOptions
from plugins.sources.assistants.branches import chosen_branch
from plugins.sources.assistants.chatgpt_message import said
from plugins.sources.assistants.exports import ConversationsExport
from plugins.sources.batches import kept
from plugins.sources.fields import dig, first, identity, listing, mapping, mappings, moment, number, string
from plugins.sources.normalise import reject
from plugins.sources.reading import files_in, head_of, parsed, read_json, read_text
from records.errors import SourceError

EMBEDDED = "var jsonData = "
"""Before the conversations in the export's page for reading offline."""

RATINGS = {"thumbsup": 1.0, "thumbsdown": -1.0}
LONGEST_TITLE = 200
FILES_NAMED = 20


class ChatGPT(ConversationsExport):
    """ChatGPT's conversations; a session is a conversation, and a message keeps its id when the export is made again."""

    name = "chatgpt"
    suffixes = (".json", ".html")
    assistant = "ChatGPT"
    messages = ("mapping", dict)

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether it holds conversations as trees of messages."""
        if path.suffix.lower() == ".html":
            return EMBEDDED in head and '"mapping"' in head
        told = '"current_node"' in head or ('"author"' in head and '"content_type"' in head)
        return path.suffix.lower() == ".json" and '"mapping"' in head and told

    def conversation_files(self, folder: Path) -> list[Path]:
        """Return the files with conversations, or the page for reading them offline."""
        pages = (file for file in files_in(folder, "chat.html") if self.sniff(file, head_of(file)))
        return super().conversation_files(folder) or list(pages)

    def conversations(self, file: Path, options: SourceOptions) -> list[Any]:
        """Return the conversations of a file."""
        return _conversations(file, options)

    def ratings(self, folder: Path, options: SourceOptions) -> dict[str, float]:
        """Return the thumbs that were given."""
        return _ratings(folder, options)

    def conversation(
        self, talk: dict[str, Any], line: int, file: str, options: SourceOptions
    ) -> Iterator[dict[str, Any]]:
        """Yield what was said on the branch that the chat went on with, and why the rest is left out."""
        messages = {key: mapping(mapping(node).get("message")) for key, node in talk["mapping"].items()}
        ages = {key: number(message.get("create_time")) or 0.0 for key, message in messages.items()}
        branch = chosen_branch(_parents(talk["mapping"]), _text_or_none(talk.get("current_node")), ages)
        session, model = _session(talk), string(talk.get("default_model_slug"))
        told = kept(
            title=_title(talk.get("title")), gizmo=identity(first(talk, "gizmo_id", "conversation_template_id"))
        )
        times = [moment(messages[key].get("create_time"), options) for key in branch]
        # A message without time was said when the one before was.
        time = next((each for each in times if each is not None), None) or moment(talk.get("create_time"), options)
        for key, own in zip(branch, times, strict=True):
            message = messages[key]
            time = own or time
            text, reason = said(message)
            if reason is not None:
                if reason:
                    yield reject(self.name, file, line, reason, message)
                continue
            agents = dig(message, "author", "role") == "assistant"
            details = mapping(message.get("metadata"))
            edited = moment(message.get("update_time"), options)
            yield {
                "line": line,
                "session_id": session,
                "user_id": options.user or "user",
                "role": "agent" if agents else "user",
                "text": text,
                "occurred_at": time,
                "edited_at": edited if edited is not None and (own is None or edited > own) else None,
                "model_version": (string(details.get("model_slug")) or model) if agents else None,
                "metadata": kept(**told, files=_names_of_files(details)),
                "source_ref": key,
                "is_id": True,
            }
        left = set(messages).difference(branch)
        count = sum(1 for key in left if said(messages[key])[1] is None)
        if count:
            reason = "not on the branch that the chat went on with: before an edit, or another answer"
            yield reject(self.name, file, line, reason, {"conversation": session, "messages": count})


def _conversations(file: Path, options: SourceOptions) -> list[Any]:
    """Return the conversations of a file.

    Raises:
        SourceError: it has none.
    """
    if file.suffix.lower() == ".html":
        start = (text := read_text(file, options.encoding)).find(EMBEDDED)
        line = text[start + len(EMBEDDED) :].partition("\n")[0] if start >= 0 else ""
        try:
            data = parsed(line.strip().rstrip(";"))
        except ValueError:
            raise SourceError(
                f"{file.name}: no conversations in this page; import conversations.json instead"
            ) from None
    else:
        data = read_json(file, options.encoding)
    if isinstance(data, dict):
        data = [data] if "mapping" in data else data.get("conversations")
    items = listing(data)
    if not isinstance(data, list) or (items and not any(isinstance(dig(item, "mapping"), dict) for item in items)):
        raise SourceError(f"{file.name}: not a ChatGPT export: no conversation with a 'mapping'")
    return items


def _ratings(folder: Path, options: SourceOptions) -> dict[str, float]:
    """Return message to 1 (thumbs up) or -1 (thumbs down); the last one given counts."""
    ratings: dict[str, float] = {}
    for file in files_in(folder, "message_feedback.json"):
        try:
            given = mappings(read_json(file, options.encoding))
        except SourceError:
            continue  # the file of somebody who rated nothing may be empty
        for item in given:
            rating = RATINGS.get((string(item.get("rating")) or "").lower().replace("_", "").strip())
            message = identity(first(item, "message_id", "id"))
            if rating is not None and message is not None:
                ratings[message] = rating
    return ratings


def _parents(nodes: Mapping[str, Any]) -> dict[str, str | None]:
    """Return message to the one before it: as it says itself, else as the one before says."""
    by_child = {
        child: key for key, node in nodes.items() for child in listing(dig(node, "children")) if isinstance(child, str)
    }
    parents: dict[str, str | None] = {}
    for key, node in nodes.items():
        parent = _text_or_none(dig(node, "parent"))
        parents[key] = parent if parent in nodes else by_child.get(key, parent)
    return parents


def _session(talk: Mapping[str, Any]) -> str:
    """Return the id of a conversation; one without id is known by the time at which it began, a fraction of a microsecond."""
    known = identity(first(talk, "conversation_id", "id"))
    if known is None:
        began = number(talk.get("create_time"))
        nodes = [key for key, node in talk["mapping"].items() if dig(node, "message")]
        known = repr(began) if began else next(iter(nodes), "-")
    return f"chatgpt/{known}"


def _names_of_files(details: Mapping[str, Any]) -> list[str]:
    names = (string(file.get("name")) for file in mappings(details.get("attachments"))[:FILES_NAMED])
    return [name[:LONGEST_TITLE] for name in names if name is not None]


def _title(value: Any) -> str | None:
    title = string(value)
    return title[:LONGEST_TITLE] if title is not None else None


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None
