"""Breaking files as programs, disks and people do: values of any kind at any place, other encodings, bytes that were lost.

What whole files look like does not belong here (see `benchmarks.fuzz_seeds`), nor files that are traps as such (`benchmarks.fuzz_traps`).
"""

import copy
import json
import random
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.fuzz_seeds import Seed, csv_text, database, zipped

LONG = 1_000_000
"""Characters of a very long text."""

ODD: tuple[Any, ...] = (
    *(None, [], {}, "", " ", -1, 0, 1, 2**63, 2**31, 10**400, -(10**400), float("nan"), float("inf"), True, False, 1.5, 1e308),
    *("\ud800", "a\ud83d", "\udc00b", "a\x00b", "\x00", "\ufffe", "\u202eabc", "\u200b", "﷽", "👩‍👩‍👧", "<b>&amp;</b>", "9" * 400, "-1", "null"),
    *([[[]]], [None, 1, "x", {}], {"a": {"b": []}}, {"": ""}, [[1], [2]], ["text", 3], {"text": None}, [{}], "@@raw:1e400", "@@raw:-0"),
    *("@@deep:100", "@@deep:450", "@@deep:900", "@@deep:985", "@@deep:5000", "@@deep:100000"),
)  # fmt: skip
"""What stands in files that no program wrote; ``@@`` marks what JSON is written by hand for."""

DATES: tuple[Any, ...] = (
    *("0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "0001-01-01", "9999-12-31T23:59:59-14:00", "9999-12-31", "2025-02-30"),
    *("2025-13-45T25:61:61Z", "2025-05-01T10:00:00+99:99", "2025-05-01T10:00:00.123456789123Z", "2025-W18-4", "1969-12-31T23:59:59Z"),
    *("01/02/03", "NaN", "Infinity", "1e20", "²²²²²²²²²²", "١٧٤٦٠٩٣٦٠٠", "2025-05-01 10:00:00 AM UTC+0000", "99999999999999999999", "yesterday"),
    *(-1, -62135596800, -62135596801, 1e20, -1e20, 1e11, 253402300799, 253402300800, 253402300799999, 2**62, 2**63, 0.5, 17460936000000000),
    *("10:00", "2025", "2025-05", 1746093600, 1746093600.123, "1746093600000", "2025-03-30T02:30:00", "2025-10-26T02:30:00", ""),
)  # fmt: skip

RUNS = (
    " ",
    "\n",
    "<",
    "\\",
    ":",
    "9",
    "á",
    "A: ",
    "(",
    "[",
    "-",
    ">",
    '"',
    "a",
    "\u200b",
    "x\n",
    "<a",
    "http://",
    "> ",
    "@",
    ", ",
    "\t",
    "=?",
    "|",
)
"""What very long texts are made of."""

ENCODINGS = ("latin-1", "utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32", "cp1252")

Dice = random.Random


# -- JSON -----------------------------------------------------------------------------------------------------------


def odd(dice: Dice, key: Any = None) -> Any:
    """Return a value that nobody expects; at a key of times often one that looks like a time."""
    if any(mark in str(key) for mark in ("time", "date", "ts", "_at", "created", "start")) and dice.random() < 0.6:
        return dice.choice(DATES)
    if dice.random() < 0.05:
        return long_text(dice)
    return copy.deepcopy(dice.choice(ODD))


def long_text(dice: Dice) -> str:
    """Return a very long text of one thing."""
    run = dice.choice(RUNS)
    return run * (LONG // len(run))


def broken_json(value: Any, dice: Dice) -> Any:
    """Return a copy with some values changed, left out, doubled, exchanged or wrapped, at any level."""
    value = json.loads(json.dumps(value))
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6, 20))):
        places = list(_places(value))
        if not places:
            return odd(dice)
        holder, key = dice.choice(places)
        _change(holder, key, dice, places)
    return odd(dice) if dice.random() < 0.01 else value


def _places(value: Any) -> Any:
    if isinstance(value, dict | list):
        for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield value, key
            yield from _places(inner)


def _change(holder: Any, key: Any, dice: Dice, places: list[tuple[Any, Any]]) -> None:
    own, act = holder[key], dice.random()
    if act < 0.45:
        holder[key] = odd(dice, key)
    elif act < 0.57:
        del holder[key]
    elif act < 0.67 and isinstance(holder, list):
        holder[key:key] = [json.loads(json.dumps(own))] * dice.choice((1, 1, 2, 30))
    elif act < 0.75 and isinstance(holder, list):
        other = dice.randrange(len(holder))
        holder[key], holder[other] = holder[other], holder[key]
    elif act < 0.85:
        holder[key] = dice.choice(([own], {"value": own}, [own, own], str(own), json.dumps(own)[:2000]))
    elif act < 0.93:
        other_holder, other_key = dice.choice(places)
        holder[key] = json.loads(json.dumps(other_holder[other_key])) if _has(other_holder, other_key) else None
    elif isinstance(holder, dict):
        holder[dice.choice(("", "text", "messages", "\ud800", "a" * 300, str(key).upper(), "id"))] = holder.pop(key)


def _has(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


def json_bytes(value: Any, dice: Dice, *, indent: bool = False) -> bytes:
    """Return a value as JSON; letters as escapes, as they are, or (lone surrogates) as bytes that are no UTF-8."""
    text = json.dumps(value, ensure_ascii=dice.random() < 0.5, indent=1 if indent else None)
    text = re.sub(r'"@@deep:(\d+)"', lambda found: "[" * int(found[1]) + "]" * int(found[1]), text)
    return re.sub(r'"@@raw:([^"]+)"', r"\1", text).encode("utf-8", "surrogatepass")


# -- tables and texts -----------------------------------------------------------------------------------------------


def broken_cells(rows: list[list[str]], dice: Dice) -> str:
    """Return a table whose cells, rows, names or quotes are broken."""
    rows = [list(row) for row in rows]
    for _ in range(dice.choice((1, 1, 2, 5))):
        row = dice.choice(rows) if rows else []
        act = dice.randrange(9)
        if act <= 3 and row:
            row[dice.randrange(len(row))] = _cell(dice)
        elif act == 4 and row:
            row.pop(dice.randrange(len(row)))
        elif act == 5:
            row.extend([_cell(dice)[:1_000]] * dice.choice((1, 3, 10_000)))
        elif act == 6 and rows:
            rows.insert(dice.randrange(len(rows)), list(row))
        elif act == 7:
            rows = rows[: dice.choice((0, 1, 1, 2))]
        elif rows and rows[0]:
            rows[0][dice.randrange(len(rows[0]))] = dice.choice(
                ("", "text", "date", "time", "\x00", rows[0][0], "a" * 5000)
            )
    text = csv_text(rows, dice.choice((",", ",", ",", ";", "\t", "|")))
    return _loose_quotes(text, dice) if dice.random() < 0.2 else text


def _cell(dice: Dice) -> str:
    value = odd(dice, "time" if dice.random() < 0.3 else None)
    return (
        value
        if isinstance(value, str)
        else str(value)
        if not isinstance(value, int) or abs(value) < 2**64
        else "1" * 401
    )


def _loose_quotes(text: str, dice: Dice) -> str:
    if dice.random() < 0.3:
        return text + '1"2,"3\n' * dice.choice((10, 3_000))
    letters = list(text)
    for _ in range(dice.randint(1, 5)):
        letters.insert(dice.randrange(len(letters) + 1), '"')
    return "".join(letters)


def broken_text(text: str, dice: Dice) -> str:
    """Return a text whose lines are lost, doubled, exchanged, joined, or hold what nobody expects."""
    lines = text.split("\n")
    for _ in range(dice.choice((1, 1, 2, 4, 10))):
        place, act = dice.randrange(len(lines)), dice.randrange(8)
        if act == 0:
            del lines[place]
        elif act == 1:
            lines[place:place] = [lines[place]] * dice.choice((1, 2, 2_000))
        elif act == 2:
            other = dice.randrange(len(lines))
            lines[place], lines[other] = lines[other], lines[place]
        elif act == 3 and place:
            lines[place - 1 : place + 1] = [lines[place - 1] + lines[place]]
        elif act == 4:
            lines[place] = re.sub(
                r"\d+", lambda _: dice.choice(("0", "99", "2099", "9" * 30, "-1", "٣")), lines[place], count=2
            )
        elif act == 5:
            lines.insert(
                place,
                long_text(dice)
                if dice.random() < 0.2
                else dice.choice(("", " ", "<![CDATA[", "<!--", "--b", "\u200e", "[")),
            )
        elif act == 6:
            cut = dice.randrange(len(lines[place]) + 1)
            lines[place] = (
                lines[place][:cut] + str(odd(dice) if dice.random() < 0.7 else "")[:LONG] + lines[place][cut:]
            )
        else:
            lines[place] = lines[place][: dice.randrange(len(lines[place]) + 1)]
        lines = lines or [""]
    return "\n".join(lines)


# -- bytes ----------------------------------------------------------------------------------------------------------


def broken_bytes(data: bytes, dice: Dice) -> bytes:
    """Return bytes of which some were changed, lost, doubled, cut off, or that are in another encoding."""
    act = dice.randrange(11)
    if act == 0:
        return data[: dice.randrange(len(data) + 1)]
    if act == 1:
        return _encoded(data, dice)
    if act == 2:
        return data.replace(b"\n", dice.choice((b"\r\n", b"\r", b"\n\n", b"\x00")))
    if act == 3:
        return dice.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"PK\x03\x04", b"\x00", b" \n", b"From ")) + data
    if act == 4:
        start = dice.randrange(len(data) + 1)
        return data[:start] + data[start : start + dice.randint(1, 300)] * dice.choice((2, 2, 500)) + data[start:]
    found = bytearray(data)
    for _ in range(dice.choice((1, 1, 3, 12, 64))):
        place = dice.randrange(len(found) + 1)
        if act <= 6:
            found[place : place + 1] = dice.randbytes(1)
        elif act == 7:
            found[place:place] = dice.choice(
                (b"\x00", b"\xff", b"\xed\xa0\x80", b"\\ud800", b'"', b"{", b"]", b"\n", b",", b"\x1a", b"&#")
            )
        elif act == 8:
            del found[place : place + dice.randint(1, 40)]
        else:
            found[place : place + 1] = bytes([found[place] ^ (1 << dice.randrange(8))]) if place < len(found) else b""
    return bytes(found)


def _encoded(data: bytes, dice: Dice) -> bytes:
    encoding = dice.choice(ENCODINGS)
    return data.decode("utf-8", "replace").encode(encoding, "replace" if "utf" not in encoding else "surrogatepass")


# -- Parquet and SQLite ---------------------------------------------------------------------------------------------


def write_parquet(path: Path, rows: Any, dice: Dice, *, intact: bool = False) -> None:
    """Write rows into a Parquet file; columns may be of any type that the format has."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    names = list(dict.fromkeys(str(key).encode("utf-8", "replace").decode() for row in rows for key in row))
    columns = {name: _column([row.get(name) for row in rows], dice, intact=intact) for name in names} or {
        "text": pa.array(["x"])
    }
    options = {"compression": dice.choice(("snappy", "zstd", "gzip", "none")), "row_group_size": dice.choice((2, 1000))}
    try:
        pq.write_table(pa.table(columns), path, **options)
    except (pa.ArrowException, UnicodeError):  # some times of some units cannot be written
        pq.write_table(pa.table({"text": [str(row)[:LONG].encode("utf-8", "replace").decode() for row in rows]}), path)


def _column(values: list[Any], dice: Dice, *, intact: bool = False) -> Any:
    import pyarrow as pa

    changed: list[Callable[[], Any]] = [
        lambda: pa.array(values).dictionary_encode(),
        lambda: pa.array([str(value)[:999].encode("utf-8", "surrogatepass") for value in values], pa.binary()),
        lambda: pa.array([dice.choice((0, 1, 2**62, -(2**62))) for _ in values], pa.int64()).cast(
            pa.timestamp(dice.choice("sn").replace("n", "ns"))
        ),
        lambda: pa.array([Decimal("1.5")] * len(values), pa.decimal128(38, 9)),
        lambda: pa.array([[value] for value in values]),
        lambda: pa.array([{"a": value, "b": float("nan")} for value in values]),
        lambda: pa.nulls(len(values)),
        lambda: pa.array([1e300] * len(values)),
        lambda: pa.array([b"\xff\xfe"] * len(values), pa.binary()).cast(pa.string(), safe=False),
    ]
    attempts = [dice.choice(changed)] if not intact and dice.random() < 0.15 else []
    for attempt in [*attempts, lambda: pa.array(values)]:
        try:
            return attempt()
        except (pa.ArrowException, ValueError, TypeError, OverflowError, UnicodeError):
            continue
    return pa.array([str(value)[:LONG].encode("utf-8", "replace").decode() for value in values])


def write_sqlite(path: Path, tables: dict[str, Any], dice: Dice, *, intact: bool = False) -> None:
    """Write tables into a SQLite file; now and then with texts that are no UTF-8."""
    found: dict[str, list[dict[str, Any]]] = {}
    for called, listed in tables.items():
        name = str(called).encode("utf-8", "replace").decode().replace("\x00", "").replace('"', "") or "t"
        rows = [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
        names = dict.fromkeys(
            str(key).encode("utf-8", "replace").decode().replace("\x00", "") or "x" for row in rows for key in row
        )
        by_name = {column.casefold(): column for column in names}  # SQLite's names have no case
        found[name] = [{column: _bound(row.get(column)) for column in by_name.values()} for row in rows] or [
            {"text": None}
        ]
    database(str(path), found)
    if not intact and dice.random() < 0.3:
        import sqlite3

        connection = sqlite3.connect(path)
        with connection:
            table = dice.choice(list(found))
            column = dice.choice(list(found[table][0]))
            connection.execute(f'UPDATE "{table}" SET "{column}" = CAST(X\'ff00fe61\' AS TEXT)')
        connection.close()


def _bound(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value)[:LONG]
    if isinstance(value, int) and abs(value) >= 2**63:
        return float(min(value, 10**300)) if abs(value) < 10**300 else "9" * 400
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


# -- whole files ----------------------------------------------------------------------------------------------------


def write_seed(path: Path, seed: Seed, dice: Dice, *, intact: bool = False) -> Path:
    """Write a seed under a folder, whole or broken; return where it lies."""
    target = path / seed.name
    if seed.kind == "folder":
        for name, inner in seed.data.items():
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(_content(inner, dice, intact=intact or dice.random() < 0.6))
    elif seed.kind == "zip":
        files = {name: _content(inner, dice, intact=intact or dice.random() < 0.6) for name, inner in seed.data.items()}
        if not intact and dice.random() < 0.3:
            files = {_odd_name(name, dice): data for name, data in files.items()}
        data = zipped(files)
        target.write_bytes(data if intact or dice.random() < 0.7 else broken_bytes(data, dice))
    elif seed.kind in ("parquet", "sqlite"):
        value = seed.data if intact else broken_json(seed.data, dice)
        if seed.kind == "parquet":
            write_parquet(target, value, dice, intact=intact)
        else:
            write_sqlite(target, value if isinstance(value, dict) else seed.data, dice, intact=intact)
        if not intact and dice.random() < 0.4:
            target.write_bytes(broken_bytes(target.read_bytes(), dice))
    else:
        target.write_bytes(_content(seed, dice, intact=intact))
    return target


def _odd_name(name: str, dice: Dice) -> str:
    return dice.choice(
        (
            "../../" + name,
            "/" + name,
            "C:\\x\\" + name,
            "a\nb/" + name,
            "__MACOSX/" + name,
            "x/" * 30 + name,
            "é👍/" + name,
            name,
        )
    )


def _content(seed: Seed, dice: Dice, *, intact: bool) -> bytes:
    structural = not intact and dice.random() < 0.75
    data = _encoded_seed(seed, dice, structural=structural)
    return data if intact or (structural and dice.random() < 0.8) else broken_bytes(data, dice)


def _encoded_seed(seed: Seed, dice: Dice, *, structural: bool) -> bytes:
    if seed.kind == "json":
        return json_bytes(broken_json(seed.data, dice) if structural else seed.data, dice, indent=dice.random() < 0.3)
    if seed.kind == "lines":
        values = broken_json(seed.data, dice) if structural else seed.data
        if not isinstance(values, list):
            return json_bytes(values, dice)
        return b"\n".join(json_bytes(value, dice) for value in values) + b"\n"
    if seed.kind == "csv":
        delimiter = "\t" if seed.name.endswith(".tsv") else ","
        text = broken_cells(seed.data, dice) if structural else csv_text(seed.data, delimiter)
    elif seed.kind == "mail":
        text = seed.data.decode("utf-8")
        text = broken_text(text, dice) if structural else text
    else:
        text = broken_text(seed.data, dice) if structural else seed.data
    return text.encode("utf-8", "surrogatepass")


def options_of(seed: Seed, dice: Dice) -> dict[str, Any]:
    """Return options of an import as people give them, now and then odd ones."""
    found: dict[str, Any] = {
        "agent": dice.choice(("Lumi",) * 7 + (None, None, "LÚMI", "nobody", "", "\ud800", "Nora Thistlewick"))
    }
    choices: tuple[tuple[str, float, tuple[Any, ...]], ...] = (
        ("user", 0.3, ("Nora Thistlewick", "x", "", "\ud83d")),
        ("session", 0.15, ("s1", "a/b", "ü")),
        ("world", 0.15, ("w", "w/1%")),
        ("timezone", 0.4, ("Europe/Madrid", "America/Lima", "Asia/Kathmandu", "Pacific/Apia", "Nowhere/X", "../etc")),
        ("at", 0.3, (datetime(2025, 1, 1, tzinfo=UTC), datetime(2021, 3, 28, 1, 59, tzinfo=UTC))),
        ("metadata", 0.2, ({"mood": "calm"}, {"a": "b", "text": "x"})),
        (
            "columns",
            0.1,
            ({"text": "content"}, {"text": "message", "occurred_at": "date"}, {"nothing": "x"}, {"role": "text"}),
        ),
        ("opt_out", 0.1, (True,)),
        ("encoding", 0.1, ("utf-8", "latin-1", "utf-16", "cp1252", "rot13", "no such", "idna", "punycode")),
        ("day_first", 0.2, (True, False)),
        ("first_week", 0.2, ("1970-01-05", "0001-01-01", "1899-12-25")),
        ("called", 0.1, ("WhatsApp Chat - Nora", "x")),
    )
    for name, share, values in choices:
        if dice.random() < share:
            found[name] = dice.choice(values)
    return {**found, **seed.options} if dice.random() < 0.9 else found
