"""Which columns of a table mean what: our own names, names that are common elsewhere, and those given with --map.

A name is taken where it can mean one thing only; what was taken for what is told to the person who imports. What a row of these
columns says does not belong here (see `plugins.sources.tables.exchanges`).
"""

import re
from collections.abc import Collection, Iterable, Mapping, Set
from datetime import datetime
from functools import lru_cache

from plugins.sources.normalise import COLUMNS
from records.errors import SourceError
from records.names import nearest

EXCHANGE = ("input_text", "output_text", "input_emotion", "output_emotion")
FEEDBACK = ("rating", "correct", "correction", "quality")
OURS = (*COLUMNS, *EXCHANGE, *FEEDBACK)

SYNONYMS: dict[str, tuple[str, ...]] = {
    "text": ("message", "content", "body", "msg", "utterance", "message text", "message body", "contents", "mensaje", "texto", "contenido"),
    "occurred_at": (
        "timestamp", "datetime", "date time", "date", "time", "created at", "create time", "created", "at", "sent at", "sent on", "ts",
        "when", "message date", "created date", "sent date", "fecha", "fecha hora", "hora",
    ),
    "speaker_id": ("author id", "sender id", "from id"),
    "speaker_name": ("speaker", "author", "from", "sender", "name", "who", "nickname", "sender name", "author name", "autor",
                     "remitente", "nombre"),
    "role": ("rol", "speaker role", "author role", "sender role", "sender type", "message role"),
    "session_id": ("conversation id", "conversation", "conv id", "session", "chat id", "thread id", "thread", "dialogue id", "message tree id"),
    "user_id": ("customer id", "customer", "person id"),
    "agent_id": ("agent", "agent name", "character id", "character", "companion", "bot name"),
    "source_ref": ("message id", "msg id", "uuid", "guid", "id"),
    "edited_at": ("edited time", "last edited", "last edited at"),
    "model_version": ("model", "model name"),
    "turn": ("turn number", "turn index", "message index"),
    "input_text": ("input", "prompt", "question", "query", "user message", "user text", "user input", "human", "pregunta"),
    "output_text": ("output", "response", "answer", "reply text", "completion", "assistant message", "assistant response", "ai response",
                    "bot response", "bot message", "agent response", "model output", "respuesta"),
    "rating": ("feedback rating", "user rating"),
    "quality": ("quality override",),
}  # fmt: skip
"""Names of columns elsewhere, without case, spaces or marks."""

PEOPLE = ("user", "username", "user name", "usuario")
"""Names of a column that holds who speaks, or whose conversation it is where something else says who speaks."""

SIDES = (("user", "human"), ("assistant", "bot", "ai", "gpt"))
"""Names of two columns that hold what was said and what was answered, where no other column holds a text."""

DAYS, HOURS = ("date", "fecha"), ("time", "hora")
"""Names of two columns that are a time together."""


LISTED = 20
LONGEST_LISTED = 40
"""Columns that an error lists, and characters of each."""

HELD = 10_000
"""Characters of the names of columns of one row whose meaning is kept: rows of one table have the same, and others are many."""


class Taken(dict[str, str]):
    """Our columns to the columns of a table.

    Attributes:
        guessed: Those of them whose names differ from ours.
        unclear: Our columns for which several are there, with these.
        hour: The column that holds the hour, where occurred_at holds the day only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.guessed: dict[str, str] = {}
        self.unclear: dict[str, list[str]] = {}
        self.hour: str | None = None


def recognised(found: Iterable[str], given: Mapping[str, str]) -> Taken:
    """Return which of the columns found mean what; those given with --map win."""
    columns, pairs = tuple(found), tuple(sorted(given.items()))
    return (_known if sum(map(len, columns)) <= HELD else _recognised)(columns, pairs)


@lru_cache(maxsize=1_024)
def _known(found: tuple[str, ...], given: tuple[tuple[str, str], ...]) -> Taken:
    return _recognised(found, given)


def _recognised(found: tuple[str, ...], given: tuple[tuple[str, str], ...]) -> Taken:
    taken = Taken()
    by_name: dict[str, list[str]] = {}
    for column in found:
        by_name.setdefault(_folded(column), []).append(column)
    mapped = {ours for ours, _ in given}  # what was given is not guessed, also where it is not there
    for ours, theirs in given:
        meant = [theirs] if theirs in found else by_name.get(_folded(theirs), [])
        if meant:
            taken[ours] = meant[0]
    for ours in OURS:
        same = [ours] if ours in found else by_name.get(_folded(ours), [])
        if ours not in mapped and len(same) == 1 and same[0] not in taken.values():
            taken[ours] = same[0]
    free = {
        name: columns[0] for name, columns in by_name.items() if len(columns) == 1 and columns[0] not in taken.values()
    }
    _guess(taken, free, mapped)
    return taken


def _guess(taken: Taken, free: Mapping[str, str], mapped: Set[str]) -> None:
    """Add our columns that are there under another name, where there is one candidate only."""
    meant: dict[str, str] = {}
    for ours, names in SYNONYMS.items():
        candidates = _there(names, free)
        if ours in taken or ours in mapped:
            continue
        if len(candidates) == 1:
            meant[ours] = candidates[0]
        elif candidates:
            taken.unclear[ours] = candidates
    days, hours = _there(DAYS, free), _there(HOURS, free)
    if taken.unclear.get("occurred_at") in ([*days, *hours], [*hours, *days]) and len(days) == len(hours) == 1:
        meant["occurred_at"], taken.hour = days[0], hours[0]
        del taken.unclear["occurred_at"]
    _guess_sides(taken, meant, free, mapped)
    both = {**taken, **meant}
    person = [column for column in _there(PEOPLE, free) if column not in meant.values()]
    if len(person) == 1:
        is_said_elsewhere = any(
            name in both for name in ("role", "input_text", "output_text", "speaker_id", "speaker_name")
        )
        ours = "user_id" if is_said_elsewhere else "speaker_name"
        if ours not in both and ours not in mapped:
            meant[ours] = person[0]
    taken.guessed.update(meant)
    taken.update(meant)


def _guess_sides(taken: Taken, meant: dict[str, str], free: Mapping[str, str], mapped: Set[str]) -> None:
    """Decide whether a table holds messages or exchanges: it is not taken for both."""
    both = {**taken, **meant}
    if not {"text", "output_text"} & {*both, *taken.unclear, *mapped}:
        sides = [_there(names, free) for names in SIDES]
        if all(len(side) == 1 for side in sides):
            meant["input_text"], meant["output_text"] = sides[0][0], sides[1][0]
            return
    is_unclear = "text" in taken.unclear and "input_text" not in both
    if "text" in taken or "output_text" not in both or is_unclear:
        meant.pop("input_text", None)
        meant.pop("output_text", None)
    elif "input_text" in both:
        meant.pop("text", None)
        taken.unclear.pop("text", None)
    elif "text" in meant:
        meant["input_text"] = meant.pop("text")  # a message and the response to it


def _there(names: Iterable[str], free: Mapping[str, str]) -> list[str]:
    return list(dict.fromkeys(free[folded] for name in names if (folded := _folded(name)) in free))


def checked_map(given: Mapping[str, str]) -> None:
    """Refuse a map to a column that no message has.

    Raises:
        SourceError: with those that it has.
    """
    for ours, theirs in given.items():
        if ours not in OURS:
            raise SourceError(f"--map {ours}={theirs}: {ours!r} is no column of a message; known are {', '.join(OURS)}")


def checked_columns(found: Iterable[str], given: Mapping[str, str], name: str) -> Taken:
    """Return which column means what in a table whose columns are known.

    Raises:
        SourceError: none holds text, one name that is used is there twice, or the map names what is not there.
    """
    found = list(found)
    checked_map(given)
    known = {_folded(column) for column in found}
    for ours, theirs in given.items():
        if theirs not in found and _folded(theirs) not in known:
            hint = nearest(theirs, found, 1)
            meant = f" (did you mean {hint[0]!r}?)" if hint else ""
            raise SourceError(
                f"{name}: --map {ours}={theirs}: there is no column {theirs!r}{meant}; found {listed(found)}"
            )
    taken = recognised(found, given)
    twice = sorted({column for column in taken.values() if found.count(column) > 1})
    if twice:
        raise SourceError(f"{name}: two columns are called {twice[0]!r}; rename one of them")
    missing = unclear(taken)
    if missing is not None:
        raise SourceError(f"{name}: {missing}; found {listed(found)}")
    return taken


def listed(names: Collection[str]) -> str:
    """Return the names of columns for a message, not endless ones."""
    shown = [name if len(name) <= LONGEST_LISTED else f"{name[:LONGEST_LISTED]}…" for name in list(names)[:LISTED]]
    return ", ".join(shown) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")


def unclear(taken: Taken) -> str | None:
    """Return which column has to be named with --map before anything can be read, None where none has."""
    if not any(name in taken for name in ("text", "input_text", "output_text")):
        several = taken.unclear.get("text")
        if several:
            return f"{' and '.join(several)[:200]} could each be the text: name it with --map text=COLUMN"
        return "no column 'text' (or input_text/output_text): name it with --map text=COLUMN"
    several = taken.unclear.get("occurred_at")
    if several and "occurred_at" not in taken:
        return f"{' and '.join(several)[:200]} could each be the time: name it with --map occurred_at=COLUMN"
    return None


def notes_of(taken: Collection[Taken], name: str, at: datetime | None) -> list[str]:
    """Return what was taken for what, where names are not ours; and what to do where nothing is a time.

    Args:
        taken: What the columns of each kind of row mean.
        name: What the table is called.
        at: The time that was given for all of it.
    """
    pairs = {(ours, theirs) for one in taken for ours, theirs in one.guessed.items() if ours != "source_ref"}
    told = ", ".join(f"{theirs} as {ours}" for ours, theirs in sorted(pairs))
    notes = [f"{name}: columns taken by their names: {told}; others with --map"] if told else []
    if at is None and taken and not any("occurred_at" in one for one in taken):
        notes.append(f"{name}: no column is a time; name it with --map occurred_at=COLUMN, or give one time with --at")
    return notes


def _folded(name: str) -> str:
    """Return what is compared of a column's name: ``Created At``, ``created_at`` and ``createdAt`` are one."""
    return _fold(name) if len(name) <= LONGEST_LISTED else name


@lru_cache(maxsize=16_384)
def _fold(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())
