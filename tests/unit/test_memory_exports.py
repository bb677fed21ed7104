"""Exports of other memory systems: what was said is speech, what they made of it is a memory in nobody's mouth."""

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugins.contracts import Source, SourceOptions
from plugins.sources.memory_systems.hindsight import Hindsight
from plugins.sources.memory_systems.letta import Letta
from plugins.sources.memory_systems.mem0 import Mem0
from plugins.sources.memory_systems.zep import Zep
from plugins.sources.normalise import Normaliser
from plugins.sources.reading import head_of
from records.errors import SourceError

SOURCES = (Mem0, Zep, Hindsight, Letta)


class Read:
    """What an import of a file would bring: messages, sessions, rejects and notes."""

    def __init__(self, source: Source, path: Path, **given: Any) -> None:
        options = SourceOptions(**given)
        normaliser = Normaliser(options, source.name, path.name)
        frames, self.notes, rejects = [], [], []
        for batch in source.read(str(path), options):
            assert len(batch.rows) <= 5_000
            made = normaliser.frames(batch.rows)
            frames.append(made)
            self.notes += batch.notes
            rejects += [*batch.rejects, *made.rejects.to_dicts()]
        self.messages = pl.concat([frame.messages for frame in frames])
        self.sessions = pl.concat([frame.sessions for frame in frames])
        self.rejects = rejects
        self.rows = self.messages.to_dicts()

    @property
    def said(self) -> list[tuple[str, str]]:
        """Return speaker and text of the messages, as the source shows them."""
        return [(row["speaker_id"], row["text"]) for row in self.rows]

    def meta(self, text: str) -> dict[str, Any]:
        """Return the metadata of a message."""
        (row,) = [row for row in self.rows if row["text"] == text]
        return json.loads(row["metadata"])

    @property
    def reasons(self) -> list[str]:
        """Return why things were not taken."""
        return [reject["reason"].split(":")[0] for reject in self.rejects]


def tried(source: Source, path: Path, **given: Any) -> "Read | str":
    """Return what a file holds, or the sentence that says why it cannot be read."""
    try:
        return Read(source, path, **given)
    except SourceError as error:
        return str(error)


def written(path: Path, value: Any) -> Path:
    """Write a value as JSON."""
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return path


# -- mem0 -----------------------------------------------------------------------------------------------------------

ALEX = {
    "id": "892db2ae-06d9-49e5-8b3e-585ef9b85b8e",
    "memory": "Prefiere el té 🍵 al café",
    "hash": "5d4e",
    "metadata": {"source": "app"},
    "created_at": "2025-02-20T23:59:59.5-08:00",
    "updated_at": "2025-03-01T10:00:00Z",
    "user_id": "alex",
    "agent_id": "lumi",
    "run_id": "trip",
    "categories": ["food", "preferences"],
    "score": 0.81,
}


def test_a_memory_of_mem0_is_its_users_but_not_in_the_users_mouth(tmp_path: Path) -> None:
    file = written(tmp_path / "export.json", {"results": [ALEX], "relations": [{"source": "alex"}]})
    assert Mem0().sniff(file, head_of(file))
    got = Read(Mem0(), file)
    (row,) = got.rows
    assert (row["speaker_id"], row["role"], row["user_id"], row["agent_id"]) == ("mem0", "user", "alex", "lumi")
    assert row["session_id"] == "mem0/alex/trip"
    assert row["occurred_at"] == datetime(2025, 2, 21, 7, 59, 59, 500_000, UTC)
    assert row["text"] == "Prefiere el té 🍵 al café"
    about = got.meta(row["text"])
    assert about["kind"] == "imported_memory"
    assert about["category"] == ["food", "preferences"]
    assert about["score"] == 0.81
    assert about["own"] == {"source": "app"}
    assert got.sessions["opt_out_training"].to_list() == [True]
    assert "1 relations" in got.notes[0]


def test_a_memory_that_mem0_changed_is_the_same_one_with_the_later_text(tmp_path: Path) -> None:
    before = Read(Mem0(), written(tmp_path / "a.json", {"results": [{**ALEX, "updated_at": ALEX["created_at"]}]}))
    after = Read(Mem0(), written(tmp_path / "b.json", {"results": [{**ALEX, "memory": "Prefiere el mate"}]}))
    assert before.messages["message_id"].to_list() == after.messages["message_id"].to_list()
    assert before.rows[0]["edited_at"] is None
    assert after.rows[0]["edited_at"] == datetime(2025, 3, 1, 10, tzinfo=UTC)


def test_memories_of_several_people_and_agents_stay_apart_whatever_the_options_name(tmp_path: Path) -> None:
    items = [
        {"id": "1", "memory": "Likes rain", "user_id": "ana", "agent_id": "lumi", "created_at": "2025-01-06T10:00:00Z"},
        {"id": "2", "memory": "Likes sun", "user_id": "bo", "agent_id": "rex", "created_at": "2025-01-06T10:00:00Z"},
        {"id": "3", "memory": "Is tall", "created_at": "2025-01-06T10:00:00Z", "hash": "x"},
    ]
    got = Read(Mem0(), written(tmp_path / "all.json", items), agent="Lumi", user="cy")
    assert [(row["agent_id"], row["user_id"]) for row in got.rows] == [("Lumi", "ana"), ("rex", "bo"), ("Lumi", "cy")]
    assert len({row["session_id"] for row in got.rows}) == 3


def test_memories_without_an_agent_ask_whose_they_are(tmp_path: Path) -> None:
    file = written(tmp_path / "m.json", [{"id": "1", "memory": "Likes rain", "user_id": "ana", "hash": "h"}])
    with pytest.raises(SourceError, match=r"--agent.*ana"):
        Read(Mem0(), file)
    assert Read(Mem0(), file, agent="lumi", at=datetime(2025, 1, 6, tzinfo=UTC)).rows[0]["user_id"] == "ana"


def test_what_was_said_before_memories_were_made_is_speech_and_kept_once(tmp_path: Path) -> None:
    said = [{"role": "user", "content": "I moved to Vigo"}, {"role": "assistant", "content": "How is the sea?"}]
    event = {"user_id": "ana", "agent_id": "lumi", "input": said, "event": "ADD", "created_at": "2025-01-06T10:00:00Z"}
    items = [
        {**event, "id": "h1", "memory_id": "m1", "old_memory": None, "new_memory": "Lives in Vigo"},
        {**event, "id": "h2", "memory_id": "m2", "old_memory": None, "new_memory": "Likes the sea"},
    ]
    got = Read(Mem0(), written(tmp_path / "history.json", items))
    assert got.said == [
        ("ana", "I moved to Vigo"),
        ("lumi", "How is the sea?"),
        ("mem0", "Lives in Vigo"),
        ("mem0", "Likes the sea"),
    ]
    assert got.rows[1]["follows"] == got.rows[0]["message_id"]
    by_session = dict(zip(got.sessions["session_id"], got.sessions["opt_out_training"], strict=True))
    assert [by_session[row["session_id"]] for row in got.rows] == [False, False, True, True]


def test_openmemory_names_people_apps_and_categories_by_ids(tmp_path: Path) -> None:
    memory = {"id": "m1", "user_id": "0b1f", "app_id": "a1", "content": "Plays the oud", "metadata": {}, "state": "active",
              "created_at": "2025-01-06T10:00:00+00:00", "updated_at": None, "category_ids": ["c1"]}  # fmt: skip
    export = {
        "user": {"id": "0b1f", "user_id": "sami"},
        "apps": [{"id": "a1", "name": "cursor"}],
        "categories": [{"id": "c1", "name": "music"}],
        "memories": [memory, {**memory, "id": "m2", "content": "Old", "state": "deleted"}],
        "export_meta": {"version": "1"},
    }
    file = written(tmp_path / "memories.json", export)
    assert Mem0().sniff(file, head_of(file))
    got = Read(Mem0(), file, agent="lumi")
    assert [(row["user_id"], row["text"]) for row in got.rows] == [("sami", "Plays the oud")]
    assert got.meta("Plays the oud")["category"] == ["music"]
    assert got.meta("Plays the oud")["app"] == "cursor"
    assert got.reasons == ["a memory that was deleted"]


def test_the_database_of_an_own_mem0_gives_memories_as_they_are_now_and_the_last_messages(tmp_path: Path) -> None:
    file = tmp_path / "history.db"
    with sqlite3.connect(file) as db:
        db.execute(
            "CREATE TABLE history (id TEXT PRIMARY KEY, memory_id TEXT, old_memory TEXT, new_memory TEXT, event TEXT, "
            "created_at DATETIME, updated_at DATETIME, is_deleted INTEGER, actor_id TEXT, role TEXT)"
        )
        db.execute(
            "CREATE TABLE messages (id TEXT PRIMARY KEY, session_scope TEXT, role TEXT, content TEXT, name TEXT, created_at DATETIME)"
        )
        day = "2025-01-06T10:00:00+00:00"
        db.executemany(
            "INSERT INTO history VALUES (?,?,?,?,?,?,?,?,?,?)",
            [
                ("h1", "m1", None, "Lives in Vigo", "ADD", day, None, 0, None, None),
                ("h2", "m2", None, "Has a cat", "ADD", day, None, 0, None, None),
                (
                    "h3",
                    "m1",
                    "Lives in Vigo",
                    "Lives in Faro",
                    "UPDATE",
                    day,
                    "2025-02-01T10:00:00+00:00",
                    0,
                    None,
                    None,
                ),
                ("h4", "m2", "Has a cat", None, "DELETE", day, "2025-02-02T10:00:00+00:00", 1, None, None),
            ],
        )
        db.executemany(
            "INSERT INTO messages VALUES (?,?,?,?,?,?)",
            [
                ("a", "agent_id=lumi&user_id=ana", "user", "I moved", None, day),
                ("b", "agent_id=lumi&user_id=ana", "assistant", "Where to?", None, day),
            ],
        )
    db.close()
    before = file.read_bytes()
    assert Mem0().sniff(file, head_of(file))
    got = Read(Mem0(), file)
    assert got.said == [("ana", "I moved"), ("lumi", "Where to?"), ("mem0", "Lives in Faro")]
    assert got.rows[2]["user_id"] == "ana"
    assert got.rows[2]["occurred_at"] == datetime(2025, 1, 6, 10, tzinfo=UTC)
    assert got.reasons == ["a memory that was deleted"]
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["history.db"]


# -- Zep ------------------------------------------------------------------------------------------------------------


def zep_message(number: int, role_type: str, content: Any, role: str | None = None) -> dict[str, Any]:
    """Return a message as Zep's interface gives it."""
    return {"uuid": f"u{number}", "created_at": f"2025-01-06T10:00:0{number}Z", "role": role, "role_type": role_type,
            "content": content, "token_count": 3, "metadata": {"n": number}}  # fmt: skip


def test_sessions_of_zep_are_conversations_with_the_assistants_name_as_agent(tmp_path: Path) -> None:
    file = written(
        tmp_path / "zep.json",
        {
            "sessions": [
                {
                    "session_id": "s1",
                    "user_id": "ana",
                    "messages": [
                        zep_message(1, "system", "You are Lumi"),
                        zep_message(2, "user", "Hola", "Ana García"),
                        zep_message(3, "assistant", "¡Hola, Ana!", "Lumi"),
                        zep_message(4, "tool", "{}"),
                    ],
                    "facts": ["Ana is called García"],
                    "updated_at": "2025-01-07T10:00:00Z",
                    "summary": {"content": "They greet"},
                },
                {"session_id": "s2", "user_id": "bo", "messages": [zep_message(5, "user", "Hi")]},
            ]
        },
    )
    assert Zep().sniff(file, head_of(file))
    got = Read(Zep(), file)
    assert got.said == [("ana", "Hola"), ("Lumi", "¡Hola, Ana!"), ("zep", "Ana is called García"), ("bo", "Hi")]
    assert {row["agent_id"] for row in got.rows} == {"Lumi"}
    assert [row["user_id"] for row in got.rows] == ["ana", "ana", "ana", "bo"]
    assert [row["session_id"] for row in got.rows] == ["zep/s1", "zep/s1", "zep/ana/facts", "zep/s2"]
    assert got.reasons == ["an instruction or a tool's answer, nobody said it"] * 2
    assert "1 summaries" in got.notes[0]


def test_a_list_with_the_newest_message_first_is_turned_around(tmp_path: Path) -> None:
    messages = [zep_message(n, "user" if n % 2 else "assistant", f"line {n}") for n in (4, 3, 2, 1)]
    got = Read(Zep(), written(tmp_path / "m.json", {"messages": messages, "row_count": 4}), agent="lumi", user="ana")
    assert [row["text"] for row in got.rows] == ["line 1", "line 2", "line 3", "line 4"]
    assert {row["session_id"] for row in got.rows} == {"zep/ana/2025-01-06"}


def test_facts_of_a_graph_keep_their_validity_and_the_names_of_their_ends(tmp_path: Path) -> None:
    edge = {"uuid": "e1", "name": "WORKS_AT", "fact": "Ana works at Acme", "created_at": "2025-01-06T10:00:00Z",
            "valid_at": "1999-05-01T00:00:00Z", "invalid_at": "2025-01-05T00:00:00Z", "expired_at": "2025-01-06T10:00:01Z",
            "source_node_uuid": "n1", "target_node_uuid": "n2", "episodes": ["u2"], "score": 0.5}  # fmt: skip
    nodes = [{"uuid": "n1", "name": "Ana", "labels": ["Entity"]}, {"uuid": "n2", "name": "Acme", "labels": ["Entity"]}]
    file = written(tmp_path / "graph.json", {"user_id": "ana", "edges": [edge], "nodes": nodes})
    assert Zep().sniff(file, head_of(file))
    got = Read(Zep(), file, agent="lumi")
    (row,) = got.rows
    assert (row["speaker_id"], row["user_id"], row["occurred_at"]) == (
        "zep",
        "ana",
        datetime(2025, 1, 6, 10, tzinfo=UTC),
    )
    about = got.meta("Ana works at Acme")
    assert about["valid_at"] == "1999-05-01T00:00:00Z"
    assert about["invalid_at"] == "2025-01-05T00:00:00Z"
    assert (about["source"], about["target"], about["episodes"]) == ("Ana", "Acme", ["u2"])


def test_episodes_of_graphiti_are_speech_text_or_data(tmp_path: Path) -> None:
    shared = {"group_id": "ana", "created_at": "2025-01-07T10:00:00Z", "source_description": "chat"}
    episodes = [
        {
            **shared,
            "uuid": "1",
            "source": "message",
            "content": "Ana(user): ¿Te acuerdas: mi gato?",
            "valid_at": "2025-01-06T10:00:00Z",
        },
        {
            **shared,
            "uuid": "2",
            "source": "message",
            "content": "Lumi(assistant): Sí.\nSe llama Pan.",
            "valid_at": "2025-01-06T10:00:05Z",
        },
        {
            **shared,
            "uuid": "3",
            "source": "text",
            "content": "Notes: the cat is grey",
            "valid_at": "2025-01-06T11:00:00Z",
        },
        {**shared, "uuid": "4", "source": "json", "content": "{}", "valid_at": "2025-01-06T11:00:00Z"},
    ]
    file = written(tmp_path / "episodes.json", {"episodes": episodes})
    assert Zep().sniff(file, head_of(file))
    got = Read(Zep(), file)
    assert got.said == [
        ("ana", "¿Te acuerdas: mi gato?"),
        ("Lumi", "Sí.\nSe llama Pan."),
        ("zep", "Notes: the cat is grey"),
    ]
    assert got.rows[0]["occurred_at"] == datetime(2025, 1, 6, 10, tzinfo=UTC)
    assert got.reasons == ["data of the graph, nobody said it"]


def test_several_people_in_a_session_of_zep_are_a_group(tmp_path: Path) -> None:
    messages = [
        zep_message(1, "user", "hi", "Ana"),
        zep_message(2, "user", "hey", "Bo"),
        zep_message(3, "assistant", "hello"),
    ]
    file = written(tmp_path / "group.json", {"session_id": "g", "user_id": "ana", "messages": messages})
    got = Read(Zep(), file, agent="Lumi")
    assert got.said == [("Ana", "hi"), ("Bo", "hey"), ("Lumi", "hello")]
    assert [row["user_id"] for row in got.rows] == [None, None, None]


def test_messages_of_zep_without_an_agents_name_ask_for_it(tmp_path: Path) -> None:
    file = written(
        tmp_path / "m.json", {"messages": [zep_message(1, "user", "hi", "Ana"), zep_message(2, "assistant", "ho")]}
    )
    with pytest.raises(SourceError, match=r"--agent.*Ana"):
        Read(Zep(), file)


# -- Hindsight ------------------------------------------------------------------------------------------------------


def test_memory_units_of_hindsight_are_their_banks(tmp_path: Path) -> None:
    units = [
        {"id": "f1", "text": "Alice works at Google", "fact_type": "world", "context": "career", "mentioned_at": "2025-01-06T10:00:00Z",
         "occurred_start": "2019-03-01T00:00:00Z", "entities": "Alice, Google", "document_id": "chat-1",
         "tags": ["user:alice"], "metadata": {"channel": "web"}},
        {"id": "f2", "text": "I recommended hiking", "fact_type": "experience", "date": "2025-01-06T11:00:00Z", "entities": []},
        {"id": "f3", "text": "Alice likes tea", "fact_type": "opinion", "confidence_score": 0.7, "date": "2025-01-06T12:00:00Z",
         "state": "invalidated"},
    ]  # fmt: skip
    file = written(tmp_path / "units.json", {"bank_id": "lumi", "items": units, "total": 3, "limit": 100, "offset": 0})
    assert Hindsight().sniff(file, head_of(file))
    got = Read(Hindsight(), file)
    assert [(row["agent_id"], row["user_id"], row["speaker_id"]) for row in got.rows] == [
        ("lumi", "alice", "hindsight"),
        ("lumi", "alice", "hindsight"),
    ]
    assert got.rows[0]["occurred_at"] == datetime(2025, 1, 6, 10, tzinfo=UTC)
    about = got.meta("Alice works at Google")
    assert about["category"] == "world"
    assert about["entities"] == ["Alice", "Google"]
    assert about["valid_at"] == "2019-03-01T00:00:00Z"
    assert about["document"] == "chat-1"
    assert got.reasons == ["a memory that was invalidated"]


def test_an_archive_of_hindsight_gives_facts_and_the_conversations_they_were_read_from(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    (folder / "documents").mkdir(parents=True)
    written(folder / "manifest.json", {"schema_version": 1, "source_bank_id": "Lumi", "document_count": 2})
    talk = "Ana (2025-01-06T10:00:00Z): I bake bread\nand cakes\nLumi (2025-01-06T10:00:09Z): Which flour?"
    fact = {
        "text": "Ana bakes bread",
        "fact_type": "world",
        "mentioned_at": "2025-01-06T10:01:00Z",
        "entities": ["Ana"],
    }
    written(
        folder / "documents" / "000000.json",
        {"id": "../talk", "original_text": talk, "facts": [fact], "tags": ["user:ana"]},
    )
    note = {"id": "note", "original_text": "A recipe of rye bread.", "facts": [{**fact, "text": "Rye is dark"}]}
    written(folder / "documents" / "000001.json", note)
    (folder / "documents" / "000002.json").write_text('{"id": "cut', encoding="utf-8")
    written(
        folder / "observations.json",
        [{"text": "Ana is a baker", "proof_count": 2, "mentioned_at": "2025-01-06T10:02:00Z"}],
    )
    assert Hindsight().sniff_folder(folder)
    got = Read(Hindsight(), folder)
    assert got.said == [
        ("Ana", "I bake bread\nand cakes"),
        ("Lumi", "Which flour?"),
        ("hindsight", "Ana bakes bread"),
        ("hindsight", "Rye is dark"),
        ("hindsight", "Ana is a baker"),
    ]
    assert {row["agent_id"] for row in got.rows} == {"Lumi"}
    assert "1 documents were not taken" in got.notes[0]
    assert got.reasons == ["no memory"]
    assert Read(Hindsight(), folder).messages["message_id"].to_list() == got.messages["message_id"].to_list()


def test_a_document_of_hindsight_that_is_a_list_of_messages_is_speech(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    written(tmp_path / "manifest.json", {"schema_version": 1, "source_bank_id": "lumi"})
    talk = [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "hi", "timestamp": "2025-01-06T10:00:00Z"},
            {"role": "assistant", "content": "hello", "timestamp": "2025-01-06T10:00:01Z"}]  # fmt: skip
    written(tmp_path / "documents" / "000000.json", {"id": "d", "original_text": json.dumps(talk), "facts": []})
    got = Read(Hindsight(), tmp_path, user="ana")
    assert got.said == [("ana", "hi"), ("lumi", "hello")]
    assert got.reasons == ["an instruction or a tool's answer, nobody said it"]


# -- Letta ----------------------------------------------------------------------------------------------------------


def call(text: str, thought: str = "I should greet") -> dict[str, Any]:
    """Return an assistant's message that speaks by a tool, as MemGPT writes it."""
    function = {"name": "send_message", "arguments": json.dumps({"message": text, "request_heartbeat": False})}
    return {"role": "assistant", "content": [{"type": "text", "text": thought}], "model": "gpt-4o",
            "tool_calls": [{"id": "c1", "type": "function", "function": function}], "created_at": "2025-01-06T10:00:01+00:00"}  # fmt: skip


def packed(kind: str, **more: Any) -> dict[str, Any]:
    """Return a user's message as the server packs it."""
    text = json.dumps({"type": kind, "time": "2025-01-06 10:00:00 AM UTC+0000", **more}, ensure_ascii=False)
    return {"role": "user", "content": [{"type": "text", "text": text}], "created_at": "2025-01-06T10:00:00+00:00"}


FIRST_VERSION = {
    "agent_type": "memgpt_agent",
    "core_memory": [
        {"label": "human", "value": "Ana"},
        {"label": "persona", "value": "I am Sam"},
        {"label": "empty", "value": ""},
    ],
    "in_context_message_indices": [0, 1],
    "llm_config": {"model": "gpt-4o"},
    "name": "Sam",
    "system": "You are MemGPT",
    "version": "0.6.47",
    "messages": [
        {
            "role": "system",
            "content": [{"type": "text", "text": "You are MemGPT"}],
            "created_at": "2025-01-06T09:00:00+00:00",
        },
        packed("login", last_login="Never"),
        packed("user_message", message="¿Te acuerdas de «mí»?", name="Ana"),
        call("Claro que sí"),
        {
            "role": "tool",
            "content": [{"type": "text", "text": '{"status": "OK"}'}],
            "created_at": "2025-01-06T10:00:02+00:00",
        },
        packed("heartbeat", reason="Automated timer"),
        {"role": "assistant", "content": "Nothing to do", "tool_calls": [], "created_at": "2025-01-06T10:00:03+00:00"},
    ],
}


def test_what_a_memgpt_agent_says_is_what_it_sends_and_its_thoughts_are_no_speech(tmp_path: Path) -> None:
    file = written(tmp_path / "sam.af", FIRST_VERSION)
    assert Letta().sniff(file, head_of(file))
    got = Read(Letta(), file, user="ana")
    assert got.said == [("ana", "¿Te acuerdas de «mí»?"), ("Sam", "Claro que sí")]
    assert got.rows[1]["model_version"] == "gpt-4o"
    assert got.rows[0]["session_id"] == "letta/Sam/ana/2025-01-06"
    assert "2 core memory blocks of Sam were not taken (human, persona)" in got.notes[0]
    assert "memory core" in got.notes[0]
    assert sorted(got.reasons) == [
        "a tool call or an inner thought, nobody said it",
        "a tool's answer, nobody said it",
        "an event of the platform, nobody said it",
        "an event of the platform, nobody said it",
        "the system prompt, nobody said it",
    ]
    renamed = Read(Letta(), written(tmp_path / "copy (1).af", FIRST_VERSION), user="ana")
    assert renamed.messages["message_id"].to_list() == got.messages["message_id"].to_list()


def test_an_agent_without_that_tool_says_its_text(tmp_path: Path) -> None:
    second = {
        "agents": [
            {
                "name": "Sam",
                "id": "agent-0",
                "agent_type": "letta_v1_agent",
                "block_ids": ["block-0"],
                "in_context_message_ids": ["message-0"],
                "messages": [
                    {"id": "message-0", "role": "user", "created_at": "2025-10-31T22:56:56.4591+00:00",
                     "content": [{"type": "text", "text": "<system-reminder>clock</system-reminder>hi there"}]},
                    {"id": "message-1", "role": "assistant", "created_at": "2025-10-31T22:56:58+00:00", "tool_calls": None,
                     "content": [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "hello"}]},
                ],
            }
        ],
        "blocks": [{"id": "block-0", "label": "persona", "value": "I am Sam"}],
        "passages": [{"id": "passage-0", "text": "They greet", "created_at": "2025-10-31T23:00:00+00:00"}],
        "tools": [],
    }  # fmt: skip
    file = written(tmp_path / "sam.af", second)
    assert Letta().sniff(file, head_of(file))
    got = Read(Letta(), file, agent="Sam")
    assert got.said == [("user of Sam", "hi there"), ("Sam", "hello"), ("letta", "They greet")]
    assert "1 core memory blocks" in got.notes[0]


def test_message_lists_of_letta_come_newest_first_and_keep_their_ids(tmp_path: Path) -> None:
    key = "message-dea2ceab-0863-44ea-86dc-70cf02c0594"
    items = [
        {"id": f"{key}4", "date": "2025-01-28T01:18:21+00:00", "message_type": "assistant_message", "content": "Fine!"},
        {"id": f"{key}3", "date": "2025-01-28T01:18:20+00:00", "message_type": "reasoning_message", "reasoning": "hm"},
        {"id": f"{key}2", "date": "2025-01-28T01:18:19+00:00", "message_type": "tool_call_message",
         "tool_call": {"name": "archival_memory_insert", "arguments": "{}"}},
        {"id": f"{key}1", "date": "2025-01-28T01:18:18+00:00", "message_type": "user_message", "content": "How are you?"},
    ]  # fmt: skip
    file = written(tmp_path / "messages.json", items)
    assert Letta().sniff(file, head_of(file))
    got = Read(Letta(), file, agent="Sam", user="ana")
    assert got.said == [("ana", "How are you?"), ("Sam", "Fine!")]
    longer = Read(Letta(), written(tmp_path / "more.json", items[1:]), agent="Sam", user="ana")
    assert longer.rows[0]["message_id"] == got.rows[0]["message_id"]


def test_archival_passages_are_memories_of_the_agent(tmp_path: Path) -> None:
    passages = [
        {"id": "passage-dea2ceab-0863-44ea-86dc-70cf02c05941", "text": "Ana's cat is called Pan", "created_at": "2025-01-06T10:00:00Z",
         "tags": ["pets"], "metadata": {}},
        {"id": "passage-dea2ceab-0863-44ea-86dc-70cf02c05942", "text": "gone", "is_deleted": True, "created_at": "2025-01-06T10:00:00Z"},
    ]  # fmt: skip
    file = written(tmp_path / "memories.json", passages)
    assert Letta().sniff(file, head_of(file))
    got = Read(Letta(), file, agent="Sam", user="ana")
    (row,) = got.rows
    assert (row["speaker_id"], row["user_id"], row["text"]) == ("letta", "ana", "Ana's cat is called Pan")
    assert got.meta(row["text"])["tags"] == ["pets"]
    assert got.reasons == ["no passage, or one that was deleted"]


# -- all of them ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "null", "[1, null, [[]]]", '{"messages": {}}', '{"results": 3}', '{"a": [', "\x00\x01"]
)
def test_what_is_none_of_it_is_one_sentence(tmp_path: Path, source: type[Source], content: str) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(content.encode())
    got = tried(source(), file, agent="lumi", user="ana")
    if isinstance(got, str):
        assert "\n" not in got
    else:
        assert not got.rows
        assert got.rejects


def test_no_source_claims_the_others_files(tmp_path: Path) -> None:
    files = {
        Mem0: written(tmp_path / "mem0.json", {"results": [ALEX]}),
        Zep: written(tmp_path / "zep.json", {"messages": [zep_message(1, "user", "hi")]}),
        Hindsight: written(tmp_path / "hindsight.json", {"items": [{"id": "1", "text": "t", "fact_type": "world"}]}),
        Letta: written(tmp_path / "letta.json", FIRST_VERSION),
    }
    for owner, file in files.items():
        assert [source for source in SOURCES if source().sniff(file, head_of(file))] == [owner]


KEYS = st.sampled_from([
    "results", "memory", "id", "created_at", "user_id", "agent_id", "input", "role", "content", "messages", "fact", "facts", "edges",
    "episodes", "text", "fact_type", "items", "tags", "metadata", "entities", "message_type", "tool_calls", "function", "arguments",
    "name", "core_memory", "agents", "blocks", "passages", "uuid", "role_type", "source", "history", "memory_id", "valid_at", "nodes",
])  # fmt: skip
WEIRD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.just(10**400), st.text(max_size=6), st.just("\ud800x"), st.just("user"),
    st.just("assistant"), st.just("2025-01-06T10:00:00Z"), st.just("9999-99-99"), st.just("{}"),
)  # fmt: skip
JSONS = st.recursive(
    WEIRD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=25
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=JSONS, source=st.sampled_from(SOURCES), lines=st.booleans())
def test_no_file_breaks_a_source(tmp_path: Path, value: Any, source: type[Source], lines: bool) -> None:
    file = tmp_path / ("x.jsonl" if lines else "x.json")
    file.write_text(json.dumps(value), encoding="utf-8")
    source().sniff(file, head_of(file))
    got = tried(source(), file, agent="lumi")
    assert not isinstance(got, str) or "\n" not in got
