"""Zep and Graphiti: sessions (threads) with their messages, a user's facts or graph edges, and episodes.

Zep has no export of its own: people save what its API returns, or several of these in one object. Messages are speech; facts
and texts are derived memories (see `plugins.sources.memory_systems.derived`). Until when a fact was true stands in the metadata.
"""

from collections.abc import Iterator
from pathlib import Path

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.batches import in_batches
from plugins.sources.fields import first, identity, listing, mapping, number, string
from plugins.sources.memory_systems.derived import (
    LINED,
    Owners,
    Row,
    day_of,
    documents,
    memory_row,
    none_of_it,
    refuse,
)
from plugins.sources.memory_systems.zep_parts import Found, Place, Said, parts_of, said_in
from plugins.sources.people import is_agent, named_agent
from records.names import fold


class Zep(Source):
    """What Zep's and Graphiti's interfaces return."""

    name = "zep"
    suffixes = (".json", *LINED)

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether it has messages with a type of role, facts with a validity, or episodes of a graph."""
        if path.suffix.lower() not in self.suffixes:
            return False
        return (
            ('"role_type"' in head and '"content"' in head)
            or (
                '"fact"' in head
                and any(f'"{key}"' in head for key in ("valid_at", "expired_at", "source_node_uuid", "rating"))
            )
            or ('"source_description"' in head and '"content"' in head and '"uuid"' in head)
            or ('"thread_id"' in head and '"messages"' in head and '"uuid"' in head and '"role"' in head)
        )

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches; the agent is whoever has the assistant's role, with its name if it has one.

        Raises:
            SourceError: nothing of Zep is in it, or nothing says whose memory it is.
        """
        path = Path(target)
        found = [part for _, value in documents(path, options) for part in parts_of(value, Place(), options)]
        if not any(part.kind in ("message", "fact", "episode") for part in found):
            raise none_of_it(path, "Zep or Graphiti export", "list of messages, facts, edges or episodes")
        said = [said_in(part) if part.kind in ("message", "episode") else None for part in found]
        file = _File(path, options, found, said)
        if file.agents.of(None) is None and len(file.agents.names) < 2:
            named_agent(options, {one.name for one in said if one is not None and one.name}, path.name)
        parts = enumerate(zip(found, said, strict=True), start=1)
        entries = (entry for line, (part, one) in parts if (entry := file.entry(line, part, one)) is not None)
        summaries = sum(part.kind == "summary" for part in found)
        notes = [f"{summaries} summaries of Zep were not taken: they are made of the messages"] if summaries else []
        yield from in_batches(entries, notes=notes, total=len(found))


class _File:
    """Who is who in a file, and its parts as rows."""

    def __init__(self, path: Path, options: SourceOptions, found: list[Found], said: list[Said | None]) -> None:
        self.path, self.options = path, options
        people: dict[str | None, dict[str, str]] = {}
        self.named_agents: dict[str | None, str] = {}
        for part, one in zip(found, said, strict=True):
            if one is None or one.name is None:
                continue
            if one.role == "agent":
                self.named_agents.setdefault(part.place.session, one.name)
            elif one.role != "system" and not is_agent(one.name, options):
                people.setdefault(part.place.session, {}).setdefault(fold(one.name), one.name)
        self.groups = {session for session, names in people.items() if len(names) > 1}
        self.agents = Owners(options.agent, self.named_agents.values())
        ids = {part.place.user for part in found} - {None}
        self.users = Owners(options.user, ids or {name for names in people.values() for name in names.values()})
        self.nodes = {
            identity(part.item.get("uuid")): string(part.item.get("name")) for part in found if part.kind == "node"
        }

    def entry(self, line: int, part: Found, said: Said | None) -> Row | None:
        """Return the row or the reject of a part; None for what is only used with others."""
        if part.kind in ("node", "summary"):
            return None
        reason = _refused(part, said)
        if reason is not None:
            return refuse(Zep.name, self.path, line, reason, part.item)
        agent, user = self.agents.of(self.named_agents.get(part.place.session)), self.users.of(part.place.user)
        if said is None:
            return self._fact(part, line, agent, user)
        if part.kind == "episode" and said.role is None and said.name is None:
            return self._document(part, said, line, agent, user)
        return self._message(part, said, line, agent, user)

    def _message(self, part: Found, said: Said, line: int, agent: str | None, user: str | None) -> Row:
        item, group = part.item, part.place.session in self.groups
        when = first(item, "valid_at", "created_at") if part.kind == "episode" else item.get("created_at")
        speaks = said.role == "agent" or (said.role is None and is_agent(said.name, self.options))
        person = said.name if group or user is None else user
        ref = identity(first(item, "uuid", "uuid_", "id"))
        session = f"zep/{part.place.session or f'{user or agent}/{day_of(when, self.options)}'}"
        return {
            "line": line,
            "session_id": session,
            "agent_id": agent,
            "user_id": None if group else user or person,
            "speaker_id": agent if speaks else person or f"user of {session}",
            "speaker_name": said.name,
            "role": "agent" if speaks else "user",
            "text": said.text,
            "occurred_at": when,
            "source_ref": ref,
            "is_id": ref is not None,
            "group": group,
            "metadata": mapping(item.get("metadata")) or None,
        }

    def _fact(self, part: Found, line: int, agent: str | None, user: str | None) -> Row:
        item = part.item
        about = {
            "category": string(item.get("name")),
            "score": number(first(item, "rating", "score", "relevance")),
            "valid_at": string(item.get("valid_at")),
            "invalid_at": string(item.get("invalid_at")),
            "expired_at": string(item.get("expired_at")),
            "episodes": [key for key in listing(item.get("episodes")) if isinstance(key, str)],
            "source": self.nodes.get(identity(item.get("source_node_uuid"))) or string(item.get("source_node_name")),
            "target": self.nodes.get(identity(item.get("target_node_uuid"))) or string(item.get("target_node_name")),
        }
        # A fact may hold since long before anybody told it: it is remembered from when it was learned.
        return memory_row(
            "zep", first(item, "fact", "content"), options=self.options, agent=agent, user=user,
            when=first(item, "created_at", "valid_at"), ref=identity(first(item, "uuid", "uuid_")), thread="facts",
            line=line, about=about,
        )  # fmt: skip

    def _document(self, part: Found, said: Said, line: int, agent: str | None, user: str | None) -> Row:
        item = part.item
        about = {"category": "text", "name": string(item.get("name")), "source": string(item.get("source_description"))}
        return memory_row(
            "zep", said.text, options=self.options, agent=agent, user=user, when=first(item, "created_at", "valid_at"),
            ref=identity(first(item, "uuid", "uuid_")), thread="texts", line=line, about=about,
        )  # fmt: skip


def _refused(part: Found, said: Said | None) -> str | None:
    """Return why a part is no row, None if it is one."""
    if part.kind == "unknown":
        return "no message and no fact of Zep"
    if part.kind == "fact":
        return None if string(first(part.item, "fact", "content")) is not None else "no text"
    if said is None:
        return "data of the graph, nobody said it"
    if said.role == "system":
        return "an instruction or a tool's answer, nobody said it"
    return None if string(said.text) is not None else "no text"
