"""Slack: given a workspace's export or a day of it, this is remembered."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from plugins.sources.messengers.slack import Slack
from plugins.sources.messengers.slack_text import Markup
from plugins.sources.reading import head_of
from records.errors import SourceError
from tests.unit.taken import Taken, holds, mutants, take

NOTICE = "a notice of the app, nobody said it"


def message(ts: str, text: str = "", user: str | None = "U1", **more: Any) -> dict[str, Any]:
    return {"type": "message", "ts": f"17460864{ts}", "text": text} | ({"user": user} if user else {}) | more


def workspace(folder: Path, days: dict[str, list[Any]]) -> Path:
    """Write an export whose days are given by path."""
    lists: dict[str, Any] = {
        "users.json": [
            {"id": "U1", "name": "nora", "profile": {"display_name": "Nora", "real_name": "Nora Gil"}},
            {"id": "U2", "name": "bo", "deleted": True, "profile": {"display_name": "", "real_name": "Bo"}},
            {"id": "U9", "name": "lumi_bot", "is_bot": True, "profile": {"real_name": "Lumi", "bot_id": "B9"}},
        ],
        "channels.json": [{"id": "C1", "name": "general", "members": ["U1", "U2", "U9"]}],
        "groups.json": [{"id": "G1", "name": "plans", "members": ["U1", "U9"]}],
        "dms.json": [{"id": "D1", "members": ["U1", "U9"]}],
        "mpims.json": [],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in lists.items():
        (folder / name).write_text(json.dumps(data))
    for path, messages in days.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(json.dumps(messages))
    return folder


def day(tmp_path: Path, *messages: Any, **options: Any) -> Taken:
    return take(
        Slack(),
        workspace(tmp_path / "export", {"general/2025-05-01.json": list(messages)}),
        **{"agent": "Lumi"} | options,
    )


def test_a_workspace_is_read_channel_by_channel(tmp_path: Path) -> None:
    folder = workspace(
        tmp_path / "inner",
        {
            "general/2025-05-01.json": [
                message("00.000100", "hi <@U9>"),
                message("01.000200", "hello", "U9", bot_id="B9"),
            ],
            "general/2025-05-02.json": [message("99.000100", "next day", "U2")],
            "D1/2025-05-01.json": [message("02.000100", "just us"), message("03.000100", "yes", "U9")],
            "plans/2025-05-01.json": [message("04.000100", "a plan")],
        },
    )
    assert Slack().sniff_folder(tmp_path)
    found = take(Slack(), tmp_path, agent="lumi")
    assert found.said == [
        ("U1", "just us"),
        ("lumi", "yes"),
        ("U1", "hi @Lumi"),
        ("lumi", "hello"),
        ("U2", "next day"),
        ("U1", "a plan"),
    ]
    assert [m["user_id"] for m in found.messages] == ["U1", "U1", None, None, None, "U1"]
    assert found.names == {"U1": "Nora", "U2": "Bo", "lumi": "Lumi"}
    assert found.messages[0]["session_id"] == "slack/D1/2025-05-01"
    assert found.messages[2]["occurred_at"] == datetime(2025, 5, 1, 8, 0, 0, 100, tzinfo=UTC)
    assert not found.notes
    # A day alone, beside the lists of its workspace, is the same messages.
    assert take(Slack(), folder / "general" / "2025-05-01.json", agent="lumi").ids < found.ids


def test_replies_stand_where_their_time_is_and_name_their_thread(tmp_path: Path) -> None:
    found = day(
        tmp_path,
        message("00.000100", "question", thread_ts="1746086400.000100", reply_count=1),
        message("05.000000", "later"),
        message("00.000101", "answer", "U9", thread_ts="1746086400.000100"),
    )
    assert found.texts == ["question", "answer", "later"]
    assert found.about("answer") == {"chat": "general", "thread": "1746086400.000100"}
    assert "thread" not in found.about("question")


def test_what_the_app_says_is_refused_and_what_people_say_otherwise_is_kept(tmp_path: Path) -> None:
    found = day(
        tmp_path,
        message("00.000001", "<@U1> has joined the channel", subtype="channel_join"),
        message("00.000002", "This message was deleted.", subtype="tombstone"),
        message("00.000003", "dances", subtype="me_message"),
        message("00.000004", "again", subtype="thread_broadcast"),
        message("00.000005", "", files=[{"id": "F1", "title": "x.png"}]),
        message("00.000006", "", files=[{"id": "F1", "initial_comment": {"comment": "my cat"}}]),
        message("00.000007", "nora commented", None, subtype="file_comment", comment={"user": "U1", "comment": "nice"}),
        message("00.000008", "gone soon"),
        {"type": "message", "subtype": "message_deleted", "deleted_ts": "1746086400.000008", "ts": "1746086401.0"},
        {"type": "message", "ts": "yesterday", "user": "U1", "text": "when?"},
        None,
    )
    assert found.said == [("U1", "dances"), ("U1", "again"), ("U1", "my cat"), ("U1", "nice")]
    assert sorted(found.reasons) == sorted(
        [
            NOTICE,
            "deleted by who wrote it",
            "a file, no text",
            "deleted by who wrote it",
            "deleted by who wrote it",
            "a time that cannot be read",
            "not a message",
        ]
    )


def test_an_edited_message_is_the_same_one(tmp_path: Path) -> None:
    before = day(tmp_path, message("00.000001", "tow"))
    after = day(
        tmp_path,
        message("00.000001", "two", edited={"user": "U1", "ts": "1746086460.000000"}),
        message("09.000001", "more"),
    )
    assert before.ids < after.ids
    assert after.messages[0]["edited_at"] == datetime(2025, 5, 1, 8, 1, tzinfo=UTC)
    event = {
        "type": "message",
        "subtype": "message_changed",
        "ts": "1746086490.0",
        "message": message("00.000001", "three", edited={"ts": "1746086461.0"}),
    }
    assert day(tmp_path, event).ids == before.ids
    both = day(tmp_path, message("00.000001", "tow"), message("05.000001", "after"), event)
    assert both.texts == ["three", "after"]
    assert both.reasons == ["an earlier text of an edited message"]


def test_bots_are_agents_by_their_name_and_speak_in_blocks(tmp_path: Path) -> None:
    found = day(
        tmp_path,
        message(
            "00.000001",
            "",
            None,
            subtype="bot_message",
            bot_id="B7",
            username="LÚMI",
            attachments=[{"pretext": "Sun", "text": "25 &lt; 30", "fields": [{"title": "Wind", "value": "low"}]}],
        ),
        message(
            "00.000002",
            "This content can't be displayed.",
            "U9",
            blocks=[
                {"type": "header", "text": {"type": "plain_text", "text": "Menu"}},
                {
                    "type": "rich_text",
                    "elements": [
                        {
                            "type": "rich_text_section",
                            "elements": [{"type": "text", "text": "ask "}, {"type": "user", "user_id": "U1"}],
                        },
                        {
                            "type": "rich_text_list",
                            "elements": [
                                {"type": "rich_text_section", "elements": [{"type": "text", "text": "paella"}]}
                            ],
                        },
                    ],
                },
            ],
        ),
        message(
            "00.000003",
            "",
            None,
            subtype="bot_message",
            bot_id="B1",
            username="Weather",
            attachments=[{"fallback": "rain"}],
        ),
    )
    assert found.texts == ["Sun\n25 < 30\nWind: low", "Menu\nask @Nora\n- paella", "rain"]
    assert [m["role"] for m in found.messages] == ["agent", "agent", "user"]
    assert found.messages[2]["speaker_id"] == "B1"
    assert found.names["B1"] == "Weather"


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<https://a.b/c|the docs>", "the docs (https://a.b/c)"),
        ("<http://a.b|a.b> <https://c.d>", "a.b https://c.d"),
        ("<mailto:a@b.c|a@b.c>", "a@b.c"),
        ("<@U1> <@U1|nora> <@U404>", "@Nora @Nora @U404"),
        ("<#C1|general> <#C1> <#C404>", "#general #general #C404"),
        ("<!here> <!subteam^S1|@team> <!date^1^{date}|May 1>", "@here @team May 1"),
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2"),
        ("&lt;@U1&gt;", "<@U1>"),
        ("a < b", "a < b"),
    ],
)
def test_markup_is_read_as_people_see_it(markup: str, text: str) -> None:
    names, channels = {"U1": "Nora"}, {"C1": "general"}
    assert Markup(names.get, channels.get).plain(markup) == text


def test_a_day_alone_is_told_apart_by_its_first_message(tmp_path: Path) -> None:
    one, other = tmp_path / "2025-05-01.json", tmp_path / "renamed.json"
    one.write_text(
        json.dumps(
            [
                message("00.000001", "hi"),
                message("01.000001", "hello", None, bot_id="B9", username="Lumi", subtype="bot_message"),
            ]
        )
    )
    other.write_text(
        json.dumps([message("00.000002", "hi"), message("01.000002", "hello", None, bot_id="B9", username="Lumi")])
    )
    assert Slack().sniff(one, head_of(one))
    first, second = take(Slack(), one, agent="Lumi"), take(Slack(), other, agent="Lumi")
    assert not {m["session_id"] for m in first.messages} & {m["session_id"] for m in second.messages}
    assert [m["user_id"] for m in first.messages] == ["U1", "U1"]
    one.rename(tmp_path / "x.json")
    assert take(Slack(), tmp_path / "x.json", agent="Lumi").ids == first.ids


def test_the_agent_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="--agent; its speakers are Bo, Lumi, Nora"):
        day(tmp_path, message("00.000001", "hi"), agent=None)
    assert "nobody in it is called Sage" in day(tmp_path, message("00.000001", "hi"), agent="Sage").notes[0]


def test_one_broken_day_does_not_keep_the_others_out(tmp_path: Path) -> None:
    folder = workspace(tmp_path, {"general/2025-05-01.json": [message("00.000001", "hi")]})
    (folder / "general" / "2025-05-02.json").write_text("[{")
    (folder / "general" / "canvas.json").write_text("{}")
    found = take(Slack(), folder, agent="Lumi")
    assert found.texts == ["hi"]
    assert len(found.rejects) == 1


def test_broken_files_are_refused_in_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "2025-05-01.json"
    for text in ("", "{}", "null", "[{"):
        file.write_text(text)
        with pytest.raises(SourceError):
            take(Slack(), file, agent="Lumi")
    rich = [
        message(
            "00.000001",
            "x",
            reactions=[{"name": "a", "count": 1}],
            edited={"ts": "1746086460.0"},
            user_profile={"name": "x"},
        ),
        message(
            "00.000002",
            "",
            None,
            username="Lumi",
            blocks=[{"type": "rich_text", "elements": [{"elements": [{"text": "a"}]}]}],
            attachments=[{"text": "x"}],
        ),
        {"type": "message", "subtype": "message_changed", "message": message("00.000003", "y"), "ts": "1"},
    ]
    for mutant in mutants(rich, 400):
        file.write_text(json.dumps(mutant))
        holds(Slack(), file, agent="Lumi")
        holds(Slack(), file)
    folder = workspace(tmp_path / "export", {"general/2025-05-01.json": rich})
    for name in ("users.json", "channels.json", "dms.json"):
        whole = json.loads((folder / name).read_text())
        for mutant in mutants(whole, 60):
            (folder / name).write_text(json.dumps(mutant))
            holds(Slack(), folder, agent="Lumi")
        (folder / name).write_text(json.dumps(whole))


def test_a_thread_stands_where_it_begins(tmp_path: Path) -> None:
    found = day(
        tmp_path,
        message("00.000001", "A?", thread_ts="1746086400.000001"),
        message("00.000002", "B?", "U2", thread_ts="1746086400.000002"),
        message("00.000003", "hello all"),
        message("00.000004", "for A", "U9", thread_ts="1746086400.000001"),
        message("00.000005", "for B", "U9", thread_ts="1746086400.000002"),
    )
    assert found.texts == ["A?", "for A", "B?", "for B", "hello all"]


def test_what_slacks_interface_and_slackdump_give(tmp_path: Path) -> None:
    said = [message("00.000002", "yo", "U9"), message("00.000001", "hi")]
    file = tmp_path / "history.json"
    file.write_text(json.dumps({"ok": True, "messages": said, "has_more": False}), encoding="utf-8")
    assert Slack().sniff(file, head_of(file))
    assert take(Slack(), file, agent="U9").texts == ["hi", "yo"]
    dumped = {"channel_id": "C7", "messages": [said[1] | {"slackdump_thread_replies": [said[0]]}]}
    file.write_text(json.dumps(dumped), encoding="utf-8")
    found = take(Slack(), file, agent="U9")
    assert (found.texts, found.messages[0]["session_id"]) == (["hi", "yo"], "slack/C7/2025-05-01")
