"""What sources of other memory systems share: their derived memories as rows, and whose they are.

A derived memory is a sentence that another system's model wrote about a conversation; the words that were said are not in it.
It is put into no person's mouth: its speaker is the system it comes from (`mem0`, `zep`, …), in a session of its own, under
the user it is about. So it is recalled in that user's scope, traced by its id in the other system, erased with the user, and
never a sample of anybody's speech: no agent answers in such a session, and it is marked as not to be trained on.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from plugins.contracts import SourceOptions
from plugins.sources.conversations.json_values import json_values
from plugins.sources.fields import identity, listing, mapping, string
from plugins.sources.normalise import reject
from plugins.sources.reading import head_of
from plugins.sources.times import parse_time
from records.errors import SourceError

LINED = (".jsonl", ".ndjson")
SMALL = 2_000
"""Characters of another system's own metadata that are kept with a memory."""

Row = dict[str, Any]


def memory_row(
    system: str,
    text: Any,
    *,
    options: SourceOptions,
    agent: str | None,
    user: str | None,
    when: Any,
    ref: str | None,
    thread: str = "-",
    edited: Any = None,
    line: int = 0,
    kind: str = "imported_memory",
    about: Mapping[str, Any] | None = None,
) -> Row:
    """Return a derived memory as a row.

    Args:
        system: Name of the system, which is its speaker.
        when: When the system learned it; when it was true belongs into ``about``.
        ref: Its id in the system: a later export with another text changes it, and adds none.
        thread: What else tells its session apart, e.g. a run.
        about: Kept as metadata, beside the kind: what is empty is left out.
    """
    kept = {key: value for key, value in (about or {}).items() if value not in (None, "", [], {}) and _small(value)}
    return {
        "line": line,
        "session_id": f"{system}/{user or '-'}/{thread}",
        "agent_id": agent,
        "user_id": user,
        "speaker_id": system,
        "speaker_name": system,
        "role": "user",
        "text": text,
        "occurred_at": when,
        "edited_at": _edited(edited, when, options),
        "source_ref": ref,
        "is_id": ref is not None,
        "group": True,
        "alone": True,
        # Where a person names the conversation, it may hold speech, too: then that must not be shut out.
        "opt_out_training": options.session is None,
        "metadata": {"kind": kind, "system": system, **kept},
    }


def _edited(edited: Any, when: Any, options: SourceOptions) -> Any:
    """Return when a memory was changed; a time that cannot be read is no reason to lose the memory."""
    if edited in (None, "") or edited == when:
        return None
    try:
        return parse_time(edited, options)
    except ValueError:
        return None


def _small(value: Any) -> bool:
    try:
        return len(json.dumps(value, default=str)) <= SMALL
    except (ValueError, RecursionError, TypeError):
        return False


class Owners:
    """Agents or users of a file: what a record names itself, unless the file knows one only and the options name another.

    A file with the memories of several keeps them apart, whatever the options say; these name who has the rest.
    """

    def __init__(self, asked: str | None, found: Iterable[str | None]) -> None:
        self.names = sorted({name for name in found if name is not None})
        self.asked = asked
        self.only = self.names[0] if len(self.names) == 1 else None

    def of(self, own: str | None) -> str | None:
        """Return whose a record is that names ``own``; None where nothing says it."""
        if own is None or (self.asked is not None and len(self.names) < 2):
            return self.asked or self.only
        return own


def named(item: Mapping[str, Any], *keys: str) -> str | None:
    """Return the first id among some keys of a record, or of the metadata in it."""
    for source in (item, mapping(item.get("metadata"))):
        for key in keys:
            if (found := identity(source.get(key))) is not None:
                return found
    return None


def names_of(value: Any) -> list[str]:
    """Return the names in a list of texts or of objects with a name, or in a text with commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    found = (string(mapping(item).get("name")) if isinstance(item, dict) else string(item) for item in listing(value))
    return [name for name in found if name is not None]


def day_of(value: Any, options: SourceOptions) -> str:
    """Return the UTC day of a time, "-" where it cannot be read (its row becomes a reject)."""
    try:
        return f"{parse_time(value, options):%Y-%m-%d}"
    except ValueError:
        return "-"


def oldest_first(items: list[Any], when: Callable[[dict[str, Any]], Any], options: SourceOptions) -> list[Any]:
    """Return the items of a list as they happened: interfaces often give the newest first.

    Only a list whose times never rise, and fall at least once, is turned around: any other is in an order of its own.
    """
    times = []
    for item in items:
        try:
            times.append(parse_time(when(mapping(item)), options))
        except ValueError:
            continue
    falls = len(times) > 1 and times[0] > times[-1] and all(a >= b for a, b in pairwise(times))
    return items[::-1] if falls else items


def documents(path: Path, options: SourceOptions) -> Iterator[tuple[int, Any]]:
    """Yield the line and the value of each JSON text of a file: one in all, or one a line; a broken line is `...`.

    Raises:
        SourceError: it cannot be read.
    """
    for found in json_values(path, options.encoding):
        yield found.line, found.value if found.broken is None else ...


def refuse(source: str, path: Path, line: int, reason: str, raw: Any) -> Row:
    """Return the reject of something that is no speech and no memory, or that cannot be read."""
    return reject(source, path.name, line, reason, raw)


def none_of_it(path: Path, what: str, looked_for: str) -> SourceError:
    """Return the error for a file that is of another shape."""
    return SourceError(f"{path.name}: no {what}: there is no {looked_for} in it")


def head(path: Path) -> str:
    """Return how a file begins, empty where it cannot be opened: for the files of a folder that is looked through."""
    try:
        return head_of(path)
    except (OSError, SourceError):
        return ""
