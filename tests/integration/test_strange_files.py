"""Strange files: each is one sentence, a counted reject or nothing at all; none hangs, fills the memory or leaves something behind."""

import json
import os
import sqlite3
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import app
from plugins.contracts import SourceOptions
from records.errors import SourceError
from resources.settings import Settings
from serving.client import MemoryClient

OPTIONS = SourceOptions(agent="Lumi", user="ana")


@pytest.fixture
def client(settings: Settings) -> MemoryClient:
    """Return a client of a fresh installation."""
    return MemoryClient(settings, embedder=False)


def test_a_pipe_a_folder_and_a_device_are_refused(client: MemoryClient, tmp_path: Path) -> None:
    pipe = tmp_path / "chat.jsonl"
    os.mkfifo(pipe)
    (tmp_path / "empty").mkdir()
    for target, message in (
        (pipe, "no regular file"),
        ("/dev/zero", "no regular file"),
        (tmp_path / "empty", "no file in it"),
    ):
        with pytest.raises(SourceError, match=message):
            client.import_file(str(target), OPTIONS)


def test_a_database_that_is_not_there_is_not_made(client: MemoryClient, tmp_path: Path) -> None:
    missing = tmp_path / "nope.sqlite"
    with pytest.raises(SourceError):
        client.import_file(f"sqlite:///{missing}", SourceOptions(agent="Lumi", table="messages"))
    assert not missing.exists()


def test_a_database_is_read_and_not_written(client: MemoryClient, tmp_path: Path) -> None:
    path = tmp_path / "bot.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE said (id INTEGER PRIMARY KEY, author TEXT, body TEXT, at TEXT)")
        connection.execute("INSERT INTO said VALUES (1, 'ana', 'hello', '2025-06-02T10:00:00Z')")
    before = path.read_bytes()
    columns = {"text": "body", "speaker_id": "author", "occurred_at": "at"}
    client.import_file(f"sqlite:///{path}", SourceOptions(agent="Lumi", table="said", columns=columns))
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith("bot")) == ["bot.sqlite"]


def test_an_archive_cannot_leave_its_folder_nor_fill_the_disk(client: MemoryClient, tmp_path: Path) -> None:
    line = json.dumps({"text": "hello", "role": "user", "occurred_at": "2025-06-02T10:00:00Z"})
    sly, bomb = tmp_path / "sly.zip", tmp_path / "bomb.zip"
    with zipfile.ZipFile(sly, "w") as archive:
        archive.writestr("../../outside.jsonl", line)
    with (
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("chat.txt", "w", force_zip64=True) as out,
    ):
        for _ in range(512):
            out.write(b"\0" * (1 << 20))
    assert client.import_file(str(sly), OPTIONS).new == 1
    assert not list(tmp_path.parent.rglob("outside.jsonl"))
    with pytest.raises(SourceError, match="more than an export can"):
        client.import_file(str(bomb), OPTIONS)


@pytest.mark.parametrize(
    "row",
    [
        '{"text": "lone \\ud800 surrogate", "role": "user", "occurred_at": "2025-06-02T10:00:00Z"}',
        '{"text": "x", "role": "user", "turn": 9223372036854775808, "occurred_at": "2025-06-02T10:00:00Z"}',
        '{"text": "x", "role": "user", "turn": 1e400, "occurred_at": "2025-06-02T10:00:00Z"}',
        '{"text": "x", "role": "user", "participants": {"a": 1}, "occurred_at": "2025-06-02T10:00:00Z"}',
        '{"text": "x", "role": "user", "participants": 7, "occurred_at": "2025-06-02T10:00:00Z"}',
        '{"text": "x", "role": "user", "occurred_at": "2025-02-30T10:00:00Z"}',
        '{"text": "x", "role": "user", "occurred_at": 1e300}',
        '{"text": ' + "[" * 100_000 + '"x"' + "]" * 100_000 + ', "role": "user"}',
        '{"text": "x", "role": ["user"], "importance": "much", "occurred_at": "2025-06-02T10:00:00Z"}',
    ],
)
def test_a_strange_row_is_kept_or_rejected_and_the_next_one_is_taken(
    client: MemoryClient, tmp_path: Path, row: str
) -> None:
    good = json.dumps({"text": "and then", "role": "user", "occurred_at": "2025-06-02T10:00:01Z"})
    file = tmp_path / "log.jsonl"
    file.write_text(f"{good}\n{row}\n", encoding="utf-8")
    summary = client.import_file(str(file), OPTIONS)
    assert summary.new + summary.rejected == 2
    for kept in client.store.rows("messages"):
        assert kept["text"].encode()


def test_an_import_of_which_nothing_can_be_taken_is_a_failure(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMORY_HOME", str(settings.home))
    file = tmp_path / "log.jsonl"
    file.write_text('{"text": "old", "role": "user", "occurred_at": "2016-06-02T10:00:00Z"}\n')
    done = CliRunner().invoke(app, ["import", str(file), "--agent", "Lumi", "--user", "ana"])
    assert done.exit_code == 2
    assert 'first_week = "2016-05-30"' in done.output
