"""Discord: given a channel as DiscordChatExporter writes it, this is remembered."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from plugins.sources.messengers.discord import Discord
from plugins.sources.reading import head_of
from records.errors import AgentNeeded, SourceError
from tests.unit.taken import Taken, holds, mutants, take

FIRST = 1_300_000_000_000_000_000


def author(number: int, name: str, nickname: str | None = None, **more: Any) -> dict[str, Any]:
    shown = {"id": str(number), "name": name, "discriminator": "0000", "nickname": nickname or name, "isBot": False}
    return shown | more


ANA = author(501, "ana_x", "Ana")
BO = author(502, "bo")
LUMI = author(900, "Lumi", discriminator="1234", isBot=True)
MEE6 = author(901, "MEE6", discriminator="4876", isBot=True)


def message(number: int, content: str, who: dict[str, Any] = ANA, **more: Any) -> dict[str, Any]:
    return {
        "id": str(FIRST + number),
        "type": "Default",
        "timestamp": f"2025-05-01T10:{number // 60:02}:{number % 60:02}.1234567+02:00",
        "timestampEdited": None,
        "callEndedTimestamp": None,
        "isPinned": False,
        "content": content,
        "author": who,
        "attachments": [],
        "embeds": [],
        "stickers": [],
        "reactions": [],
        "mentions": [],
    } | more


def channel(*messages: Any, **more: Any) -> dict[str, Any]:
    return {
        "guild": {"id": "1", "name": "G"},
        "channel": {"id": "2", "type": "GuildTextChat", "name": "chat"},
        "dateRange": {"after": None, "before": None},
        "messages": list(messages),
        "messageCount": len(messages),
    } | more


def taken(tmp_path: Path, data: Any, name: str = "c.json", **options: Any) -> Taken:
    file = tmp_path / name
    file.write_text(json.dumps(data), encoding="utf-8")
    return take(Discord(), file, **options)


def test_answers_in_embeds_and_forwarded_words_are_speech(tmp_path: Path) -> None:
    recipe = {
        "title": "Recipe",
        "description": "rice and saffron",
        "fields": [{"name": "Time", "value": "40 min"}, {"name": "\u200b", "value": "\u200b"}],
        "footer": {"text": "buen provecho"},
    }
    preview = {"title": "How to boil rice", "url": "https://v.de/1", "description": "a film of somebody else"}
    forwarded = {"timestamp": "2025-04-30T10:00:00+00:00", "content": "the train leaves at six", "embeds": []}
    found = taken(
        tmp_path,
        channel(
            message(1, "", reference={"type": "Forward", "messageId": "9"}, forwardedMessage=forwarded),
            message(2, "like https://v.de/1 ?", embeds=[preview]),
            message(3, "", LUMI, embeds=[recipe], interaction={"id": "5", "name": "cook", "user": ANA}),
            message(4, "", reference={"type": "Forward", "messageId": "8"}),
        ),
    )
    assert found.said == [
        ("501", "the train leaves at six"),
        ("501", "like https://v.de/1 ?"),
        ("Lumi", "Recipe\nrice and saffron\nTime: 40 min\nbuen provecho"),
    ]
    assert found.about("the train leaves at six")["forwarded"] is True
    assert "reply_to" not in found.about("the train leaves at six")
    assert found.about("like https://v.de/1 ?")["links"] == ["How to boil rice"]
    answer = found.about("Recipe\nrice and saffron\nTime: 40 min\nbuen provecho")
    assert (answer["command"], answer["command_by"]) == ("cook", "501")
    assert found.reasons == ["a forwarded message without words"]


def test_the_only_bot_is_the_agent_under_all_its_names_and_the_rest_are_people(tmp_path: Path) -> None:
    gone = [author(number, "Deleted User") for number in (77, 78)]
    found = taken(
        tmp_path,
        channel(
            message(1, "one", LUMI),
            message(2, "two", LUMI | {"name": "Lumi v2"}),
            message(3, "gone a", gone[0]),
            message(4, "gone b", gone[1]),
        ),
    )
    assert [speaker for speaker, _ in found.said] == ["Lumi", "Lumi", "77", "78"]
    assert {m["agent_id"] for m in found.messages} == {"Lumi"}
    assert {m["user_id"] for m in found.messages} == {None}
    assert found.notes == ["c.json: its only bot, Lumi, is taken as the agent; name another with --agent"]
    renamed = taken(tmp_path, channel(message(1, "one", LUMI), message(2, "two", LUMI | {"name": "Neo"})), agent="neo")
    assert {speaker for speaker, _ in renamed.said} == {"neo"}


def test_among_several_bots_the_agent_is_named_and_nothing_of_another_is_put_into_its_mouth(tmp_path: Path) -> None:
    data = channel(message(1, "hi"), message(2, "level up!", MEE6), message(3, "hello", LUMI))
    with pytest.raises(AgentNeeded, match="--agent; its speakers are Lumi, MEE6"):
        taken(tmp_path, data)
    found = taken(tmp_path, data, agent="LUMI")
    assert [(m["speaker_id"], m["role"], m["user_id"]) for m in found.messages] == [
        ("501", "user", "501"),
        ("901", "agent", "501"),
        ("LUMI", "agent", "501"),
    ]
    nobody = taken(tmp_path, data, agent="Nora")
    assert {m["speaker_id"] for m in nobody.messages} == {"501", "900", "901"}
    assert "nobody in it is called Nora" in nobody.notes[0]


def test_a_person_may_be_the_agent_and_without_one_the_speakers_are_listed(tmp_path: Path) -> None:
    direct = channel(
        message(1, "hi"), message(2, "hello", BO), channel={"id": "3", "type": "DirectTextChat", "name": "bo"}
    )
    with pytest.raises(AgentNeeded) as error:
        taken(tmp_path, direct)
    assert error.value.speakers == ["ana_x", "bo"]
    found = taken(tmp_path, direct, agent="Bo")
    assert [(m["speaker_id"], m["role"]) for m in found.messages] == [("501", "user"), ("Bo", "agent")]
    mine = taken(tmp_path, direct, agent="Bo", user="ana")
    assert {m["user_id"] for m in mine.messages} == {"ana"}
    assert mine.said[0] == ("ana", "hi")


def test_each_name_of_a_webhook_is_a_speaker(tmp_path: Path) -> None:
    hook = author(700, "Bridge: Bob", isBot=True)
    found = taken(
        tmp_path,
        channel(
            message(1, "from the other side", hook),
            message(2, "me too", hook | {"name": "Eve"}),
            message(3, "hi", LUMI),
        ),
    )
    assert [(m["speaker_id"], m["role"]) for m in found.messages] == [
        ("700/Bridge: Bob", "user"),
        ("700/Eve", "user"),
        ("Lumi", "agent"),
    ]
    spoken = taken(tmp_path, channel(message(1, "hi", hook), message(2, "hm", hook | {"name": "Eve"})), agent="eve")
    assert [(m["speaker_id"], m["role"]) for m in spoken.messages] == [("700/Bridge: Bob", "user"), ("eve", "agent")]


def test_notices_and_what_has_no_words_are_refused_by_kind(tmp_path: Path) -> None:
    found = taken(
        tmp_path,
        channel(
            message(1, "Joined the server.", type="GuildMemberJoin"),
            message(2, "Pinned a message.", type="ChannelPinnedMessage"),
            message(3, "Started a call that lasted 7 minutes.", type="Call"),
            message(4, "boost", type="8"),
            message(5, "", stickers=[{"id": "1", "name": "wave"}]),
            message(6, "", attachments=[{"fileName": "cat.png"}]),
            message(7, "yes", type="Reply", reference={"messageId": "4", "channelId": "2"}, isPinned=True),
            message(8, "answer", LUMI, type="20"),
            "nothing",
        ),
    )
    assert found.texts == ["yes", "answer"]
    assert found.reasons == [
        *["a notice of Discord, nobody said it"] * 4,
        "a sticker, nothing said",
        "a file without words",
        "not a message",
    ]
    assert found.about("yes") == {"reply_to": "4", "pinned": True, "guild": "G", "channel": "chat"}


def test_marks_of_discord_become_readable(tmp_path: Path) -> None:
    raw = "<@!502> see <#9> <:cat:123> <a:dog:4> at <t:1746093600:R> </ask:8> <@&3> <@404> a<b"
    found = taken(
        tmp_path, channel(message(1, raw, mentions=[{"id": "502", "name": "bo", "nickname": "Bo"}])), agent="x"
    )
    assert found.texts == ["@Bo see #channel :cat: :dog: at 2025-05-01 10:00 UTC /ask @role @somebody a<b"]


def test_an_edited_message_is_the_same_one_and_a_longer_export_adds_only_what_is_new(tmp_path: Path) -> None:
    before = taken(tmp_path, channel(message(1, "hi"), message(2, "hello", LUMI)))
    again = taken(
        tmp_path,
        channel(
            message(
                1, "hi!", timestamp="2025-05-01T08:00:01.1234567+00:00", timestampEdited="2025-05-02T08:00:00+00:00"
            ),
            message(2, "hello", LUMI),
            message(3, "bye"),
        ),
        name="renamed.json",
    )
    assert before.ids < again.ids
    assert len(again.ids - before.ids) == 1
    assert again.one("hi!")["edited_at"] == datetime(2025, 5, 2, 8, tzinfo=UTC)
    assert again.one("hi!")["session_id"] == before.one("hi")["session_id"] == "discord/2/2025-05-01"


def test_the_order_is_the_files_and_an_export_of_the_newest_first_is_read_from_its_end(tmp_path: Path) -> None:
    same = "2025-05-01T10:00:00+00:00"
    data = channel(*(message(number, f"m{number}", ANA if number % 2 else LUMI, timestamp=same) for number in range(6)))
    found = taken(tmp_path, data)
    assert found.texts == [f"m{number}" for number in range(6)]
    ids = [m["message_id"] for m in found.messages]
    assert [m["follows"] for m in found.messages] == [None, *ids[:-1]]
    data["messages"].reverse()
    assert taken(tmp_path, data).texts == [f"m{number}" for number in range(6)]


def test_two_channels_and_two_threads_are_never_one_session(tmp_path: Path) -> None:
    one = taken(tmp_path, channel(message(1, "hi"), message(2, "yo", LUMI)))
    thread = channel(
        message(1, "hi"), message(2, "yo", LUMI), channel={"id": "88", "type": "GuildPublicThread", "name": "chat"}
    )
    assert one.ids.isdisjoint(taken(tmp_path, thread).ids)


def test_any_broken_export_is_read_or_refused_in_a_sentence(tmp_path: Path) -> None:
    whole = channel(
        message(
            1,
            "a <@501>",
            mentions=[ANA],
            reactions=[{"emoji": {"name": "x"}, "count": 2}],
            poll={"question": {"text": "q"}},
        ),
        message(
            2, "b", LUMI, embeds=[{"title": "t", "fields": [{"name": "n", "value": "v"}], "footer": {"text": "f"}}]
        ),
        message(
            3,
            "c",
            reference={"messageId": "1"},
            forwardedMessage={"content": "d"},
            interaction={"name": "q", "user": ANA},
        ),
    )
    for number, data in enumerate(mutants(whole, 250)):
        file = tmp_path / "f.json"
        file.write_text(json.dumps(data))
        holds(Discord(), file, **({"agent": "Lumi"} if number % 2 else {}))
    for data in (channel(), channel("x", 3, None), channel(message(1, "x", type="Call"))):
        assert taken(tmp_path, data).messages == []
    for data in ([], {"guild": 1}, {"channel": {}, "messages": {}}, 5):
        with pytest.raises(SourceError, match="not a Discord export"):
            taken(tmp_path, data)


def test_only_this_format_is_recognised(tmp_path: Path) -> None:
    file = tmp_path / "X.JSON"
    file.write_text(json.dumps(channel(message(1, "hi"))))
    assert Discord().sniff(file, head_of(file))
    file.write_text(json.dumps({"channel": "x", "messages": []}))
    assert not Discord().sniff(file, head_of(file))


def test_a_bots_reply_stands_behind_what_it_answers(tmp_path: Path) -> None:
    def reply(number: int, text: str, to: int) -> dict[str, Any]:
        return message(number, text, LUMI, type="Reply", reference={"messageId": str(FIRST + to), "channelId": "2"})

    said = [
        message(1, "A?"), message(2, "I mean A."), message(3, "B?", BO), reply(4, "for A", 1), reply(5, "for B", 3),
        reply(6, "to something older", -9), message(7, "thanks"),
    ]  # fmt: skip
    found = taken(tmp_path, channel(*said))
    assert found.texts == ["A?", "I mean A.", "for A", "B?", "for B", "to something older", "thanks"]
    assert found.ids == taken(tmp_path, channel(*said[:5]), "shorter.json").ids | {
        m["message_id"] for m in found.messages[5:]
    }
