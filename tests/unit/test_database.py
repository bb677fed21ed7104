"""Databases: given a table or view of one, this is remembered, and the database is as it was."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from plugins.sources.tables.database import Database
from records.errors import SourceError
from tests.unit.taken import Taken, take


def made(tmp_path: Path, *statements: str) -> Path:
    path = tmp_path / "bot.sqlite"
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return path


def taken(path: Any, table: str | None, **options: Any) -> Taken:
    given = {"agent": "Lumi", "table": table, **options}
    return take(Database(), _Url(f"sqlite:///{path}" if isinstance(path, Path) else path), **given)


class _Url(str):
    """A URL where a path is expected."""

    @property
    def name(self) -> str:
        return "bot"


CHAT = (
    "CREATE TABLE chat (id INTEGER PRIMARY KEY, who TEXT, body TEXT, at TEXT)",
    "INSERT INTO chat (who, body, at) VALUES ('ana', 'hola', '2025-01-06 10:00:00'), ('Lumi', 'buenas', '2025-01-06 10:00:00')",
)


def test_a_table_is_read_with_and_without_a_map_and_nothing_is_written(tmp_path: Path) -> None:
    path = made(tmp_path, *CHAT)
    before = path.read_bytes()
    found = taken(path, "chat", timezone="Europe/Madrid")
    assert found.said == [("ana", "hola"), ("Lumi", "buenas")]
    assert {m["user_id"] for m in found.messages} == {"ana"}
    assert found.messages[0]["occurred_at"].hour == 9
    assert found.messages[1]["follows"] == found.messages[0]["message_id"]
    mapped = taken(
        path, "chat", timezone="Europe/Madrid", columns={"text": "body", "speaker_id": "who", "occurred_at": "at"}
    )
    assert mapped.ids == found.ids
    assert (
        taken(f"sqlite:///{path}?mode=ro", "chat").texts
        == taken(f"sqlite:///file:{path}?mode=ro&uri=true", "chat").texts
    )
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["bot.sqlite"]


def test_the_table_has_to_be_named_and_to_be_there(tmp_path: Path) -> None:
    path = made(tmp_path, *CHAT, "CREATE VIEW talk AS SELECT * FROM chat", "CREATE TABLE quiet (text TEXT)")
    with pytest.raises(SourceError, match="needs --table.*there are chat, quiet, talk"):
        taken(path, None)
    with pytest.raises(SourceError, match=r"no table 'chats'; there are chat, quiet, talk \(did you mean 'chat'\?\)"):
        taken(path, "chats")
    with pytest.raises(SourceError, match="there is no column 'bodi'"):
        taken(path, "chat", columns={"text": "bodi"})
    with pytest.raises(SourceError, match="quiet: no rows"):
        taken(path, "quiet")
    assert sorted(taken(path, "talk").texts) == ["buenas", "hola"]


def test_rows_come_as_they_were_written_or_in_the_order_of_their_times(tmp_path: Path) -> None:
    rows = "('b', '2025-01-06 10:00', 'ana'), ('a', '2025-01-06 10:00', 'Lumi'), ('c', '2025-01-06 09:00', 'ana')"
    path = made(
        tmp_path,
        "CREATE TABLE plain (text TEXT, time TEXT, sender TEXT)",
        f"INSERT INTO plain VALUES {rows}",
        "CREATE TABLE keyed (k TEXT PRIMARY KEY, text TEXT, time TEXT, sender TEXT) WITHOUT ROWID",
        "INSERT INTO keyed SELECT hex(randomblob(16)), * FROM plain",
        "CREATE VIEW timeless AS SELECT text, sender FROM plain",
    )
    plain = taken(path, "plain")
    assert plain.texts == ["b", "a", "c"]
    assert plain.one("a")["follows"] == plain.one("b")["message_id"]
    assert taken(path, "keyed").texts[0] == "c"
    assert taken(path, "timeless").messages == []


def test_what_the_columns_do_not_promise_costs_single_rows(tmp_path: Path) -> None:
    path = made(
        tmp_path,
        "CREATE TABLE odd (id INTEGER PRIMARY KEY, text BLOB, occurred_at DATETIME, speaker_id VARCHAR(5), importance DECIMAL)",
        "INSERT INTO odd VALUES (1, x'ff68', '2025-01-06', 7, NULL), (2, 'b', 'garbage', 'ana', 0.5), (3, NULL, 1, 'ana', 1), "
        "(4, 5, 1736157600, 'ana', 1), (5, CAST(x'fe' AS TEXT), 1736157600, 'ana', 'much')",
    )
    found = taken(path, "odd")
    assert found.said == [("7", "\ufffdh"), ("ana", "5")]
    assert [reason.partition(":")[0] for reason in found.reasons] == [
        "a time that cannot be read", "no text", "importance is no number",
    ]  # fmt: skip


def test_a_database_that_is_in_use_is_read_as_it_was_last_saved(tmp_path: Path) -> None:
    path = made(tmp_path, *CHAT)
    with sqlite3.connect(path) as busy:
        busy.execute("BEGIN EXCLUSIVE")
        busy.execute("INSERT INTO chat (who, body, at) VALUES ('ana', 'not yet', '2025-01-06')")
        assert "not yet" not in taken(path, "chat").texts
        busy.rollback()


def test_what_is_no_database_is_refused_and_nothing_is_created(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        taken(tmp_path / "none.db", "chat")
    assert not list(tmp_path.iterdir())
    text = tmp_path / "a.db"
    text.write_text("text,occurred_at\n")
    with pytest.raises(SourceError, match="no SQLite database"):
        taken(text, "chat")
    path = made(tmp_path, *CHAT)
    path.write_bytes(path.read_bytes()[:3_000])
    with pytest.raises(SourceError, match="damaged|cannot be"):
        taken(path, "chat")
    for url in ("sqlite://", "sqlite:///:memory:"):
        with pytest.raises(SourceError, match="in memory is empty"):
            taken(url, "chat")


@pytest.mark.parametrize(
    "server", ["postgresql://u:hunter2@127.0.0.1:1/db", "foo://u:hunter2@h/db", "postgresql://u:hunter2@h:port/db"]
)
def test_no_message_holds_a_password(server: str) -> None:
    with pytest.raises(SourceError) as error:
        taken(server, "chat")
    assert "hunter2" not in str(error.value)
    assert error.value.__suppress_context__
