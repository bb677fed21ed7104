"""claude.ai's export: what was said on the branch that the chat went on with is remembered, without thinking, tools and files."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from plugins.contracts import SourceOptions
from plugins.sources.assistants.claude import ROOT, Claude
from plugins.sources.normalise import Normaliser
from plugins.sources.reading import head_of
from records.errors import SourceError

ABANDONED = "not on the branch that the chat went on with: before an edit, or another answer"


def read(path: Path, **options: Any) -> tuple[pl.DataFrame, list[dict[str, Any]], list[dict[str, Any]], list[str]]:
    """Return messages, rejects, the rows as the source gave them, and notes."""
    given = SourceOptions(**{"agent": "Lumi", **options})
    normaliser = Normaliser(given, "claude", path.name)
    frames, rejects, rows, notes = [], [], [], []
    for batch in Claude().read(str(path), given):
        found = normaliser.frames(batch.rows)
        frames.append(found.messages)
        rejects += [*batch.rejects, *found.rejects.to_dicts()]
        rows += batch.rows
        notes += batch.notes
    return pl.concat(frames), rejects, rows, notes


def message(key: str, parent: str | None, sender: str, text: str, minute: int = 0, **more: Any) -> dict[str, Any]:
    at = f"2025-05-01T10:{minute:02d}:00.123456Z"
    return {
        "uuid": key,
        "text": text,
        "content": [{"type": "text", "text": text, "citations": []}] if text else [],
        "sender": sender,
        "created_at": at,
        "updated_at": at,
        "attachments": [],
        "files": [],
        "parent_message_uuid": parent,
        **more,
    }


def conversation(*messages: Any, **more: Any) -> dict[str, Any]:
    return {
        "uuid": "c-1",
        "name": "The fox",
        "summary": "",
        "created_at": "2025-05-01T10:00:00.000000Z",
        "updated_at": "2025-05-02T10:00:00.000000Z",
        "account": {"uuid": "account-1"},
        "chat_messages": list(messages),
        **more,
    }


def written(path: Path, *conversations: Any) -> Path:
    path.write_text(json.dumps(conversations))
    return path


def texts(messages: pl.DataFrame) -> list[tuple[str, str]]:
    return messages.select("role", "text").rows()


def test_of_edits_and_new_answers_the_last_branch_is_remembered(tmp_path: Path) -> None:
    file = written(
        tmp_path / "conversations.json",
        conversation(
            message("q", ROOT, "human", "where is my fox?", 1),
            message("a1", "q", "assistant", "I do not know.", 2),
            message("a2", "q", "assistant", "In the garden.", 3),
            message("q2", "a2", "human", "and the dog?", 4),
            message("a3", "q2", "assistant", "Asleep.", 5),
            message("q1b", "a1", "human", "are you sure?", 6),
        ),
    )
    messages, rejects, _, _ = read(file)
    assert texts(messages) == [
        ("user", "where is my fox?"),
        ("agent", "I do not know."),
        ("user", "are you sure?"),
    ]
    assert [reject["reason"] for reject in rejects] == [ABANDONED]
    chosen = json.loads(file.read_text())
    chosen[0]["current_leaf_message_uuid"] = "a3"
    messages = read(written(file, *chosen))[0]
    assert [text for _, text in texts(messages)] == ["where is my fox?", "In the garden.", "and the dog?", "Asleep."]


def test_older_exports_have_no_links_and_only_flat_text(tmp_path: Path) -> None:
    flat = [
        {"uuid": "1", "text": "hello", "sender": "human", "created_at": "2024-05-01T10:00:00Z"},
        {"uuid": "2", "text": "hi", "sender": "assistant", "created_at": "2024-05-01T10:00:00Z"},
        {"uuid": "3", "text": "bye", "sender": "human", "created_at": None},
    ]
    messages, rejects, _, _ = read(written(tmp_path / "conversations.json", conversation(*flat)))
    assert texts(messages) == [("user", "hello"), ("agent", "hi"), ("user", "bye")]
    assert messages["follows"].to_list() == [None, *messages["message_id"].to_list()[:2]]
    assert rejects == []
    # Links that name nobody say nothing.
    unlinked = [{**item, "parent_message_uuid": None} for item in flat]
    assert read(written(tmp_path / "conversations.json", conversation(*unlinked)))[0]["text"].to_list() == [
        "hello",
        "hi",
        "bye",
    ]


def test_thinking_tools_and_the_content_of_files_are_no_speech(tmp_path: Path) -> None:
    attached = {"attachments": [{"file_name": "notes.txt", "extracted_content": "secret plan of somebody else"}]}
    blocks = [
        {"type": "thinking", "thinking": "The user greets me."},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "name": "web_search", "input": {"query": "fox"}},
        {"type": "tool_result", "name": "web_search", "content": [{"type": "text", "text": "a page"}]},
        {"type": "text", "text": "It sleeps."},
    ]
    flat = "Let me look.\n```\nThis block is not supported on your current device yet.\n```\nIt sleeps."
    file = written(
        tmp_path / "conversations.json",
        conversation(
            message("q", ROOT, "human", "read this", 1, **attached),
            message("a", "q", "assistant", flat, 2, content=blocks),
            message("q2", "a", "human", "", 3, files=[{"file_name": "fox.png"}]),
            message("a2", "q2", "assistant", "thinking aloud", 4, content=[blocks[0]]),
            message("q3", "a2", "human", "", 5, content=[{"type": "voice_note", "title": "Note", "text": "hola"}]),
        ),
    )
    messages, rejects, _, _ = read(file)
    assert texts(messages) == [
        ("user", "read this"),
        ("agent", "Let me look.\n\nIt sleeps."),
        ("user", "hola"),
    ]
    assert json.loads(messages["metadata"][0]) == {"files": ["notes.txt"], "title": "The fox"}
    assert [reject["reason"] for reject in rejects] == [
        "a file without words",
        "thinking or a call to a tool, nothing said",
    ]


def test_thinking_and_documents_inside_older_texts_are_taken_out(tmp_path: Path) -> None:
    text = (
        "Here it is.<antThinking>Worth a document.</antThinking>"
        '<antArtifact identifier="fox" title="Fox">lines <b>of</b> code</antArtifact> Done. <antThinking>never closed'
    )
    file = written(
        tmp_path / "conversations.json", conversation(message("a", ROOT, "assistant", text, 1, content=None))
    )
    assert read(file)[0]["text"].to_list() == ["Here it is. Done. <antThinking>never closed"]


def test_a_conversation_as_the_web_page_gets_it(tmp_path: Path) -> None:
    file = tmp_path / "The fox.json"
    talk = conversation(
        message("q", ROOT, "human", "hello", 1) | {"text": ""},
        message("a", "q", "assistant", "hi", 2, chat_feedback={"type": "upvote"}) | {"text": ""},
        model="claude-sonnet-4",
        current_leaf_message_uuid="a",
        project={"uuid": "p", "name": "Animals"},
    )
    file.write_text(json.dumps(talk))
    assert Claude().sniff(file, head_of(file))
    messages, _, rows, _ = read(file)
    assert texts(messages) == [("user", "hello"), ("agent", "hi")]
    assert messages["model_version"].to_list() == [None, "claude-sonnet-4"]
    assert [row.get("feedback") for row in rows] == [None, {"rating": 1.0}]
    assert json.loads(messages["metadata"][0])["project"] == "Animals"


def test_a_longer_export_is_the_same_chat_and_an_edit_is_the_same_message(tmp_path: Path) -> None:
    first, answer = message("q", ROOT, "human", "hello", 1), message("a", "q", "assistant", "hi", 2)
    short = read(written(tmp_path / "conversations.json", conversation(first, answer)))[0]
    later = {"updated_at": "2025-05-03T00:00:00Z", "content": [{"type": "text", "text": "hi!"}]}
    renamed = conversation(first, answer | later, message("q2", "a", "human", "bye", 3), name="")
    long = read(written(tmp_path / "conversations-001.json", renamed))[0]
    assert long["message_id"].to_list()[:2] == short["message_id"].to_list()
    assert short["edited_at"].to_list() == [None, None]
    assert long["edited_at"].to_list() == [None, datetime(2025, 5, 3, tzinfo=UTC), None]


def test_an_unpacked_export_is_read_as_a_whole(tmp_path: Path) -> None:
    for number in range(2):
        talk = conversation(message("q", ROOT, "human", f"hello {number}", number), uuid=f"c-{number}")
        written(tmp_path / f"conversations-00{number}.json", talk)
    (tmp_path / "users.json").write_text('[{"uuid": "account-1", "full_name": "Nora"}]')
    (tmp_path / "memories.json").write_text('[{"conversations_memory": "Nora has a fox"}]')
    assert Claude().sniff_folder(tmp_path)
    messages, rejects, _, notes = read(tmp_path)
    assert sorted(messages["session_id"]) == ["claude/c-0", "claude/c-1"]
    assert rejects == []
    assert notes == ["memories.json: not read; only conversations are"]


def test_whose_memory_it_is_must_be_said(tmp_path: Path) -> None:
    file = written(tmp_path / "conversations.json", conversation(message("q", ROOT, "human", "hello")))
    with pytest.raises(SourceError, match="Name the agent with --agent; its speakers are Claude"):
        read(file, agent=None)
    assert read(file, user="nora")[0].select("agent_id", "user_id", "speaker_id").row(0) == ("Lumi", "nora", "nora")


@pytest.mark.parametrize("content", ['{"messages": []}', '[{"uuid": 1}, "x"]', "7", "null"])
def test_what_is_no_export_is_one_sentence(tmp_path: Path, content: str) -> None:
    file = tmp_path / "conversations.json"
    file.write_text(content)
    with pytest.raises(SourceError, match=r"conversations\.json: not a Claude export"):
        read(file)


def test_what_is_broken_inside_is_a_reject_and_the_rest_is_read(tmp_path: Path) -> None:
    file = written(
        tmp_path / "conversations.json",
        conversation(
            message("q", ROOT, "human", "hello", 1),
            None,
            [[]],
            message("x", "q", "robot", "beep", 2),
            message("y", "x", "human", "still here", 3, content="no list", attachments={"a": 1}, created_at="never"),
            {"sender": "assistant", "text": "without id", "parent_message_uuid": "y"},
        ),
        {"chat_messages": "none"},
    )
    messages, rejects, _, _ = read(file)
    assert messages["text"].to_list() == ["hello", "still here", "without id"]
    assert sorted(reject["reason"] for reject in rejects) == [
        "no conversation: it has no 'chat_messages'",
        "no sender that is known",
        "not a JSON object",
        "not a JSON object",
    ]
