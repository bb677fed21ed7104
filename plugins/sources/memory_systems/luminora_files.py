"""What LuminoraCore 1.0 and 1.1 keep, as rows of one vocabulary: tables of a SQLite file, session files, snapshots, exports.

Names of tables and columns differ from version to version, and users chose their own: both are recognised by what they are
called and by the columns they have. What the rows mean does not belong here: see `plugins.sources.memory_systems.luminora`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from plugins.contracts import SourceOptions
from plugins.sources.memory_systems.derived import head, none_of_it
from plugins.sources.memory_systems.luminora_json import (
    HISTORY,
    PERSONA,
    SESSION,
    SPEAKER,
    TEXT,
    USER,
    Raw,
    Row,
    document_rows,
    session_rows,
    turn_rows,
)
from plugins.sources.reading import files_in, read_json
from plugins.sources.sqlite_files import is_sqlite, opened, rows_of, tables, tables_of
from records.errors import SourceError

DATABASES = (".db", ".sqlite", ".sqlite3")

MARKS = ("personality_name", "affinity_points", "current_mood", "mood_intensity", "fact_key")
"""Columns that no other program's tables have."""


KINDS: Mapping[str, tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]] = {
    "session": (("session", "conversation"), ((*SESSION, "id"), (*USER, *PERSONA, "messages", "session_data", "data"))),
    "message": (("message",), ((*SESSION,), TEXT, SPEAKER)),
    "fact": (("fact",), (("key", "fact_key"), ("value", "fact_value"))),
    "episode": (("episode",), (("title", "summary"),)),
    "affinity": (("affinity", "relationship"), (("affinity_points", "points", "affinity"), USER)),
    "mood": (("mood",), (("current_mood", "mood_type", "mood", "name"), SESSION)),
    "memory": (("memor",), (("memory_key", "key"), ("memory_value", "value"))),
}
"""Kind to what its table's name has in it, and to columns of each group of which it has one."""


def recognised(path: Path, head_: str) -> bool:
    """Return whether a file is a database or a JSON file of LuminoraCore."""
    if is_sqlite(path):
        known = tables_of(path)
        columns = {column.lower() for found in known.values() for column in found}
        return any(mark in columns for mark in MARKS) and bool(_kinds(known))
    if path.suffix.lower() != ".json":
        return False
    keys = [key for key in ("messages", "context", "personality_name", "conversation") if f'"{key}"' in head_]
    named = path.name.lower().startswith("session_") and "messages" in keys and '"mapping"' not in head_
    return (
        ("personality_name" in keys and ("messages" in keys or "conversation" in keys))
        or ('"_snapshot_info"' in head_ and '"current_state"' in head_)
        or ('"provider_config"' in head_ and '"conversation"' in head_)
        or (named and '"role"' in head_)
        or (
            '"user_message"' in head_
            and '_response"' in head_
            and ('"session_info"' in head_ or '"message_number"' in head_)
        )
    )


def files_of(path: Path) -> list[Path]:
    """Return the files of LuminoraCore in a folder, or the file itself."""
    if not path.is_dir():
        return [path]
    return [file for file in _candidates(path) if recognised(file, head(file))]


def is_folder_of(folder: Path) -> bool:
    """Return whether a folder is LuminoraCore's: it has session files, or nothing but its databases, exports and personas."""
    found = files_of(folder)
    if any(file.name.lower().startswith("session_") for file in found):
        return True
    return bool(found) and all(file in found or is_persona(head(file)) for file in _candidates(folder))


def is_persona(head_: str) -> bool:
    """Return whether a JSON text is a personality: a template, nothing that was said."""
    return '"persona"' in head_ and any(f'"{key}"' in head_ for key in ("core_traits", "advanced_parameters"))


def _candidates(folder: Path) -> list[Path]:
    """Return the databases and JSON files of a folder, in order of their names."""
    return files_in(folder, *DATABASES, ".json")


def raw_rows(path: Path, options: SourceOptions) -> Iterator[Raw]:
    """Yield the rows of a file: sessions before what was said in them, and messages in the order they were kept.

    Raises:
        SourceError: it cannot be read, or is nothing of LuminoraCore.
    """
    if is_sqlite(path):
        yield from _database(path)
        return
    value = read_json(path, options.encoding)
    found = False
    for raw in document_rows(value, path):
        found = found or raw.kind != "odd"
        yield raw
    if not found:
        raise none_of_it(path, "LuminoraCore file", "session with messages and no state of a persona")


# -- databases ------------------------------------------------------------------------------------------------------


def _kinds(known: Mapping[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """Return the tables of each kind."""
    found: dict[str, list[str]] = {}
    for table, columns in known.items():
        lowered = {column.lower() for column in columns}
        for kind, (names, groups) in KINDS.items():
            # "session_moods" is no table of sessions, nor "conversation_memory": the end of a name says what it holds.
            fits = any(name in table for name in names) and all(lowered & set(group) for group in groups)
            if fits and not any(other in table for other in _later(kind)):
                found.setdefault(kind, []).append(table)
                break
    return found


def _later(kind: str) -> tuple[str, ...]:
    others = ("message", "fact", "episode", "affinity", "mood", "memor", "embedding")
    return tuple(name for name in others if name not in KINDS[kind][0])


def _database(path: Path) -> Iterator[Raw]:
    with opened(path) as connection:
        kinds = _kinds(tables(connection))
        if not kinds:
            raise none_of_it(
                path, "LuminoraCore database", "table of sessions, messages, facts, episodes, affinity or moods"
            )
        line = 0
        for kind in ("affinity", "session", "mood", "message", "fact", "episode", "memory"):
            for table in kinds.get(kind, ()):
                for row in rows_of(connection, table):
                    line += 1
                    yield from _row(kind, line, row)


def _row(kind: str, line: int, row: Row) -> Iterator[Raw]:
    if kind == "session":
        yield from session_rows(line, row)
    elif kind == "fact" and row.get("category") == HISTORY:
        yield from turn_rows(line, row)
    else:
        yield Raw(kind, line, row)


def check(path: Path) -> None:
    """Refuse a path that is no file and no folder.

    Raises:
        SourceError: it is not there, or a folder without any file of LuminoraCore.
    """
    if not path.exists():
        raise SourceError(f"{path}: no such file")
    if not files_of(path):
        raise SourceError(f"{path}: no session_*.json and no database of LuminoraCore in this folder")


def personas_in(path: Path) -> list[str]:
    """Return the names of the persona files in a folder."""
    if not path.is_dir():
        return []
    files = (file for file in _candidates(path) if file.suffix.lower() == ".json")
    return [file.name for file in files if is_persona(text := head(file)) and not recognised(file, text)]


def holds_messages(path: Path, options: SourceOptions) -> bool:
    """Return whether a file holds more than states: something that was said, or made of it.

    Raises:
        SourceError: as `raw_rows`.
    """
    return any(raw.kind not in ("session", "affinity", "mood") for raw in raw_rows(path, options))
