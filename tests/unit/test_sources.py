"""Sources: every format becomes the same messages; what cannot be taken is a reject or one clear sentence."""

import os
import sqlite3
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from plugins.contracts import SourceOptions
from plugins.registry import PluginRegistry
from plugins.sources.normalise import normalise
from plugins.sources.opening import offers
from plugins.sources.scratch import sweep
from plugins.sources.sqlite_files import opened
from plugins.sources.times import parse_time
from records.errors import SourceError
from serving.capture import choose_source


def read(path: Path | str, name: str | None = None, **options: Any) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return messages, sessions and rejects of a file."""
    given = SourceOptions(**options)
    source = choose_source(PluginRegistry(), str(path), name)
    frames = []
    rejects = []
    for batch in source.read(str(path), given):
        found = normalise(batch.rows, given, source.name, Path(str(path)).name)
        frames.append((found.messages, found.sessions))
        refused = [*batch.rejects, *found.rejects.to_dicts()]
        rejects.append(pl.DataFrame(refused, schema=found.rejects.schema, orient="row"))
    return pl.concat([f[0] for f in frames]), pl.concat([f[1] for f in frames]), pl.concat(rejects)


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "a.jsonl", "empty"),
        (b"\x00\x01\x02binary", "a.jsonl", "binary"),
        ("año".encode("latin-1"), "a.jsonl", "not utf-8.*line 1"),
        (b'[{"messages": [', "a.json", "truncated|not valid JSON|no format"),
        (b"PAR1 and no more", "a.parquet", "cannot be read"),
        (b"hello\n", "a.txt", "no format recognises"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path, content: bytes, name: str, message: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read(file)
    with pytest.raises(SourceError, match="no such file"):
        read(tmp_path / "nothing.jsonl")


def test_times_of_all_kinds() -> None:
    moment = datetime(2025, 3, 1, 18, 30, tzinfo=UTC)
    for value in (
        moment.timestamp(),
        moment.timestamp() * 1e3,
        moment.timestamp() * 1e6,
        "2025-03-01T18:30:00Z",
        "2025-03-01 19:30+01:00",
        str(int(moment.timestamp())),
    ):
        assert parse_time(value, SourceOptions()) == moment
    with pytest.raises(SourceError, match="no time zone"):
        parse_time("2025-03-01", SourceOptions(timezone="Mars/Olympus"))


def test_a_folder_of_archives_is_read_chat_by_chat(tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    for name in ("Nora", "Marc"):
        with zipfile.ZipFile(folder / f"WhatsApp Chat - {name}.zip", "w") as archive:
            archive.writestr("_chat.txt", f"[02/06/2025, 10:00:00] {name}: hi\n[02/06/2025, 10:00:02] Lumi: yo\n")
    (folder / "notes.docx").write_bytes(b"PK\x03\x04")
    with offers(PluginRegistry(), str(folder)) as found:
        assert [(offer.source.name, offer.called) for offer in found] == [
            ("whatsapp", "WhatsApp Chat - Marc"), ("whatsapp", "WhatsApp Chat - Nora"),
        ]  # fmt: skip


OPENED = """
import os, signal, sys
from pathlib import Path
from plugins.sources.opening import offers
from plugins.registry import PluginRegistry
with offers(PluginRegistry(scratch=Path(sys.argv[2])), sys.argv[1]):
    os.kill(os.getpid(), signal.SIGKILL)
"""
COPIED = """
import os, signal, sys
from pathlib import Path
from plugins.sources.scratch import within
from plugins.sources.sqlite_files import opened
with within(Path(sys.argv[2])), opened(Path(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _zipped(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "WhatsApp Chat - Nora.zip", "w") as archive:
        archive.writestr("_chat.txt", "[02/06/2025, 10:00:00] Nora: hi\n[02/06/2025, 10:00:02] Lumi: yo\n")
    return folder / "WhatsApp Chat - Nora.zip"


def _journaled(folder: Path) -> Path:
    """Return a database whose program did not close it: its rows stand in the journal."""
    path = folder / "chat.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE messages (speaker_name TEXT, occurred_at TEXT, text TEXT)")
    (folder / "held").mkdir()
    for end in ("", "-wal"):
        (folder / "held" / f"chat.db{end}").write_bytes(Path(f"{path}{end}").read_bytes())
    connection.close()
    return folder / "held/chat.db"


def test_what_an_import_unpacks_lies_in_the_installation_as_long_as_it_is_read(tmp_path: Path) -> None:
    scratch, archive, database = tmp_path / "home/unpacked", _zipped(tmp_path), _journaled(tmp_path)
    with offers(PluginRegistry(scratch=scratch), str(archive)) as found:
        assert Path(found[0].target).is_relative_to(scratch)
        assert not sweep(scratch)  # it is in use
        assert Path(found[0].target).is_file()
        with opened(database):
            assert len([path for path in scratch.iterdir() if path.is_dir()]) == 2
    assert not list(scratch.iterdir())


@pytest.mark.parametrize(("make", "run"), [(_zipped, OPENED), (_journaled, COPIED)])
def test_what_a_killed_import_unpacked_or_copied_is_removed(make: Any, run: str, tmp_path: Path) -> None:
    scratch, target = tmp_path / "home/unpacked", make(tmp_path)
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run([sys.executable, "-c", run, str(target), str(scratch)], env=environment, check=False)
    assert ended.returncode == -9
    [left] = [path for path in scratch.iterdir() if path.is_dir()]
    assert list(left.iterdir())
    assert not list(tmp_path.glob("memory-*"))  # nothing where only the environment tells
    assert sweep(scratch) == 1
    assert not list(scratch.iterdir())


@pytest.mark.parametrize(
    ("name", "content", "advice"),
    [
        ("messages.html", '<html><div class="message default clearfix">', "Machine-readable JSON"),
        ("chat.html", '<div class="chatlog__message-group">', "--format Json"),
        ("chat.txt", "=" * 62 + "\nGuild: G\nChannel: c\n", "--format Json"),
        ("message_1.html", '<div class="_3-95 _a6-g">', "choose JSON"),
        ("sms.xml", '<?xml version="1.0"?><smses count="1">', "save it as CSV"),
        ("talk.pdf", "%PDF-1.7", "a PDF"),
        ("msgstore.db.crypt15", "xx", "Export chat"),
        ("chat.txt", "[LINE] Chat history with Lumi\n", "save it as CSV"),
        ("nothing.txt", "hello", "name one with --format"),
    ],
)
def test_what_is_not_read_comes_with_advice(tmp_path: Path, name: str, content: str, advice: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(SourceError, match=advice):
        choose_source(PluginRegistry(), str(tmp_path / name), None)


def test_a_workbook_is_no_archive_of_chats(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "chat.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<x/>")
    with (
        pytest.raises(SourceError, match=r"chat.xlsx: a workbook; save it as CSV"),
        offers(PluginRegistry(), str(tmp_path / "chat.xlsx")),
    ):
        pass
