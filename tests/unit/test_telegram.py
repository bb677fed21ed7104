"""Telegram: given an export of a chat or of an account, this is remembered."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from plugins.sources.messengers.telegram import Telegram
from plugins.sources.reading import head_of
from records.errors import SourceError
from tests.unit.taken import Taken, holds, mutants, take


def message(number: int, text: Any, who: str | None = "Nora", **more: Any) -> dict[str, Any]:
    ids = {"Nora": "user7", "Lumi": "user9", "Bo": "user8"}
    return {
        "id": number,
        "type": "message",
        "date": f"2025-05-01T12:00:{number % 60:02}",
        "date_unixtime": str(1746093600 + number),
        "from": who,
        "from_id": ids.get(who or "", "user55"),
        "text": text,
        "text_entities": [],
    } | more


def chat(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"name": "Nora", "type": "personal_chat", "id": 7, "messages": list(messages)} | more


def taken(tmp_path: Path, data: Any, **options: Any) -> Taken:
    file = tmp_path / "result.json"
    file.write_text(json.dumps(data), encoding="utf-8")
    return take(Telegram(), file, **options)


def test_a_chat_is_remembered_with_its_entities_and_universal_times(tmp_path: Path) -> None:
    found = taken(
        tmp_path,
        chat(
            message(1, ["see ", {"type": "bold", "text": "this"}, " at ", {"type": "link", "text": "https://a.b"}]),
            message(
                2, "claro", "Lumi", edited="2025-05-01T12:09:00", edited_unixtime="1746094140", reply_to_message_id=1
            ),
        ),
        agent="LUMI",
        timezone="America/Lima",
    )
    assert found.said == [("user7", "see this at https://a.b"), ("LUMI", "claro")]
    first, second = found.messages
    assert first["occurred_at"] == datetime(2025, 5, 1, 10, 0, 1, tzinfo=UTC)
    assert (first["user_id"], first["role"], second["role"]) == ("user7", "user", "agent")
    assert second["edited_at"] == datetime(2025, 5, 1, 10, 9, tzinfo=UTC)
    assert found.about("claro") == {"reply_to": "1"}
    assert found.names["user7"] == "Nora"
    assert first["session_id"] == "telegram/7/2025-05-01"


def test_what_nobody_said_is_refused_by_kind(tmp_path: Path) -> None:
    found = taken(
        tmp_path,
        chat(
            {
                "id": 1,
                "type": "service",
                "date": "2025-05-01T12:00:00",
                "actor": "Nora",
                "action": "phone_call",
                "text": "",
            },
            {"id": 2, "type": "unsupported"},
            message(3, "", photo="(File not included. Change data exporting settings to download.)"),
            message(4, "", media_type="voice_message", file="voice.ogg"),
            message(5, "", contact_information={"first_name": "Bo", "phone_number": "1"}),
            message(6, "", location_information={"latitude": 1, "longitude": 2}),
            message(7, "  "),
            "nonsense",
        ),
        agent="Lumi",
    )
    assert not found.messages
    assert found.reasons == [
        "a notice of the app, nobody said it",
        "a kind of message that the export does not hold",
        "a photo, no text",
        "a voice message, no text",
        "a contact card, no text",
        "a place without a name, no text",
        "no text",
        "not a message",
    ]
    assert not any("Bo" in reason for reason in found.reasons)


def test_captions_stickers_polls_and_places_are_speech(tmp_path: Path) -> None:
    found = taken(
        tmp_path,
        chat(
            message(1, "my dog", photo="photos/1.jpg"),
            message(2, "", media_type="sticker", sticker_emoji="😴", file="x"),
            message(
                3, "", poll={"question": "Where to?", "answers": [{"text": "Porto"}, {"text": "Vigo", "voters": 2}]}
            ),
            message(
                4,
                "",
                place_name="Café Central",
                address="Calle 1",
                location_information={"latitude": 1, "longitude": 2},
            ),
        ),
        agent="Lumi",
    )
    assert found.texts == ["my dog", "😴", "Where to?\n- Porto\n- Vigo", "Café Central, Calle 1"]
    assert found.messages[3]["location"] == "Café Central, Calle 1"
    assert found.about("my dog") == {"media": "a photo"}


def test_forwards_bots_and_reactions_are_kept_beside_the_text(tmp_path: Path) -> None:
    found = taken(
        tmp_path,
        chat(
            message(1, "news", forwarded_from=None),
            message(
                2,
                "gif",
                via_bot="@gif",
                reactions=[{"type": "emoji", "count": 2, "emoji": "❤"}, {"type": "paid", "count": 1}],
            ),
        ),
        agent="Lumi",
    )
    assert found.about("news") == {"forwarded_from": "deleted account"}
    assert found.about("gif") == {"via_bot": "@gif", "reactions": {"❤": 2, "paid": 1}}


def test_two_deleted_accounts_are_two_people(tmp_path: Path) -> None:
    group = chat(
        message(1, "a", None, from_id="user1"),
        message(2, "b", None, from_id="user2"),
        message(3, "c", "Lumi"),
        type="private_supergroup",
        name="Trip",
    )
    found = taken(tmp_path, group, agent="Lumi")
    assert found.said == [("user1", "a"), ("user2", "b"), ("Lumi", "c")]
    assert {m["user_id"] for m in found.messages} == {None}
    assert found.about("a") == {"chat": "Trip"}


def test_the_bot_of_a_bot_chat_is_the_agent_whatever_it_is_called(tmp_path: Path) -> None:
    bot = chat(
        message(1, "hi"), message(2, "hello", "Lumi Bot", from_id="user9"), type="bot_chat", id=9, name="Lumi Bot"
    )
    alone = taken(tmp_path, bot)
    assert alone.said == [("user7", "hi"), ("Lumi Bot", "hello")]
    assert alone.messages[1]["agent_id"] == "Lumi Bot"
    renamed = taken(tmp_path, bot, agent="Lumi")
    assert renamed.said == [("user7", "hi"), ("Lumi", "hello")]
    assert not renamed.notes


def test_two_peoples_chats_with_one_bot_are_two_conversations(tmp_path: Path) -> None:
    def export(owner: str) -> Taken:
        return taken(
            tmp_path,
            chat(
                message(1, "hi", "Somebody", from_id=owner),
                message(2, "hello", "Lumi", from_id="user9"),
                type="bot_chat",
                id=9,
                name="Lumi",
            ),
        )

    assert not export("user1").ids & export("user2").ids


def test_an_account_needs_an_agent_but_for_its_bots(tmp_path: Path) -> None:
    account = {
        "about": "Here is the data you requested.",
        "personal_information": {"user_id": 7, "first_name": "Nora"},
        "chats": {
            "about": "",
            "list": [chat(message(1, "hi Bo"), message(2, "hey", "Bo"), id=8, name="Bo"), {"type": "saved_messages"}],
        },
        "left_chats": {
            "list": [chat(message(1, "hi"), message(2, "hello", "Lumi"), type="bot_chat", id=9, name="Lumi")]
        },
    }
    with pytest.raises(SourceError, match="--agent; its speakers are Bo, Nora"):
        taken(tmp_path, account | {"left_chats": None})
    bots = taken(tmp_path, account)
    assert bots.said == [("user7", "hi"), ("Lumi", "hello")]
    assert bots.reasons == ["a chat without a bot, and no --agent was named"] * 2
    assert "2 chats without a bot were left out" in bots.notes[0]
    # Named, the agent is who goes by that name: the weather's bot is not Lumi because Lumi was asked for.
    other = chat(
        message(1, "sun?"), message(2, "sun", "Weather", from_id="user10"), type="bot_chat", id=10, name="Weather"
    )
    account["left_chats"]["list"].append(other)
    named = taken(tmp_path, account, agent="lumi")
    assert [m["text"] for m in named.messages if m["role"] == "agent"] == ["hello"]
    assert not named.notes


def test_a_longer_export_and_an_edit_are_the_same_messages(tmp_path: Path) -> None:
    before = taken(tmp_path, chat(message(1, "one"), message(2, "tow", "Lumi")), agent="Lumi")
    after = taken(
        tmp_path,
        chat(message(1, "one"), message(2, "two", "Lumi", edited_unixtime="1746094140"), message(3, "three")),
        agent="Lumi",
    )
    assert before.ids < after.ids


def test_older_exports_have_local_times_and_numbers_for_ids(tmp_path: Path) -> None:
    old = chat(
        {
            "id": 1,
            "type": "message",
            "date": "2021-10-31T02:30:00",
            "from": "Nora",
            "from_id": 7,
            "text": "first half past two",
        },
        {
            "id": 2,
            "type": "message",
            "date": "2021-10-31T02:10:00",
            "from": "Lumi",
            "from_id": 9,
            "text": "the clock went back",
        },
        {"id": 3, "type": "message", "date": "2021-10-32T02:10:00", "from": "Lumi", "from_id": 9, "text": "no day"},
    )
    found = taken(tmp_path, old, agent="Lumi", timezone="Europe/Madrid")
    assert [m["occurred_at"].hour for m in found.messages] == [0, 1]
    assert found.messages[0]["speaker_id"] == "user7"
    assert found.reasons == ["a date that does not exist"]


def test_a_channels_posts_are_the_channels(tmp_path: Path) -> None:
    found = taken(
        tmp_path,
        chat(message(1, "post", None, from_id=None), type="public_channel", id=5, name="Lumi News"),
        agent="Lumi News",
    )
    assert found.said == [("Lumi News", "post")]
    assert found.messages[0]["role"] == "agent"


def test_an_agent_that_is_not_there_is_noted(tmp_path: Path) -> None:
    found = taken(tmp_path, chat(message(1, "hi"), message(2, "hey", "Bo")), agent="Sage")
    assert found.notes == [
        "result.json: nobody in it is called Sage: all of it is kept as said by people; its speakers are Bo, Nora"
    ]
    assert {m["role"] for m in found.messages} == {"user"}


def test_control_characters_as_telegram_escapes_them(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    text = json.dumps(chat(message(1, "lineXbreak")))
    file.write_text(text.replace("lineXbreak", "line\\x0Bbreak \\\\x41"))
    assert take(Telegram(), file, agent="Lumi").texts == ["line\x0bbreak \\x41"]


def test_only_telegrams_files_are_recognised(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    for data, expected in (
        (chat(), True),
        (chat(message(1, "x")) | {"type": "new_kind"}, True),
        ({"about": "", "personal_information": {"user_id": 1}, "contacts": {}}, True),
        ({"messages": [{"role": "user", "content": "hi"}]}, False),
        ({"guild": {}, "channel": {"type": "DirectTextChat"}, "messages": []}, False),
    ):
        file.write_text(json.dumps(data))
        assert Telegram().sniff(file, head_of(file)) is expected, data
    assert not Telegram().sniff(tmp_path / "result.html", head_of(file))


def test_broken_files_are_refused_in_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    whole = json.dumps(chat(message(1, "x")))
    for text in (
        "",
        "{}",
        "[]",
        "null",
        "3",
        whole[:40],
        whole[:-1],
        '{"chats": [1]}',
        '{"messages": {}}',
        "[" * 100_000,
    ):
        file.write_text(text)
        with pytest.raises(SourceError):
            take(Telegram(), file, agent="Lumi")
    rich = chat(
        message(1, ["a", {"type": "bold", "text": "b"}], reactions=[{"emoji": "x", "count": 1}]),
        message(2, "", poll={"question": "q", "answers": [{"text": "a"}]}, edited_unixtime="1746094140"),
    )
    for broken in mutants(
        {"personal_information": {"user_id": 7}, "chats": {"list": [rich, rich | {"type": "bot_chat"}]}}, 400
    ):
        file.write_text(json.dumps(broken))
        holds(Telegram(), file, agent="Lumi")
        holds(Telegram(), file)


def test_the_agents_reply_stands_behind_what_it_answers(tmp_path: Path) -> None:
    said = [
        message(1, "A?"), message(2, "B?", "Bo"), message(3, "for A", "Lumi", reply_to_message_id=1),
        message(4, "for B", "Lumi", reply_to_message_id=2), message(5, "me too", reply_to_message_id=2),
    ]  # fmt: skip
    found = taken(tmp_path, chat(*said, type="private_group"), agent="Lumi")
    assert found.texts == ["A?", "for A", "B?", "for B", "me too"]


def test_a_message_of_blocks_is_its_text(tmp_path: Path) -> None:
    blocks = [
        {"type": "heading", "text": "Trip"},
        {"type": "paragraph", "text": ["we leave ", {"type": "bold", "text": "at six"}]},
        {"type": "list", "items": [{"blocks": [{"type": "paragraph", "text": "bread"}]}, {"text": {"text": "cheese"}}]},
        7,
    ]
    rich = {key: value for key, value in message(1, "").items() if key not in ("text", "text_entities")}
    assert taken(tmp_path, chat(rich | {"rich_message": {"blocks": blocks}}), agent="Lumi").texts == [
        "Trip\nwe leave at six\nbread\ncheese"
    ]
