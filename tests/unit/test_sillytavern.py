"""SillyTavern's chats: what is shown is what was said, by whom it was said, however the times are written."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from plugins.contracts import SourceOptions
from plugins.sources.assistants.risuai import RisuAI
from plugins.sources.assistants.sillytavern import SillyTavern
from plugins.sources.normalise import Normaliser
from plugins.sources.reading import head_of
from records.errors import SourceError

HEADER = {"user_name": "Nora", "character_name": "Lumi", "create_date": "2024-4-26 @06h 05m 12s 100ms"}
NEW_HEADER = {"chat_metadata": {"integrity": "slug-1"}, "user_name": "unused", "character_name": "unused"}


def read(
    path: Path, source: SillyTavern | RisuAI | None = None, **options: Any
) -> tuple[pl.DataFrame, list[dict[str, Any]], list[str]]:
    given, source = SourceOptions(**options), source or SillyTavern()
    normaliser = Normaliser(given, source.name, path.name)
    frames, rejects, notes = [], [], []
    for batch in source.read(str(path), given):
        found = normaliser.frames(batch.rows)
        frames.append(found.messages)
        rejects += [*batch.rejects, *found.rejects.to_dicts()]
        notes += batch.notes
    return pl.concat(frames), rejects, notes


def said(name: str, mes: Any, send_date: Any = "April 26, 2024 6:06am", **more: Any) -> dict[str, Any]:
    user = more.pop("user", name in ("Nora", "You"))
    return {"name": name, "is_user": user, "is_system": False, "send_date": send_date, "mes": mes, "extra": {}, **more}


def written(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("\n".join(json.dumps(line) for line in lines))
    assert SillyTavern().sniff(path, head_of(path))
    return path


def test_the_shown_answer_counts_and_reasoning_is_no_speech(tmp_path: Path) -> None:
    swiped = {"swipes": ["in the garden", "no idea"], "swipe_id": 0}
    model = {"extra": {"api": "openrouter", "model": "llama-3", "reasoning": "the user lost a fox"}}
    file = written(
        tmp_path / "Lumi - 2024-04-26@06h05m12s.jsonl",
        HEADER,
        said("Lumi", "Hello!"),
        said("Nora", "where is the fox?"),
        said("Lumi", "in the garden", "April 26, 2024 6:07am", **swiped, **model),
        said("Lumi", "<think>Say it again.</think>\n\nIn the garden!", "April 26, 2024 6:08am"),
        said("Lumi", "", "April 26, 2024 6:09am", swipes=["a", "chosen"], swipe_id=1),
        said("Lumi", {"message": "from Chub", "id": 1}, "April 26, 2024 6:10am"),
        said("Lumi", " ", extra={"image": "user/images/fox.png"}),
    )
    messages, rejects, notes = read(file)
    assert messages.select("agent_id", "user_id", "speaker_id", "role", "text").rows() == [
        ("Lumi", "Nora", "Lumi", "agent", "Hello!"),
        ("Lumi", "Nora", "Nora", "user", "where is the fox?"),
        ("Lumi", "Nora", "Lumi", "agent", "in the garden"),
        ("Lumi", "Nora", "Lumi", "agent", "In the garden!"),
        ("Lumi", "Nora", "Lumi", "agent", "chosen"),
        ("Lumi", "Nora", "Lumi", "agent", "from Chub"),
    ]
    assert messages["model_version"].to_list() == [None, None, "llama-3", None, None, None]
    assert messages["follows"][1] == messages["message_id"][0], "of one minute, the file says what came first"
    assert [reject["reason"] for reject in rejects] == ["a picture or a file without words"]
    assert notes == []


@pytest.mark.parametrize(
    ("send_date", "moment"),
    [
        ("April 26, 2024 6:06am", (6, 6)),
        ("April 26, 2024 12:06am", (0, 6)),
        ("Apr 26, 2024 12:06 p.m.", (12, 6)),
        ("2024-4-26 @06h 05m 12s 100ms", (6, 5, 12, 100_000)),
        ("2024-04-26@06h05m12s", (6, 5, 12)),
        ("2024-04-26@06h05m12s100ms", (6, 5, 12, 100_000)),
        ("2024-04-26 06-05-12", (6, 5, 12)),
        ("2024-04-26T04:05:12.100Z", (6, 5, 12, 100_000)),
        ("2024-04-26 06:05:12", (6, 5, 12)),
        (1714104312100, (6, 5, 12, 100_000)),
        ("1714104312100", (6, 5, 12, 100_000)),
        (1714104312, (6, 5, 12)),
        ("Fri Apr 26 2024 06:05:12 GMT+0200 (Central European Summer Time)", (6, 5, 12)),
        ("26 de abril de 2024 6:06", (6, 6)),
        ("26 de abril de 2024, 6:06 p. m.", (18, 6)),
        ("abril 26, 2024 6:06am", (6, 6)),
    ],
)
def test_times_of_all_ages(tmp_path: Path, send_date: Any, moment: tuple[int, ...]) -> None:
    file = written(tmp_path / "chat.jsonl", HEADER, said("Lumi", "hello", send_date))
    messages, rejects, _ = read(file, timezone="Europe/Madrid")
    assert rejects == []
    local = datetime(2024, 4, 26, *moment, tzinfo=UTC)
    assert messages["occurred_at"][0].timestamp() == local.timestamp() - 2 * 3600


def test_times_that_are_missing_are_filled_and_impossible_ones_are_rejects(tmp_path: Path) -> None:
    file = written(
        tmp_path / "chat.jsonl",
        HEADER,
        said("Lumi", "one", None),
        said("Nora", "two", "April 26, 2024 6:06am"),
        said("Lumi", "three", ""),
        said("Lumi", "four", "February 30, 2024 6:06am"),
        said("Lumi", "five", "once upon a time"),
        said("Lumi", "six", ["x"]),
        said("Lumi", "seven", "25:61"),
    )
    messages, rejects, _ = read(file)
    assert messages["text"].to_list() == ["one", "two", "three"]
    assert messages["occurred_at"].to_list() == [
        datetime(2024, 4, 26, 6, 5, 12, 100_000, tzinfo=UTC),
        datetime(2024, 4, 26, 6, 6, tzinfo=UTC),
        datetime(2024, 4, 26, 6, 6, tzinfo=UTC),
    ]
    assert rejects[0]["reason"] == "a date that does not exist"
    assert all("cannot be read" in reject["reason"] for reject in rejects[1:])


def test_hidden_messages_were_said_and_the_narrator_is_nobody(tmp_path: Path) -> None:
    file = written(
        tmp_path / "chat.jsonl",
        HEADER,
        said("Nora", "my secret", is_system=True),
        said("Lumi", "it is safe", is_system=True),
        said("System", "Night falls.", is_system=False, extra={"type": "narrator"}),
        said("Narrator", "An owl calls.", is_system=True),
        said("Note", "remember to fix the card", is_system=True, extra={"type": "comment"}),
        said("SillyTavern System", "<b>Help</b>", is_system=True, extra={"type": "help"}),
        said("SillyTavern System", "Welcome", is_system=True),
        said("Lumi", "hoo"),
    )
    messages, rejects, _ = read(file)
    assert messages.select("speaker_id", "role", "text", "metadata").rows() == [
        ("Nora", "user", "my secret", '{"hidden": true}'),
        ("Lumi", "agent", "it is safe", '{"hidden": true}'),
        ("System", "system", "Night falls.", None),
        ("Narrator", "system", "An owl calls.", '{"hidden": true}'),
        ("Lumi", "agent", "hoo", None),
    ]
    assert [reject["reason"] for reject in rejects] == [
        "a comment beside the chat, nobody said it",
        "a notice of the app, nobody said it",
        "a notice of the app, nobody said it",
    ]


def test_the_character_is_the_agent_whatever_it_is_called(tmp_path: Path) -> None:
    file = written(tmp_path / "chat.jsonl", NEW_HEADER, said("Lumi", "hello"), said("You", "hi"))
    assert read(file)[0].select("agent_id", "user_id", "speaker_id").rows() == [
        ("Lumi", "user", "Lumi"),
        ("Lumi", "user", "user"),
    ]
    named = read(file, agent="My Lumi", user="nora")[0]
    assert named.select("agent_id", "user_id", "speaker_id").rows() == [
        ("My Lumi", "nora", "My Lumi"),
        ("My Lumi", "nora", "nora"),
    ]
    assert read(file, agent="LUMI")[0]["speaker_id"][0] == "LUMI"


def test_in_a_group_only_the_named_character_is_the_agent(tmp_path: Path) -> None:
    lines = [
        NEW_HEADER,
        said("Lumi", "hello", original_avatar="Lumi.png", is_group=True),
        said("Zork", "beep", original_avatar="Zork.png", is_group=True),
        said("Nora", "hi both"),
    ]
    file = written(tmp_path / "1714111111.jsonl", *lines)
    with pytest.raises(SourceError, match="Name the agent with --agent; its speakers are Lumi, Zork"):
        read(file)
    messages, _, notes = read(file, agent="zork")
    assert messages.select("speaker_id", "role").rows() == [("Lumi", "agent"), ("zork", "agent"), ("Nora", "user")]
    assert json.loads(messages["participants"][0]) == ["Lumi", "Nora", "Zork"]
    assert notes == []
    nobody, _, notes = read(file, agent="Sage")
    assert set(nobody["speaker_id"]) == {"Lumi", "Zork", "Nora"}
    assert "nobody in it is called Sage" in notes[0]
    # In a chat with one character, a guest that somebody wrote in makes no group.
    guest = written(tmp_path / "guest.jsonl", HEADER, *lines[1:3])
    assert read(guest)[0].select("agent_id", "speaker_id").rows() == [("Lumi", "Lumi"), ("Lumi", "Zork")]


def test_a_branch_a_newer_version_and_another_name_are_the_same_chat(tmp_path: Path) -> None:
    start = [said("Lumi", "hello"), said("Nora", "ok"), said("Nora", "ok"), said("Lumi", "well")]
    main = read(written(tmp_path / "Lumi.jsonl", HEADER, *start))[0]
    later = [*start, said("Nora", "bye", "2024-05-01T10:00:00Z")]
    saved = read(written(tmp_path / "renamed.jsonl", NEW_HEADER, *later))[0]
    metadata = {"chat_metadata": {"integrity": "slug-2", "main_chat": "Lumi"}}
    branch = read(written(tmp_path / "Branch #1.jsonl", NEW_HEADER | metadata, *start[:2], said("Lumi", "or not")))[0]
    assert main["message_id"].n_unique() == 4
    assert saved["message_id"].to_list()[:4] == main["message_id"].to_list()
    assert branch["message_id"].to_list()[:2] == main["message_id"].to_list()[:2]
    assert set(branch["session_id"]) == set(main["session_id"])
    others = [
        written(tmp_path / "ana.jsonl", HEADER | {"user_name": "Ana"}, start[0], said("Ana", "hola", user=True)),
        written(tmp_path / "next.jsonl", HEADER, said("Lumi", "hello", "April 27, 2024 6:06am"), *start[1:]),
    ]
    assert len({read(other)[0]["session_id"][0] for other in others} | set(main["session_id"])) == 3


def test_chats_without_header_and_of_tavernai(tmp_path: Path) -> None:
    bare = written(tmp_path / "group.jsonl", said("Lumi", "hello", 1714111111000), said("Nora", "hi", 1714111112000))
    assert read(bare)[0].select("agent_id", "user_id", "text").rows() == [
        ("Lumi", "Nora", "hello"),
        ("Lumi", "Nora", "hi"),
    ]
    tavern = {"user_name": "You", "character_name": "Lumi", "create_date": 1714111111000}
    line = {"name": "Lumi", "is_user": False, "is_name": True, "send_date": 1714111111000, "mes": "hello"}
    assert read(written(tmp_path / "tavern.jsonl", tavern, line))[0]["text"].to_list() == ["hello"]


def test_what_is_broken_is_a_reject_and_what_is_no_chat_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "chat.jsonl"
    odd = ["{broken", "[]", "null", '{"other": 1}', json.dumps({"mes": None, "name": [], "extra": 7, "swipes": "x"})]
    file.write_text(
        "\n".join([json.dumps(HEADER), *odd, json.dumps(said("Lumi", "hello")), '{"name": "Lumi", "mes": "he'])
    )
    messages, rejects, _ = read(file)
    assert messages["text"].to_list() == ["hello"]
    assert [(reject["line"], reject["reason"]) for reject in rejects] == [
        (2, "not a JSON object"),
        (3, "not a JSON object"),
        (4, "not a JSON object"),
        (5, "no message: it has no 'mes'"),
        (6, "no text"),
        (8, "the last line ends in the middle (truncated?)"),
    ]
    file.write_text(json.dumps(HEADER))
    assert read(file)[0].is_empty(), "a chat in which nothing was said yet"
    file.write_text('{"a": 1}\nnothing\n')
    with pytest.raises(SourceError, match=r"chat\.jsonl: not a chat of SillyTavern"):
        read(file)


def test_chats_of_risuai(tmp_path: Path) -> None:
    def spoke(role: str, data: str, key: str | None, **more: Any) -> dict[str, Any]:
        return {"role": role, "data": data, "chatId": key, "time": 1714111111000, **more}

    chat = {
        "id": "chat-1",
        "name": "The fox",
        "message": [
            spoke("char", "hello", "m1", generationInfo={"model": "gpt-4o"}),
            spoke("user", "hi", "m2"),
            spoke("user", "a note", "m3", isComment=True),
            spoke("char", "bye", None, time=None),
            None,
        ],
    }
    file = tmp_path / "Lumi_chat.json"
    file.write_text(json.dumps({"type": "risuChat", "ver": 2, "data": chat}))
    assert RisuAI().sniff(file, head_of(file))
    with pytest.raises(SourceError, match="Name the agent"):
        read(file, RisuAI())
    messages, rejects, _ = read(file, RisuAI(), agent="Lumi")
    assert messages.select("session_id", "speaker_id", "role", "text", "model_version").rows() == [
        ("risuai/chat-1", "Lumi", "agent", "hello", "gpt-4o"),
        ("risuai/chat-1", "user", "user", "hi", None),
        ("risuai/chat-1", "Lumi", "agent", "bye", None),
    ]
    assert len(rejects) == 2
    file.write_text(json.dumps({"type": "risuAllChats", "data": [chat, None, {"message": 5}]}))
    assert read(file, RisuAI(), agent="Lumi")[0]["message_id"].to_list() == messages["message_id"].to_list()
    file.write_text('{"type": "risuChat", "data": []}')
    with pytest.raises(SourceError, match="not a chat of RisuAI"):
        read(file, RisuAI(), agent="Lumi")
