"""Messages of conversations as models are given them: who speaks, and what of the content is speech.

The forms of OpenAI (chat completions, responses, assistants), ShareGPT, Anthropic, Gemini and LangChain are read alike. Which messages
belong to one conversation does not belong here.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from plugins.contracts import SourceOptions
from plugins.sources.fields import dig, first, identity, listing, mapping, mappings, number, string
from plugins.sources.people import is_agent
from plugins.sources.values import ROLE_NAMES
from records.ids import content_id
from records.names import cleaned, same_name

TIMES = (
    "timestamp",
    "created_at",
    "createdAt",
    "create_time",
    "occurred_at",
    "sent_at",
    "time",
    "date",
    "created",
    "ts",
)
"""Keys that hold when a message was said."""

ROLES = ("role", "from", "sender", "author", "speaker", "type")
"""Keys that hold who speaks."""

CONTENTS = ("content", "value", "text", "parts", "data", "message", "output")
"""Keys that hold what is said."""

TOOLS = {
    "tool",
    "function",
    "function_call",
    "tool_call",
    "tool_calls",
    "observation",
    "ipython",
    "tool_result",
    "tool_response",
    "function_response",
    "function_call_output",
    "custom_tool_call_output",
}
"""Roles, and types of items, that are traffic between a model and its tools: rows of the platform, said by nobody."""

CALLS = {"function_call", "tool_call", "custom_tool_call", "mcp_call", "local_shell_call", "computer_call"}

TYPES = TOOLS | CALLS | {"message", "reasoning", "human", "ai", "system"}
"""Types of items in a list of messages."""

PICTURES = {"image_url", "input_image", "image", "image_file", "picture"}

SILENT = {"tool_use", "tool_result", "thinking", "reasoning", "redacted_thinking"}
"""Parts of a content that are for the model and its tools."""

THINKING = re.compile(r"\s*<(think|thinking|reasoning)>.*?</\1>", re.DOTALL)
"""Reasoning that stands before an answer."""

MODELS = {"bing", "bard", "gemini", "claude", "llm", "chat-gpt"}
"""Names under which shared conversations have the one who answers."""

DEEPEST = 5

SHORTEST_ID = 8
"""Characters of an id that names a message; shorter ones only number them."""


class Turn(NamedTuple):
    """A message as it was said, or why nothing was.

    Attributes:
        role: user, agent or system.
        text: What was said; None where `reason` says why there is nothing.
        name: Name of the speaker, where the message has one.
        when: Its own time as written, None where it has none.
        ref: Its own id.
        extras: What else is worth keeping: emotion, importance, location, model_version, metadata.
        reason: Why it is no message.
        raw: The message as it stands in the file.
        mark: The same for everything that is said alike.
    """

    role: str
    text: str | None
    name: str | None
    when: Any
    ref: str | None
    extras: dict[str, Any]
    reason: str | None
    raw: Any
    mark: str = ""


def turn_of(message: Any, options: SourceOptions) -> Turn:
    """Return a message as a turn; one that is no speech has a reason."""
    if not isinstance(message, dict):
        return _refused(message, "not a message")
    message = plain_message(message)
    written, role = _role(message, options)
    kind = string(message.get("type")) or ""
    if written is None or role is None:
        if kind in SILENT:
            return _refused(message, "thoughts of a model, nothing said")
        if kind.endswith("_call"):
            return _refused(message, "a tool call, nothing said")
        which = "no role" if written is None else "an unknown role"
        return _refused(message, f"{which}: who said it is not clear")
    content = first(message, *CONTENTS)
    text, pictures = words(content)
    if text is None:
        text = string(mapping(message.get("audio")).get("transcript")) or string(message.get("refusal"))
    text = cleaned(text).strip() if text is not None else None
    if text and role == "agent":
        text = THINKING.sub("", text, count=1).strip() if THINKING.match(text) else text
    if not text:
        return _refused(message, _unsaid(message, written, content, pictures), role)
    name = string(message.get("name")) if written not in TOOLS else None
    return Turn(
        role,
        text,
        name,
        first(message, *TIMES),
        _own_id(message),
        _extras(message, written, role, pictures),
        None,
        message,
        content_id("w", role, text),
    )


def _own_id(message: Mapping[str, Any]) -> str | None:
    ref = identity(first(message, "id", "uuid", "message_id"))
    return ref if ref is not None and len(ref) >= SHORTEST_ID else None


def _extras(message: Mapping[str, Any], written: str, role: str, pictures: int) -> dict[str, Any]:
    """Return what a message tells beside its words, as columns of a row."""
    share = number(message.get("importance"))
    weight = number(message.get("weight"))
    metadata = {
        "weight": weight,
        "pictures": pictures or None,
        "role": written if role == "system" and written != "system" else None,
    }
    found = {
        "emotion": string(message.get("emotion")),
        "importance": share if share is not None and 0 <= share <= 1 else None,
        "location": string(message.get("location")),
        "model_version": string(first(message, "model", "model_version")) if role == "agent" else None,
        "metadata": {key: value for key, value in metadata.items() if value is not None},
    }
    return {key: value for key, value in found.items() if value}


def plain_message(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message as its fields, where LangChain wrote down how to make it."""
    made = message.get("kwargs")
    if message.get("type") != "constructor" or not isinstance(made, dict):
        return message
    names = [name for name in listing(message.get("id")) if isinstance(name, str)]
    kind = names[-1].removesuffix("Chunk").removesuffix("Message").lower() if names else None
    return {**made, "type": string(made.get("type")) or kind}


def is_message(value: Any) -> bool:
    """Return whether something looks like a message: it says who speaks, or what is said, and holds no messages itself."""
    if not isinstance(value, dict):
        return False
    value = plain_message(value)
    speaks = any(key in value for key in ("role", "from", "sender", "author", "speaker"))
    says = any(key in value for key in ("content", "value", "text", "parts", "tool_calls", "refusal"))
    return speaks or says or string(value.get("type")) in TYPES


def words(content: Any, depth: int = 0) -> tuple[str | None, int]:
    """Return the text of a content, which may be a list of parts, and how many pictures it has."""
    if isinstance(content, list) and depth < DEEPEST:
        found = [words(part, depth + 1) for part in content]
        texts = [text.strip() for text, _ in found if text]
        return "\n".join(texts) or None, sum(pictures for _, pictures in found)
    if isinstance(content, dict) and depth < DEEPEST:
        kind = string(content.get("type"))
        if kind in PICTURES:
            return None, 1
        inner = first(content, "text", "refusal", "transcript", "value", "content", "parts")
        return (None, 0) if kind in SILENT else words(inner, depth + 1)
    if isinstance(content, int | float) and not isinstance(content, bool):
        return str(content), 0
    return string(content), 0


def _role(message: Mapping[str, Any], options: SourceOptions) -> tuple[str | None, str | None]:
    """Return who speaks as it is written, and as one of ours; None where that is missing, or not known."""
    kind = string(message.get("type"))
    if kind is not None and kind.lower() in TOOLS | CALLS and string(message.get("role")) is None:
        return kind.lower(), "system"
    for key in ROLES:
        value = message.get(key)
        value = mapping(value).get("role") if isinstance(value, dict) else value
        written = string(value)
        if written is None or (key == "type" and written.lower() not in ROLE_NAMES):
            continue
        written = written.strip()
        role = "system" if written.lower() in TOOLS else ROLE_NAMES.get(written.lower())
        if role is None and (is_agent(written, options) or written.lower() in MODELS):
            role = "agent"
        if role is None and same_name(written, options.user):
            role = "user"
        # One agent's log calls the others "user": the name tells who it is.
        if role == "user" and is_agent(string(message.get("name")), options):
            role = "agent"
        return written.lower(), role
    return None, None


def _unsaid(message: Mapping[str, Any], written: str, content: Any, pictures: int) -> str:
    """Return why a message has no words."""
    kinds = {string(part.get("type")) for part in mappings(content)}
    if (
        listing(message.get("tool_calls"))
        or message.get("function_call")
        or written in CALLS
        or string(message.get("type")) in CALLS
        or "tool_use" in kinds
    ):
        return "a tool call, nothing said"
    if written in TOOLS or "tool_result" in kinds:
        return "a tool's result without text"
    if pictures:
        return "a picture without words"
    if kinds & {"input_audio", "audio", "input_file", "file", "video"} or dig(message, "audio", "id"):
        return "a recording or a file without words"
    return "no text"


def _refused(message: Any, reason: str, role: str = "system") -> Turn:
    return Turn(role, None, None, None, None, {}, reason, message)
