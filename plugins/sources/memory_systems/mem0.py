"""mem0: what `get_all`, a search or a history returns, exports of OpenMemory, and the SQLite file of an own installation.

Its memories are derived (see `plugins.sources.memory_systems.derived`): speaker "mem0", one session per user and run. Where an export still
holds what was said (``input``, the table ``messages``), that is speech, and is taken as such.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.batches import in_batches
from plugins.sources.fields import first, flag, identity, listing, mapping, mappings, number, string
from plugins.sources.memory_systems.derived import (
    LINED,
    Owners,
    Row,
    documents,
    memory_row,
    named,
    names_of,
    none_of_it,
    refuse,
)
from plugins.sources.people import named_agent
from plugins.sources.sqlite_files import is_sqlite, opened, rows_of, tables, tables_of
from plugins.sources.times import parse_time
from records.ids import content_id

LISTS = ("results", "memories", "items", "data", "history")
TEXTS = ("memory", "content", "text", "data", "new_memory", "new_value")
SAYERS = ("user", "assistant")
MEMORY = re.compile(r'"memory"\s*:\s*"')
SCOPES = ('"hash"', '"user_id"', '"agent_id"', '"run_id"', '"app_id"', '"categories"')


class Mem0(Source):
    """Memories of mem0 and of OpenMemory."""

    name = "mem0"
    suffixes = (".json", *LINED, ".db", ".sqlite", ".sqlite3")

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether it holds memories with a scope, their history, or mem0's table of it."""
        if is_sqlite(path):
            columns = {name.lower() for name in tables_of(path).get("history", ())}
            return "memory_id" in columns and bool(columns & {"old_memory", "prev_value"})
        if path.suffix.lower() not in (".json", *LINED):
            return False
        return (
            (MEMORY.search(head) is not None and any(key in head for key in SCOPES))
            or ('"memory_id"' in head and ('"old_memory"' in head or '"prev_value"' in head))
            or ('"memories"' in head and '"category_ids"' in head)
        )

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches; memories that were deleted are rejects.

        Raises:
            SourceError: no mem0 export, or nothing says whose memory it is.
        """
        path = Path(target)
        if is_sqlite(path):
            yield from in_batches(self._database(path, options))
            return
        found, notes = _records(path, options)
        agents = Owners(options.agent, (named(item, "agent_id") for _, item in found))
        users = Owners(options.user, (named(item, "user_id") for _, item in found))
        if not agents.names:
            named_agent(options, users.names, path.name)
        entries = self._entries(path, found, options, agents, users)
        yield from in_batches(entries, notes=notes, total=len(found))

    def _entries(
        self, path: Path, found: list[tuple[int, Row]], options: SourceOptions, agents: Owners, users: Owners
    ) -> Iterator[Row]:
        said: set[str] = set()
        for line, item in found:
            agent, user = agents.of(named(item, "agent_id")), users.of(named(item, "user_id"))
            yield from _input(item, line, agent, user, said)
            if flag(item.get("is_deleted")) or item.get("state") == "deleted" or item.get("event") == "DELETE":
                yield refuse(self.name, path, line, "a memory that was deleted", identity(item.get("id")) or "")
                continue
            text = next((text for key in TEXTS if (text := string(item.get(key))) is not None), None)
            if text is None:
                yield refuse(self.name, path, line, "no memory: it has no text", item)
                continue
            yield _memory(item, text, line, agent, user, options)

    def _database(self, path: Path, options: SourceOptions) -> Iterator[Row]:
        """Yield what the file of `Memory(history_db_path=…)` holds: each memory as it is now, and the last messages."""
        with opened(path) as connection:
            known = tables(connection)
            if "history" not in known:
                raise none_of_it(path, "mem0 history", "table 'history'")
            messages = rows_of(connection, "messages") if "messages" in known else iter(())
            spoken = [_spoken(row) for row in messages]
            agents = Owners(options.agent, (row["agent_id"] for row in spoken))
            users = Owners(options.user, (row["user_id"] for row in spoken))
            if not agents.names:
                named_agent(options, users.names, path.name)
            for line, row in enumerate(spoken, start=1):
                agent, user = agents.of(row["agent_id"]), users.of(row["user_id"])
                if str(row["role"]).lower() not in SAYERS:
                    yield refuse(
                        self.name, path, line, "an instruction or a tool's answer, nobody said it", row["text"]
                    )
                    continue
                speaker = agent if row["role"] == "assistant" else row["speaker_name"] or user
                yield {**row, "line": line, "agent_id": agent, "user_id": user, "speaker_id": speaker}
            rows = enumerate(rows_of(connection, "history"), start=1)
            yield from self._entries(path, _latest(rows, options), options, agents, users)


def _records(path: Path, options: SourceOptions) -> tuple[list[tuple[int, Row]], list[str]]:
    """Return line and record of each memory, and notes on what was not taken.

    Raises:
        SourceError: there is none.
    """
    found: list[tuple[int, Row]] = []
    relations = 0
    for line, value in documents(path, options):
        relations += len(listing(mapping(value).get("relations")))
        items = list(_unwrapped(value))
        # A file of one JSON value counts its memories, one of lines its lines.
        found.extend(
            (place if line == 1 and len(items) > 1 else line, item) for place, item in enumerate(items, start=1)
        )
    if not found:
        raise none_of_it(path, "mem0 export", "list of memories ('results')")
    if any("memory_id" in item for _, item in found):
        found = _latest(found, options)
    return found, [f"{relations} relations of mem0's graph were not taken: they are no sentences"] if relations else []


def _unwrapped(value: Any, depth: int = 0) -> Iterator[Row]:
    if isinstance(value, list):
        yield from (item if isinstance(item, dict) else {"state": None, "_": item} for item in value)
    elif isinstance(value, dict) and any(string(value.get(key)) for key in TEXTS):
        yield value
    elif isinstance(value, dict):
        inner = next((value[key] for key in LISTS if isinstance(value.get(key), list | dict)), None)
        if inner is not None and depth < 3:
            yield from (_named_by(value, item) for item in _unwrapped(inner, depth + 1))
        else:
            yield value
    else:
        yield {"_": value if value is not ... else "not valid JSON"}


def _named_by(whole: Row, item: Row) -> Row:
    """Return a memory of OpenMemory with the names that stand beside the list: ids of its user, app and categories are its own."""
    owner = string(mapping(whole.get("user")).get("user_id"))
    apps = {identity(app.get("id")): string(app.get("name")) for app in mappings(whole.get("apps"))}
    labels = {identity(label.get("id")): string(label.get("name")) for label in mappings(whole.get("categories"))}
    named_ = dict(item)
    if owner is not None:
        named_["user_id"] = owner
    if identity(item.get("app_id")) in apps:
        named_["app_id"] = apps[identity(item.get("app_id"))]
    if "category_ids" in item:
        named_["categories"] = [name for key in listing(item["category_ids"]) if (name := labels.get(identity(key)))]
    return named_


def _memory(item: Row, text: str, line: int, agent: str | None, user: str | None, options: SourceOptions) -> Row:
    when = first(item, "created_at", "createdAt", "timestamp", "updated_at")
    run = named(item, "run_id")
    own = item.get("metadata")
    about = {
        "category": names_of(item.get("categories")) or string(mapping(own).get("category")),
        "score": number(item.get("score")),
        "run_id": run,
        "app": string(first(item, "app", "app_id")),
        "state": None if item.get("state") == "active" else string(item.get("state")),
        "role": string(item.get("role")),
        "actor": string(item.get("actor_id")),
        "expires": string(item.get("expiration_date")),
        "own": own if isinstance(own, dict) else None,
    }
    return memory_row(
        "mem0", text, options=options, agent=agent, user=user, when=when, ref=identity(item.get("id")),
        thread=run or "-", edited=first(item, "updated_at", "updatedAt"), line=line, about=about,
    )  # fmt: skip


def _input(item: Row, line: int, agent: str | None, user: str | None, said: set[str]) -> Iterator[Row]:
    """Yield what was said before a memory was made; several memories of one exchange hold the same."""
    spoken = [message for message in mappings(item.get("input")) if string(message.get("content")) is not None]
    key = content_id("x", agent, user, *(part for m in spoken for part in (m.get("role"), m["content"])))
    if not spoken or key in said:
        return
    said.add(key)
    for place, message in enumerate(spoken):
        if message.get("role") not in SAYERS:
            continue
        is_agent = message["role"] == "assistant"
        yield {
            "line": line,
            "session_id": f"mem0/{user or '-'}/{key}",
            "agent_id": agent,
            "user_id": user,
            "speaker_id": agent if is_agent else string(message.get("name")) or user,
            "role": "agent" if is_agent else "user",
            "text": message["content"],
            "occurred_at": first(item, "created_at", "timestamp"),
            "source_ref": f"{key}/{place}",
            "is_id": True,
        }


def _spoken(row: Row) -> Row:
    """Return a row of the table of last messages; its scope names user, agent and run as a query string."""
    scope = string(row.get("session_scope")) or "-"
    ids = dict(parse_qsl(scope))
    return {
        "session_id": f"mem0/{scope}",
        "agent_id": ids.get("agent_id"),
        "user_id": ids.get("user_id"),
        "speaker_name": string(row.get("name")),
        "role": row.get("role"),
        "text": row.get("content"),
        "occurred_at": row.get("created_at"),
        "source_ref": identity(row.get("id")),
        "is_id": identity(row.get("id")) is not None,
    }


def _latest(rows: Iterable[tuple[int, Row]], options: SourceOptions) -> list[tuple[int, Row]]:
    """Return each memory as its last event left it, out of the rows of a history: one that was deleted says so."""

    def moment(row: Row) -> float:
        try:
            return parse_time(first(row, "updated_at", "created_at", "timestamp"), options).timestamp()
        except (ValueError, OverflowError):
            return 0.0

    events: dict[str, list[tuple[int, Row]]] = {}
    for line, row in rows:
        events.setdefault(identity(row.get("memory_id")) or identity(row.get("id")) or str(line), []).append(
            (line, row)
        )
    found = []
    for memory, told in events.items():
        told.sort(key=lambda event: moment(event[1]))
        line, last = told[-1]
        start = first(told[0][1], "created_at", "timestamp")
        changed = first(last, "updated_at", "created_at", "timestamp")
        whole = {key: value for _, row in told for key, value in row.items() if value is not None}
        text = first(last, "new_memory", "new_value", "memory")
        found.append(
            (
                line,
                {
                    **whole,
                    "id": memory,
                    "memory": text,
                    "created_at": start,
                    "updated_at": changed,
                    "event": last.get("event"),
                },
            )
        )
    return found
