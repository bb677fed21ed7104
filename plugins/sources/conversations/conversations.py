"""Conversations as models are trained on and talked to: ChatML (messages: role, content) and ShareGPT (conversations: from, value).

Both classes read either form, also OpenAI's logs of requests and answers; they differ in what they recognise. Who speaks is told by
roles: whose memory it is must be named with --agent, or stand in each record as agent_id.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.conversations.conversation_identity import Known
from plugins.sources.conversations.conversation_markup import BEGUN
from plugins.sources.conversations.conversation_records import Conversation, conversations_of, told_of
from plugins.sources.conversations.conversation_times import SECOND, placed
from plugins.sources.conversations.conversation_turns import TIMES, Turn, turn_of
from plugins.sources.conversations.json_values import json_values
from plugins.sources.fields import first, identity, string
from plugins.sources.normalise import reject
from plugins.sources.people import named_agent
from plugins.sources.times import parse_time
from records.names import same_name

BATCH = 5_000

LINES = (".jsonl", ".ndjson")

OTHERS = (
    '"mapping"',
    '"chat_messages"',
    '"guild"',
    '"role_type"',
    '"agent_type"',
    '"message_type"',
    '"in_context_message_ids"',
    '"in_context_message_indices"',
    '"source_description"',
    '"speaker_a"',
    '"memory_id"',
    '"personality_name"',
    '"provider_config"',
)
"""Keys of formats that have messages with roles, too."""

LIST_OF_TALK = re.compile(
    r'"(?:messages|conversations?|dialogue?|dialog|turns|contents|chat|input|prompt|chosen|preferred_output)"\s*:\s*(?:\[|\{\s*"messages")'
    r'|"(?:choices|output)"\s*:\s*\['
)
BARE = re.compile(r"^\s*\[\s*[\[{]")
PAIRS = re.compile(
    r'"(?:history|internal|visible|conversations?|messages|dialogue?|dialog|turns|chat)"\s*:\s*\[\s*'
    r'(?:\[\s*(?:"(?:[^"\\]|\\.)*"|null)\s*,\s*(?:"(?:[^"\\]|\\.)*"|null)\s*\]'
    r'|\{\s*"(?:human|user|prompt|question|query|input|instruction)"\s*:\s*")'
)
"""A list of exchanges."""

INSTRUCTION = re.compile(r'"(?:output|response|answer|completion)"\s*:\s*"')
LANGCHAIN = re.compile(r'"type"\s*:\s*"(?:human|ai)"\s*,\s*"(?:data|content)"\s*:|"(?:Human|AI)Message(?:Chunk)?"\s*\]')
OF_TABLES = ('"occurred_at"', '"session_id"', '"speaker_id"', '"agent_id"', '"user_id"')


class Conversations(Source):
    """Shared reading of both forms (see `plugins.sources.conversations.conversation_records` for what holds a conversation)."""

    suffixes = (".json", *LINES)

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches; what nobody said is a reject.

        Messages without times are a second apart from the conversation's start, or from ``--at``.

        Raises:
            SourceError: no line is JSON, or nobody says whose memory it is.
        """
        path = Path(target)
        reader = _Reader(self.name, path.name, options)
        found: list[dict[str, Any]] = []
        for number, value, broken, done in json_values(path, options.encoding):
            if broken is not None:
                found.append(reject(self.name, path.name, number, broken, value))
                continue
            for place, record in enumerate(conversations_of(value), start=1):
                found += reader.take(record, place if isinstance(value, list) else number)
                while len(found) >= BATCH:
                    yield _batch(found[:BATCH], done)
                    found = found[BATCH:]
        last = _batch(found, 1.0)
        if reader.known.repeated:
            last.notes.append(
                f"{path.name}: {reader.known.repeated} messages stand in more than one copy of their conversation; "
                "each is kept once"
            )
        if reader.timeless:
            last.notes.append(f"{path.name}: {reader.timeless} messages have no time; give that of the first with --at")
        yield last


class _Reader:
    """Makes rows of the conversations of one file."""

    def __init__(self, source: str, file: str, options: SourceOptions) -> None:
        self.source, self.file, self.options = source, file, options
        self.known = Known()
        self.timeless = 0
        self._some_agent = False

    def take(self, found: Any, line: int) -> list[dict[str, Any]]:
        """Return the rejects and rows of one record.

        Raises:
            SourceError: nobody says whose memory it is.
        """
        if not isinstance(found, Conversation):
            return [reject(self.source, self.file, line, "no list of messages", found)]
        refused = [reject(self.source, self.file, line, reason, answer) for reason, answer in found.left_out]
        about = found.about if not found.is_log else {k: v for k, v in found.about.items() if k not in ("id", "uuid")}
        places: list[int] = []
        turns: list[tuple[Turn, datetime | None]] = []
        start = self._time(first(about, *TIMES, "started_at", "start_time"))
        follows = found.is_log and any(key in about for key in ("previous_response_id", "conversation"))
        for place, message in enumerate(found.said, start=1):
            turn = turn_of(message, self.options)
            own = self._time(turn.when)
            if turn.reason is None and turn.when is not None and own is None:
                turn = turn._replace(reason="a time that cannot be read: write ISO 8601, e.g. 2025-03-01T18:30:00Z")
            if turn.reason is not None:
                refused.append(reject(self.source, self.file, line, turn.reason, turn.raw))
                continue
            if follows and own is None and start is not None:  # only what is new is sent
                own = start + len(turns) * SECOND
            places.append(place)
            turns.append((turn, own))
        return [*refused, *({"line": line, **row} for row in self._rows(found, about, start, turns, places))]

    def _rows(
        self,
        found: Conversation,
        about: dict[str, Any],
        start: datetime | None,
        turns: list[tuple[Turn, datetime | None]],
        places: list[int],
    ) -> Iterator[dict[str, Any]]:
        options = self.options
        agent = identity(about.get("agent_id")) or options.agent or self._no_agent(turns)
        user = identity(first(about, "user_id", "user")) or options.user
        self._some_agent |= agent is not None
        session = self.known.session(about, user, turns, start if not found.is_log else None)
        self.known.answered(found.responses, session)
        said, whole = self.known.said(session, turns)
        own = [one.own if one.is_new else one.earlier or one.own for one in said]
        times = placed(
            own,
            start if start is not None or any(own) else options.at,
            options.now,
            start if found.is_log else None,
        )
        self.known.keep(session, said, times)
        self.timeless += times.count(None)
        untimed = whole and not any(one.own for one in said)
        people = {one.turn.name for one in said if one.turn.role == "user" and one.turn.name}
        agents = {one.turn.name for one in said if one.turn.role == "agent" and one.turn.name}
        if user is None:
            user = next(iter(people)) if len(people) == 1 else None if people else f"user of {session}"
        # Where names tell several agents apart, only the one that is named speaks for itself.
        others = agents if any(same_name(name, agent) for name in agents) else set()
        told, model = told_of(about), string(about.get("model")) or string(about.get("model_version"))
        for one, moment, place in zip(said, times, places, strict=True):
            if not one.is_new:
                continue
            turn, speaker = one.turn, user
            if turn.role == "agent":
                speaker = turn.name if turn.name in others and not same_name(turn.name, agent) else agent
            elif turn.role == "user" and len(people) > 1:
                speaker = turn.name or user or "user"
            ref = turn.ref if turn.ref is None or options.session is None else f"{session}/{turn.ref}"
            if ref is None and one.own is None:
                ref = one.ref
            yield {
                "session_id": session,
                "agent_id": agent,
                "user_id": user,
                "group": len(people) > 1,
                "role": turn.role,
                "speaker_id": speaker,
                "speaker_name": turn.name,
                "text": turn.text,
                "turn": place if untimed else None,
                "occurred_at": moment or first(about, *TIMES),
                "source_ref": ref,
                "is_id": ref is not None,
                "opt_out_training": about.get("opt_out_training"),
                **({"model_version": model} if turn.role == "agent" else {}),
                **turn.extras,
                "metadata": {**told, **turn.extras.get("metadata", {})},
            }

    def _time(self, value: Any) -> datetime | None:
        """Return a time that is given and can be read, else None."""
        try:
            moment = None if value is None else parse_time(value, self.options)
        except (ValueError, TypeError):
            return None
        return moment if moment is not None and 1 < moment.year < 9_999 else None

    def _no_agent(self, turns: list[tuple[Turn, datetime | None]]) -> str | None:
        """Return None where other records name theirs; these are rejects then.

        Raises:
            SourceError: nobody named one so far.
        """
        if self._some_agent:
            return None
        return named_agent(
            self.options, {turn.name for turn, _ in turns if turn.role == "agent" and turn.name}, self.file
        )


def _batch(found: list[dict[str, Any]], done: float) -> SourceBatch:
    """Return a batch of rows and rejects, which are told apart by their ids."""
    rows = [item for item in found if "reject_id" not in item]
    return SourceBatch(rows, [item for item in found if "reject_id" in item], done=done)


def _has_talk(path: Path, head: str) -> bool:
    """Return whether a file holds lists of messages that say who speaks by a role."""
    if path.suffix.lower() not in Conversations.suffixes or any(key in head for key in OTHERS):
        return False
    if '"thread_id"' in head and '"uuid"' in head:  # Zep's
        return False
    if not any(key in head for key in OF_TABLES) and _has_exchanges(head):
        return True
    roles = '"role"' in head and any(f'"{key}"' in head for key in ("content", "text", "parts", "value"))
    if LIST_OF_TALK.search(head):
        return roles or _has_senders(head)
    return roles and bool(BARE.search(head)) and not any(key in head for key in OF_TABLES)


def _has_exchanges(head: str) -> bool:
    """Return whether a file holds conversations as exchanges, as one text each, or as LangChain writes messages."""
    return bool(
        PAIRS.search(head)
        or BEGUN.search(head)
        or LANGCHAIN.search(head)
        or ('"instruction"' in head and INSTRUCTION.search(head))
    )


def _has_senders(head: str) -> bool:
    return '"from"' in head and '"value"' in head and '"conversation' in head


class ChatML(Conversations):
    """OpenAI's form: messages with a role and content; also its logs, batches and preferences."""

    name = "chatml"

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether it holds lists of messages with roles."""
        return _has_talk(path, head) and not _has_senders(head)


class ShareGPT(Conversations):
    """ShareGPT's form: conversations with from and value."""

    name = "sharegpt"

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether it holds lists of messages with senders."""
        return _has_talk(path, head) and _has_senders(head)
