"""Messenger and Instagram: given what "Download your information" gives, this is remembered."""

import json
from pathlib import Path
from typing import Any

import pytest

from plugins.sources.messengers.meta import Meta, repaired
from plugins.sources.messengers.meta_notices import is_notice
from plugins.sources.reading import head_of
from records.errors import SourceError
from tests.unit.taken import Taken, holds, mutants, take

START = 1746086400000


def broken(text: str) -> str:
    """Return a text as Facebook writes it: its UTF-8 bytes as if they were Latin-1."""
    return text.encode().decode("latin-1")


def message(second: float, text: str | None, who: str = "José Gil", **more: Any) -> dict[str, Any]:
    said = {} if text is None else {"content": broken(text)}
    return (
        {"sender_name": broken(who), "timestamp_ms": START + int(second * 1000), "is_geoblocked_for_viewer": False}
        | said
        | more
    )


def thread(*messages: Any, **more: Any) -> dict[str, Any]:
    """Return a thread whose messages are given as they were said; the file has the newest first."""
    return {
        "participants": [{"name": broken("José Gil")}, {"name": "Lumi"}],
        "messages": list(reversed(messages)),
        "title": "Lumi",
        "is_still_participant": True,
        "thread_path": "inbox/lumi_1234567890",
        "magic_words": [],
    } | more


def taken(tmp_path: Path, data: Any, **options: Any) -> Taken:
    file = tmp_path / "message_1.json"
    file.write_text(json.dumps(data), encoding="utf-8")
    return take(Meta(), file, **{"agent": "Lumi"} | options)


def test_a_thread_is_read_from_its_end_and_repaired(tmp_path: Path) -> None:
    found = taken(
        tmp_path,
        thread(
            message(1, "¿Qué tal, Lumi? 😀"),
            message(2, "bien", "Lumi", reactions=[{"reaction": broken("❤"), "actor": "x"}]),
        ),
    )
    assert found.said == [("José Gil", "¿Qué tal, Lumi? 😀"), ("Lumi", "bien")]
    assert [m["role"] for m in found.messages] == ["user", "agent"]
    assert {m["user_id"] for m in found.messages} == {"José Gil"}
    assert found.about("bien") == {"reactions": {"❤": 1}}


def test_messages_of_one_millisecond_keep_their_order(tmp_path: Path) -> None:
    found = taken(tmp_path, thread(*(message(1, f"line {n}") for n in range(5)), message(2, "ok", "Lumi")))
    assert found.texts == [*(f"line {n}" for n in range(5)), "ok"]
    assert [m["follows"] for m in found.messages[1:5]] == [m["message_id"] for m in found.messages[:4]]


def test_only_what_was_broken_is_repaired() -> None:
    assert repaired("Jos\u00c3\u00a9") == "José"
    for right in ("José", "😀 é", "Ã", "plain", "«¿»", "日本"):
        assert repaired(right) == right


def test_what_nobody_said_is_refused(tmp_path: Path) -> None:
    found = taken(
        tmp_path,
        thread(
            message(1, None, photos=[{"uri": "x.jpg"}]),
            message(2, "José Gil sent an attachment."),
            message(3, "Liked a message"),
            message(4, "Reacted 😂 to your message "),
            message(5, "secret words", is_unsent=True),
            message(6, "Lumi called José.", "Lumi", call_duration=3),
            message(7, None),
            {"timestamp_ms": START},
            [1],
        ),
    )
    assert not found.messages
    notice = "a notice of the app, nobody said it"
    assert found.reasons == [
        "a photo, no text",
        notice,
        notice,
        notice,
        "deleted by who wrote it",
        notice,
        "no text",
        notice,
        "not a message",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Ana Gil sent an attachment.",
        "You sent an attachment.",
        "Ana sent a photo.",
        "You missed a video chat with Bo.",
        "The video chat ended.",
        "Ana named the group Fiesta.",
        "Ana added Bo to the group.",
        "You can now message and call each other and see info like Active Status and when you've read messages.",
        "Indicó que le gusta un mensaje",
        "Reaccionó con ❤️ a tu mensaje",
        "Has enviado un archivo adjunto.",
        "Ana ha enviado un archivo adjunto.",
        "Enviaste una foto.",
        "Ana Gil a envoyé une pièce jointe.",
        "Ana hat einen Anhang gesendet.",
    ],
)
def test_notices_are_the_apps(text: str) -> None:
    assert is_notice(text, "Ana Gil")


@pytest.mark.parametrize(
    "text",
    [
        "Ana sent a photo of her dog",
        "Bo sent an attachment.",
        "You called me yesterday",
        "You left the group chat muted so I called",
        "Reacted badly to your message about Bo",
        "has anyone sent a photo",
        "Te mandaste una buena",
        "liked a message from 2019, look",
        "envió una foto",
        "",
    ],
)
def test_words_that_look_like_notices_are_kept(text: str) -> None:
    assert not is_notice(text, "Ana Gil")


def test_shared_links_are_said_and_their_words_kept_beside(tmp_path: Path) -> None:
    found = taken(
        tmp_path,
        thread(
            message(1, "José Gil sent an attachment.", share={"link": "https://a.b/c", "share_text": broken("A café")}),
            message(2, "look at this", share={"link": "https://d.e"}),
        ),
    )
    assert found.texts == ["https://a.b/c", "look at this"]
    assert found.about("https://a.b/c") == {"shared": "A café"}
    assert found.about("look at this") == {"link": "https://d.e"}


def test_a_folder_is_read_thread_by_thread_from_the_oldest_part_on(tmp_path: Path) -> None:
    inbox = tmp_path / "your_activity_across_facebook" / "messages" / "inbox"
    for name, path, parts in (
        ("lumi_1234567890", "inbox/lumi_1234567890", {1: ("five", "six"), 2: ("three", "four"), 10: ("one", "two")}),
        ("bo_99999", "archived_threads/bo_99999", {1: ("other", "thread")}),
    ):
        (inbox / name).mkdir(parents=True)
        for part, texts in parts.items():
            at = {1: 300, 2: 200, 10: 100}[part]
            data = thread(*(message(at + n, text) for n, text in enumerate(texts)), thread_path=path)
            (inbox / name / f"message_{part}.json").write_text(json.dumps(data))
    (tmp_path / "posts.json").write_text('[{"timestamp": 1, "data": []}]')
    (inbox / "bo_99999" / "message_2.json").write_text(
        '{"participants": [], "messages": [{"sender_name": "x", "timestamp_ms": 1'
    )
    assert Meta().sniff_folder(tmp_path)
    found = take(Meta(), tmp_path, agent="Lumi")
    assert found.texts == ["other", "thread", "one", "two", "three", "four", "five", "six"]
    assert len({m["session_id"] for m in found.messages}) == 2
    assert len(found.rejects) == 1
    alone = take(Meta(), inbox / "lumi_1234567890" / "message_1.json", agent="Lumi")
    assert alone.ids < found.ids


def test_a_thread_stays_the_same_when_it_moves_or_gets_another_title(tmp_path: Path) -> None:
    before = taken(tmp_path, thread(message(1, "hi")))
    after = taken(
        tmp_path,
        thread(message(1, "hi"), message(2, "more"), thread_path="e2ee_cutover/lumilumi_1234567890", title="L"),
    )
    assert before.ids < after.ids


def test_encrypted_chats_have_another_shape_and_the_right_letters(tmp_path: Path) -> None:
    def said(second: int, who: str, text: str, **more: Any) -> dict[str, Any]:
        return {
            "isUnsent": False,
            "media": [],
            "reactions": [],
            "senderName": who,
            "text": text,
            "timestamp": START + second,
            "type": "text",
        } | more

    data = {
        "participants": ["José Gil", "Lumi"],
        "threadName": "Lumi_3",
        "messages": [
            said(3, "José Gil", "gone", isUnsent=True),
            said(2, "Lumi", "hola Ã© así", reactions=[{"actor": "José Gil", "reaction": "😀"}]),
            said(1, "José Gil", "", media=[{"uri": "media/1.jpg"}], type="media"),
            said(0, "José Gil", "mañana"),
        ],
    }
    found = taken(tmp_path, data)
    assert found.said == [("José Gil", "mañana"), ("Lumi", "hola Ã© así")]
    assert found.about("hola Ã© así") == {"reactions": {"😀": 1}}
    assert sorted(found.reasons) == ["deleted by who wrote it", "media, no text"]
    # The other order of the file is the same conversation.
    assert taken(tmp_path, data | {"messages": data["messages"][::-1]}).said == found.said


def test_groups_belong_to_nobody_and_name_who_takes_part(tmp_path: Path) -> None:
    group = thread(
        message(1, "a"),
        message(2, "b", "Bo"),
        message(3, "c", "Lumi"),
        participants=[{"name": "Ana"}, {"name": "Bo"}, {"name": "Lumi"}],
        title=broken("Los años"),
    )
    found = taken(tmp_path, group)
    assert {m["user_id"] for m in found.messages} == {None}
    assert json.loads(found.messages[0]["participants"]) == ["Ana", "Bo", "José Gil", "Lumi"]
    assert found.about("c") == {"chat": "Los años"}


def test_two_peoples_threads_with_one_agent_are_two(tmp_path: Path) -> None:
    one = taken(tmp_path, thread(message(1, "hi")))
    other = taken(tmp_path, thread(message(1, "hi", "Ana"), participants=[{"name": "Ana"}, {"name": "Lumi"}]))
    assert not {m["session_id"] for m in one.messages} & {m["session_id"] for m in other.messages}


def test_the_agent_must_be_named_and_be_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="--agent; its speakers are José Gil, Lumi"):
        taken(tmp_path, thread(message(1, "hi")), agent=None)
    found = taken(tmp_path, thread(message(1, "hi")), agent="Sage")
    assert "nobody in it is called Sage" in found.notes[0]
    assert taken(tmp_path, thread(message(1, "hi", "LUMI")), agent="lumi").messages[0]["role"] == "agent"


def test_only_metas_files_are_recognised(tmp_path: Path) -> None:
    file = tmp_path / "message_1.json"
    for data, expected in (
        (thread(message(1, "x")), True),
        (
            {"participants": ["a"], "threadName": "a", "messages": [{"senderName": "a", "text": "x", "timestamp": 1}]},
            True,
        ),
        ({"messages": [{"role": "user", "content": "hi"}]}, False),
        ({"participants": [], "messages": []}, False),
    ):
        file.write_text(json.dumps(data))
        assert Meta().sniff(file, head_of(file)) is expected


def test_broken_files_are_refused_in_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "message_1.json"
    whole = json.dumps(thread(message(1, "x")))
    for text in ("", "{}", "[]", "null", whole[:60], '{"messages": 3}'):
        file.write_text(text)
        with pytest.raises(SourceError):
            take(Meta(), file, agent="Lumi")
    rich = thread(
        message(1, "x", share={"link": "https://a.b"}),
        message(2, None, photos=[{"uri": "x"}]),
        message(3, "y", "Lumi", reactions=[{"reaction": "x"}]),
    )
    for mutant in mutants(rich, 400):
        file.write_text(json.dumps(mutant))
        holds(Meta(), file, agent="Lumi")
        holds(Meta(), file)


def test_an_edited_message_is_one_at_its_first_place(tmp_path: Path) -> None:
    said = [
        message(0, "my cat is Mis"), message(5, "what a name!", "Lumi"), message(20, "my cat is Misi (edited)"),
        message(30, "I wrote (edited)"), message(9_000, "my cat is Misi (edited)"),
    ]  # fmt: skip
    found = taken(tmp_path, thread(*said[::-1]), agent="Lumi")
    assert found.texts == ["my cat is Misi", "what a name!", "I wrote (edited)", "my cat is Misi (edited)"]
    assert found.about("my cat is Misi")["edited"] is True
    assert found.reasons == ["the edit of an earlier message, which has its words"]
