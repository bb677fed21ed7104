"""Letta and MemGPT: agent files (.af, both versions), message lists, and lists of archival passages.

What an agent says stands in the arguments of its call of ``send_message``; agents without that tool say what their messages'
text says, those with it only think there. Core memory blocks and personas are no messages: a note says which were found.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.batches import in_batches
from plugins.sources.fields import dig, first, flag, identity, listing, mapping, mappings, string
from plugins.sources.memory_systems.derived import (
    LINED,
    Owners,
    Row,
    day_of,
    documents,
    memory_row,
    none_of_it,
    oldest_first,
    refuse,
)
from plugins.sources.memory_systems.letta_message import NOT_SPEECH, ROLES, packed_time, said_in, speaks_by_calls
from plugins.sources.people import named_agent

STABLE = re.compile(r"^(?:message|passage)-[0-9a-f]{8}-[0-9a-f-]{27}$")
"""An id that the server gave; those of agent files are numbers, given anew in each file."""
ARCHIVES = ("archival_passages", "passages", "archival_memory", "archival_memories")


class Agent(NamedTuple):
    """An agent of the file, or the file itself where it has none.

    Attributes:
        calls: Whether it speaks by calling a tool, so that the text of its messages is what it thinks.
    """

    name: str | None
    messages: list[Any]
    passages: list[Any]
    blocks: list[str]
    calls: bool


class Letta(Source):
    """Agents of Letta and MemGPT with what they said and what they archived."""

    name = "letta"
    suffixes = (".af", ".json", *LINED)

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether it is an agent file, or a list of Letta's messages or passages."""
        suffix = path.suffix.lower()
        if suffix not in self.suffixes:
            return False
        agent = '"agent_type"' in head and any(f'"{key}"' in head for key in ("llm_config", "core_memory", "block_ids"))
        indices = '"in_context_message_ids"' in head or '"in_context_message_indices"' in head
        messages = '"message_type"' in head and any(f'"{key}"' in head for key in (*NOT_SPEECH, *ROLES) if "_" in key)
        passages = '"passage-' in head and '"text"' in head
        return agent or indices or messages or passages

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches; the agent is that of the file, unless another is named. A session is a day.

        Raises:
            SourceError: nothing of Letta is in it, or nothing says whose memory it is.
        """
        path = Path(target)
        agents = _agents(path, options)
        if not any(agent.messages or agent.passages or agent.blocks for agent in agents):
            raise none_of_it(path, "Letta export", "agent, list of messages or list of passages")
        owners = Owners(options.agent, (agent.name for agent in agents))
        if owners.of(None) is None and len(owners.names) < 2:
            named_agent(options, (), path.name)
        notes = [
            f"{len(agent.blocks)} core memory blocks of {owners.of(agent.name)} were not taken ({', '.join(agent.blocks)}): "
            "set them with `memory core`"
            for agent in agents
            if agent.blocks
        ]
        entries = (entry for agent in agents for entry in self._agent(path, agent, owners.of(agent.name), options))
        total = sum(len(agent.messages) + len(agent.passages) for agent in agents)
        yield from in_batches(entries, notes=notes, total=total)

    def _agent(self, path: Path, agent: Agent, name: str | None, options: SourceOptions) -> Iterator[Row]:
        people = {person for message in agent.messages if (person := string(mapping(message).get("name"))) is not None}
        user = options.user or (next(iter(people)) if len(people) == 1 else f"user of {name}")
        messages = oldest_first(agent.messages, lambda message: first(message, "created_at", "date"), options)
        for line, message in enumerate(messages, start=1):
            said = said_in(mapping(message), agent.calls)
            if isinstance(said, str):
                yield refuse(self.name, path, line, said, message)
            else:
                yield _message(mapping(message), *said, line, name, user, options)
        for line, passage in enumerate(agent.passages, start=1):
            text = string(passage) or string(first(mapping(passage), "text", "content"))
            if text is None or flag(mapping(passage).get("is_deleted")):
                yield refuse(self.name, path, line, "no passage, or one that was deleted", passage)
            else:
                yield _passage(mapping(passage), text, line, name, user, options)


def _agents(path: Path, options: SourceOptions) -> list[Agent]:
    """Return the agents of a file; messages and passages without one belong to a nameless one."""
    found: list[Agent] = []
    loose: list[Any] = []
    for _, value in documents(path, options):
        whole = mapping(value)
        blocks = {identity(block.get("id")): block for block in mappings(whole.get("blocks"))}
        if isinstance(whole.get("agents"), list):
            found += [_read(agent, blocks) for agent in mappings(whole["agents"])]
            loose += next((whole[key] for key in ARCHIVES if isinstance(whole.get(key), list)), [])
        elif "agent_type" in whole or "core_memory" in whole or any(key in whole for key in ARCHIVES):
            found.append(_read(whole, blocks))
        elif isinstance(value, dict) and isinstance(whole.get("messages"), list):
            loose += whole["messages"]
        else:
            loose += value if isinstance(value, list) else ["not valid JSON" if value is ... else value]
    passages: list[Any] = [item for item in loose if isinstance(item, dict) and _is_passage(item)]
    messages = [item for item in loose if not (isinstance(item, dict) and _is_passage(item))]
    if len(found) == 1 and passages:
        found[0].passages.extend(passages)
        passages = []
    spoken = any(isinstance(item, dict) and item.keys() & {"message_type", "role"} for item in messages)
    if spoken or passages:
        found.append(Agent(None, messages, passages, [], speaks_by_calls({}, messages)))
    return found


def _is_passage(item: Row) -> bool:
    return "text" in item and not item.keys() & {"role", "message_type"}


def _read(agent: Row, blocks: dict[str | None, Row]) -> Agent:
    own = agent.get("core_memory") or agent.get("memory_blocks") or dig(agent, "memory", "blocks")
    own = own or [blocks[key] for item in listing(agent.get("block_ids")) if (key := identity(item)) in blocks]
    # The oldest agents have one object of labels and values.
    held = [{"label": label, "value": value} for label, value in mapping(own).items()] or mappings(own)
    labels = [
        label for block in held if string(block.get("value")) and (label := string(block.get("label"))) is not None
    ]
    passages: list[Any] = next((list(agent[key]) for key in ARCHIVES if isinstance(agent.get(key), list)), [])
    messages = listing(agent.get("messages"))
    return Agent(string(agent.get("name")), messages, passages, labels, speaks_by_calls(agent, messages))


def _message(
    message: Row,
    role: str,
    text: str,
    person: str | None,
    sent: Any,
    line: int,
    agent: str | None,
    user: str,
    options: SourceOptions,
) -> Row:
    when = first(message, "created_at", "date") or packed_time(sent)
    ref = identity(message.get("id"))
    stable = ref is not None and STABLE.match(ref) is not None
    conversation = identity(message.get("conversation_id"))
    speaks = role == "agent"
    return {
        "line": line,
        "session_id": f"letta/{conversation or f'{agent}/{user}/{day_of(when, options)}'}",
        "agent_id": agent,
        "user_id": user,
        "speaker_id": agent if speaks else user,
        "speaker_name": None if speaks else person or string(message.get("name")),
        "role": role,
        "text": text,
        "occurred_at": when,
        "model_version": string(message.get("model")) if speaks else None,
        "source_ref": ref if stable else None,
        "is_id": stable,
    }


def _passage(passage: Row, text: str, line: int, agent: str | None, user: str, options: SourceOptions) -> Row:
    ref = identity(passage.get("id"))
    stable = ref is not None and STABLE.match(ref) is not None
    own = first(passage, "metadata", "metadata_")
    about = {
        "category": "archival",
        "tags": [tag for tag in listing(passage.get("tags")) if isinstance(tag, str)],
        "file": string(first(passage, "file_name", "file_id")),
        "own": own if isinstance(own, dict) and len(json.dumps(own, default=str)) > 2 else None,
    }
    when = first(passage, "created_at", "timestamp", "date")
    return memory_row(
        "letta", text, options=options, agent=agent, user=user, when=when, ref=ref if stable else None,
        thread=f"{agent}/archive", edited=passage.get("updated_at"), line=line, about=about,
    )  # fmt: skip
