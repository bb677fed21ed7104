"""ChatGPT's export: what was said on the branch that the chat went on with is remembered, once, and in order."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from plugins.contracts import SourceOptions
from plugins.sources.assistants.chatgpt import ChatGPT
from plugins.sources.normalise import Normaliser
from plugins.sources.reading import head_of
from records.errors import SourceError

START = 1714111111.5


def read(path: Path, **options: Any) -> tuple[pl.DataFrame, list[dict[str, Any]], list[dict[str, Any]]]:
    """Return messages, rejects, and the rows as the source gave them."""
    given = SourceOptions(**{"agent": "Lumi", **options})
    normaliser = Normaliser(given, "chatgpt", path.name)
    frames, rejects, rows = [], [], []
    for batch in ChatGPT().read(str(path), given):
        found = normaliser.frames(batch.rows)
        frames.append(found.messages)
        rejects += [*batch.rejects, *found.rejects.to_dicts()]
        rows += batch.rows
    return pl.concat(frames), rejects, rows


def node(key: str, parent: str | None, role: str, *parts: Any, **more: Any) -> dict[str, Any]:
    """Return a node of the tree, as exports of 2026 have it: without children."""
    content = more.pop("content", {"content_type": "text", "parts": list(parts)})
    message = {
        "id": key,
        "author": {"role": role, "name": None, "metadata": {}},
        "create_time": START + more.pop("after", 0),
        "content": content,
        "recipient": "all",
        "metadata": {},
        **more,
    }
    return {"id": key, "parent": parent, "message": message}


def conversation(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a conversation that ends with the last of the nodes."""
    root = {"id": "client-created-root", "parent": None, "children": [], "message": None}
    mapping = {each["id"]: each for each in (root, *nodes)}
    last = nodes[-1]["id"] if nodes else "client-created-root"
    return {
        "title": "The fox",
        "create_time": START,
        "mapping": mapping,
        "current_node": last,
        "conversation_id": "c-1",
        **more,
    }


def written(path: Path, *conversations: Any) -> Path:
    path.write_text(json.dumps(conversations))
    return path


def texts(messages: pl.DataFrame) -> list[tuple[str, str]]:
    return messages.select("role", "text").rows()


def test_a_regenerated_answer_and_an_edited_question_are_not_remembered(tmp_path: Path) -> None:
    file = written(
        tmp_path / "conversations.json",
        conversation(
            node("q", "client-created-root", "user", "where is my fox?", after=1),
            node("a1", "q", "assistant", "I do not know.", after=2),
            node("a2", "q", "assistant", "In the garden.", after=3),
            node("q2-old", "a2", "user", "and the cat", after=4),
            node("q2", "a2", "user", "and the dog?", after=5),
            node("a3", "q2", "assistant", "Asleep.", after=6),
        ),
    )
    messages, rejects, _ = read(file)
    assert texts(messages) == [
        ("user", "where is my fox?"),
        ("agent", "In the garden."),
        ("user", "and the dog?"),
        ("agent", "Asleep."),
    ]
    assert [reject["reason"] for reject in rejects] == [
        "not on the branch that the chat went on with: before an edit, or another answer"
    ]
    assert json.loads(rejects[0]["raw"]) == {"conversation": "chatgpt/c-1", "messages": 2}


def test_only_what_the_two_said_to_each_other_is_speech(tmp_path: Path) -> None:
    profile = {"content_type": "user_editable_context", "user_profile": "I am Nora", "user_instructions": "be brief"}
    hidden = {"metadata": {"is_visually_hidden_from_conversation": True}}
    file = written(
        tmp_path / "conversations.json",
        conversation(
            node("s", "client-created-root", "system", "", **hidden),
            node("ctx", "s", "user", content=profile, **hidden),
            node("q", "ctx", "user", "what is new?", after=1),
            node("t", "q", "assistant", content={"content_type": "thoughts", "thoughts": [{"content": "hm"}]}),
            node("r", "t", "assistant", content={"content_type": "reasoning_recap", "content": "Thought for 2s"}),
            node("call", "r", "assistant", content={"content_type": "code", "text": "search('news')"}, recipient="web"),
            node("bio", "call", "assistant", "Nora has a fox", recipient="bio"),
            node("back", "bio", "tool", content={"content_type": "tether_browsing_display", "result": "pages"}),
            node("ran", "back", "tool", content={"content_type": "execution_output", "text": "42"}),
            node("a", "ran", "assistant", "Not much.", after=9, metadata={"model_slug": "gpt-4o"}),
        ),
    )
    messages, rejects, _ = read(file)
    assert texts(messages) == [("user", "what is new?"), ("agent", "Not much.")]
    assert messages["model_version"].to_list() == [None, "gpt-4o"]
    reasons = [reject["reason"] for reject in rejects]
    assert reasons.count("the assistant's thinking, not said") == 2
    assert reasons.count("a call to a tool, nobody said it") == 2
    assert reasons.count("what a tool gave back, nobody said it") == 2
    assert "custom instructions, nobody said them in the chat" in reasons
    assert len(reasons) == 7, "empty placeholders are nothing to speak of"


def test_what_was_spoken_or_written_beside_a_picture_is_speech(tmp_path: Path) -> None:
    picture = {"content_type": "image_asset_pointer", "asset_pointer": "file-service://file-1"}
    spoken = {"content_type": "audio_transcription", "text": "¿Dónde está el zorro?", "direction": "in"}
    sound = {"content_type": "audio_asset_pointer", "asset_pointer": "sediment://file_2"}
    kind = {"content_type": "multimodal_text"}
    files = {"metadata": {"attachments": [{"id": "file-1", "name": "fox.png"}]}}
    file = written(
        tmp_path / "conversations.json",
        conversation(
            node("q1", "client-created-root", "user", content={**kind, "parts": [picture, "what is this?"]}, **files),
            node("q2", "q1", "user", content={**kind, "parts": [spoken, sound]}, after=1),
            node("q3", "q2", "user", content={**kind, "parts": [picture]}, after=2),
        ),
    )
    messages, rejects, _ = read(file)
    assert texts(messages) == [("user", "what is this?"), ("user", "¿Dónde está el zorro?")]
    assert json.loads(messages["metadata"][0]) == {"files": ["fox.png"], "title": "The fox"}
    assert [reject["reason"] for reject in rejects] == ["a picture, a sound or a file without words"]


@pytest.mark.parametrize(
    ("written_as", "shown"),
    [
        ("Foxes dig \ue200cite\ue202turn0search1\ue202turn0search2\ue201.", "Foxes dig."),
        ("Foxes dig 【4†source】. They sleep【12†L1-L3】 too.", "Foxes dig. They sleep too."),
        ("Foxes dig :contentReference[oaicite:0]{index=0}", "Foxes dig"),
        ('Go to \ue200entity\ue202["city","Madrid","capital"]\ue201 soon.', "Go to Madrid soon."),
        ("See \ue200url\ue202this page\ue202turn0search3\ue201", "See this page"),
        ("【重要】 keep this", "【重要】 keep this"),
    ],
)
def test_marks_of_sources_are_no_words(tmp_path: Path, written_as: str, shown: str) -> None:
    file = written(
        tmp_path / "conversations.json", conversation(node("a", "client-created-root", "assistant", written_as))
    )
    assert read(file)[0]["text"].to_list() == [shown]


def test_messages_without_time_keep_their_place(tmp_path: Path) -> None:
    file = written(
        tmp_path / "conversations.json",
        conversation(
            node("q", "client-created-root", "user", "one", create_time=None),
            node("a", "q", "assistant", "two", after=1),
            node("q2", "a", "user", "three", create_time=0),
            node("a2", "q2", "assistant", "four", create_time="soon"),
            node("q3", "a2", "user", "five", after=9),
        ),
    )
    messages, rejects, _ = read(file)
    assert rejects == []
    assert messages["text"].to_list() == ["one", "two", "three", "four", "five"]
    ids = messages["message_id"].to_list()
    assert messages["follows"].to_list() == [None, *ids[:3], None], "time does not say it, so the source does"
    assert messages["occurred_at"].is_sorted()


@pytest.mark.parametrize("current", ["gone", None, 7])
def test_without_a_current_message_the_newest_branch_counts(tmp_path: Path, current: Any) -> None:
    file = written(
        tmp_path / "conversations.json",
        conversation(
            node("q", "client-created-root", "user", "hello", after=1),
            node("new", "q", "assistant", "newer", after=9),
            node("old", "q", "assistant", "older", after=2),
            current_node=current,
        ),
    )
    assert [text for _, text in texts(read(file)[0])] == ["hello", "newer"]


def test_broken_links_and_circles_lose_nothing_that_was_said_before(tmp_path: Path) -> None:
    file = written(
        tmp_path / "conversations.json",
        conversation(
            node("q", "client-created-root", "user", "first", after=1),
            node("a", "q", "assistant", "second", after=2),
            node("q2", "deleted", "user", "third", after=3),
            node("a2", "q2", "assistant", "fourth", after=4),
        ),
        conversation(
            node("x", "z", "user", "one", after=1),
            node("y", "x", "assistant", "two", after=2),
            node("z", "y", "user", "three", after=3),
            conversation_id="c-2",
        ),
    )
    messages = read(file)[0]
    assert messages.filter(pl.col("session_id") == "chatgpt/c-1")["text"].to_list() == [
        "first",
        "second",
        "third",
        "fourth",
    ]
    assert messages.filter(pl.col("session_id") == "chatgpt/c-2")["text"].to_list() == ["one", "two", "three"]


def test_links_that_only_the_parent_has_are_followed(tmp_path: Path) -> None:
    talk = conversation(node("q", None, "user", "hello"), node("a", None, "assistant", "hi", after=1))
    talk["mapping"]["client-created-root"]["children"] = ["q"]
    talk["mapping"]["q"]["children"] = ["a"]
    assert texts(read(written(tmp_path / "conversations.json", talk))[0]) == [("user", "hello"), ("agent", "hi")]


def test_a_longer_export_is_the_same_chat_and_ids_are_per_conversation(tmp_path: Path) -> None:
    nodes = [
        node("q", "client-created-root", "user", "hello", after=1),
        node("a", "q", "assistant", "hi", after=2),
        node("q2", "a", "user", "bye", after=3),
    ]
    short = read(written(tmp_path / "conversations.json", conversation(*nodes[:2])))[0]
    # The chat was renamed, its answer changed, and a copy of it was made that begins with the same messages.
    nodes[1]["message"] |= {"content": {"content_type": "text", "parts": ["hi there"]}, "update_time": START + 50}
    long = read(
        written(
            tmp_path / "conversations-003.json",
            conversation(*nodes, title=None),
            conversation(*nodes[:2], conversation_id="c-2"),
        )
    )[0]
    assert long["message_id"].to_list()[:2] == short["message_id"].to_list()
    assert long["message_id"].n_unique() == 5
    assert long["edited_at"].to_list()[:2] == [None, datetime.fromtimestamp(START + 50, UTC)]


def test_the_model_of_newer_exports_is_that_of_the_conversation(tmp_path: Path) -> None:
    talk = conversation(
        node("q", "client-created-root", "user", "hello", metadata=None),
        node("a", "q", "assistant", "hi", metadata=None, after=1),
        default_model_slug="gpt-5-thinking",
    )
    assert read(written(tmp_path / "c.json", talk))[0]["model_version"].to_list() == [None, "gpt-5-thinking"]


def test_an_unpacked_export_is_read_as_a_whole_with_its_ratings(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    asked = node("q", "client-created-root", "user", "hello")
    for number, (key, answer) in enumerate((("a", "hi"), ("b", "go away"))):
        talk = conversation(asked, node(key, "q", "assistant", answer, after=1), conversation_id=f"c-{number}")
        written(folder / f"conversations-00{number}.json", talk)
    (folder / "conversations-002.json").write_text('[{"mapping": {}, "current_node": "x"')
    (folder / "user.json").write_text('{"id": "user-1", "email": "nora@example.org"}')
    (folder / "shared_conversations.json").write_text("[]")
    (folder / "message_feedback.json").write_text(
        json.dumps(
            [
                {"id": "a", "conversation_id": "c-0", "rating": "thumbs_up"},
                {"message_id": "b", "conversation_id": "c-1", "rating": "thumbsDown", "content": "{}"},
                {"id": "q", "rating": "meh"},
                None,
            ]
        )
    )
    assert ChatGPT().sniff_folder(folder)
    messages, rejects, rows = read(folder)
    assert messages["session_id"].n_unique() == 2
    assert {row["text"]: row.get("feedback") for row in rows} == {
        "hello": None,
        "hi": {"rating": 1.0},
        "go away": {"rating": -1.0},
    }
    assert len(rejects) == 1
    assert "conversations-002.json" in rejects[0]["reason"]
    assert not ChatGPT().sniff_folder(tmp_path / "nothing")


def test_the_page_for_reading_offline_and_a_single_conversation(tmp_path: Path) -> None:
    talk = conversation(node("q", "client-created-root", "user", "hello </script> there"))
    page = tmp_path / "chat.html"
    page.write_text(f"<html><script>\nvar jsonData = {json.dumps([talk])};\nfunction show() {{}}\n</script></html>")
    assert ChatGPT().sniff(page, head_of(page))
    single = tmp_path / "The fox.json"
    single.write_text(json.dumps(talk))
    assert ChatGPT().sniff(single, head_of(single))
    assert read(page)[0]["message_id"].to_list() == read(single)[0]["message_id"].to_list()


def test_whose_memory_it_is_must_be_said(tmp_path: Path) -> None:
    file = written(tmp_path / "conversations.json", conversation(node("q", "client-created-root", "user", "hello")))
    with pytest.raises(SourceError, match="Name the agent with --agent; its speakers are ChatGPT"):
        read(file, agent=None)
    assert read(file)[0].select("agent_id", "user_id", "speaker_id").row(0) == ("Lumi", "user", "user")
    assert read(file, user="nora")[0].select("user_id", "speaker_id").row(0) == ("nora", "nora")


@pytest.mark.parametrize("content", ['{"messages": []}', '[{"id": 1}, "x"]', "7", "null", '[{"mapping": [1]}]'])
def test_what_is_no_export_is_one_sentence(tmp_path: Path, content: str) -> None:
    file = tmp_path / "conversations.json"
    file.write_text(content)
    with pytest.raises(SourceError, match=r"conversations\.json: not a ChatGPT export"):
        read(file)


def test_what_is_broken_inside_is_a_reject_and_the_rest_is_read(tmp_path: Path) -> None:
    odd: list[Any] = [None, [], "x", 7, {"message": []}, {"message": {"author": [], "content": {"parts": {}}}}]
    talk = conversation(
        node("q", "client-created-root", "user", "hello"),
        node("\ud800", "q", "user", "lone \ud800 surrogate", [], None, {"text": 5}, after=1),
        metadata=[[[[]]]],
    )
    talk["mapping"] |= {f"odd{number}": value for number, value in enumerate(odd)}
    talk["title"], talk["gizmo_id"] = {"a": 1}, 10**30
    file = written(tmp_path / "conversations.json", talk, None, {"mapping": 3}, {"mapping": {}})
    messages, rejects, _ = read(file)
    assert messages["text"].to_list() == ["hello", "lone \ufffd surrogate"]
    assert [reject["reason"] for reject in rejects] == ["no conversation: it has no 'mapping'"] * 2
