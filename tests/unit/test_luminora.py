"""LuminoraCore's files: conversations become messages, what was learned a memory, states and personas what they were."""

import json
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugins.contracts import SourceOptions
from plugins.sources.memory_systems.luminora import Luminora
from plugins.sources.memory_systems.luminora_states import Affinity, Mood, states
from plugins.sources.normalise import Normaliser
from plugins.sources.reading import head_of
from records.errors import MemoryAssetsError, SourceError
from transforms.persona_template import load_persona

DAY = "2025-01-06"


def read(path: Path, **given: Any) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """Return the messages, the reasons of rejects and the notes of a file."""
    options = SourceOptions(**given)
    normaliser = Normaliser(options, "luminora", path.name)
    frames, reasons, notes = [], [], []
    for batch in Luminora().read(str(path), options):
        made = normaliser.frames(batch.rows)
        frames.append(made.messages)
        reasons += [reject["reason"].split(":")[0] for reject in [*batch.rejects, *made.rejects.to_dicts()]]
        notes += batch.notes
    return pl.concat(frames).to_dicts(), reasons, notes


def said(rows: Iterable[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Return session, speaker and text of messages."""
    return [(row["session_id"], row["speaker_id"], row["text"]) for row in rows]


def database(path: Path, *statements: str, rows: dict[str, list[tuple[Any, ...]]] | None = None) -> Path:
    """Make a SQLite file."""
    connection = sqlite3.connect(path)
    with connection:
        for statement in statements:
            connection.execute(statement)
        for table, values in (rows or {}).items():
            connection.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(values[0]))})", values)
    connection.close()
    return path


SESSIONS = "CREATE TABLE sessions (session_id TEXT PRIMARY KEY, user_id TEXT, personality_name TEXT, created_at TIMESTAMP, last_activity TIMESTAMP)"
MESSAGES = (
    "CREATE TABLE messages (id TEXT PRIMARY KEY, session_id TEXT, speaker TEXT, content TEXT, timestamp TIMESTAMP)"
)
AFFINITY = (
    "CREATE TABLE user_affinity (user_id TEXT, personality_name TEXT, affinity_points INTEGER DEFAULT 0, "
    "current_level TEXT DEFAULT 'stranger', last_updated TIMESTAMP, PRIMARY KEY (user_id, personality_name))"
)
MOODS = (
    "CREATE TABLE session_moods (session_id TEXT PRIMARY KEY, current_mood TEXT DEFAULT 'neutral', mood_intensity REAL DEFAULT 1.0, "
    "mood_started_at TIMESTAMP)"
)
FACTS = (
    "CREATE TABLE user_facts (id TEXT PRIMARY KEY, user_id TEXT, category TEXT, key TEXT, value TEXT, confidence REAL, "
    "first_mentioned TIMESTAMP, UNIQUE(user_id, category, key))"
)
EPISODES = (
    "CREATE TABLE episodes (id TEXT PRIMARY KEY, user_id TEXT, session_id TEXT, type TEXT, title TEXT, summary TEXT, importance REAL, "
    "sentiment TEXT, tags TEXT, timestamp TIMESTAMP)"
)


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Return a database of version 1.1 with everything in it."""
    return database(
        tmp_path / "luminora.db", SESSIONS, MESSAGES, AFFINITY, MOODS, FACTS, EPISODES,
        "CREATE TABLE message_embeddings (message_id TEXT PRIMARY KEY, user_id TEXT, embedding BLOB, metadata TEXT)",
        rows={
            "sessions": [("s1", "diego", "alicia", f"{DAY} 10:00:00", None), ("s2", "mar", "mika", f"{DAY} 10:00:00", None)],
            "messages": [
                ("m1", "s1", "user", "Mi perro Max murió ayer 😢", f"{DAY} 10:00:00"),
                ("m2", "s1", "assistant", "Lo siento mucho, Diego", f"{DAY} 10:00:00"),
                ("m3", "s1", "system", "mood: sad", f"{DAY} 10:00:01"),
                ("m4", "s2", "user", "hola", f"{DAY} 11:00:00"),
                ("m5", "s2", "assistant", "", f"{DAY} 11:00:01"),
            ],
            "user_affinity": [("diego", "alicia", 45, "friend", f"{DAY} 10:01:00"), ("mar", "mika", 250, "?", None)],
            "session_moods": [("s1", "shy", 0.7, f"{DAY} 10:00:30")],
            "user_facts": [("f1", "diego", "preferences", "favorite_anime", '"Naruto"', 0.9, f"{DAY} 10:02:00")],
            "episodes": [("e1", "diego", "s1", "emotional_moment", "Pérdida de Max.", "Diego contó que Max murió", 9.5,
                          "very_negative", '["pet", "loss"]', f"{DAY} 10:03:00")],
        },
    )  # fmt: skip


def test_a_database_of_version_1_1_keeps_its_sessions_people_and_personas(whole: Path) -> None:
    assert Luminora().sniff(whole, head_of(whole))
    rows, reasons, notes = read(whole)
    assert said(rows) == [
        ("s1", "diego", "Mi perro Max murió ayer 😢"),
        ("s1", "alicia", "Lo siento mucho, Diego"),
        ("s2", "mar", "hola"),
        ("luminora/diego/facts", "luminora", "favorite anime: Naruto"),
        ("luminora/diego/episodes", "luminora", "Pérdida de Max. Diego contó que Max murió"),
    ]
    assert [row["agent_id"] for row in rows] == ["alicia", "alicia", "mika", "alicia", "alicia"]
    assert [row["user_id"] for row in rows] == ["diego", "diego", "mar", "diego", "diego"]
    assert rows[1]["follows"] == rows[0]["message_id"]
    assert reasons == ["an instruction or a tool's answer, nobody said it", "no text"]
    assert "3 states" in notes[0]


def test_facts_and_episodes_are_memories_that_can_be_traced(whole: Path) -> None:
    *_, fact, episode = read(whole)[0]
    about = json.loads(fact["metadata"])
    assert about == {
        "kind": "imported_fact", "system": "luminora", "category": "preferences", "key": "favorite_anime", "value": "Naruto",
        "score": 0.9, "first_mentioned": f"{DAY} 10:02:00",
    }  # fmt: skip
    assert fact["source_ref"] == "fact/preferences/f1"
    assert fact["role"] == "user"
    assert episode["importance"] == 0.95
    assert json.loads(episode["metadata"])["tags"] == ["pet", "loss"]
    assert episode["occurred_at"] == datetime(2025, 1, 6, 10, 3, tzinfo=UTC)


def test_states_are_those_of_people_and_conversations(whole: Path) -> None:
    found = list(states(whole, SourceOptions()))
    assert Affinity("diego", "alicia", 45.0) in found
    assert Affinity("mar", "mika", 100.0) in found
    assert Mood("s1", "alicia", "diego", "shy", 0.7, f"{DAY} 10:00:30") in found


def test_nothing_is_written_into_or_beside_a_database(whole: Path) -> None:
    before = whole.read_bytes()
    whole.chmod(0o444)
    read(whole)
    list(states(whole, SourceOptions()))
    assert whole.read_bytes() == before
    assert [path.name for path in whole.parent.iterdir()] == ["luminora.db"]


def test_what_stands_in_the_journal_of_an_open_database_counts_and_stays_there(tmp_path: Path) -> None:
    path = tmp_path / "conversations #1.db"
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("CREATE TABLE sessions (session_id TEXT PRIMARY KEY, personality_name TEXT, messages TEXT)")
    with writer:
        talk = [{"role": "user", "content": "hi", "timestamp": f"{DAY}T10:00:00"}]
        writer.execute("INSERT INTO sessions VALUES ('s', 'alicia', ?)", (json.dumps(talk),))
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir() if not file.name.endswith("-shm")}
    assert "conversations #1.db-wal" in before
    rows, _, _ = read(path, user="ana")
    assert said(rows) == [("s", "ana", "hi")]
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir() if not file.name.endswith("-shm")} == before
    writer.close()


def test_version_1_0_keeps_messages_within_their_session_with_times_or_without(tmp_path: Path) -> None:
    timed = [
        {"role": "user", "content": "uno", "timestamp": f"{DAY}T10:00:00Z"},
        {"role": "assistant", "content": "dos"},
    ]
    path = database(
        tmp_path / "conversations.db",
        "CREATE TABLE sessions (session_id TEXT PRIMARY KEY, personality_name TEXT, messages TEXT, created_at TEXT)",
        rows={
            "sessions": [
                ("a", "alicia", json.dumps(timed), f"{DAY} 10:00:00"),
                ("b", "alicia", "[{", None),
                ("c", "alicia", "7", None),
            ]
        },
    )
    rows, reasons, _ = read(path, user="ana")
    assert said(rows) == [("a", "ana", "uno"), ("a", "alicia", "dos")]
    assert rows[1]["occurred_at"] == datetime(2025, 1, 6, 10, 0, 1, tzinfo=UTC)
    assert "a session whose messages are no JSON" in reasons


def test_people_without_a_name_stay_apart_by_session(tmp_path: Path) -> None:
    talk = json.dumps([{"role": "user", "content": "hi", "timestamp": f"{DAY}T10:00:00Z"}])
    path = database(
        tmp_path / "c.db",
        "CREATE TABLE sessions (session_id TEXT, personality_name TEXT, messages TEXT)",
        rows={"sessions": [("a", "alicia", talk), ("b", "alicia", talk)]},
    )
    rows, _, _ = read(path)
    assert [row["user_id"] for row in rows] == ["user of a", "user of b"]
    assert [row["user_id"] for row in read(path, user="ana")[0]] == ["ana", "ana"]


def test_tables_go_by_what_they_hold_whatever_version_or_user_named_them(tmp_path: Path) -> None:
    turn = {"user_message": "¿Cómo te llamas?", "assistant_response": "Alicia", "personality_name": "alicia",
            "timestamp": f"{DAY}T10:00:00", "facts_learned": []}  # fmt: skip
    path = database(
        tmp_path / "own.db",
        "CREATE TABLE luminora_facts (id INTEGER PRIMARY KEY, user_id TEXT, session_id TEXT, category TEXT, fact_key TEXT, fact_value TEXT, "
        "key TEXT, value TEXT, confidence REAL, created_at TEXT, updated_at TEXT, is_active INTEGER)",
        "CREATE TABLE affinity (id INTEGER PRIMARY KEY, user_id TEXT, personality_name TEXT, affinity_points INTEGER)",
        "CREATE TABLE user_mood (id INTEGER PRIMARY KEY, session_id TEXT, user_id TEXT, current_mood TEXT, mood_intensity REAL, created_at TEXT)",
        "CREATE TABLE user_memories (id INTEGER PRIMARY KEY, user_id TEXT, session_id TEXT, memory_key TEXT, memory_value TEXT, created_at TEXT)",
        rows={
            "luminora_facts": [
                (1, "chat-7", None, "conversation_history", None, None, "turn_1", json.dumps(turn), 1.0, f"{DAY} 10:00:00", None, 1),
                (2, "chat-7", None, "hobbies", "sports", '["tennis", "chess"]', None, None, 1.0, f"{DAY} 10:00:00", None, 1),
                (3, "chat-7", None, "hobbies", "old", "golf", None, None, 1.0, f"{DAY} 10:00:00", None, 0),
            ],
            "affinity": [(1, "chat-7", "alicia", 3)],
            "user_mood": [(1, "chat-7", "chat-7", "happy", 0.4, f"{DAY} 10:00:00"), (2, "chat-7", "chat-7", "shy", 0.5, f"{DAY} 11:00:00")],
            "user_memories": [(1, "chat-7", "chat-7", "last_topic", "travel", f"{DAY} 10:00:00")],
        },
    )  # fmt: skip
    assert Luminora().sniff(path, head_of(path))
    rows, reasons, _ = read(path)
    assert said(rows) == [
        ("chat-7", "chat-7", "¿Cómo te llamas?"),
        ("chat-7", "alicia", "Alicia"),
        ("luminora/chat-7/facts", "luminora", "sports: tennis, chess"),
        ("luminora/chat-7/memories", "luminora", "last topic: travel"),
    ]
    assert reasons == ["a fact without text, or one that does not hold any more"]
    assert [state.name for state in states(path, SourceOptions()) if isinstance(state, Mood)] == ["happy", "shy"]


def test_a_users_facts_go_to_every_persona_that_knows_this_user(tmp_path: Path) -> None:
    path = database(
        tmp_path / "f.db", AFFINITY, FACTS,
        rows={
            "user_affinity": [("ana", "alicia", 5, "", None), ("ana", "mika", 5, "", None), ("bo", "mika", 5, "", None)],
            "user_facts": [("1", "ana", "identity", "city", "Vigo", 1.0, DAY), ("2", "bo", "identity", "city", "Faro", 1.0, DAY)],
        },
    )  # fmt: skip
    rows, _, _ = read(path)
    assert [(row["agent_id"], row["user_id"], row["text"]) for row in rows] == [
        ("alicia", "ana", "city: Vigo"),
        ("mika", "ana", "city: Vigo"),
        ("mika", "bo", "city: Faro"),
    ]


# -- JSON -----------------------------------------------------------------------------------------------------------

TALK = [
    {"role": "user", "content": "Hola Alicia, eres muy linda", "timestamp": f"{DAY}T10:00:00.5"},
    {
        "role": "assistant",
        "content": "¡Ay, gracias! 🌸",
        "timestamp": f"{DAY}T10:00:02",
        "metadata": {"emotion": "joy", "model": "gpt"},
    },
    {"role": "system", "content": "…"},
    "broken",
]


def test_a_session_file_is_the_same_conversation_renamed_and_longer(tmp_path: Path) -> None:
    whole = {"personality_name": "alicia", "messages": TALK, "context": {"user_id": "diego"}}
    file = tmp_path / "session_123.json"
    file.write_text(json.dumps(whole), encoding="utf-8-sig")
    assert Luminora().sniff(file, head_of(file))
    rows, reasons, _ = read(file)
    assert [(row["speaker_id"], row["text"]) for row in rows] == [
        ("diego", TALK[0]["content"]),
        ("alicia", TALK[1]["content"]),
    ]
    assert rows[1]["emotion"] == "joy"
    assert rows[1]["model_version"] == "gpt"
    assert sorted(reasons) == ["an instruction or a tool's answer, nobody said it", "no message"]
    later = tmp_path / "session_123 (2).json"
    more = {"role": "user", "content": "¿Sigues ahí?", "timestamp": f"{DAY}T11:00:00"}
    later.write_text(json.dumps({**whole, "messages": [*TALK, more]}), encoding="utf-8")
    assert [row["message_id"] for row in read(later)[0]][:2] == [row["message_id"] for row in rows]


def test_the_sdks_file_of_all_sessions_is_read(tmp_path: Path) -> None:
    session = {
        "config": {"session_id": "x1", "provider_config": {}, "session_type": "chat"},
        "conversation": {"session_id": "x1", "messages": TALK[:2], "metadata": {}, "created_at": f"{DAY}T10:00:00"},
        "personality": {"persona": {"name": "Dr. Luna"}},
        "provider": {"model": "gpt"},
    }
    file = tmp_path / "sessions.json"
    file.write_text(json.dumps({"x1": session}), encoding="utf-8")
    assert Luminora().sniff(file, head_of(file))
    rows, _, _ = read(file, user="ana")
    assert [(row["session_id"], row["agent_id"], row["user_id"]) for row in rows] == [("x1", "Dr. Luna", "ana")] * 2


def test_exports_of_exchanges_and_snapshots_are_read(tmp_path: Path) -> None:
    exchanges = [
        {"message_number": 1, "user_message": "Hola", "victoria_response": "Buenas", "timestamp": f"{DAY}T10:00:00"}
    ]
    export = tmp_path / "conversation_export.json"
    export.write_text(json.dumps({"session_info": {"session_id": "c1"}, "conversation": exchanges}), encoding="utf-8")
    assert Luminora().sniff(export, head_of(export))
    rows, _, _ = read(export, agent="victoria", user="carlos")
    assert said(rows) == [("c1", "carlos", "Hola"), ("c1", "victoria", "Buenas")]
    snapshot = {
        "_snapshot_info": {"created_at": f"{DAY}T10:00:00", "template_name": "alicia", "user_id": "diego", "session_id": "s9"},
        "persona": {},
        "current_state": {
            "affinity": {"points": 45, "level": "friend"},
            "mood": {"current": "shy", "intensity": 0.7, "started_at": ""},
            "learned_facts": [{"category": "personal_info", "key": "name", "value": "Diego", "first_mentioned": f"{DAY}T09:00:00"}],
            "memorable_episodes": [{"type": "loss", "title": "Max", "summary": "The dog died", "importance": 9.5, "date": f"{DAY}T09:30:00"}],
        },
    }  # fmt: skip
    file = tmp_path / "snapshot.json"
    file.write_text(json.dumps(snapshot), encoding="utf-8")
    assert Luminora().sniff(file, head_of(file))
    assert [(row["user_id"], row["text"]) for row in read(file)[0]] == [
        ("diego", "name: Diego"),
        ("diego", "Max. The dog died"),
    ]
    assert list(states(file, SourceOptions())) == [
        Affinity("diego", "alicia", 45.0),
        Mood("s9", "alicia", "diego", "shy", 0.7, f"{DAY}T10:00:00"),
    ]


def test_a_folder_is_read_as_one_and_personas_in_it_are_no_sessions(tmp_path: Path) -> None:
    for number, name in enumerate(("ana", "bo")):
        whole = {"session_id": f"s{number}", "user_id": name, "personality_name": "alicia", "messages": TALK[:1]}
        (tmp_path / f"session_{number}.json").write_text(json.dumps(whole), encoding="utf-8")
    (tmp_path / "alicia.json").write_text(
        json.dumps({"persona": {"name": "Alicia"}, "core_traits": {}}), encoding="utf-8"
    )
    assert Luminora().sniff_folder(tmp_path)
    assert [row["user_id"] for row in read(tmp_path)[0]] == ["ana", "bo"]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"SQLite format 3\x00", b"SQLite format 3\x00" + b"\xff" * 5000, b'{"messages": 3}']
)
def test_what_is_none_of_it_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "session_1.json"
    file.write_bytes(content)
    Luminora().sniff(file, head_of(file))
    with pytest.raises(SourceError, match=r"session_1\.json"):
        read(file, agent="a")


def test_a_truncated_database_is_one_sentence(whole: Path) -> None:
    data = whole.read_bytes()
    for length in (100, 1000, len(data) // 2):
        whole.write_bytes(data[:length])
        with pytest.raises(SourceError):
            read(whole, agent="a")


KEYS = st.sampled_from([
    "messages", "conversation", "session_id", "user_id", "personality_name", "role", "content", "timestamp", "context", "current_state",
    "_snapshot_info", "affinity", "points", "mood", "current", "intensity", "learned_facts", "memorable_episodes", "key", "value", "title",
    "user_message", "assistant_response", "sessions", "personality", "metadata", "created_at", "importance",
])  # fmt: skip
WEIRD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.just(10**400), st.text(max_size=5), st.just("\ud800"), st.just("user"),
    st.just(f"{DAY}T10:00:00"),
)  # fmt: skip
JSONS = st.recursive(
    WEIRD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=25
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=JSONS)
def test_no_json_breaks_it(tmp_path: Path, value: Any) -> None:
    file = tmp_path / "session_1.json"
    file.write_text(json.dumps(value), encoding="utf-8")
    Luminora().sniff(file, head_of(file))
    for options in ({"agent": "a"}, {}):
        try:
            read(file, **options)
            list(states(file, SourceOptions(**options)))
        except SourceError:
            continue


# -- personas -------------------------------------------------------------------------------------------------------

ALICIA: dict[str, Any] = {
    "persona": {"name": "Alicia - The Sweet Dreamer", "version": "1.1.0", "tagline": "shy"},
    "core_traits": {"archetype": "caregiver", "values": ["empathy"]},
    "linguistic_profile": {"tone": ["warm"]},
    "behavioral_rules": {"always_do": ["Show empathy"]},
    "advanced_parameters": {"empathy": 0.95, "formality": 0.3, "directness": 0.4, "verbosity": 1.4},
    "hierarchical_config": {
        "enabled": True,
        "relationship_levels": [
            {"name": "friend", "affinity_range": [41, 60], "modifiers": {
                "advanced_parameters": {"empathy": 0.2, "formality": -0.1, "humour": 0.2}, "linguistic_profile": {"tone_additions": ["warm"]}}},
            {"name": "stranger", "affinity_range": [0, 20], "description": "Just met",
             "modifiers": {"advanced_parameters": {"formality": 0.3, "directness": -0.2}}},
        ],
    },
    "mood_config": {
        "enabled": True,
        "moods": {
            "neutral": {"description": "", "modifiers": {}},
            "shy": {"modifiers": {"advanced_parameters": {"formality": 0.2, "directness": -0.3}}},
        },
        "mood_triggers": {"shy": ["user_gives_compliment"]},
    },
    "something_new": [1, 2],
}  # fmt: skip


def persona(tmp_path: Path, data: Any, name: str = "alicia.json") -> Any:
    """Return a template, loaded from a file."""
    (tmp_path / name).write_text(json.dumps(data), encoding="utf-8")
    return load_persona(tmp_path / name)


def test_a_personality_of_luminoracore_is_a_template(tmp_path: Path) -> None:
    alicia = persona(tmp_path, ALICIA)
    assert alicia.name == "Alicia - The Sweet Dreamer"
    assert [alicia.level(points) for points in (-50, 0, 20.5, 40, 41, 100)] == ["stranger"] * 4 + ["friend"] * 2
    assert alicia.traits["verbosity"] == 1.0
    compiled = alicia.compiled(45, "shy", 1.0)
    assert compiled["empathy"] == 1.0
    assert compiled["formality"] == pytest.approx(0.4)
    assert compiled["directness"] == pytest.approx(0.1)
    assert "humour" not in compiled
    assert alicia.compiled(45, "neutral", 1.0) == alicia.compiled(45)


def test_a_personality_without_levels_has_those_of_luminoracore(tmp_path: Path) -> None:
    plain = {key: value for key, value in ALICIA.items() if key not in ("hierarchical_config", "mood_config")}
    assert persona(tmp_path, plain).level(45) == "friend"
    off = {
        **ALICIA,
        "hierarchical_config": {**ALICIA["hierarchical_config"], "enabled": False},
        "mood_config": {**ALICIA["mood_config"], "enabled": False},
    }
    made = persona(tmp_path, off, "off.json")
    assert made.level(90) == "soulmate"
    assert not made.moods


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"persona": {"name": " "}}, "persona.name"),
        ({"hierarchical_config": {"relationship_levels": [{"name": "x"}]}}, "relationship_levels.0.affinity_range"),
        ({"hierarchical_config": {"relationship_levels": [{"affinity_range": [0, 1]}]}}, "relationship_levels.0.name"),
        (
            {"hierarchical_config": {"relationship_levels": [{"name": "x", "affinity_range": [900, 1]}]}},
            "relationship_levels.0",
        ),
    ],
)
def test_a_personality_that_is_wrong_says_where(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    with pytest.raises(MemoryAssetsError, match=field):
        persona(tmp_path, {**ALICIA, **change})
