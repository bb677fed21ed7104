"""Which conversations a JSON value holds: records of training sets, logs of requests and answers, and wrappers around either.

What a single message says does not belong here (see `plugins.sources.conversations.conversation_turns`).
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from plugins.sources.conversations.conversation_exchanges import exchanged, instructed
from plugins.sources.conversations.conversation_markup import said_in_text
from plugins.sources.conversations.conversation_turns import is_message
from plugins.sources.fields import first, identity, listing, mapping, mappings, string
from plugins.sources.reading import parsed

TALKS = ("messages", "conversations", "conversation", "dialogue", "dialog", "turns", "contents", "chat")
"""Keys of a list of messages; of a list of conversations, too, where its items hold messages themselves."""

WRAPPERS = (
    "data",
    "items",
    "results",
    "chats",
    "threads",
    "sessions",
    "records",
    "rows",
    "row",
    "samples",
    "train",
    "history",
    "logs",
)
"""Keys of a list of conversations."""

REQUESTS = ("request", "request_body", "body", "inputs", "input", "kwargs")
RESPONSES = ("response", "response_body", "outputs", "output", "completion")
"""Keys under which logs and batches keep what was sent and what came back."""

ANSWERS = ("preferred_output", "preferred_completion", "chosen", "completion", "output", "response")
"""Keys of the answer of a record, where it does not stand among the messages; the first that is there counts."""

REFUSED = ("non_preferred_output", "non_preferred_completion", "rejected", "rejected_response")
"""Keys of answers that were judged worse than the one that counts."""

EXCHANGES = ("internal", "visible", "history")
"""Keys of a list of exchanges."""

TEXTS = ("text", "chosen", "prompt", "conversation", "conversations")
"""Keys of one text that may be a whole conversation."""

DEEPEST = 6


class Conversation(NamedTuple):
    """Messages that belong together.

    Attributes:
        about: What is told of all of them: ids, times, people, model.
        said: The messages, as they stand in the file.
        is_log: Whether it is one request with its answer: the messages before the last ones were said earlier.
        left_out: Answers that were never given, with the reason.
        responses: Ids of the answers of a log, which a later request may name.
    """

    about: dict[str, Any]
    said: list[Any]
    is_log: bool = False
    left_out: tuple[tuple[str, Any], ...] = ()
    responses: tuple[str, ...] = ()


def conversations_of(value: Any, depth: int = 0) -> Iterator[Any]:
    """Yield the conversations of a value in their order, each a `Conversation`; what holds none is yielded as it is."""
    if isinstance(value, list):
        if any(is_message(item) and _inner(item) is None for item in value):
            yield Conversation({}, value)
            return
        for item in value:
            yield from conversations_of(item, depth + 1) if depth < DEEPEST else (item,)
        return
    inner = _inner(value) if isinstance(value, dict) and depth < DEEPEST else None
    if isinstance(inner, Conversation):
        yield inner
    elif inner is not None:
        yield from conversations_of(inner, depth + 1)
    else:
        yield value


def _inner(item: Mapping[str, Any], depth: int = 0) -> Conversation | list[Any] | dict[str, Any] | None:
    """Return the conversation that an object is, or the list or object of conversations that it wraps."""
    record = _record(item)
    if record is not None:
        return record
    for key in (*TALKS, *WRAPPERS):
        value = item.get(key)
        if isinstance(value, list) and value:
            return value
        if isinstance(value, dict) and depth < DEEPEST and _inner(value, depth + 1) is not None:
            return value
    return None


def _record(item: Mapping[str, Any]) -> Conversation | None:
    """Return the conversation of a record or of a line of a log."""
    sent: list[Mapping[str, Any]] = [item, *(part for key in REQUESTS if (part := _object(item.get(key))))]
    came: list[Mapping[str, Any]] = [item]
    for key in RESPONSES:
        part = _object(item.get(key))
        came += [part, *([body] if (body := _object(part.get("body"))) else [])] if part else []
    asked = next((found for part in sent if (found := _asked(part)) is not None), None)
    answered: list[Any] = []
    others: list[tuple[str, Any]] = []
    for reply in came:
        answers, alternatives = _answered(reply)
        others += alternatives
        answered = answered or answers
    if asked is None and not answered:
        return None
    about: dict[str, Any] = {}
    for told in (*reversed(came), *reversed(sent)):  # what the record itself says counts most
        about |= {key: value for key, value in told.items() if value is not None and not _is_said(key, value)}
    head = string(about.get("system")) or string(about.get("instructions"))
    asked = asked or []
    if answered[: len(asked)] == asked:  # some give the answer together with what was asked
        answered = answered[len(asked) :]
    said = [*([{"role": "system", "content": head}] if head else []), *asked, *answered]
    responses = tuple(known for reply in came if (known := identity(reply.get("id"))) is not None)
    return Conversation(about, said, bool(answered) and _is_log(item, came), tuple(others), responses)


def _is_said(key: str, value: Any) -> bool:
    return key in (*REQUESTS, *RESPONSES, "choices") or (key in TALKS and isinstance(value, list))


def _asked(part: Mapping[str, Any]) -> list[Any] | None:
    """Return the messages of a record, or those that a request sent."""
    found = (
        next((told for key in TALKS if (told := _listed(part.get(key)))), None)
        or instructed(part)
        or next((told for key in EXCHANGES if (told := exchanged(listing(part.get(key))))), None)
        or next((told for key in TEXTS if (told := said_in_text(part.get(key)))), None)
    )
    if found is not None:
        return found
    for key in ("input", "prompt"):
        value = part.get(key)
        if isinstance(value, list) and any(is_message(item) for item in value):
            return value
        if string(value) is not None and any(other in part for other in ("choices", "output", "completion", "model")):
            return [{"role": "user", "content": value}]
    return None


def _listed(value: Any) -> list[Any] | None:
    """Return the messages of a list of messages, or of exchanges; None where it holds conversations."""
    items = listing(value)
    return exchanged(items) or (items if items and not _is_wrapper(items) else None)


def _answered(part: Mapping[str, Any]) -> tuple[list[Any], list[tuple[str, Any]]]:
    """Return the answer of a record or of a response, and the answers beside it that were not given."""
    others = [("an answer that was judged worse, never given", part[key]) for key in REFUSED if part.get(key)]
    choices = mappings(part.get("choices"))
    if choices:
        others += [("another answer than the first, never given", choice) for choice in choices[1:]]
        given = first(choices[0], "message", "text")
        return _as_answers(given), others
    for key in ANSWERS:
        found = _as_answers(part.get(key))
        if found:
            return found, others
    return [], others


def _as_answers(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value if any(is_message(item) for item in value) else []
    if string(value) is not None:
        if (found := said_in_text(value)) is not None:
            return found
        is_envelope = any(key in _object(value) for key in ("choices", "output", "body"))
        return [] if is_envelope else [{"role": "assistant", "content": value}]
    return [value] if is_message(value) else []


def _is_log(item: Mapping[str, Any], came: list[Mapping[str, Any]]) -> bool:
    return any("choices" in part or part.get("object") == "response" for part in came) or any(
        key in item for key in (*RESPONSES, "request", "request_body")
    )


def _is_wrapper(items: list[Any]) -> bool:
    """Return whether a list holds conversations, not messages."""
    return any(
        isinstance(item, list)
        or (isinstance(item, dict) and any(isinstance(item.get(key), list) for key in TALKS) and "role" not in item)
        for item in items
    )


def _object(value: Any) -> dict[str, Any]:
    """Return an object that may be written as text, as logs do, else an empty one."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            return mapping(parsed(value))
        except ValueError:
            return {}
    return mapping(value)


def session_of(about: Mapping[str, Any]) -> str | None:
    """Return the id of the conversation that a record says it is part of; its own id is not that one's."""
    keys = (
        "session_id",
        "conversation_id",
        "thread_id",
        "chat_id",
        "dialogue_id",
        "sessionId",
        "conversationId",
        "threadId",
    )
    for part in (about, mapping(about.get("metadata"))):
        found = first(part, *keys)
        if isinstance(found, str | int) and not isinstance(found, bool):
            return str(found).strip()
    inner = about.get("conversation")
    return string(mapping(inner).get("id")) or string(inner)


def told_of(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is worth keeping of a conversation with each of its messages, if it is short."""
    tags = [tag for tag in listing(about.get("tags")) if isinstance(tag, str)]
    title, given = string(about.get("title")), mapping(about.get("metadata"))
    plain = {key: value for key, value in given.items() if isinstance(value, str | int | float | bool)}
    small = len(str(plain)) <= 1_000
    found = {**(plain if small else {}), "title": title[:200] if title else None, "tags": tags[:20]}
    return {key: value for key, value in found.items() if value not in (None, [], "")}
