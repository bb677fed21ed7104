"""Files that are made to stop, fill or mislead whoever opens them: bombs, pipes, links in circles, names and tables without end.

Files that are only broken do not belong here (see `benchmarks.fuzz_mutations`).
"""

import itertools
import json
import os
import sqlite3
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fuzz_seeds import SAID, UNIX, iso, seeds, zipped

GIGABYTE = 1 << 30
HEADER = "speaker,text,timestamp\n"


@dataclass(frozen=True)
class Trap:
    """A target to import and the options to do it with; ``seconds`` it may take, where it is not only small."""

    target: str
    options: dict[str, Any] = field(default_factory=lambda: {"agent": "Lumi"})
    format: str | None = None
    seconds: float = 20.0


Made = Callable[[Path], Trap]


def _file(name: str, data: bytes | Callable[[], bytes], **more: Any) -> Made:
    def make(folder: Path) -> Trap:
        path = folder / name
        path.write_bytes(data() if callable(data) else data)
        return Trap(str(path), **more)

    return make


def _seed_of(name: str) -> Any:
    return next(seed for seed in seeds() if seed.name == name)


# -- what is no file ------------------------------------------------------------------------------------------------


def fifo(folder: Path) -> Trap:
    """A pipe that nobody writes into."""
    os.mkfifo(folder / "chat.jsonl")
    return Trap(str(folder / "chat.jsonl"))


def folder_of_odd_things(folder: Path) -> Trap:
    """A folder with a pipe, a link to a device, a link in a circle, and a chat."""
    inner = folder / "chats"
    inner.mkdir()
    os.mkfifo(inner / "message_1.json")
    (inner / "users.json").symlink_to("/dev/zero")
    (inner / "again").symlink_to(inner)
    (inner / "conversations.json").symlink_to(inner / "conversations.json")
    (inner / "messages.jsonl").write_text(json.dumps({"speaker": "Nora", "text": SAID[0], "timestamp": iso(1)}))
    return Trap(str(inner))


def symlink_loop(folder: Path) -> Trap:
    """Two links that lead to each other."""
    (folder / "a.json").symlink_to(folder / "b.json")
    (folder / "b.json").symlink_to(folder / "a.json")
    return Trap(str(folder / "a.json"))


def unreadable(folder: Path) -> Trap:
    """A file that may not be read (by anybody but root)."""
    path = folder / "chat.csv"
    path.write_text(f"{HEADER}a,{SAID[0]},{iso(1)}\n")
    path.chmod(0)
    return Trap(str(path))


def empty_folder(folder: Path) -> Trap:
    """A folder without anything."""
    (folder / "nothing").mkdir()
    return Trap(str(folder / "nothing"))


def deep_folder(folder: Path) -> Trap:
    """Folders within folders, as deep as the system allows."""
    start = os.getcwd()
    try:
        os.chdir(folder)
        for _ in range(1_500):
            os.mkdir("d")
            os.chdir("d")
        Path("chat.jsonl").write_text(json.dumps({"speaker": "Nora", "text": SAID[0], "timestamp": iso(1)}))
    finally:
        os.chdir(start)
    return Trap(str(folder / "d"))


def _named(name: str | bytes) -> Made:
    def make(folder: Path) -> Trap:
        path = os.path.join(os.fsencode(folder), name if isinstance(name, bytes) else os.fsencode(name))
        with open(path, "wb") as handle:
            handle.write(f"{HEADER}Nora,{SAID[0]},{iso(1)}\n,,\n".encode())
        return Trap(os.fsdecode(path))

    return make


def _broken_named(name: str | bytes) -> Made:
    def make(folder: Path) -> Trap:
        path = os.path.join(os.fsencode(folder), name if isinstance(name, bytes) else os.fsencode(name))
        with open(path, "wb") as handle:
            handle.write(b"{")
        return Trap(os.fsdecode(path))

    return make


# -- databases ------------------------------------------------------------------------------------------------------


def missing_database(folder: Path) -> Trap:
    """The URL of a SQLite file that is not there."""
    return Trap(f"sqlite:///{folder / 'none.db'}", {"agent": "Lumi", "table": "messages"})


def locked_database(folder: Path) -> Trap:
    """A database that another program holds a lock on."""
    path = folder / "locked.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE messages (speaker, text, timestamp)")
    connection.execute("INSERT INTO messages VALUES ('Nora', ?, ?)", (SAID[0], iso(1)))
    connection.execute("BEGIN EXCLUSIVE")
    _HELD.append(connection)
    return Trap(f"sqlite:///{path}", {"agent": "Lumi", "table": "messages"})


_HELD: list[sqlite3.Connection] = []


def _view(body: str) -> Made:
    def make(folder: Path) -> Trap:
        path = folder / "view.db"
        with sqlite3.connect(path) as connection:
            connection.execute(f"CREATE VIEW messages AS {body}")
        connection.close()
        return Trap(f"sqlite:///{path}", {"agent": "Lumi", "table": "messages"})

    return make


def endless_table(folder: Path) -> Trap:
    """A database whose tree of pages leads to one page again and again: more rows than atoms."""
    path = folder / "endless.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA page_size=1024")
    connection.execute("CREATE TABLE messages (speaker, text, timestamp)")
    connection.executemany(
        "INSERT INTO messages VALUES ('Nora', ?, ?)", [(f"{SAID[0]} {n}", iso(1)) for n in range(9_000)]
    )
    connection.commit()
    connection.close()
    data = bytearray(path.read_bytes())
    inner = [at for at in range(0, len(data), 1024) if data[at + (100 if not at else 0)] == 5]
    root, leaf = inner[0], next(at for at in range(1024, len(data), 1024) if data[at] == 13)
    below = [at for at in inner if at != root]
    # Every entry of the root leads to one inner page, every entry of that to another, and so on: SQLite follows 20 of them.
    chain = [root, *below[:15], leaf]
    for page, child in itertools.pairwise(chain):
        count = struct.unpack_from(">H", data, page + 3)[0]
        struct.pack_into(">I", data, page + 8, child // 1024 + 1)
        for number in range(count):
            cell = page + struct.unpack_from(">H", data, page + 12 + 2 * number)[0]
            struct.pack_into(">I", data, cell, child // 1024 + 1)
    path.write_bytes(data)
    return Trap(f"sqlite:///{path}", {"agent": "Lumi", "table": "messages"})


# -- archives -------------------------------------------------------------------------------------------------------


def _bomb(name: str, piece: bytes, size: int) -> Made:
    def make(folder: Path) -> Trap:
        path = folder / "bomb.zip"
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open(name, "w", force_zip64=True) as out,
        ):
            block = piece * ((1 << 20) // len(piece))
            for _ in range(size // len(block)):
                out.write(block)
        return Trap(str(path))

    return make


def nested_zip(folder: Path) -> Trap:
    """An archive in an archive in an archive."""
    data = zipped({"chat.txt": _seed_of("_chat.txt").data.encode()})
    for _ in range(5):
        data = zipped({"inner.zip": data})
    return _file("nested.zip", data)(folder)


def traversing_zip(folder: Path) -> Trap:
    """An archive whose files want to lie outside of the folder that it is unpacked into."""
    text = _seed_of("_chat.txt").data.encode()
    names = (
        "../../escaped.txt",
        "/tmp/escaped-memory-fuzz.txt",
        "a/../../../escaped.txt",
        "..\\..\\escaped.txt",
        "C:\\escaped.txt",
    )
    inner = folder / "inner"
    inner.mkdir()
    return _file("traversal.zip", zipped(dict.fromkeys(names, text)))(inner)


def encrypted_zip(folder: Path) -> Trap:
    """An archive that asks for a password."""
    data = bytearray(zipped({"_chat.txt": _seed_of("_chat.txt").data.encode()}))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1
    return _file("locked.zip", bytes(data))(folder)


def _many(count: int, suffix: str) -> Made:
    def make(folder: Path) -> Trap:
        path = folder / "many.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("_chat.txt", _seed_of("_chat.txt").data)
            for number in range(count):
                archive.writestr(f"{number % 100}/{number}{suffix}", b"x")
        return Trap(str(path))

    return make


def zip_of_clashing_names(folder: Path) -> Trap:
    """An archive in which one name is a file and a folder."""
    text = _seed_of("_chat.txt").data.encode()
    return _file("clash.zip", zipped({"a.txt": text, "a.txt/b.txt": text, "A.TXT": text}))(folder)


# -- endless contents -----------------------------------------------------------------------------------------------


def parquet_bomb(folder: Path) -> Trap:
    """Billions of rows in a few kB: runs of one value, told as many more than stand there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "bomb.parquet"
    many = pa.DictionaryArray.from_arrays(pa.array([0] * 3_000_000, pa.int32()), pa.array([SAID[0] * 30]))
    pq.write_table(pa.table({"text": many, "speaker": many, "timestamp": many}), path)
    return Trap(str(path))


def parquet_of_one_long_text(folder: Path) -> Trap:
    """Rows that all repeat one text of a megabyte."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "long.parquet"
    many = pa.DictionaryArray.from_arrays(pa.array([0] * 900_000, pa.int32()), pa.array(["x" * 1_000_000]))
    pq.write_table(pa.table({"text": many}), path)
    return Trap(str(path))


def parquet_of_nested_lists(folder: Path) -> Trap:
    """A column of lists of lists, 500 deep."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    value: Any = "x"
    for _ in range(500):
        value = [value]
    path = folder / "nested.parquet"
    pq.write_table(pa.table({"text": [SAID[0]], "metadata": pa.array([value]), "timestamp": [iso(1)]}), path)
    return Trap(str(path))


def _page(open_tags: int) -> bytes:
    page = _seed_of("+34600.html").data
    return page.replace("</html>", '<div class="message">' * open_tags + "<p>" * open_tags + page).encode()


def _mbox(*parts: bytes) -> bytes:
    head = b"From a@b Thu May  1 10:00:00 2025\nFrom: A <a@b.org>\nTo: Lumi <l@b.org>\nSubject: x\nDate: Thu, 1 May 2025 12:00:00 +0200\n"
    return (
        head
        + b"Content-Type: multipart/mixed; boundary=b\n\n"
        + b"".join(b"--b\n" + part for part in parts)
        + b"--b--\n"
    )


def _nested_mail(depth: int) -> bytes:
    start = b"".join(b"--b%d\nContent-Type: multipart/mixed; boundary=b%d\n\n" % (n, n + 1) for n in range(depth))
    return _mbox(b"Content-Type: multipart/mixed; boundary=b0\n\n" + start)


def _talk(message: Any, count: int) -> bytes:
    return json.dumps([{"id": "t", "created_at": iso(0), "messages": [message] * count}]).encode()


def _chain(count: int) -> bytes:
    """Return a conversation of ChatGPT that is one long branch."""
    nodes = {
        f"n{n}": {"parent": f"n{n - 1}" if n else None, "message": {"author": {"role": "user"}, "create_time": UNIX,
                  "content": {"content_type": "text", "parts": ["x"]}}} for n in range(count)
    }  # fmt: skip
    return json.dumps([{"mapping": nodes, "current_node": f"n{count - 1}"}]).encode()


HTML = b"Content-Type: text/html\n\n"

TRAPS: dict[str, Made] = {
    "pipe": fifo,
    "device": lambda folder: Trap("/dev/zero"),
    "folder of odd things": folder_of_odd_things,
    "links in a circle": symlink_loop,
    "unreadable": unreadable,
    "empty folder": empty_folder,
    "deep folder": deep_folder,
    "empty": _file("chat.jsonl", b""),
    "blank": _file("chat.jsonl", b" \n\n\t\n" * 1000),
    "missing": lambda folder: Trap(str(folder / "nothing.json")),
    "missing folder": lambda folder: Trap(str(folder / "a" / "b" / "nothing.json")),
    "file as folder": lambda folder: Trap(_file("a.json", b"{}")(folder).target + "/b.json"),
    "long name": lambda folder: Trap(str(folder / ("a" * 300))),
    "very long path": lambda folder: Trap(str(folder) + "/a" * 3000),
    "zero in name": lambda folder: Trap(str(folder / "a\x00b.json")),
    "surrogate in name": lambda folder: Trap(str(folder / "a\ud800b.json")),
    "line end in name": _named("a\nb.csv"),
    "line end in name of a broken file": _broken_named("a\nb.json"),
    "emoji in name": _named("👩‍👩‍👧 é.csv"),
    "name that is no text": _named(b"caf\xe9\xff.csv"),
    "name that is no text of a broken file": _broken_named(b"caf\xe9\xff.json"),
    "missing database": missing_database,
    "database in memory": lambda folder: Trap("sqlite://", {"agent": "Lumi", "table": "x"}),
    "no URL": lambda folder: Trap("nothing://[x:y@/"),
    "unknown driver": lambda folder: Trap("oracle+nothing://a:secret@b/c"),
    "device as database": lambda folder: Trap("sqlite:////dev/zero", {"agent": "Lumi", "table": "x"}),
    "locked database": locked_database,
    "endless view": _view("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT 'Nora' speaker, 'x' text, n FROM c"),
    "view that computes without end": _view("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) text FROM c"),
    "view of one huge text": _view("SELECT hex(zeroblob(400000000)) AS text, 'Nora' AS speaker"),
    "endless table": endless_table,
    "bomb of zeros": _bomb("chat.txt", b"\x00", GIGABYTE),
    "bomb of lists": _bomb("conversations.json", b"[],", 100 << 20),
    "bomb of numbers": _bomb("messages.json", b"1,", 100 << 20),
    "bomb of blanks": _bomb("messages.json", b" ", 200 << 20),
    "bomb of lines": _bomb("messages.jsonl", b"{}\n", 2 << 20),
    "archive in archives": nested_zip,
    "archive that leaves its folder": traversing_zip,
    "locked archive": encrypted_zip,
    "archive of 100,000 pictures": _many(100_000, ".jpg"),
    "archive of 10,000 texts": _many(10_000, ".txt"),
    "archive of deep folders": _file("deep.zip", lambda: zipped({"a/" * 1_900 + "chat.txt": b"x"})),
    "archive of clashing names": zip_of_clashing_names,
    "archive cut off": _file("cut.zip", lambda: zipped({"_chat.txt": _seed_of("_chat.txt").data.encode() * 99})[:-40]),
    "empty archive": _file("empty.zip", lambda: zipped({})),
    "parquet of millions in a few kB": parquet_bomb,
    "parquet of one long text": parquet_of_one_long_text,
    "parquet of nested lists": parquet_of_nested_lists,
    "csv of a header": _file("a.csv", HEADER.encode()),
    "csv of 10,000 columns": _file("a.csv", (",".join(f"c{n}" for n in range(10_000)) + "\n" + "x," * 9_999 + "x\n").encode()),
    "csv of 10,000 columns with a text": _file("a.csv", ("text," + ",".join(f"c{n}" for n in range(10_000)) + "\n" + "x," * 10_000 + "x\n").encode()),
    "csv of open quotes": _file("a.csv", (HEADER + 'a"b,"c,x\n' * 60_000).encode()),
    "csv of one open quote a record": _file("a.csv", (HEADER + '"a,b,c\n' * 60_000).encode()),
    "csv of one line": _file("a.csv", (HEADER + "x" * 30_000_000).encode()),
    "csv of zeros": _file("a.csv", HEADER.encode() + b"\x00" * 100_000),
    "csv of empty lines": _file("a.csv", HEADER.encode() + b"\n" * 3_000_000),
    "json of 100,000 levels": _file("messages.json", b"[" * 100_000),
    "json of objects within objects": _file("messages.json", b'{"messages":' * 100_000),
    "json lines of 100,000 levels": _file("messages.jsonl", (b"[" * 100_000 + b"\n") * 20),
    "json of one endless text": _file("messages.json", b'[{"role": "user", "text": "' + b"\\n" * 10_000_000),
    "json of a million digits": _file("messages.jsonl", b'{"text": "x", "speaker": "Nora", "timestamp": ' + b"9" * 1_000_000 + b"}\n"),
    "json of 100,000 keys": _file("messages.jsonl", lambda: json.dumps({"text": "x", **{f"k{n}": n for n in range(100_000)}}).encode()),
    "json lines of other keys each": _file(
        "messages.jsonl", lambda: b"".join(json.dumps({f"k{n}-{m}": m for m in range(30)} | {"text": "x"}).encode() + b"\n" for n in range(20_000))
    ),
    "json lines of long names": _file(
        "messages.jsonl",
        lambda: b"".join(json.dumps({"speaker": f"{n}" + "x" * 300_000, "text": "x", "timestamp": iso(1)}).encode() + b"\n" for n in range(150)),
    ),
    "json lines of a time": _file("m.jsonl", lambda: b'{"speaker": "Nora", "text": "x", "timestamp": "2025-05-01T10:00:00Z"}\n' * 30_000),
    "a talk of one long branch": _file("conversations.json", lambda: _chain(30_000)),
    "a talk of one message again and again": _file("talks.json", lambda: _talk({"role": "user", "content": "x"}, 30_000)),
    "a talk of blanks": _file("zep.json", lambda: json.dumps({"episodes": [{"uuid": "1", "source_description": "x", "source": "message", "created_at": iso(1),
                              "content": " " * 1_000_000}]}).encode()),
    "page of open tags": _file("chat.html", lambda: _page(150_000)),
    "page of open comments": _file("chat.html", lambda: _page(1) + b"<!--" * 200_000 + b"<![" * 200_000),
    "whatsapp of one message again and again": _file("_chat.txt", lambda: b"[13/5/25, 10:00:00] Nora: x\n" * 60_000),
    "whatsapp of one endless message": _file("_chat.txt", lambda: b"[13/5/25, 10:00:00] Nora: x\n" + b"more\n" * 1_000_000),
    "whatsapp of as many people": _file("_chat.txt", lambda: b"".join(b"[13/5/25, 10:00:00] N%d: x\n" % n for n in range(60_000))),
    "mail of nested parts": _file("a.mbox", lambda: _nested_mail(2_000)),
    "mail of many parts": _file("a.mbox", lambda: _mbox(*[b"Content-Type: text/plain\n\nx\n"] * 100_000)),
    "mail of open comments": _file("a.mbox", lambda: _mbox(*[HTML + b"<!--" * 60_000 + b"\n"] * 20)),
    "mail of open tags": _file("a.mbox", lambda: _mbox(*[HTML + b"<a " * 60_000 + b"\n", HTML + b"<![" * 60_000 + b"\n"] * 20)),
    "mail of long headers": _file("a.mbox", lambda: _mbox().replace(b"Subject: x", b"Subject: " + b"=?utf-8?q?=41?= " * 60_000)),
    "mail of many addresses": _file("a.mbox", lambda: _mbox().replace(b"To: Lumi <l@b.org>", b"To: " + b'"(((<@,' * 30_000)),
    "mail of one line": _file("a.mbox", lambda: _mbox(b"Content-Type: text/plain\n\n" + b"> " * 10_000_000)),
    "signal of open marks": _file("chat.md", lambda: b"[2025-05-01, 10:00:00] Me: " + b"(- " * 300_000 + b"\n" + b"![](media/" * 100_000),
    "telegram of backslashes": _file("result.json", lambda: b'{"type": "personal_chat", "messages": "' + b"\\" * 2_000_001),
    "slack of open marks": _file("2025-05-01.json", lambda: json.dumps([{"type": "message", "ts": f"{UNIX}.000100", "user": "U1", "text": "<a" * 500_000},
                                 {"type": "message", "ts": f"{UNIX}.000200", "user": "U1", "text": "<" + "a" * 1_000_000}]).encode()),
}  # fmt: skip
"""Name to what makes the trap in an empty folder."""
