"""Moving in from LuminoraCore: what was said is recalled, people are as close as they were, and again changes nothing."""

import json
import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from plugins.contracts import SourceOptions
from records.errors import SourceError
from serving.client import MemoryClient
from serving.migration import migrate

ROOT = Path(__file__).parents[2]
MAX = "Mi perro Max murió ayer"


@pytest.fixture
def conversations(tmp_path: Path) -> Path:
    """Return a database of version 1.0 that was used with 1.1: its first user is close to the persona."""
    path = tmp_path / "old" / "conversations.db"
    path.parent.mkdir()
    talk = [
        {"role": "user", "content": MAX, "timestamp": "2025-01-06T10:00:00"},
        {"role": "assistant", "content": "Lo siento mucho", "timestamp": "2025-01-06T10:00:05"},
    ]
    db = sqlite3.connect(path)
    with db:
        db.execute(
            "CREATE TABLE sessions (session_id TEXT PRIMARY KEY, user_id TEXT, personality_name TEXT, messages TEXT)"
        )
        db.execute(
            "CREATE TABLE user_affinity (user_id TEXT, personality_name TEXT, affinity_points INTEGER, current_level TEXT)"
        )
        db.execute(
            "CREATE TABLE session_moods (session_id TEXT, current_mood TEXT, mood_intensity REAL, mood_started_at TEXT)"
        )
        db.execute(
            "CREATE TABLE user_facts (id TEXT, user_id TEXT, category TEXT, key TEXT, value TEXT, first_mentioned TEXT)"
        )
        db.execute("INSERT INTO sessions VALUES ('s1', 'diego', 'alicia', ?)", (json.dumps(talk),))
        db.execute("INSERT INTO user_affinity VALUES ('diego', 'alicia', 45, 'friend')")
        db.execute("INSERT INTO session_moods VALUES ('s1', 'shy', 0.7, '2025-01-06 10:00:05')")
        db.execute(
            "INSERT INTO user_facts VALUES ('f1', 'diego', 'preferences', 'favorite_anime', '\"Naruto\"', '2025-01-06 10:00:00')"
        )
    db.close()
    return path


@pytest.fixture
def client(make_settings: Any) -> MemoryClient:
    """Return the client of an empty installation."""
    return MemoryClient(make_settings("moved"), embedder=False)


def test_everything_moves_in_and_is_recalled(client: MemoryClient, conversations: Path) -> None:
    before = conversations.read_bytes()
    done = migrate(client, str(conversations))
    assert (done.imported.new, done.imported.rejected, done.affinity, done.moods) == (3, 0, 1, 1)
    assert client.worlds.affinity("diego", "alicia")[0] == 45
    assert client.worlds.mood("s1", now=datetime(2025, 1, 6, 10, 0, 5, tzinfo=UTC)) == ("shy", 0.7)
    assert client.recall("¿qué pasó con mi perro Max?", agent="alicia", user="diego").memories[0].text == MAX
    anime = client.recall("favorite anime", agent="alicia", user="diego").memories[0]
    assert (anime.text, anime.speaker) == ("favorite anime: Naruto", "luminora")
    assert client.trace(anime.source_ids[0]).rows["messages"]
    assert conversations.read_bytes() == before
    assert [path.name for path in conversations.parent.iterdir()] == ["conversations.db"]


def test_again_changes_nothing_and_what_moved_since_stays(client: MemoryClient, conversations: Path) -> None:
    migrate(client, str(conversations))
    client.worlds.add_affinity("diego", "alicia", 10)
    client.worlds.set_mood("s1", "alicia", "cheerful", 0.5)
    again = migrate(client, str(conversations))
    assert (again.imported.new, again.imported.known, again.affinity, again.moods, again.kept) == (0, 3, 0, 0, 2)
    assert client.worlds.affinity("diego", "alicia")[0] == 55
    mood = client.worlds.mood("s1")
    assert mood is not None
    assert mood[0] == "cheerful"


def test_nobody_who_was_erased_moves_in_again(client: MemoryClient, conversations: Path) -> None:
    migrate(client, str(conversations))
    client.forget(user="diego")
    again = migrate(client, str(conversations))
    assert (again.imported.new, again.imported.erased, again.affinity, again.moods, again.erased) == (0, 3, 0, 0, 2)
    assert client.worlds.affinity("diego", "alicia")[0] == 0
    assert not client.store.rows("messages")


def test_a_plain_import_brings_the_messages_and_says_what_it_leaves(client: MemoryClient, conversations: Path) -> None:
    summary = client.import_file(str(conversations), SourceOptions())
    assert (summary.format, summary.new) == ("luminora", 3)
    assert any("memory migrate" in note for note in summary.notes)
    assert client.worlds.affinity("diego", "alicia")[0] == 0
    assert migrate(client, str(conversations)).imported.known == 3


def test_a_folder_of_sessions_moves_in_and_its_personas_are_named(client: MemoryClient, tmp_path: Path) -> None:
    folder = tmp_path / "sessions"
    folder.mkdir()
    for user in ("ana", "bo"):
        talk = [{"role": "user", "content": f"{user} is here", "timestamp": "2025-01-06T10:00:00"}]
        whole = {
            "session_id": f"s-{user}",
            "user_id": user,
            "personality_name": "alicia",
            "messages": talk,
            "context": {},
        }
        (folder / f"session_{user}.json").write_text(json.dumps(whole), encoding="utf-8")
    (folder / "alicia.json").write_text(
        json.dumps({"persona": {"name": "Alicia"}, "core_traits": {}}), encoding="utf-8"
    )
    done = migrate(client, str(folder), agent="Alicia")
    assert (done.imported.new, done.personas) == (2, ["alicia.json"])
    assert {row["agent_id"] for row in client.store.rows("messages")} == {"Alicia"}
    assert "alicia.json" in done.notes[0]


def test_a_database_of_states_alone_moves_in(client: MemoryClient, tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "states.db")
    with db:
        db.execute("CREATE TABLE user_affinity (user_id TEXT, personality_name TEXT, affinity_points INTEGER)")
        db.execute("INSERT INTO user_affinity VALUES ('ana', 'alicia', 7)")
    db.close()
    assert migrate(client, str(tmp_path / "states.db")).affinity == 1
    with pytest.raises(SourceError, match="no such file"):
        migrate(client, str(tmp_path / "nothing.db"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no session_"):
        migrate(client, str(tmp_path / "empty"))


def test_the_command_says_what_moved(make_settings: Any, conversations: Path, tmp_path: Path) -> None:
    config = tmp_path / "memory.toml"
    config.write_text(f'home = "{make_settings("cli").home}"\n', encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MEMORY_", "DAGSTER_"))}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "cli", "migrate", *arguments],
            capture_output=True, text=True, cwd=ROOT, check=True, env={**environment, "MEMORY_CONFIG": str(config)},
        )  # fmt: skip
        return done.stdout

    value = json.loads(run(str(conversations), "--json"))
    assert (value["imported"]["new"], value["affinity"], value["moods"]) == (3, 1, 1)
    assert "3 known already" in run(str(conversations))
