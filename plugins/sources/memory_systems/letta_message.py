"""What was said in a message of Letta or MemGPT, or why nothing was."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from plugins.sources.fields import first, mapping, mappings, string, without
from plugins.sources.memory_systems.derived import (
    Row,
)
from plugins.sources.reading import parsed

REMINDER = ("<system-reminder>", "</system-reminder>")
SPEECH_TOOL = "send_message"

NOT_SPEECH = {
    "system": "the system prompt, nobody said it",
    "system_message": "the system prompt, nobody said it",
    "tool": "a tool's answer, nobody said it",
    "function": "a tool's answer, nobody said it",
    "tool_return_message": "a tool's answer, nobody said it",
    "approval": "a question for approval, nobody said it",
    "approval_request_message": "a question for approval, nobody said it",
    "approval_response_message": "a question for approval, nobody said it",
    "reasoning_message": "the agent's inner thoughts, nobody said them",
    "hidden_reasoning_message": "the agent's inner thoughts, nobody said them",
    "summary_message": "a summary of what was said before",
    "event_message": "an event of the platform, nobody said it",
}
ROLES = {
    "user": "user",
    "user_message": "user",
    "assistant": "agent",
    "assistant_message": "agent",
    "tool_call_message": "agent",
}


def speaks_by_calls(agent: Row, messages: list[Any]) -> bool:
    """Return whether an agent speaks by calling a tool."""
    if agent.get("agent_type") == "letta_v1_agent":
        return False
    return any(name == SPEECH_TOOL for message in mappings(messages) for name, _ in _tool_calls(message))


def _tool_calls(message: Row) -> Iterator[tuple[str | None, Any]]:
    """Yield name and arguments of the calls in a message, whatever version wrote it."""
    calls = [
        *mappings(message.get("tool_calls")),
        *(mapping(message.get(key)) for key in ("tool_call", "function_call")),
    ]
    calls += [part for part in mappings(message.get("content")) if part.get("type") == "tool_call"]
    for call in calls:
        function = mapping(call.get("function")) or call
        yield string(function.get("name")), first(function, "arguments", "input")


def said_in(message: Row, calls: bool) -> tuple[str, str, str | None, Any] | str:
    """Return role, text, name and time of what was said in a message, or why nothing was."""
    kind = string(first(message, "message_type", "role")) or ""
    if kind in NOT_SPEECH:
        return NOT_SPEECH[kind]
    role = ROLES.get(kind)
    if role is None:
        return "no message of Letta"
    if role == "user":
        return _by_user(message)
    spoken = [
        text for name, given in _tool_calls(message) if name == SPEECH_TOOL and (text := _argument(given)) is not None
    ]
    if spoken:
        return "agent", "\n".join(spoken), None, None
    # A list of messages says itself which of them were said; one of an agent file may be a thought beside a call.
    thought = kind == "tool_call_message" or (calls and kind == "assistant")
    text = None if thought else _text(message)
    return ("agent", text, None, None) if text is not None else "a tool call or an inner thought, nobody said it"


def _argument(given: Any) -> str | None:
    """Return the message among a call's arguments, which are an object or JSON text."""
    if isinstance(given, str):
        try:
            given = parsed(given)
        except ValueError:
            return None
    return string(mapping(given).get("message"))


def _by_user(message: Row) -> tuple[str, str, str | None, Any] | str:
    text = _text(message)
    if text is None:
        return "no text"
    wrapped = _wrapped(text)
    if wrapped is None:
        text = without(text, *REMINDER).strip()
        return ("user", text, None, None) if text else "an event of the platform, nobody said it"
    if wrapped.get("type") != "user_message":
        return "an event of the platform, nobody said it"
    said = string(wrapped.get("message"))
    return ("user", said, string(wrapped.get("name")), wrapped.get("time")) if said is not None else "no text"


def _wrapped(text: str) -> Row | None:
    """Return the object that a server packed a message or an event into, None if it is plain text."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = mapping(parsed(text))
    except ValueError:
        return None
    known = value.get("type") in ("user_message", "heartbeat", "login", "system_alert", "system_message")
    return value if known else None


def _text(message: Row) -> str | None:
    """Return the text of a message: plain, or that of its parts that are text."""
    content = first(message, "content", "text")
    if isinstance(content, str):
        return string(content)
    parts = [string(part.get("text")) for part in mappings(content) if part.get("type", "text") == "text"]
    return string("\n".join(part for part in parts if part is not None))


def packed_time(sent: Any) -> Any:
    """Return the time that a server packed into a message: ``2025-01-28 01:18:18 AM UTC+0000``."""
    try:
        return datetime.strptime(str(sent), "%Y-%m-%d %I:%M:%S %p UTC%z")
    except ValueError:
        return sent
