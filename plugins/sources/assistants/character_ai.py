"""Character.AI: the histories that browser extensions save, the answers of its interface, and CAI Tools' page for reading offline.

Where the chats are in a file, and who is who in them. One message is read in `plugins.sources.assistants.character_ai_message`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.assistants.character_ai_message import Said, looks_like_message, said, time_of
from plugins.sources.batches import in_batches, kept
from plugins.sources.fields import dig, first, identity, mapping, moment, string
from plugins.sources.normalise import reject
from plugins.sources.people import is_agent, named_agent, nobody_is
from plugins.sources.reading import parsed, read_json, read_text
from records.errors import SourceError
from records.ids import content_id
from records.names import fold, same_name

PAGE = "JSON.parse(`"
"""Before the chats in the page for reading offline."""

MESSAGES = ("msgs", "messages", "turns", "chat")
CHATS = ("histories", "history", "chats", "conversations", "hist_retriever")
DEEPEST = 6
SIGNS = (
    ('"primary_candidate_id"', '"candidates"'),
    ('"src__is_human"',),
    ('"histories"', '"msgs"'),
    ('"histories"', '"external_id"'),
    ('"msgs"', '"is_human"'),
    ('"isHuman"', '"message"', '"name"'),
    ('"charPic"', '"isUser"'),
    ('"hist_retriever"',),
)
"""Keys of which one set is in the head of every file that is meant."""


@dataclass
class Chat:
    """One chat as the file has it: with a character, begun at some time, its messages as they are."""

    id: str | None
    character: str | None
    created: datetime | None
    messages: list[Any] = field(default_factory=list)


class CharacterAI(Source):
    """Chats with characters; the character is the agent, a session is a chat, and of regenerated answers the chosen one counts."""

    name = "character_ai"
    suffixes = (".json", ".html")

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether it has keys that only Character.AI's chats have."""
        if path.suffix.lower() == ".html":
            return PAGE in head and '"charPic"' in head
        return path.suffix.lower() == ".json" and any(all(key in head for key in keys) for keys in SIGNS)

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield the chats; those with other characters than the agent that was named are rejects."""
        path = Path(target)
        data = _page(path, options) if path.suffix.lower() == ".html" else read_json(path, options.encoding)
        encoded = "charPic" in mapping(data)
        chats = [
            (chat, [said(item, options, encoded) for item in _in_order(chat.messages, options)])
            for chat in _joined(_chats(data, None, options))
        ]
        if not chats:
            raise SourceError(f"{path.name}: not a Character.AI export: no chat with messages in it")
        for chat, messages in chats:
            chat.character = chat.character or next((each.name for each in messages if each.human is False), None)
        if any(chat.character is None for chat, _ in chats):
            named_agent(options, _speakers(chats), path.name)
        total = sum(len(messages) for _, messages in chats)
        characters = [chat.character for chat, _ in chats if chat.character is not None]
        several = options.agent is not None and len({fold(name) for name in characters}) > 1
        named = several and any(is_agent(name, options) for name in characters)
        notes = [nobody_is(options, characters, path.name)] if several else []
        yield from in_batches(self._found(chats, path.name, several, named, options), total, notes)

    def _found(
        self, chats: list[tuple[Chat, list[Said]]], file: str, several: bool, named: bool, options: SourceOptions
    ) -> Iterator[dict[str, Any]]:
        for line, (chat, messages) in enumerate(chats, start=1):
            if named and not is_agent(chat.character, options):
                told = {"chat": chat.id, "messages": len(messages)}
                yield reject(self.name, file, line, "a chat with another character than the agent that was named", told)
                continue
            agent = options.agent or chat.character or ""
            own = set() if several and not named else _own(chat, messages, agent)
            person = _person(messages, options)
            session, time, placed = _session(chat, messages), chat.created or options.at, False
            others = 0
            for each in messages:
                if each.alternative:
                    others += 1
                    continue
                # Dumps without times: message i of a chat is i seconds after its beginning.
                time, placed = each.time or (_later(time) if placed else time), True
                if each.text is None:
                    yield reject(self.name, file, line, each.why_no_text, each.raw)
                    continue
                ours = _is_ours(each, chat.character, agent)
                speaker = (agent if each.key in own else each.name or agent) if ours else person
                yield {
                    "line": line,
                    "session_id": session,
                    "agent_id": agent,
                    "user_id": person,
                    "speaker_id": speaker,
                    "speaker_name": each.name,
                    "role": "agent" if ours else "user",
                    "text": each.text,
                    "occurred_at": time,
                    "edited_at": each.edited,
                    "metadata": kept(pinned=each.pinned),
                    "source_ref": each.id,
                    "is_id": each.id is not None,
                }
            if others:
                reason = "other answers than the one that the chat went on with"
                yield reject(self.name, file, line, reason, {"chat": session, "messages": others})


def _page(path: Path, options: SourceOptions) -> Any:
    """Return the chats in a page for reading offline.

    Raises:
        SourceError: there are none.
    """
    found = read_text(path, options.encoding).partition(PAGE)[2].partition("`)")[0]
    try:
        return parsed(found)
    except ValueError:
        raise SourceError(f"{path.name}: no chats in this page; save it again with CAI Tools") from None


def _chats(value: Any, character: str | None, options: SourceOptions, depth: int = 0) -> Iterator[Chat]:
    """Yield the chats wherever a file keeps them: under names that are known, or in lists."""
    if depth > DEEPEST:
        return
    if isinstance(value, list):
        if any(looks_like_message(item) for item in value):
            yield Chat(_chat_of_turns(value), character, None, value)
            return
        for item in value:
            yield from _chats(item, character, options, depth + 1)
    elif isinstance(value, dict):
        character = _character(value) or character
        messages = next((value[key] for key in MESSAGES if isinstance(value.get(key), list)), None)
        if messages is not None:
            known = identity(first(value, "external_id", "chat_id", "history_id", "id")) or _chat_of_turns(messages)
            created = moment(first(value, "created", "create_time", "created_at", "date"), options)
            yield Chat(known, character, created, messages)
            return
        for key in CHATS:
            yield from _chats(value.get(key), character, options, depth + 1)


def _joined(chats: Iterable[Chat]) -> list[Chat]:
    """Return the chats, with those that come in several pages in one piece."""
    found: list[Chat] = []
    known: dict[str, Chat] = {}
    for chat in chats:
        before = known.get(chat.id) if chat.id is not None else None
        if before is not None:
            before.messages = [*before.messages, *chat.messages]
            continue
        found.append(chat)
        if chat.id is not None:
            known[chat.id] = chat
    return found


def _chat_of_turns(messages: list[Any]) -> str | None:
    return next((known for item in messages if (known := identity(dig(item, "turn_key", "chat_id")))), None)


def _character(value: Mapping[str, Any]) -> str | None:
    """Return the character that a file or a chat says it is with."""
    places = (
        dig(value, "info", "character", "name"),
        dig(value, "info", "character", "participant__name"),
        dig(value, "info", "name"),
        dig(value, "character", "name"),
        dig(value, "character", "participant__name"),
        value.get("character"),
        value.get("character_name"),
        value.get("char_name"),
        value.get("chat__character__name"),
        dig(value, "chat", "character_name"),
    )
    return next((name.strip() for place in places if (name := string(place)) is not None), None)


def _in_order(messages: list[Any], options: SourceOptions) -> list[Any]:
    """Return the messages from the first to the last: the interface gives the newest first."""
    times = [time for item in messages if (time := time_of(item, options)) is not None]
    return messages[::-1] if times and times[0] > times[-1] else messages


def _is_ours(each: Said, character: str | None, agent: str) -> bool:
    """Return whether a character spoke; where a message does not say, its name does."""
    return not each.human if each.human is not None else same_name(each.name, character) or same_name(each.name, agent)


def _own(chat: Chat, messages: list[Said], agent: str) -> set[str | None]:
    """Return the keys of those speakers who are the agent: the only character, or among several the one of that name."""
    spoke = {each.key: each.name for each in messages if _is_ours(each, chat.character, agent) and each.text}
    if len(spoke) <= 1:
        return set(spoke)
    named = {key for key, name in spoke.items() if same_name(name, agent)}
    return named or {key for key, name in spoke.items() if same_name(name, chat.character)}


def _speakers(chats: list[tuple[Chat, list[Said]]]) -> set[str]:
    return {each.name for _, messages in chats for each in messages if each.name is not None}


def _person(messages: list[Said], options: SourceOptions) -> str:
    people = (each for each in messages if each.human)
    return options.user or next((known for each in people if (known := each.author or each.name)), "user")


def _session(chat: Chat, messages: list[Said]) -> str:
    """Return the id of a chat; one without is known by its beginning, which a longer export has too."""
    if chat.id is not None:
        return f"character_ai/{chat.id}"
    began = next((each.time.isoformat() for each in messages if each.time), chat.created and chat.created.isoformat())
    human = next((each.text for each in messages if each.human and each.text), None)
    opening = messages[0].text if messages else None
    return f"character_ai/{content_id('c', fold(chat.character or ''), began, opening, human)}"


def _later(time: datetime | None) -> datetime | None:
    try:
        return time + timedelta(seconds=1) if time is not None else None
    except OverflowError:
        return time
