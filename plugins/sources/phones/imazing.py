"""The tables that iMazing exports of Messages and WhatsApp: a row a message, one or more chats a file."""

import csv
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

from plugins.contracts import SourceBatch, SourceOptions
from plugins.sources.batches import in_batches, kept
from plugins.sources.normalise import reject
from plugins.sources.phones.cast import OWNER, Cast, notes
from plugins.sources.reading import lines_of
from plugins.sources.times import Clock, parse_time
from records.errors import SourceError
from records.names import cleaned

COLUMNS = ("Chat Session", "Message Date", "Text")
LONGEST_CELL = 1 << 20


def is_table(head: str) -> bool:
    """Return whether the first line names iMazing's columns."""
    columns = head.partition("\n")[0]
    return all(column in columns for column in (*COLUMNS, "Type"))


def read(path: Path, options: SourceOptions, source: str) -> Iterator[SourceBatch]:
    """Yield batches in the order of the file; it is read twice, as only its end shows who takes part.

    Raises:
        SourceError: it is no table, or a column is missing.
    """
    speakers: dict[str, dict[str, str]] = {}
    total = 0
    for _, row in _rows(path, options):
        total += 1
        chat = speakers.setdefault(row["Chat Session"], {})
        if row.get("Type") != "Notification":
            speaker, name = _speaker(row)
            chat.setdefault(speaker, name)
    casts = {chat: Cast(path.name, options, names.items(), source) for chat, names in speakers.items()}
    if not casts:
        raise SourceError(f"{path.name}: the table has no rows")
    found = _found(path, options, casts, source)
    yield from in_batches(found, total, notes(list(casts.values()), path.name, options))


def _found(path: Path, options: SourceOptions, casts: dict[str, Cast], source: str) -> Iterator[dict[str, Any]]:
    clocks = {chat: Clock(options) for chat in casts}
    for number, row in _rows(path, options):
        chat = row["Chat Session"]
        try:
            if row.get("Type") == "Notification":
                raise ValueError("a notice of the app, nobody said it")
            if row.get("Deleted Date"):
                raise ValueError("deleted by who wrote it")
            text = "\n".join(part for part in (row.get("Subject"), row["Text"].replace("\ufffc", "").strip()) if part)
            if not text:
                raise ValueError("media, no text" if row.get("Attachment") else "no text")
            moment = _moment(row["Message Date"], options, clocks[chat])
        except ValueError as error:
            yield reject(source, path.name, number, str(error), row)
            continue
        ref = row.get("Message ID") or row.get("Message GUID")
        yield casts[chat].row(_speaker(row)[0], moment) | {
            "line": number,
            "text": text,
            "edited_at": _edited(row.get("Edited Date"), options),
            "source_ref": ref or None,
            "is_id": bool(ref),
            "metadata": kept(
                chat=chat if casts[chat].group else None,
                service=row.get("Service"),
                reply_to=(row.get("Replying to") or "")[:200],
                forwarded=row.get("Forwarded"),
                reactions=row.get("Reactions"),
                attachment=row.get("Attachment type"),
            ),
        }


def _rows(path: Path, options: SourceOptions) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number of the line and the cells by column, none missing that every export has."""
    lines = (f"{line}\n" for line in lines_of(path, options.encoding))
    first = next(lines, "")
    delimiter = ";" if first.count(";") > first.count(",") else ","
    try:
        reader = csv.reader(chain([first], lines), delimiter=delimiter)
        header = [name.strip().lstrip("\ufeff") for name in next(reader, [])]
        missing = [column for column in COLUMNS if column not in header]
        if missing:
            raise SourceError(f"{path.name}: no table of iMazing: the column {missing[0]!r} is missing")
        for cells in reader:
            if any(cells):
                row = dict.fromkeys(COLUMNS, "") | dict(zip(header, (cell.strip() for cell in cells), strict=False))
                yield reader.line_num, row
    except csv.Error as error:
        raise SourceError(f"{path.name}: not a table: {error}") from None


def _speaker(row: dict[str, str]) -> tuple[str, str]:
    """Return the id (a number or an address) and the name of who wrote a row; the owner of the telephone has none."""
    number, name = cleaned(row.get("Sender ID") or ""), cleaned(row.get("Sender Name") or "")
    if row.get("Type") == "Outgoing":
        return number or name or OWNER, name or OWNER
    return number or name or row["Chat Session"] or "somebody", name or number or row["Chat Session"] or "somebody"


def _moment(text: str, options: SourceOptions, clock: Clock) -> datetime:
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        return parse_time(text, options)
    return clock.utc(local) if local.tzinfo is None else parse_time(local, options)


def _edited(text: str | None, options: SourceOptions) -> datetime | None:
    try:
        return _moment(text, options, Clock(options)) if text else None
    except ValueError:
        return None
