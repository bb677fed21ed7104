"""Character.AI: dumps of several tools and ages are one thing: chats of a person with a character, the chosen answers in order."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest

from plugins.contracts import SourceOptions
from plugins.sources.assistants.character_ai import CharacterAI
from plugins.sources.normalise import Normaliser
from plugins.sources.reading import head_of
from records.errors import SourceError


def read(path: Path, **options: Any) -> tuple[pl.DataFrame, list[dict[str, Any]], list[str]]:
    given = SourceOptions(**options)
    normaliser = Normaliser(given, "character_ai", path.name)
    frames, rejects, notes = [], [], []
    for batch in CharacterAI().read(str(path), given):
        found = normaliser.frames(batch.rows)
        frames.append(found.messages)
        rejects += [*batch.rejects, *found.rejects.to_dicts()]
        notes += batch.notes
    return pl.concat(frames), rejects, notes


def written(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    assert CharacterAI().sniff(path, head_of(path))
    return path


def old(name: str, text: str | None, human: bool = False, **more: Any) -> dict[str, Any]:
    return {"src": {"is_human": human, "name": name}, "text": text, **more}


def dump(*histories: dict[str, Any], character: str = "Lumi") -> dict[str, Any]:
    return {"info": {"character": {"name": character, "greeting": "hi"}}, "histories": {"histories": list(histories)}}


def turn(number: int, name: str, *answers: str, chosen: int = 0, human: bool = False, **more: Any) -> dict[str, Any]:
    at = f"2024-02-01T10:{number:02d}:00.123456Z"
    author = {"author_id": "4711" if human else "char-1", "name": name} | ({"is_human": True} if human else {})
    return {
        "turn_key": {"chat_id": "chat-1", "turn_id": f"t{number}"},
        "create_time": at,
        "last_update_time": at,
        "author": author,
        "candidates": [
            {"candidate_id": f"c{place}", "create_time": at, "raw_content": text, "is_final": True}
            for place, text in enumerate(answers)
        ],
        "primary_candidate_id": f"c{chosen}",
        **more,
    }


def test_all_histories_of_a_dump_are_read_each_as_its_own_session(tmp_path: Path) -> None:
    file = written(
        tmp_path / "Lumi.json",
        dump(
            {
                "external_id": "h1",
                "created": "2023-04-01T10:00:00Z",
                "msgs": [
                    old("Lumi", "Hello Nora", id=1, is_alternative=False),
                    old("Nora", "hi", human=True, id=2, is_alternative=False),
                    old("Lumi", "Go away", id=3, is_alternative=True),
                    old("Lumi", "How are you?", id=4, is_alternative=False),
                    old("Lumi", "", id=5, image_rel_path="https://example.org/fox.png"),
                ],
            },
            {"external_id": "h2", "created": "2023-05-01T10:00:00Z", "msgs": [old("Nora", "again", human=True)]},
        ),
    )
    messages, rejects, notes = read(file)
    assert messages.select("session_id", "agent_id", "user_id", "speaker_id", "role", "text").rows() == [
        ("character_ai/h1", "Lumi", "Nora", "Lumi", "agent", "Hello Nora"),
        ("character_ai/h1", "Lumi", "Nora", "Nora", "user", "hi"),
        ("character_ai/h1", "Lumi", "Nora", "Lumi", "agent", "How are you?"),
        ("character_ai/h2", "Lumi", "Nora", "Nora", "user", "again"),
    ]
    assert messages["occurred_at"][:3].to_list() == [
        datetime(2023, 4, 1, 10, 0, second, tzinfo=UTC) for second in range(3)
    ]
    assert sorted(reject["reason"] for reject in rejects) == [
        "a picture without words",
        "other answers than the one that the chat went on with",
    ]
    assert notes == []


def test_turns_come_newest_first_and_in_pages_and_one_candidate_counts(tmp_path: Path) -> None:
    turns = [
        turn(0, "Lumi", "Hello!"),
        turn(1, "nora_99", "who are you?", human=True, is_pinned=True),
        turn(2, "Lumi", "Nobody.", "A fox.", chosen=1, last_update_time="2024-02-01T11:00:00Z"),
        turn(3, "nora_99", "nice", human=True),
    ]
    pages = [{"turns": turns[:1:-1], "meta": {"next_token": "x"}}, {"turns": turns[1::-1], "meta": {}}]
    messages, rejects, _ = read(written(tmp_path / "pages.json", pages), agent="lumi")
    assert messages["text"].to_list() == ["Hello!", "who are you?", "A fox.", "nice"]
    assert messages["follows"].to_list() == [None] * 4, "time says the order"
    assert messages.select("agent_id", "speaker_id", "user_id").unique().sort("speaker_id").rows() == [
        ("lumi", "4711", "4711"),
        ("lumi", "lumi", "4711"),
    ]
    assert json.loads(messages["metadata"][1]) == {"pinned": True}
    assert rejects == []
    # Another answer was chosen since: the message is the same one.
    turns[2]["primary_candidate_id"] = "c0"
    later = read(written(tmp_path / "flat.json", {"chat_id": "chat-1", "turns": turns}), agent="lumi")[0]
    assert later["message_id"].to_list() == messages["message_id"].to_list()
    assert later["text"][2] == "Nobody."
    assert later["edited_at"].to_list() == [None, None, datetime(2024, 2, 1, 11, tzinfo=UTC), None]


def test_a_longer_dump_without_ids_is_the_same_chat(tmp_path: Path) -> None:
    said = [old("Lumi", "Hello"), old("Nora", "ok", human=True), old("Nora", "ok", human=True)]
    history = {"created": "2023-04-01T10:00:00Z", "msgs": said}
    short = read(written(tmp_path / "a.json", dump(history)))[0]
    long = read(written(tmp_path / "b.json", dump(history | {"msgs": [*said, old("Lumi", "fine")]})))[0]
    other = read(written(tmp_path / "c.json", dump(history | {"msgs": [said[0], old("Ana", "hola", human=True)]})))[0]
    assert long["message_id"].to_list()[:3] == short["message_id"].to_list()
    assert short["message_id"].n_unique() == 3
    assert short["session_id"][0] != other["session_id"][0], "two people's chats are two"


def test_what_cai_tools_saves_for_reading_offline(tmp_path: Path) -> None:
    said = [
        {"isUser": False, "name": "Lumi", "message": quote('¡Hola! `100%` "yes"')},
        {"isUser": True, "name": "Nora", "message": quote("hi\nthere")},
    ]
    data = {"charPic": None, "userPic": None, "history": [{"date": "2024-05-01T10:00:00.000Z", "chat": said}]}
    page = tmp_path / "Lumi_Offline.html"
    page.write_text(f"<html><script>const historyData = JSON.parse(`{json.dumps(data)}`);</script></html>")
    assert CharacterAI().sniff(page, head_of(page))
    assert read(page)[0].select("role", "text").rows() == [("agent", '¡Hola! `100%` "yes"'), ("user", "hi\nthere")]
    plain = [{"name": "Lumi", "message": "100%25", "isHuman": False}, {"name": "Nora", "message": "x", "isHuman": True}]
    simple = written(tmp_path / "chat.json", plain)
    assert "give that of the first message with --at" in read(simple)[1][0]["reason"]
    messages = read(simple, at=datetime(2024, 5, 1, tzinfo=UTC))[0]
    assert messages.select("role", "text").rows() == [("agent", "100%25"), ("user", "x")]


def test_the_interface_of_before_writes_flat_keys(tmp_path: Path) -> None:
    page = {
        "messages": [
            {"id": 9, "src__name": "Lumi", "src__is_human": False, "text": "hello", "is_alternative": False},
            {"id": 10, "src__name": "[NAME_REDACTED]", "src__is_human": True, "text": "hi", "is_alternative": False},
        ],
        "has_more": False,
    }
    messages = read(written(tmp_path / "page.json", page), at=datetime(2023, 1, 2, tzinfo=UTC))[0]
    assert messages.select("speaker_id", "text").rows() == [("Lumi", "hello"), ("user", "hi")]


def test_chats_of_several_characters_are_told_apart(tmp_path: Path) -> None:
    def chat(name: str) -> dict[str, Any]:
        said = [old(name, f"I am {name}"), old("Nora", "hi", human=True)]
        return {"external_id": f"h-{name}", "character_name": name, "created": "2023-04-01T10:00:00Z", "msgs": said}

    file = written(tmp_path / "all.json", {"histories": [chat("Lumi"), chat("Zork")]})
    each = read(file)[0]
    assert each.select("agent_id", "speaker_id").unique().sort("agent_id", "speaker_id").rows() == [
        ("Lumi", "Lumi"),
        ("Lumi", "Nora"),
        ("Zork", "Nora"),
        ("Zork", "Zork"),
    ]
    one, rejects, notes = read(file, agent="lumi")
    assert one["text"].to_list() == ["I am Lumi", "hi"]
    assert [reject["reason"] for reject in rejects] == ["a chat with another character than the agent that was named"]
    assert notes == []
    none, _, notes = read(file, agent="Sage")
    assert set(none["agent_id"]) == {"Sage"}
    assert set(none["speaker_id"]) == {"Lumi", "Zork", "Nora"}, "nothing of another is put into the agent's mouth"
    assert "nobody in it is called Sage" in notes[0]


def test_the_only_character_is_the_agent_whatever_it_is_called(tmp_path: Path) -> None:
    history = {"external_id": "h", "created": "2023-04-01T10:00:00Z", "msgs": [old("Lumi ✨", "hello")]}
    messages = read(written(tmp_path / "a.json", dump(history)), agent="My Lumi", user="nora")[0]
    assert messages.select("agent_id", "user_id", "speaker_id").row(0) == ("My Lumi", "nora", "My Lumi")


def test_in_a_room_of_several_characters_each_speaks_for_itself(tmp_path: Path) -> None:
    said = [old("Lumi", "hello"), old("Zork", "beep"), old("Nora", "hi", human=True)]
    history = {"external_id": "room", "created": "2023-04-01T10:00:00Z", "msgs": said}
    messages = read(written(tmp_path / "a.json", dump(history)), agent="Lumi")[0]
    assert messages.select("speaker_id", "role").rows() == [("Lumi", "agent"), ("Zork", "agent"), ("Nora", "user")]


@pytest.mark.parametrize("content", ["{}", "[]", '{"histories": {"histories": []}}', "7", '{"turns": "none"}'])
def test_what_is_no_export_is_one_sentence(tmp_path: Path, content: str) -> None:
    file = tmp_path / "cai.json"
    file.write_text(content)
    with pytest.raises(SourceError, match=r"cai\.json: not a Character\.AI export"):
        read(file, agent="Lumi")


def test_what_is_broken_inside_is_a_reject_and_the_rest_is_read(tmp_path: Path) -> None:
    odd: list[Any] = [None, "x", [], {"src": 7}, {"candidates": "none"}, {"candidates": [None, {"raw_content": 5}]}]
    history = {"external_id": ["x"], "created": "9999-12-31T23:59:59Z", "msgs": [*odd, old("Lumi", "hello")]}
    fine = {"created": 1680343200, "msgs": [old("Lumi", "fine"), *odd]}
    messages, rejects, _ = read(written(tmp_path / "a.json", dump(history, fine)))
    assert messages["text"].to_list() == ["fine"]
    assert {reject["reason"] for reject in rejects} == {
        "not a JSON object",
        "no text",
        "date in the future: 9999-12-31",
    }
    with pytest.raises(SourceError, match="Name the agent"):
        read(written(tmp_path / "b.json", {"histories": [{"msgs": [old("Nora", "hi", human=True)]}]}))
