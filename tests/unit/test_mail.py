"""Mail: given an mbox, this is remembered."""

import base64
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from plugins.sources.mail.mail import Mail
from plugins.sources.mail.mail_text import own_words, page_text
from plugins.sources.reading import head_of
from records.errors import SourceError
from tests.unit.taken import Taken, holds, take

ASK = b"""\
Message-ID: <1@shop.example>
From: =?utf-8?Q?Jos=C3=A9_Gil?= <Jose@Example.org>
To: Lumi Support <lumi@shop.example>
Subject: =?iso-8859-1?Q?Env=EDo?=
Date: Thu, 1 May 2025 12:00:00 +0200
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

=BFD=F3nde est=E1 mi pedido?
>From Madrid I see nothing.
--=20
Jos=E9 Gil
Calle Mayor 1
"""

ANSWER = """\
Message-ID: <2@shop.example>
In-Reply-To: <1@shop.example>
References: <1@shop.example>
From: Lumi Support <lumi@shop.example>
To: jose@example.org
Subject: Re: Envío
Date: Thu, 1 May 2025 10:05:00 GMT
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary=b

--b
Content-Type: text/plain; charset=utf-8

Está en camino.

El jue, 1 may 2025 a las 12:00, José Gil (<jose@example.org>) escribió:
> ¿Dónde está mi pedido?

--b
Content-Type: text/html; charset=utf-8

<p>Está <b>en camino</b>.</p>
--b--
""".encode()


def mail(text: str, **headers: str) -> bytes:
    given = {"From": "Ana <ana@example.org>", "To": "lumi@shop.example", "Date": "Thu, 1 May 2025 12:10:00 +0200"}
    lines = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in (given | headers).items() if value)
    return f"{lines}\n{text}\n".encode()


def mbox(tmp_path: Path, *mails: bytes, name: str = "support.mbox") -> Path:
    file = tmp_path / name
    file.write_bytes(b"\n".join(b"From ana@example.org Thu May  1 10:00:00 2025\n" + each for each in mails))
    return file


def taken(tmp_path: Path, *mails: bytes, **options: Any) -> Taken:
    return take(Mail(), mbox(tmp_path, *mails), **{"agent": "lumi"} | options)


def test_a_thread_is_what_each_wrote_in_it(tmp_path: Path) -> None:
    file = mbox(tmp_path, ASK, ANSWER)
    assert Mail().sniff(file, head_of(file))
    found = take(Mail(), file, agent="lumi")
    assert found.said == [
        ("jose@example.org", "¿Dónde está mi pedido?\nFrom Madrid I see nothing."),
        ("lumi", "Está en camino."),
    ]
    assert {m["session_id"] for m in found.messages} == {"mail/1@shop.example"}
    assert {m["user_id"] for m in found.messages} == {"jose@example.org"}
    assert [m["role"] for m in found.messages] == ["user", "agent"]
    assert found.messages[0]["occurred_at"] == datetime(2025, 5, 1, 10, tzinfo=UTC)
    assert found.names["jose@example.org"] == "José Gil"
    assert found.about("Está en camino.") == {"subject": "Envío"}
    assert list(tmp_path.iterdir()) == [file]


def test_a_newer_mailbox_in_another_order_is_the_same_messages(tmp_path: Path) -> None:
    before = taken(tmp_path, ASK, ANSWER)
    after = taken(
        tmp_path, mail("thanks", Message_ID="<3@x>", References="<1@shop.example> <2@shop.example>"), ANSWER, ASK
    )
    assert before.ids < after.ids
    assert {m["follows"] for m in after.messages} == {None}
    assert len({m["session_id"] for m in after.messages}) == 1


@pytest.mark.parametrize("agent", ["Lumi Support", "LUMI@shop.example", "lumi", "lúmi"])
def test_the_agent_is_known_by_name_address_or_what_stands_before_the_at(tmp_path: Path, agent: str) -> None:
    assert [m["role"] for m in taken(tmp_path, ASK, ANSWER, agent=agent).messages] == ["user", "agent"]


def test_the_agent_must_be_named_and_be_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="--agent; its speakers are José Gil, Lumi Support"):
        taken(tmp_path, ASK, ANSWER, agent=None)
    assert "nobody in it is called Sage" in taken(tmp_path, ASK, agent="Sage").notes[0]


def test_robots_drafts_and_empty_mails_are_refused(tmp_path: Path) -> None:
    found = taken(
        tmp_path,
        mail("I am away", Auto_Submitted="auto-replied"),
        mail("Undelivered", From="MAILER-DAEMON@example.org"),
        mail("x", Content_Type="multipart/report; boundary=b"),
        mail("not yet", X_Gmail_Labels="Drafts,Important"),
        mail("> only\n> quoted"),
        mail("who?", From=""),
        mail("hi", From="Lumi <lumi@shop.example>", Auto_Submitted="auto-generated"),
        mail("Today's Topics", Subject="Tea Digest, Vol 3, Issue 9"),
    )
    assert found.texts == ["hi"]
    assert found.reasons == [
        "an automatic answer",
        "a notice of a mail server",
        "a notice of a mail server",
        "a draft, spam or thrown away",
        "no text of its own (quotes, a signature or attachments only)",
        "a mail without a sender",
        "a digest of a mailing list, not one mail",
    ]


def test_several_people_make_a_thread_that_is_nobodys(tmp_path: Path) -> None:
    found = taken(tmp_path, mail("hi all", Cc="Bo <bo@example.org>"), mail("hi"))
    assert [m["user_id"] for m in found.messages] == [None, "ana@example.org"]


def test_gmails_threads_and_mails_without_ids(tmp_path: Path) -> None:
    found = taken(
        tmp_path, mail("a", X_GM_THRID="1234"), mail("b", Subject="Re: Tea"), mail("c", Subject="RV: re: tea")
    )
    assert [m["session_id"] for m in found.messages] == ["mail/gm-1234", "mail/about tea", "mail/about tea"]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Date": "Thu, 01 May 2025 12:10:00 -0300 (ART)"}, datetime(2025, 5, 1, 15, 10, tzinfo=UTC)),
        ({"Date": "Thu, 01 May 2025 12:10:00"}, datetime(2025, 5, 1, 10, 10, tzinfo=UTC)),
        ({"Date": "1 May 25 12:10 EST"}, datetime(2025, 5, 1, 17, 10, tzinfo=UTC)),
        ({"Date": "mañana"}, datetime(2025, 5, 1, 10, tzinfo=UTC)),
        (
            {"Date": "Thu, 32 May 2025 12:10:00 +0000", "Received": "by x; Thu, 1 May 2025 12:11:00 +0000"},
            datetime(2025, 5, 1, 12, 11, tzinfo=UTC),
        ),
        ({"Date": "Thu, 1 May 2025 12:10:00 +9999"}, datetime(2025, 5, 1, 12, 10, tzinfo=UTC)),
    ],
)
def test_dates_of_all_kinds(tmp_path: Path, headers: dict[str, str], expected: datetime) -> None:
    assert taken(tmp_path, mail("hi", **headers), timezone="Europe/Madrid").messages[0]["occurred_at"] == expected


def test_a_sentence_that_starts_with_from_does_not_cut_a_mail(tmp_path: Path) -> None:
    found = taken(
        tmp_path, mail("one\n\nFrom Monday 5 May at 10:00 we open in 2025.\n\nFrom here on: all"), mail("two")
    )
    assert found.texts == ["one\n\nFrom Monday 5 May at 10:00 we open in 2025.\n\nFrom here on: all", "two"]


def test_other_programs_separators_line_ends_and_single_mails(tmp_path: Path) -> None:
    for start in (
        b"From - Thu May 01 10:00:00 2025",
        b"From 1234@xxx Thu May 01 10:00:00 +0000 2025",
        b"From ",
        b"From -",
    ):
        file = tmp_path / "Inbox"
        file.write_bytes((start + b"\n" + mail("a") + b"\n" + start + b"\n" + mail("b")).replace(b"\n", b"\r\n"))
        assert Mail().sniff(file, head_of(file)), start
        assert take(Mail(), file, agent="lumi").texts == ["a", "b"], start
    file = tmp_path / "one.eml"
    file.write_bytes(ASK)
    assert Mail().sniff(file, head_of(file))
    assert len(take(Mail(), file, agent="lumi").messages) == 1


def part(kind: str, data: bytes, **headers: str) -> bytes:
    given = {"Content-Type": kind, "Content-Transfer-Encoding": "base64"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    lines = "".join(f"{name}: {value}\n" for name, value in given.items())
    return f"--b\n{lines}\n".encode() + base64.encodebytes(data) + b"\n"


def mixed(*parts: bytes, kind: str = "mixed") -> bytes:
    return mail("", Content_Type=f"multipart/{kind}; boundary=b").rstrip(b"\n") + b"\n\n" + b"".join(parts) + b"--b--\n"


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (mixed(part("text/plain; charset=us-ascii", "señal".encode())), "señal"),
        (mixed(part("text/plain; charset=utf-8", "señal".encode("cp1252"))), "señal"),
        (mixed(part("text/plain; charset=x-nonsense", "señal".encode())), "señal"),
        (mixed(part("text/plain; charset=gb2312", "你好".encode("gb2312"))), "你好"),
        (
            mixed(part("text/plain", b"x"), part("text/plain; name=a.txt", b"file", Content_Disposition="attachment")),
            "x",
        ),
        (
            mixed(
                part("application/pdf", b"%PDF"), part("text/html", b"<p>one<br>two&nbsp;&amp;</p><style>p{}</style>")
            ),
            "one\ntwo &",
        ),
        (
            mixed(part("text/plain", b" \n"), part("text/html", b"<div>only page</div>"), kind="alternative"),
            "only page",
        ),
        (mixed(part("text/plain; format=flowed", b"a long \nline\n")), "a long line"),
        (mail("señal", Content_Type="text/plain; charset=hex"), "señal"),
    ],
)
def test_bodies_in_all_kinds_of_letters(tmp_path: Path, written: bytes, text: str) -> None:
    assert taken(tmp_path, written).texts == [text]


def test_headers_with_bare_bytes_are_read(tmp_path: Path) -> None:
    raw = (
        mail("hi")
        .replace(b"Ana <", "Añá, S.L. <".encode("cp1252"))
        .replace(b"From: A\xf1\xe1, S.L.", b'From: "A\xf1\xe1, S.L."')
    )
    assert taken(tmp_path, raw).names == {"ana@example.org": "Añá, S.L."}


@pytest.mark.parametrize(
    ("written", "own"),
    [
        ("yes\n\nOn Thu, 1 May 2025 at 12:00, Ana Gil <ana@example.org>\nwrote:\n\n> no\n", "yes"),
        ("On Thu, May 1, 2025 Ana wrote:\n> when?\nat nine\n> where?\nhere\n", "at nine\nhere"),
        ("ja\n\nAm 01.05.25 um 12:00 schrieb Ana Gil:\n> nein", "ja"),
        ("oui\n\nLe jeu. 1 mai 2025 à 12:00, Ana <ana@example.org> a écrit :\n> non", "oui"),
        ("sí\n\n-----Mensaje original-----\nDe: Ana\nno", "sí"),
        ("yes\n\n________________________________\nFrom: Ana <a@b.c>\nSent: Thursday\nno", "yes"),
        ("sí\n\nDe: Ana <a@b.c>\nEnviado el: jueves, 1 de mayo\nPara: Lumi\n\nno", "sí"),
        ("ok\n\nSent from my iPhone", "ok"),
        ("vale\nEnviado desde mi iPhone\n\nEl 1 may 2025, a las 12:00, Ana escribió:\n\nno", "vale"),
        ("a\n-- \nAna\nCEO", "a"),
        ("On Monday she wrote: buy milk", "On Monday she wrote: buy milk"),
        ("I said On 5 May that he wrote:\nthe book", "I said On 5 May that he wrote:\nthe book"),
        ("look\n\n---------- Forwarded message ---------\nFrom: Bo <b@c.d>\n\nbuy", "look"),
        ("a - b\n--\n", "a - b"),
    ],
)
def test_only_own_words_are_kept(written: str, own: str) -> None:
    assert own_words(written) == own


def test_a_page_without_its_quotes() -> None:
    page = (
        '<html><head><title>t</title></head><body><div>yes</div><div class="gmail_quote">On … wrote:<blockquote>no<br><blockquote>no'
        "</blockquote></blockquote></div><p>after</p></body>"
    )
    assert page_text(page).split() == ["yes", "after"]
    assert page_text('<p>yes</p><hr><div id="divRplyFwdMsg"><b>From:</b> Ana</div><div>no</div>').split() == ["yes"]
    assert page_text("<p>a<b>b</b> c</p>d").split("\n") == ["", "ab c", "d"]


def test_a_digest_is_the_mails_in_it(tmp_path: Path) -> None:
    inner = b"From: Bo <bo@example.org>\nMessage-ID: <i@x>\nDate: Thu, 1 May 2025 09:00:00 +0000\n\nfirst\n"
    digest = mixed(
        b"--b\n\n" + inner + b"\n--b\n\n" + inner.replace(b"first", b"second").replace(b"<i@", b"<j@") + b"\n",
        kind="digest",
    )
    assert taken(tmp_path, digest).said == [("bo@example.org", "first"), ("bo@example.org", "second")]


def test_only_mails_are_recognised(tmp_path: Path) -> None:
    for name, content in (
        ("a.txt", "From Madrid to Rome\nSubject: x\n"),
        ("a.mbox", "hello\n"),
        ("a.eml", "dear all\n"),
        ("a.txt", "From: me\nTo: you\nSubject: x\n"),
    ):
        assert not Mail().sniff(tmp_path / name, content), content


def test_broken_files_are_refused_in_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "x.mbox"
    for data in (b"", b"\n\n", b"From x\n", b"\x00" * 100, b"nothing\n", b"From x Thu May  1 10:00:00 2025\n\n\n"):
        file.write_bytes(data)
        with pytest.raises(SourceError):
            take(Mail(), file, agent="lumi")
    whole = mbox(tmp_path, ASK, ANSWER, mixed(part("text/html", b"<p>x</p>"), part("message/rfc822", ASK))).read_bytes()
    dice = random.Random(3)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(dice.randint(1, 30)):
            data[dice.randrange(len(data))] = dice.choice(b'\x00\xff\n\r:;<>=?"(- ')
        file.write_bytes(data[: dice.randrange(len(data))] if dice.random() < 0.3 else data)
        holds(Mail(), file, agent="lumi")
    nested = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(3_000))
    file.write_bytes(b"From x Thu May  1 10:00:00 2025\nFrom: Ana <a@b.c>\n" + nested)
    holds(Mail(), file, agent="lumi")


def test_mails_of_one_second_follow_what_they_answer(tmp_path: Path) -> None:
    def chain(number: int) -> bytes:
        own = {"From": "Lumi <lumi@shop.example>", "To": "ana@example.org"} if number % 2 else {}
        before = {"In_Reply_To": f"<m{number - 1}@x>"} if number else {}
        return mail(f"text {number}", Message_ID=f"<m{number}@x>", Subject="S", **own, **before)

    mails = [chain(number) for number in range(6)]
    for order in ([0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [3, 0, 5, 1, 4, 2]):
        found = taken(tmp_path, *(mails[number] for number in order))
        assert {m["session_id"] for m in found.messages} == {"mail/m0@x"}
        assert [m["text"] for m in sorted(found.messages, key=lambda m: m["turn"])] == [f"text {n}" for n in range(6)]
    round_ = [mail("a", Message_ID="<a@x>", In_Reply_To="<b@x>"), mail("b", Message_ID="<b@x>", In_Reply_To="<a@x>")]
    assert taken(tmp_path, *round_).texts == ["a", "b"]


@pytest.mark.parametrize("own", ["El pedido 12 llega hoy.", "On 5 May it rained.", "Am 3. war es kalt."])
def test_ones_own_sentence_announces_no_quote(own: str) -> None:
    assert own_words(f"{own}\n\nOn Monday 2, Ana <ana@example.org> wrote:\n> before\n") == own
    assert own_words(f"{own}\nEl lun, 2 jun 2025 a las 10:00, Ana (<ana@example.org>)\nescribió:\n> antes\n") == own
