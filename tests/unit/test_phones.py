"""iMessage, SMS and Signal: given what their exporters write, this is remembered."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from plugins.sources.phones.imessage import IMessage
from plugins.sources.phones.signal_app import Signal
from plugins.sources.reading import head_of
from records.errors import SourceError
from tests.unit.taken import Taken, holds, mutants, take

NOTICE = "a notice of the app, nobody said it"
EXPORT = """\
Apr 17, 2022  4:58:21 PM (Read by you after 1 minute, 3 seconds)
Lumi
Are you there?

It is raining
Tapbacks:
Loved by Me
☕️ by Lumi

    Apr 17, 2022  5:10:00 PM (Read by them after 2 seconds)
    Me
    yes, here
second line of the reply

    Apr 17, 2022  5:11:00 PM
    Lumi
    good

Apr 17, 2022  5:00:00 PM
Me
/Users/me/Library/Messages/Attachments/ab/11/GUID/IMG_0001.HEIC

Apr 17, 2022  5:01:00 PM You named the conversation Rain

Apr 17, 2022  5:02:00 PM
Me
attachments/2/IMG_2.jpeg
look, my cat
Sent with Confetti

Apr 17, 2022  5:10:00 PM (Read by them after 2 seconds)
Me
yes, here
second line of the reply
This message responded to an earlier message.

Apr 17, 2022  5:11:00 PM
Lumi
good
This message responded to an earlier message.

Apr 18, 2022 12:05:00 AM
Lumi
Apr 18, 2022 12:05:00 AM see you at nnie
Edited 1 minute, 5 seconds later: see you at nine
Edited 10 seconds later: see you at ten

Apr 18, 2022 12:06:00 AM
Me
You unsent this message part 5 seconds after sending!

"""


def text(tmp_path: Path, content: str = EXPORT, name: str = "chat.txt", **options: Any) -> Taken:
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")
    return take(IMessage(), file, **{"agent": "Lumi", "user": "Nora"} | options)


def test_a_text_file_is_read_without_what_stands_twice(tmp_path: Path) -> None:
    found = text(tmp_path, timezone="Europe/Madrid")
    assert found.said == [
        ("Lumi", "Are you there?\n\nIt is raining"),
        ("Nora", "look, my cat"),
        ("Nora", "yes, here\nsecond line of the reply"),
        ("Lumi", "good"),
        ("Lumi", "see you at ten"),
    ]
    assert found.messages[0]["occurred_at"] == datetime(2022, 4, 17, 14, 58, 21, tzinfo=UTC)
    assert {m["user_id"] for m in found.messages} == {"Nora"}
    assert [m["role"] for m in found.messages] == ["agent", "user", "user", "agent", "agent"]
    assert found.reasons == ["media, no text", NOTICE, NOTICE]


def test_reactions_replies_and_edits_are_kept_beside_the_text(tmp_path: Path) -> None:
    found = text(tmp_path)
    assert found.about("Are you there?\n\nIt is raining") == {"reactions": {"Loved": 1, "☕️": 1}}
    assert found.about("good") == {"reply": True}
    assert found.about("look, my cat") == {"attachments": 1}
    assert found.one("see you at ten")["edited_at"] == datetime(2022, 4, 18, 0, 6, 15, tzinfo=UTC)


def test_a_time_that_somebody_wrote_is_their_words(tmp_path: Path) -> None:
    said = "May 17, 2022  5:29:42 PM\nMe\nmeet then:\nMay 18, 2022  5:00:00 PM\nok?\n\n"
    assert text(tmp_path, said).texts == ["meet then:\nMay 18, 2022  5:00:00 PM\nok?"]


def test_a_text_file_stays_the_same_when_it_is_renamed_or_longer(tmp_path: Path) -> None:
    export = EXPORT.replace("Apr 18, 2022 12:05:00 AM", "Apr 18, 2022  5:05:00 AM")
    whole = text(tmp_path, export)
    half = text(
        tmp_path, export[: export.index("Apr 17, 2022  5:10:00 PM (Read by them after 2 seconds)\nMe")], "other.txt"
    )
    rest = text(tmp_path, export[export.index("Apr 18, 2022  5:05:00 AM\n") :], "rest.txt")
    assert half.ids < whole.ids
    assert rest.ids < whole.ids


def test_two_peoples_files_are_two_conversations(tmp_path: Path) -> None:
    one = text(tmp_path, "May 17, 2022  5:29:42 PM\nMe\nhi\n\nMay 17, 2022  5:30:00 PM\nLumi\nhello\n\n", user=None)
    other = text(tmp_path, "May 17, 2022  5:29:43 PM\nMe\nhi\n\nMay 17, 2022  5:30:00 PM\nLumi\nhello\n\n", user=None)
    assert not one.ids & other.ids
    assert "only called Me in it" in one.notes[0]


def test_the_owner_of_the_telephone_may_be_the_agent(tmp_path: Path) -> None:
    said = "May 17, 2022  5:29:42 PM\nMe\nhi\n\nMay 17, 2022  5:30:00 PM\nNora\nhello\n\n"
    found = text(tmp_path, said)
    assert found.said == [("Lumi", "hi"), ("Nora", "hello")]
    assert [m["role"] for m in found.messages] == ["agent", "user"]
    assert not found.notes
    with pytest.raises(SourceError, match="--agent; its speakers are Me, Nora"):
        text(tmp_path, said, agent=None)


PAGE = """<html><meta charset="UTF-8">
<div class="message"><div class="received"><p><span class="timestamp">Oct 17, 2021 10:31:49 PM (Read by you after 5 seconds)</span>
<span class="sender">Lumi</span></p><hr>
<div class="message_part"><span class="bubble">a &lt;b&gt;<br>c</span></div><span class="expressive">Sent with Echo</span>
<div class="reactions"><hr><p>Reactions:</p><div class="reaction"><span><b>Loved</b> by Me</span></div></div>
<div class="replies"><div class="reply"><div class="message"><div class="sent iMessage"><p><span class="timestamp">Oct 17, 2021 10:32:03 PM</span>
<span class="sender">Me</span></p><div class="message_part"><span class="bubble">a reply</span></div></div></div></div></div></div></div>
<div class ="announcement"><p><span class="timestamp">Oct 17, 2021 10:32:03 PM</span> You renamed the conversation to <b>Hello</b></p></div>
<div class="message"><div class="sent iMessage"><p><span class="timestamp">Oct 17, 2021 10:32:03 PM</span> <span class="sender">Me</span></p>
<div class="message_part"><span class="bubble">a reply</span></div>
<span class="reply_context">This message responded to an earlier message.</span></div></div>
<div class="message"><div class="sent iMessage"><p><span class="timestamp">Oct 17, 2021 10:33:00 PM</span> <span class="sender">Me</span></p>
<div class="message_part"><div class="edited"><table>
<tbody><tr><td><span class="timestamp"></span></td><td><span class="bubble">tow</span></td></tr></tbody>
<tfoot><tr><td><span class="timestamp">Edited 15 seconds later</span></td><td><span class="bubble">two</span></td></tr></tfoot>
</table></div></div></div></div>
<div class="message"><div class="sent iMessage"><p><span class="timestamp">Oct 17, 2021 10:34:00 PM</span> <span class="sender">Me</span></p>
<div class="message_part"><img src="attachments/bella.jpeg" loading="lazy"></div></div></div>
</html>"""


def test_a_page_says_what_the_text_file_says(tmp_path: Path) -> None:
    found = text(tmp_path, PAGE, "chat.html")
    assert IMessage().sniff(tmp_path / "chat.html", head_of(tmp_path / "chat.html"))
    assert found.said == [("Lumi", "a <b>\nc"), ("Nora", "a reply"), ("Nora", "two")]
    assert found.about("a <b>\nc") == {"reactions": {"Loved": 1}}
    assert found.about("a reply") == {"reply": True}
    assert found.one("two")["edited_at"] == datetime(2021, 10, 17, 22, 33, 15, tzinfo=UTC)
    assert found.reasons == [NOTICE, "media, no text"]


TABLE = (
    "\ufeffChat Session,Message Date,Delivered Date,Read Date,Edited Date,Service,Type,Sender ID,Sender Name,Status,"
    "Replying to,Subject,Text,Attachment,Attachment type\r\n"
    'Lumi,2025-05-01 10:00:00,,,,iMessage,Outgoing,,,Read,,,"hi, you\r\nthere",,\r\n'
    "Lumi,2025-05-01 10:00:05,,,2025-05-01 10:01:00,iMessage,Incoming,+15550001,Lumi,Read,hi,,hello,,\r\n"
    "Lumi,2025-05-01 10:00:06,,,,iMessage,Incoming,+15550001,Lumi,Read,,,,IMG.jpg,Image\r\n"
    "Lumi,2025-05-01 10:00:07,,,,,Notification,,,,,,You left,,\r\n"
    "Trip,2025-05-01 10:00:08,,,,SMS,Incoming,+15550002,Ana,Read,,,a,,\r\n"
    "Trip,2025-05-01 10:00:09,,,,SMS,Incoming,+15550003,,Read,,Plan,b,,\r\n"
    "Trip,2025-13-01 10:00:09,,,,SMS,Incoming,+15550003,,Read,,,c,,\r\n"
)


def test_a_table_of_imazing_holds_several_chats(tmp_path: Path) -> None:
    found = text(tmp_path, TABLE, "Messages.csv")
    assert found.said == [
        ("Nora", "hi, you\r\nthere".replace("\r", "")),
        ("Lumi", "hello"),
        ("+15550002", "a"),
        ("+15550003", "Plan\nb"),
    ]
    assert [m["user_id"] for m in found.messages] == ["Nora", "Nora", "Nora", "Nora"]
    assert found.names["+15550002"] == "Ana"
    assert found.one("hello")["edited_at"] == datetime(2025, 5, 1, 10, 1, tzinfo=UTC)
    assert found.about("hello") == {"service": "iMessage", "reply_to": "hi"}
    assert found.about("a") == {"chat": "Trip", "service": "SMS"}
    assert found.reasons[:2] == ["media, no text", NOTICE]
    assert "cannot be read" in found.reasons[2]


def test_a_table_of_imazing_of_whatsapp(tmp_path: Path) -> None:
    table = (
        "Chat Session;Message Date;Sent Date;Type;Sender ID;Sender Name;Status;Forwarded;Replying to;Text;"
        "Reactions;Attachment;Attachment type;Attachment info\n"
        "Lumi;2023-12-03 12:33:30;;Notification;;;;;;Messages are secured;;;;\n"
        "Lumi;2023-12-03 12:33:31;;Outgoing;;;Read;;;hola;❤️;;;\n"
        "Lumi;2023-12-03 12:33:32;;Incoming;+34;Lumi;Read;Yes;;buenas;;;;\n"
    )
    found = text(tmp_path, table, "WhatsApp - Lumi.csv")
    assert found.said == [("Nora", "hola"), ("Lumi", "buenas")]
    assert found.about("buenas") == {"forwarded": "Yes"}


LINES = [
    {
        "date": "2025-05-01T10:00:00.123000",
        "sender": "Lumi",
        "body": "hola  ",
        "quote": "",
        "sticker": None,
        "reactions": [["Me", "❤️"]],
        "attachments": [],
    },
    {
        "date": "2025-05-01T10:00:00.456000",
        "sender": "Me",
        "body": "sí\n\nclaro  ",
        "quote": "\n\n> hola\n\n",
        "sticker": "",
        "reactions": [],
        "attachments": [],
    },
    {
        "date": "2025-05-01T10:01:00",
        "sender": "Me",
        "body": "  ",
        "quote": "",
        "sticker": "",
        "reactions": [],
        "attachments": [{"name": "a", "path": "media/a"}],
    },
    {
        "date": "2025-05-01T10:02:00",
        "sender": "Me",
        "body": "  ",
        "quote": "",
        "sticker": {"id": "1", "emoji": "😀"},
        "reactions": [],
        "attachments": [],
    },
    {
        "date": "2025-05-01T10:03:00",
        "sender": "Lumi",
        "body": "Missed voice call  ",
        "quote": "",
        "sticker": "",
        "reactions": [],
        "attachments": [],
    },
    {
        "date": "2025-05-01T10:04:00",
        "sender": "Lumi",
        "body": "",
        "quote": "",
        "sticker": "",
        "reactions": [],
        "attachments": [],
        "deleted": True,
    },
]

MARKDOWN = """\
[2019-05-29, 15:04] Me: old form

[2025-05-01 10:00:00] Lumi: hola
(- Me: ❤️ -)

[2025-05-01 10:00:01] Me:

> hola
> there

sí: claro
and more

[2025-05-01 10:01:00] Me: ![a.jpg](./media/a.jpg)

[2025-05-01 10:02:00] Me: look ![a.jpg](./media/a.jpg)

[2025-05-01 10:03:00] Lumi:
(( 😀 ))

[2025-05-01 10:04:00] Lumi: (This message was deleted)

[2025-05-01 10:05:00] Lumi: Outgoing voice call (accepted, 3m 2s)
"""


def signal(tmp_path: Path, content: str, name: str, **options: Any) -> Taken:
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")
    assert Signal().sniff(file, head_of(file)), name
    return take(Signal(), file, **{"agent": "Lumi", "user": "Nora", "first_week": "2019-01-07"} | options)


def test_lines_of_signal_export(tmp_path: Path) -> None:
    found = signal(tmp_path, "\n".join(json.dumps(line) for line in LINES) + "\n[broken\n", "data.json")
    assert found.said == [("Lumi", "hola"), ("Nora", "sí\n\nclaro"), ("Nora", "😀")]
    assert found.about("hola") == {"reactions": {"❤️": 1}}
    assert found.about("sí\n\nclaro") == {"reply_to": "hola"}
    assert found.messages[0]["occurred_at"] == datetime(2025, 5, 1, 10, 0, 0, 123000, tzinfo=UTC)
    assert found.reasons == ["media, no text", NOTICE, "deleted by who wrote it", "not valid JSON"]


def test_markdown_of_signal_export(tmp_path: Path) -> None:
    found = signal(tmp_path, MARKDOWN, "chat.md")
    assert found.said == [
        ("Nora", "old form"),
        ("Lumi", "hola"),
        ("Nora", "sí: claro\nand more"),
        ("Nora", "look"),
        ("Lumi", "😀"),
    ]
    assert found.about("hola") == {"reactions": {"❤️": 1}}
    assert found.about("sí: claro\nand more") == {"reply_to": "hola\nthere"}
    assert found.about("look") == {"attachments": 1}
    assert found.reasons == ["media, no text", "deleted by who wrote it", NOTICE]


def test_text_of_signalbackup_tools(tmp_path: Path) -> None:
    content = (
        "[May 01, 2025 10:00:00] *** You are in a group\n"
        "[May 01, 2025 10:00:01] <Lumi> hola\n"
        "segunda\n"
        '[May 01, 2025 10:00:02] *** <Nora> sent file "a.jpg"\n'
        "[May 01, 2025 10:00:03] <Nora> sí\n"
        "[Foo 01, 2025 10:00:03] <Nora> no\n"
    )
    found = signal(tmp_path, content, "Lumi (_id3).txt")
    assert found.said == [("Lumi", "hola\nsegunda"), ("Nora", "sí")]
    assert found.reasons == [NOTICE, "media, no text", "a date that does not exist"]


def test_a_folder_of_signal_export_is_read_once_a_chat(tmp_path: Path) -> None:
    for name, other in (("Lumi", "Lumi"), ("Bo", "Bo")):
        folder = tmp_path / "export" / name
        folder.mkdir(parents=True)
        lines = [line | {"sender": other if line["sender"] == "Lumi" else "Me"} for line in LINES[:2]]
        (folder / "data.json").write_text("\n".join(json.dumps(line) for line in lines))
        (folder / "chat.md").write_text(MARKDOWN.replace("Lumi", other))
        (folder / "index.html").write_text("<html></html>")
    (tmp_path / "export" / "Old").mkdir()
    (tmp_path / "export" / "Old" / "chat.md").write_text("[2025-05-01 10:00:00] Lumi: only here\n")
    assert Signal().sniff_folder(tmp_path)
    found = take(Signal(), tmp_path, agent="Lumi", user="Nora")
    assert sorted(found.texts) == ["hola", "hola", "only here", "sí\n\nclaro", "sí\n\nclaro"]
    assert not found.notes
    assert "nobody in it is called Sage" in take(Signal(), tmp_path, agent="Sage", user="Nora").notes[0]


def frames(*items: Any) -> str:
    head = [
        {"version": "1", "backupTimeMs": "1746086400000", "mediaRootBackupKey": "AA=="},
        {"account": {"givenName": "Nora", "familyName": "Gil"}},
        {"recipient": {"id": "1", "self": {}}},
        {
            "recipient": {
                "id": "2",
                "contact": {"aci": "ERERERERQRGBEREREREREQ==", "e164": "1555", "profileGivenName": "Lumi"},
            }
        },
        {"recipient": {"id": "3", "group": {"masterKey": "secret", "snapshot": {"title": {"title": "Trip"}}}}},
        {"chat": {"id": "10", "recipientId": "2"}},
        {"chat": {"id": "11", "recipientId": "3"}},
    ]
    return "\n".join(json.dumps(frame) for frame in (*head, *({"chatItem": item} for item in items)))


def item(author: str, sent: int, text: str | None = None, chat: str = "10", **more: Any) -> dict[str, Any]:
    said = {} if text is None else {"standardMessage": {"text": {"body": text}}}
    return {"chatId": chat, "authorId": author, "dateSent": str(1746086400000 + sent)} | said | more


def test_signals_own_export(tmp_path: Path) -> None:
    content = frames(
        item("2", 0, "hola"),
        item("1", 1, "two", revisions=[item("1", 0, "tow")]),
        item("2", 2, updateMessage={"simpleUpdate": {"type": "IDENTITY_UPDATE"}}),
        item("2", 3, remoteDeletedMessage={}),
        item("1", 4, standardMessage={"attachments": [{"pointer": {}}]}),
        item("1", 5, stickerMessage={"sticker": {"emoji": "😀"}}),
        item("1", 6, poll={"question": "when?", "options": [{"option": "now"}]}),
        item("1", 7, "in a group", chat="11"),
    )
    found = signal(tmp_path, content, "main.jsonl", user=None)
    assert found.said == [
        ("Lumi", "hola"),
        ("Nora Gil", "two"),
        ("Nora Gil", "😀"),
        ("Nora Gil", "when?\n- now"),
        ("Nora Gil", "in a group"),
    ]
    assert found.one("two")["occurred_at"] == datetime(2025, 5, 1, 8, tzinfo=UTC)
    assert found.one("two")["edited_at"] == datetime(2025, 5, 1, 8, 0, 0, 1000, tzinfo=UTC)
    assert found.about("in a group") == {"chat": "Trip"}
    assert found.reasons == [NOTICE, "deleted by who wrote it", "media, no text"]
    assert "secret" not in str(found.messages)
    # Before the edit it was the same message.
    assert signal(tmp_path, frames(item("1", 0, "tow")), "main.jsonl").ids <= found.ids


def test_only_their_files_are_recognised(tmp_path: Path) -> None:
    for name, content in (
        ("a.txt", "12/1/25, 10:11 - Ana: hola\n"),
        ("a.txt", "[2025-05-01, 10:11:12] Ana: hola\n"),
        ("a.md", "# Notes\n[2025-05-01] x\n"),
        ("data.json", '{"messages": []}'),
        ("a.csv", "Date,Text\n1,2\n"),
        ("a.jsonl", '{"role": "user", "content": "hi"}\n'),
        ("a.html", "<html></html>"),
    ):
        file = tmp_path / name
        file.write_text(content)
        assert not IMessage().sniff(file, content), name
        assert not Signal().sniff(file, content), name
    file = tmp_path / "chat.txt"
    file.write_text(EXPORT)
    assert IMessage().sniff(file, EXPORT)
    (tmp_path / "m.csv").write_text(TABLE)
    assert IMessage().sniff(tmp_path / "m.csv", head_of(tmp_path / "m.csv"))


def test_broken_files_are_refused_in_one_sentence(tmp_path: Path) -> None:
    for source, name, content in (
        (IMessage(), "a.txt", EXPORT),
        (IMessage(), "a.html", PAGE),
        (IMessage(), "a.csv", TABLE),
        (Signal(), "chat.md", MARKDOWN),
        (Signal(), "data.json", "\n".join(json.dumps(line) for line in LINES)),
        (Signal(), "main.jsonl", frames(item("2", 0, "hola"))),
    ):
        file = tmp_path / name
        for cut in range(0, len(content), 17):
            file.write_text(content[:cut] + content[cut + 9 :])
            holds(source, file, agent="Lumi")
            file.write_text(content[:cut])
            holds(source, file, agent="Lumi")
        for nothing in ("", "\n\n", "x", content.split("\n")[0]):
            file.write_text(nothing)
            holds(source, file, agent="Lumi")
    file = tmp_path / "data.json"
    for mutant in mutants(LINES, 200):
        file.write_text("\n".join(json.dumps(line) for line in mutant))
        holds(Signal(), file, agent="Lumi")
    file = tmp_path / "main.jsonl"
    whole = [
        json.loads(line)
        for line in frames(
            item("2", 0, "a", revisions=[item("2", 0, "b")]),
            item("1", 6, poll={"question": "q", "options": [{"option": "n"}]}),
        ).split("\n")
    ]
    for mutant in mutants(whole, 300):
        file.write_text("\n".join(json.dumps(line) for line in mutant))
        holds(Signal(), file, agent="Lumi")


def test_two_people_who_are_both_me_and_began_in_one_second(tmp_path: Path) -> None:
    text = "[2025-06-02 10:00:00] Me: hi\n[2025-06-02 10:00:00] Lumi: yo\n"
    ana, bo = (signal(tmp_path, text, f"{name}.md", user=name) for name in ("Ana", "Bo"))
    assert not ana.ids & bo.ids
    assert {m["user_id"] for m in (*ana.messages, *bo.messages)} == {"Ana", "Bo"}
    assert signal(tmp_path, text, "renamed.md", user="Ana").ids == ana.ids
