"""Hindsight: lists of memory units as its interface returns them, and the transfer archive of a bank.

Its facts are derived memories (see `plugins.sources.memory_systems.derived`), in the session of the document they were read from. A document
of an archive that is a conversation (a JSON list of messages, or ``Name (time): text`` lines) is taken as speech as well.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.batches import in_batches
from plugins.sources.fields import first, identity, listing, mapping, mappings, number, string
from plugins.sources.memory_systems.derived import (
    LINED,
    Owners,
    Row,
    documents,
    head,
    memory_row,
    named,
    names_of,
    none_of_it,
    refuse,
)
from plugins.sources.people import is_agent, named_agent, the_other
from plugins.sources.reading import parsed, read_json
from records.errors import SourceError
from records.ids import content_id

KINDS = ("world", "experience", "opinion", "observation", "bank", "agent")
LISTS = ("items", "results", "memories", "memory_units", "units", "facts", "observations")
TIMES = ("mentioned_at", "created_at", "event_date", "date", "occurred_start")
"""When a fact was learned comes before when it happened."""

MANIFEST = "manifest.json"
LINE = re.compile(r"^(?P<name>[^\n():]{1,60}) \((?P<time>\d{4}-\d\d-\d\d[T ][^)\n]{4,30})\): (?P<text>.*)$")
USER_TAG = re.compile(r"^user(?:_id)?[:=](?P<user>.+)$", re.IGNORECASE)


class Unit(NamedTuple):
    """A fact at its place in the file, and the bank and the document it belongs to."""

    line: int
    item: Any
    bank: str | None = None
    document: str | None = None
    tags: list[str] | None = None


class Hindsight(Source):
    """Memory units of Hindsight; the bank is the agent, unless another is named."""

    name = "hindsight"
    suffixes = (".json", *LINED)

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether it has facts of Hindsight's kinds."""
        if path.suffix.lower() not in self.suffixes or '"text"' not in head:
            return False
        if '"fact_type"' in head:
            return any(f'"{kind}"' in head for kind in KINDS)
        times = '"mentioned_at"' in head or '"occurred_start"' in head
        return times and re.search(r'"type"\s*:\s*"(?:world|experience|opinion|observation)"', head) is not None

    def sniff_folder(self, folder: Path) -> bool:
        """Return whether it is an archive of a bank's documents."""
        return any('"source_bank_id"' in head(path) for path in _manifests(folder))

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches; facts that were invalidated are rejects.

        Raises:
            SourceError: nothing of Hindsight is in it, or nothing says whose memory it is.
        """
        path = Path(target)
        archived = path.is_dir()
        units, texts = _archive(path, options) if archived else (_listed(path, options), [])
        if not any("text" in mapping(unit.item) for unit in units) and not texts:
            raise none_of_it(path, "Hindsight export", "list of memory units ('items')")
        agents = Owners(options.agent, (unit.bank for unit in (*units, *(unit for _, unit, _ in texts))))
        if agents.of(None) is None and len(agents.names) < 2:
            named_agent(options, (), path.name)
        users = Owners(options.user, (_user(unit) for unit in units))
        notes: list[str] = []
        spoken = list(self._speech(path, texts, options, agents, users, notes))
        entries = (self._unit(path, unit, options, agents.of(unit.bank), users.of(_user(unit))) for unit in units)
        yield from in_batches((*spoken, *entries), notes=notes, total=len(spoken) + len(units))

    def _unit(self, path: Path, unit: Unit, options: SourceOptions, agent: str | None, user: str | None) -> Row:
        item = mapping(unit.item)
        text = string(item.get("text"))
        if text is None:
            return refuse(self.name, path, unit.line, "no memory: it has no text", unit.item)
        if item.get("state") == "invalidated":
            return refuse(self.name, path, unit.line, "a memory that was invalidated", identity(item.get("id")) or "")
        document = unit.document or identity(item.get("document_id"))
        about = {
            "category": string(first(item, "fact_type", "type")),
            "context": string(item.get("context")),
            "valid_at": string(item.get("occurred_start")),
            "invalid_at": string(item.get("occurred_end")),
            "entities": names_of(item.get("entities")),
            "tags": names_of(item.get("tags")) or unit.tags,
            "score": number(first(item, "confidence_score", "confidence", "score", "weight")),
            "document": document,
            "own": item.get("metadata") if isinstance(item.get("metadata"), dict) else None,
        }
        ref = identity(first(item, "id", "source_id"))
        return memory_row(
            "hindsight", text, options=options, agent=agent, user=user, when=first(item, *TIMES), ref=ref,
            thread=document or "-", line=unit.line, about=about,
        )  # fmt: skip

    def _speech(
        self,
        path: Path,
        texts: list[tuple[int, Unit, str]],
        options: SourceOptions,
        agents: Owners,
        users: Owners,
        notes: list[str],
    ) -> Iterator[Row]:
        """Yield the messages of the documents that are conversations; the others are counted in a note."""
        left = 0
        for line, unit, text in texts:
            said = _conversation(text)
            left += not said
            agent, user = agents.of(unit.bank), users.of(_user(unit))
            people = {row["speaker_name"] for row in said if row["role"] != "agent" and row["speaker_name"]}
            user = user or the_other(options, people - {agent} if agent is not None else people)
            for place, row in enumerate(said):
                if row["role"] == "system":
                    yield refuse(
                        self.name, path, line, "an instruction or a tool's answer, nobody said it", row["text"]
                    )
                    continue
                speaks = row["role"] == "agent" or is_agent(row["speaker_name"], options)
                yield {
                    **row,
                    "line": line,
                    "session_id": f"hindsight/{unit.bank}/{unit.document}",
                    "agent_id": agent,
                    "user_id": user,
                    "speaker_id": agent if speaks else row["speaker_name"] or user,
                    "role": "agent" if speaks else "user",
                    "occurred_at": row["occurred_at"] or mapping(unit.item).get("created_at"),
                    "source_ref": content_id("d", unit.bank, unit.document, place),
                    "is_id": True,
                    "group": user is None,
                }
        if left:
            notes.append(f"{left} documents were not taken, only their facts: they are no conversations")


def _user(unit: Unit) -> str | None:
    """Return whose a fact is: Hindsight has no users, people name them in metadata or in a tag ``user:…``."""
    item = mapping(unit.item)
    own = named(item, "user_id")
    if own is not None:
        return own
    tags = names_of(item.get("tags")) or unit.tags or []
    return next((match["user"] for tag in tags if (match := USER_TAG.match(tag)) is not None), None)


def _listed(path: Path, options: SourceOptions) -> list[Unit]:
    return [
        Unit(place if line == 1 else line, item, bank)
        for line, value in documents(path, options)
        for place, (item, bank) in enumerate(_unwrapped(value, None), start=1)
    ]


def _unwrapped(value: Any, bank: str | None, depth: int = 0) -> Iterator[tuple[Any, str | None]]:
    if isinstance(value, dict):
        bank = identity(first(value, "bank_id", "source_bank_id")) or bank
        # A search returns its results; what they are made of is among them.
        found = [value[key] for key in LISTS if isinstance(value.get(key), list)]
        if found and "text" not in value and depth < 3:
            for items in found:
                yield from _unwrapped(items, bank, depth + 1)
        else:
            yield value, bank
    elif isinstance(value, list):
        for item in value:
            yield from _unwrapped(item, bank, depth + 1) if isinstance(item, dict) else iter(((item, bank),))
    else:
        yield ("not valid JSON" if value is ... else value), bank


def _manifests(folder: Path) -> list[Path]:
    return sorted((*folder.glob(MANIFEST), *folder.glob(f"*/{MANIFEST}")))[:8]


def _archive(folder: Path, options: SourceOptions) -> tuple[list[Unit], list[tuple[int, Unit, str]]]:
    """Return the facts of a transfer archive, and the texts of its documents.

    Raises:
        SourceError: it is none, or its manifest cannot be read.
    """
    manifest = next((path for path in _manifests(folder) if '"source_bank_id"' in head(path)), None)
    if manifest is None:
        raise none_of_it(folder, "Hindsight archive", MANIFEST)
    bank = identity(mapping(read_json(manifest, options.encoding)).get("source_bank_id"))
    units: list[Unit] = []
    texts: list[tuple[int, Unit, str]] = []
    for number_, file in enumerate(sorted(manifest.parent.glob("documents/*.json")), start=1):
        try:
            document = mapping(read_json(file, options.encoding))
        except SourceError as error:
            units.append(Unit(number_, str(error)))
            continue
        key = identity(document.get("id")) or file.stem
        tags = names_of(document.get("tags"))
        facts = listing(document.get("facts"))
        units += [Unit(number_, fact, bank, key, tags) for fact in facts]
        if (text := string(document.get("original_text"))) is not None:
            texts.append((number_, Unit(number_, document, bank, key, tags), text))
    observed = manifest.parent / "observations.json"
    if observed.is_file():
        made = mappings(read_json(observed, options.encoding))
        units += [
            Unit(n, {"fact_type": "observation", **item}, bank, None, None) for n, item in enumerate(made, start=1)
        ]
    return units, texts


def _conversation(text: str) -> list[Row]:
    """Return the messages that a document's text is made of, nothing if it is no conversation."""
    if text.lstrip()[:1] in ("[", "{"):
        try:
            value = parsed(text)
        except ValueError:
            return []
        said = mappings(value) or mappings(mapping(value).get("messages"))
        return [row for message in said if (row := _message(message)) is not None]
    rows: list[Row] = []
    for line in text.splitlines():
        if (match := LINE.match(line)) is not None:
            rows.append(_row(match["name"], match["text"], match["time"]))
        elif rows and line.strip():
            rows[-1]["text"] += "\n" + line
        elif line.strip():
            return []
    return rows


def _message(message: Row) -> Row | None:
    role, text = string(message.get("role")), string(message.get("content"))
    if role is None or text is None:
        return None
    return _row(string(message.get("name")) or role, text, first(message, "timestamp", "created_at", "time"), role)


def _row(name: str, text: str, when: Any, role: str | None = None) -> Row:
    said_by = (role or name).lower()
    is_agent_ = said_by in ("assistant", "ai", "agent", "bot")
    is_system = said_by in ("system", "tool", "function", "developer")
    nameless = name.lower() in ("assistant", "ai", "agent", "bot", "user", "human")
    return {
        "role": "agent" if is_agent_ else "system" if is_system else "user",
        "speaker_name": None if nameless else name,
        "text": text,
        "occurred_at": when,
    }
