"""WhatsApp: given a chat as a phone exports it, in whatever language, this is remembered."""

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from plugins.registry import PluginRegistry
from plugins.sources.reading import head_of
from plugins.sources.whatsapp.headers import day_of, header, hour_of, pattern_of
from plugins.sources.whatsapp.whatsapp import WhatsApp
from records.errors import SourceError
from serving.capture import choose_source
from tests.unit.taken import Taken, holds, take

LRM, NNBSP = "\u200e", "\u202f"
OLD = {"first_week": "2009-01-05", "now": datetime(2026, 6, 1, tzinfo=UTC)}


def taken(tmp_path: Path, *lines: str, called: str = "chat.txt", **options: object) -> Taken:
    """Return what is remembered of a chat of these lines, with Lumi as the agent."""
    file = tmp_path / called
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert WhatsApp().sniff(file, head_of(file))
    archive = options.pop("archive", None)
    return take(WhatsApp(), file, **{"agent": "Lumi", "called": archive, **OLD, **options})


def days(found: Taken) -> list[str]:
    return [f"{message['occurred_at']:%Y-%m-%d}" for message in found.messages]


def times(found: Taken) -> list[str]:
    return [f"{message['occurred_at']:%Y-%m-%d %H:%M:%S}" for message in found.messages]


# -- a whole chat of each kind ------------------------------------------------------------------------------------------


def test_a_day_begins_while_people_sleep(tmp_path: Path) -> None:
    found = taken(
        tmp_path,
        "30/03/2025, 03:58 - Nora: good night",
        "30/03/2025, 04:00 - Lumi: sleep well",
        "30/03/2025, 23:59 - Nora: are you awake?",
        "31/03/2025, 00:01 - Lumi: yes, are you?",
        "31/03/2025, 03:59 - Nora: no",
        "31/03/2025, 04:00 - Nora: good morning",
    )
    assert [message["session_id"][-10:] for message in found.messages] == [
        "2025-03-29", "2025-03-30", "2025-03-30", "2025-03-30", "2025-03-30", "2025-03-31",
    ]  # fmt: skip


def test_a_group_of_an_iphone_whose_notices_are_signed(tmp_path: Path) -> None:
    found = taken(
        tmp_path,
        f"[19/10/2025, 01:02:19] Viaje: {LRM}Los mensajes y las llamadas están cifrados de extremo a extremo. Nadie puede leerlos.",
        f"[19/10/2025, 01:02:19] Viaje: {LRM}Marc creó el grupo “Viaje: Roma”",
        f"[19/10/2025, 01:02:20] Marc: {LRM}Marc te añadió",
        "[19/10/2025, 01:03:00] Marc: hola, Lumi:",
        "¿vienes?",
        "",
        f"{LRM}[19/10/2025, 01:03:05] Marc: {LRM}imagen omitida",
        f"[19/10/2025, 01:03:06] Marc: mira {LRM}<adjunto: 00000012-PHOTO-2025-10-19-01-03-06.jpg>",
        f"[19/10/2025, 01:03:07] Marc: Contrato.pdf • {LRM}2 páginas {LRM}<adjunto: 00000013-Contrato.pdf>",
        f"[19/10/2025, 01:04:00] Zoë: {LRM}POLL:",
        "¿Dónde?",
        f"{LRM}OPTION: Casa ({LRM}2 votes)",
        f"{LRM}OPTION: Bar ({LRM}1 vote)",
        "",
        f"[19/10/2025, 01:05:00] Lumi: yo voto lo que diga @\u2068Marc\u2069 {LRM}<Se editó este mensaje.>",
        f"[19/10/2025, 01:06:00] Zoë: {LRM}Llamada perdida. {LRM}Toca para volver a llamar",
        f"[19/10/2025, 01:07:00] Viaje: {LRM}Zoë cambió el nombre del grupo a “Roma 2025”",
        f"[19/10/2025, 01:08:00] Zoë: {LRM}Eliminaste este mensaje.",
        f"[20/10/2025, 01:08:00] Zoë: {LRM}Ubicación: https://maps.google.com/?q=41.9,12.5",
        "[20/10/2025, 01:09:00] Zoë: borré este mensaje ayer, perdona",
    )
    assert found.said == [
        ("Marc", "hola, Lumi:\n¿vienes?"),
        ("Marc", "mira"),
        ("Zoë", "¿Dónde?\n- Casa\n- Bar"),
        ("Lumi", "yo voto lo que diga @Marc"),
        ("Zoë", "borré este mensaje ayer, perdona"),
    ]
    assert found.about("mira") == {"attachment": "00000012-PHOTO-2025-10-19-01-03-06.jpg"}
    assert found.about("¿Dónde?\n- Casa\n- Bar") == {"poll": [2, 1]}
    assert found.about("yo voto lo que diga @Marc") == {"edited": True}
    assert {message["session_id"] for message in found.messages} == {
        "whatsapp/group/viaje: roma/2025-10-18",
        "whatsapp/group/viaje: roma/2025-10-19",
    }
    assert {message["user_id"] for message in found.messages} == {None}
    assert sorted(found.reasons) == [
        "a call, no words in it",
        "a deleted message",
        "a location, no words in it",
        *["a notice of the app, nobody said it"] * 4,
        *["media without a caption"] * 2,
    ]


def test_a_private_chat_of_android(tmp_path: Path) -> None:
    found = taken(
        tmp_path,
        f"13/10/2025, 9:29{NNBSP}p. m. - Messages and calls are end-to-end encrypted. Learn more.",
        f"13/10/2025, 9:29{NNBSP}p. m. - Nora: hola\r",
        "13/10/2025, 9:30\u00a0p. m. - Nora: PTT-20251013-WA0014.opus (archivo adjunto)",
        f"13/10/2025, 9:31{NNBSP}p. m. - Nora: {LRM}IMG-20251013-WA0004.jpg (file attached)",
        "¡Feliz día!",
        f"13/10/2025, 9:31{NNBSP}p. m. - Nora: <Multimedia omitido>",
        f"13/10/2025, 9:31{NNBSP}p. m. - Nora: Mi carta a Ana.pdf (archivo adjunto)",
        "léela",
        f"13/10/2025, 9:32{NNBSP}p. m. - Nora: null",
        f"13/10/2025, 9:32{NNBSP}p. m. - Nora: ",
        f"13/10/2025, 9:33{NNBSP}p. m. - Your security code with Nora changed. Tap to learn more.",
        f"14/10/2025, 12:05{NNBSP}a. m. - LUMI: gracias\u2028de verdad <This message was edited>",
    )
    assert found.said == [
        ("Nora", "hola"),
        ("Nora", "¡Feliz día!"),
        ("Nora", "léela"),
        ("Lumi", "gracias\u2028de verdad"),
    ]
    assert times(found) == [
        "2025-10-13 21:29:00",
        "2025-10-13 21:31:00",
        "2025-10-13 21:31:00",
        "2025-10-14 00:05:00",
    ]
    assert found.about("¡Feliz día!") == {"attachment": "IMG-20251013-WA0004.jpg"}
    assert found.about("léela") == {"attachment": "pdf"}  # people write what is private into names of files
    assert {message["user_id"] for message in found.messages} == {"Nora"}
    assert [message["role"] for message in found.messages] == ["user", "user", "user", "agent"]
    assert {message["session_id"] for message in found.messages} == {"whatsapp/nora/2025-10-13"}
    assert all("Nora" not in reason and "Ana" not in reason for reason in found.reasons)


# -- headers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "moment"),
    [
        (f"2/13/23, 7:01{NNBSP}PM - Nora: hi", "2023-02-13 19:01:00"),
        ("2/13/23, 12:01 am - Nora: hi", "2023-02-13 00:01:00"),
        ("[27-11-18 18:43:20] Nora: hi", "2018-11-27 18:43:20"),
        ("[13.11.2025, 18:43:20] Nora: hi", "2025-11-13 18:43:20"),
        (f"{LRM}[13/11/2025, 6:43:20{NNBSP}p.\u00a0m.] Nora: hi", "2025-11-13 18:43:20"),
        ("13/11/25, 9:29 a. m. - Nora: hi", "2025-11-13 09:29:00"),
        ("26/09/2019 à 22:39 - Nora: hi", "2019-09-26 22:39:00"),
        ("13/10/2025 at 7:02 PM - Nora: hi", "2025-10-13 19:02:00"),
        ("13.6.2018 klo 21.25.15 - Nora: hi", "2018-06-13 21:25:15"),
        ("13.06.18 21.25.15: Nora: hi", "2018-06-13 21:25:15"),
        ("3/24/14, 1:59:59 PM: Nora: hi", "2014-03-24 13:59:59"),
        ("30/08/25 18.00 - Nora: hi", "2025-08-30 18:00:00"),
        ("2023-01-04 19:02 - Nora: hi", "2023-01-04 19:02:00"),
        ("2023-12-20, 5:46 p.m. - Nora: hi", "2023-12-20 17:46:00"),
        ("2021-03-12 19 h 02 - Nora: hi", "2021-03-12 19:02:00"),
        ("2023. 1. 4. 오후 7:02 - Nora: hi", "2023-01-04 19:02:00"),
        ("[2023. 1. 4. 오전 12:02:11] Nora: hi", "2023-01-04 00:02:11"),
        ("2023/1/4 下午7:02 - Nora: hi", "2023-01-04 19:02:00"),
        ("[2023/1/4 上午9:02:33] Nora: hi", "2023-01-04 09:02:33"),
        ("[2023/01/14 午後7:02:33] Nora: hi", "2023-01-14 19:02:33"),
        ("2023年1月4日 19:02 - Nora: hi", "2023-01-04 19:02:00"),
        ("\u200f١٤\u200f/٣\u200f/٢٠٢٥، ٩:٢٩ م - Nora: hi", "2025-03-14 21:29:00"),
        ("\u200f[١٤\u200f/٣\u200f/٢٠٢٥، ٩:٢٩:١٢ ص] Nora: hi", "2025-03-14 09:29:12"),
        ("۲۰۲۱/۵/۳۰،\u200f ۱۸:۴۴ - Nora: hi", "2021-05-30 18:44:00"),
        ("۱۴۰۳/۱/۱، ۱۸:۴۴ - Nora: hi", "2024-03-20 18:44:00"),
        ("१४/३/२०२५, ९:२९ am - Nora: hi", "2025-03-14 09:29:00"),
        ("[14.3.2025, 9:29:00 אחה״צ] Nora: hi", "2025-03-14 21:29:00"),
        ("[3/18/2565 BE, 14:56:01] Nora: hi", "2022-03-18 14:56:01"),
        ("[3/18/R4, 14:56:01] Nora: hi", "2022-03-18 14:56:01"),
        ("19:06, 13/1/2023 - Nora: hi", "2023-01-13 19:06:00"),
        ("[14:56:01, 3/18/22] Nora: hi", "2022-03-18 14:56:01"),
        ("Jan 4, 2015, 7:02 PM - Nora: hi", "2015-01-04 19:02:00"),
        ("4 de enero de 2015, 19:02 - Nora: hi", "2015-01-04 19:02:00"),
        ("13/10/2025, 24:05 - Nora: hi", "2025-10-13 00:05:00"),
    ],
)
def test_the_headers_that_phones_write(tmp_path: Path, line: str, moment: str) -> None:
    found = taken(tmp_path, line, "and more")
    assert found.said == [("Nora", "hi\nand more")]
    assert times(found) == [moment]


@pytest.mark.parametrize(
    "line",
    [
        "I said: at 10:11 - Nora: come",
        "99/99/2025, 99:99 - Nora: hi",
        "12/10/2025, 10:00 something else - Nora: hi",
        "12/10/2025 - bought milk",
        "10:11 - Nora: hi",
        "2025-01-01 10:00:00,123 - root - INFO - started",
    ],
)
def test_what_is_no_header(line: str) -> None:
    found = header(line)
    assert found is None or all(day_of(found.date, order) is None for order in ("dmy", "mdy", "ymd"))


def test_the_pattern_of_one_shape_finds_what_the_general_one_finds() -> None:
    dice = random.Random(5)
    for _ in range(2_000):
        sep, year = dice.choice("/.-"), dice.choice(["25", "2025"])
        day = dice.choice([f"{dice.randint(1, 31):02}", str(dice.randint(1, 31))])
        half = dice.choice(["", f"{NNBSP}PM", " a. m.", " م"])
        second = dice.choice(["", ":07"])
        clock = f"{dice.choice(['9', '09', '11'])}:{dice.randint(0, 59):02}{second}{half}"
        comma = dice.choice([", ", " ", "، ", " um "])
        date = f"{day}{sep}{dice.randint(1, 12)}{sep}{year}"
        stamp = dice.choice([f"[{date}{comma}{clock}] ", f"{date}{comma}{clock} - ", f"{LRM}[{date}{comma}{clock}] "])
        line = f"{stamp}Nora: hi"
        found = header(line)
        assert found is not None, line
        match = pattern_of(found.shape, [found.beside]).match(line)
        assert match is not None, line
        assert (match["a"], match["b"], match["c"]) == found.date
        assert line[match.end() :] == line[found.end :] == "Nora: hi"
        assert 0 <= hour_of(found.hour, found.half) < 24


# -- day or month -------------------------------------------------------------------------------------------------------


def test_the_order_of_the_file_says_which_number_is_the_month(tmp_path: Path) -> None:
    american = ("1/4/23, 7:02 PM - Nora: first", "2/2/23, 2:51 AM - Lumi: second", "2/4/23, 10:02 PM - Nora: third")
    found = taken(tmp_path, *american)
    assert days(found) == ["2023-01-04", "2023-02-02", "2023-02-04"]
    assert found.texts == ["first", "second", "third"]
    assert not found.notes
    assert days(taken(tmp_path, "30/1/23, 9:00 - Nora: a", "1/2/23, 9:00 - Lumi: b", "2/2/23, 9:00 - Nora: c")) == [
        "2023-01-30",
        "2023-02-01",
        "2023-02-02",
    ]
    assert days(taken(tmp_path, "23/12/30 9:02 - Nora: a", "23/12/31 9:02 - Lumi: b", "24/01/01 9:02 - Nora: c")) == [
        "2023-12-30",
        "2023-12-31",
        "2024-01-01",
    ]


def test_what_is_asked_for_is_obeyed_and_what_nothing_decides_is_told(tmp_path: Path) -> None:
    lines = ("3/4/2025, 10:00 - Nora: a", "3/4/2025, 10:01 - Lumi: b")
    found = taken(tmp_path, *lines)
    assert days(found) == ["2025-04-03"] * 2
    assert [note for note in found.notes if "--month-first" in note]
    assert days(taken(tmp_path, *lines, day_first=False)) == ["2025-03-04"] * 2
    american = taken(tmp_path, "3/4/2025, 10:00 AM - Nora: a", "3/4/2025, 10:01 AM - Lumi: b")
    assert days(american) == ["2025-03-04"] * 2
    assert [note for note in american.notes if "--day-first" in note]
    # One day after the other is likelier than the same day of every month, whatever the clock.
    dense = taken(tmp_path, *(f"{day}/4/2025, 10:00 AM - {who}: x" for day in range(1, 7) for who in ("Nora", "Lumi")))
    assert days(dense)[-1] == "2025-04-06"
    wrong = taken(tmp_path, *(f"{day}/10/2025, 10:00 - Nora: x" for day in range(13, 20)), day_first=False)
    assert not wrong.messages
    assert set(wrong.reasons) == {"a date that does not exist"}
    assert [note for note in wrong.notes if "--day-first" in note]
    against = [f"{day}/{month}/2025, 10:00 - Nora: x" for month in (1, 2) for day in range(1, 13)]
    asked = taken(tmp_path, *against, day_first=False)
    assert len(asked.messages) == 24
    assert [note for note in asked.notes if "--day-first" in note]
    assert days(taken(tmp_path, "4/4/2025, 10:00 - Nora: a")) == ["2025-04-04"]


def test_a_reading_in_which_messages_are_of_the_future_is_none(tmp_path: Path) -> None:
    found = taken(tmp_path, "3/12/26, 10:00 - Nora: a", "3/12/26, 10:01 - Lumi: b")
    assert days(found) == ["2026-03-12"] * 2
    assert not found.notes


def test_a_date_that_exists_under_no_reading_is_refused_with_its_text(tmp_path: Path) -> None:
    found = taken(tmp_path, "31/02/2025, 10:00 - Nora: hi", "more", "01/03/2025, 10:02 - Lumi: hello")
    assert found.texts == ["hello"]
    assert found.rejects[0]["raw"].endswith("hi\nmore")


# -- pasted lines -------------------------------------------------------------------------------------------------------

PASTED = {
    "with a month where the chat has days, and other zeros": (
        ("28/3/2025, 21:29 - Nora: good night", "3/4/2025, 09:10 - Lumi: see you", "4/4/2025, 10:00 - Nora: it says:"),
        ("04/24/2025, 10:30 - Flight Desk: gate opens", "bring your passport"),
        ("5/4/2025, 11:00 - Lumi: fine",),
    ),
    "with a month where the chat has days": (
        ("28/3/2025, 21:29 - Nora: good night", "3/4/2025, 09:10 - Lumi: see you", "4/4/2025, 10:00 - Nora: it says:"),
        ("4/24/2025, 10:30 - Flight Desk: gate opens",),
        ("5/4/2025, 11:00 - Lumi: fine",),
    ),
    "of the same people, months before": (
        ("20/06/2025, 10:00 - Lumi: hi", "20/06/2025, 10:01 - Nora: you wrote:"),
        ("12/03/2025, 10:11 - Lumi: I will come", "12/03/2025, 10:12 - Lumi: for sure"),
        ("20/06/2025, 10:02 - Lumi: true",),
    ),
    "of a stranger, the day before yesterday": (
        ("20/06/2025, 10:00 - Lumi: hi", "20/06/2025, 10:01 - Nora: they say:"),
        ("18/06/2025, 09:11 - Flight Desk: gate opens",),
        ("20/06/2025, 10:02 - Lumi: good",),
    ),
    "of a day to come": (
        ("20/06/2025, 10:00 - Lumi: hi", "20/06/2025, 10:01 - Nora: look:"),
        ("24/12/2025, 20:00 - Santa: ho ho",),
        ("20/06/2025, 10:02 - Lumi: nice", "21/06/2025, 10:02 - Nora: yes"),
    ),
    "as WhatsApp Web copies them": (
        ("20/06/2025, 10:00 - Lumi: hi", "20/06/2025, 10:01 - Nora: this:"),
        ("[09:11, 20/6/2025] Lumi: I come", "[09:12, 20/6/2025] Nora: ok"),
        ("20/06/2025, 10:05 - Lumi: yes",),
    ),
    "of an iPhone": (
        ("20/06/2025, 10:00 - Lumi: hi", "20/06/2025, 10:01 - Nora: this:"),
        ("[20/06/2025, 09:12:44] Marc: I come",),
        ("20/06/2025, 10:05 - Lumi: yes",),
    ),
    "at the end of the file": (
        ("20/06/2025, 10:00 - Lumi: hi", "20/06/2025, 10:01 - Nora: this:"),
        ("12/03/2025, 10:11 - Flight Desk: gate opens",),
        (),
    ),
}


@pytest.mark.parametrize("kind", PASTED)
def test_lines_pasted_into_a_message_stay_in_it(tmp_path: Path, kind: str) -> None:
    before, pasted, after = PASTED[kind]
    found = taken(tmp_path, *before, *pasted, *after)
    assert {message["speaker_id"] for message in found.messages} == {"Nora", "Lumi"}
    assert {message["user_id"] for message in found.messages} == {"Nora"}
    assert len(found.messages) == len(before) + len(after)
    host = found.messages[len(before) - 1]
    assert host["text"].split("\n")[1:] == list(pasted)
    assert days(found) == sorted(days(found))
    assert not found.rejects


def test_silence_and_phones_that_were_offline_are_no_pasted_lines(tmp_path: Path) -> None:
    found = taken(
        tmp_path,
        "20/01/2025, 10:00 - Nora: hi",
        "20/06/2025, 10:01 - Lumi: hello again",
        "21/06/2025, 10:01 - Lumi: later",
        "20/06/2025, 23:01 - Nora: sent from the train",
        "21/06/2025, 09:05 - Nora: from the platform",
        "21/06/2025, 10:05 - Nora: home",
    )
    assert found.texts == ["hi", "hello again", "later", "sent from the train", "from the platform", "home"]
    assert found.messages[4]["follows"] == found.messages[2]["message_id"]
    assert times(found)[2:] == [
        "2025-06-21 10:01:00",
        "2025-06-20 23:01:00",
        "2025-06-21 09:05:00",
        "2025-06-21 10:05:00",
    ]


def test_two_exports_in_one_file_are_both_read(tmp_path: Path) -> None:
    android = [f"{1 + i // 10:02}/06/2025, 10:{i % 60:02} - {('Nora', 'Lumi')[i % 2]}: a{i}" for i in range(100)]
    iphone = [f"[{1 + i // 10:02}/03/2024, 10:{i % 60:02}:00] {('Nora', 'Lumi')[i % 2]}: b{i}" for i in range(60)]
    assert len(taken(tmp_path, *android, *iphone).messages) == 160


def test_a_chat_that_changes_between_12_and_24_hours(tmp_path: Path) -> None:
    found = taken(
        tmp_path,
        "[26.06.25, 15:30:00] Nora: Hallo!",
        "[26.06.25, 3:31:00 PM] Lumi: gut",
        "[27.06.25, 9:15:00 AM] Nora: Bis später!",
    )
    assert times(found) == ["2025-06-26 15:30:00", "2025-06-26 15:31:00", "2025-06-27 09:15:00"]


# -- what nobody said ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("omitted", "attached", "deleted"),
    [
        ("<Media omitted>", "file attached", "This message was deleted"),
        ("<Multimedia omitido>", "archivo adjunto", "Se eliminó este mensaje."),
        ("<Mídia oculta>", "arquivo anexado", "Mensagem apagada"),
        ("<Médias omis>", "fichier joint", "Ce message a été supprimé"),
        ("<Medien ausgeschlossen>", "Datei angehängt", "Diese Nachricht wurde gelöscht."),
        ("<Media omessi>", "file allegato", "Questo messaggio è stato eliminato"),
        ("<Media weggelaten>", "bestand bijgevoegd", "Dit bericht is verwijderd"),
        ("<Medya dahil edilmedi>", "dosya ekli", "Bu mesaj silindi"),
        ("<Без медиафайлов>", "файл добавлен", "Данное сообщение удалено."),
        ("<pominięto multimedia>", "załączony plik", "Ta wiadomość została usunięta"),
        ("<تم استبعاد الوسائط>", "الملف مرفق", "تم حذف هذه الرسالة"),
        ("<رسانه حذف شد>", "پیوست شد", "این پیام حذف شد"),
        ("<המדיה לא נכללה>", "קובץ מצורף", "הודעה זו נמחקה"),
        ("<मीडिया के बिना>", "फाइल अटैच कर दी गई है", "यह मैसेज डिलीट कर दिया गया है"),
        ("<Media tidak disertakan>", "file terlampir", "Pesan ini telah dihapus"),
        ("<メディアなし>", "添付ファイル有り", "このメッセージは削除されました"),
        ("<省略多媒体文件>", "文件附件", "此消息已删除。"),
        ("<미디어 파일 제외됨>", "파일 첨부됨", "이 메시지는 삭제되었습니다."),
    ],
)
def test_what_android_writes_for_media_in_each_language(
    tmp_path: Path, omitted: str, attached: str, deleted: str
) -> None:
    found = taken(
        tmp_path,
        f"13/10/2025, 10:00 - Nora: {omitted}",
        f"13/10/2025, 10:00 - Nora: {omitted}",
        "a caption",
        f"13/10/2025, 10:01 - Nora: my file.pdf ({attached})",
        f"13/10/2025, 10:01 - Nora: {deleted}",
        "13/10/2025, 10:02 - Lumi: ok",
    )
    assert found.texts == ["a caption", "ok"]
    assert sorted(found.reasons) == ["a deleted message", "media without a caption", "media without a caption"]


@pytest.mark.parametrize(
    "words",
    [
        "image omitted",
        "imagen omitida",
        "Bild weggelassen",
        "image absente",
        "immagine omessa",
        "imagem ocultada",
        "afbeelding weggelaten",
        "görüntü dahil edilmedi",
        "изображение отсутствует",
        "obraz pominięty",
        "لم يتم إدراج الصورة",
        "تصویر حذف شد",
        "התמונה הושמטה",
        "फ़ोटो हटाई गई",
        "gambar tidak disertakan",
        "画像は含まれていません",
        "照片已忽略",
        "이미지 생략됨",
        "ไม่มีรูปภาพ",
    ],
)
def test_what_an_iphone_writes_for_media_in_each_language(tmp_path: Path, words: str) -> None:
    found = taken(
        tmp_path,
        f"{LRM}[13/10/2025, 10:00:00] Nora: {LRM}{words}",
        f"{LRM}[13/10/2025, 10:00:01] Nora: my cat {LRM}{words}",
        "[13/10/2025, 10:02:00] Lumi: ok",
    )
    assert found.said == [("Nora", "my cat"), ("Lumi", "ok")]
    assert found.reasons == ["media without a caption"]
    assert found.messages[0]["user_id"] == "Nora"


@pytest.mark.parametrize(
    "body",
    [
        "I deleted this message yesterday, sorry",
        "This message was deleted by mistake, what did you say?",
        "we missed call time",
        "Missed video call, call me back!",
        "why was the image omitted",
        "<smiles softly>",
        "I <3 you",
        "без медиафайлов",
        "Messages and calls are end-to-end encrypted, right?",
        "look https://maps.google.com/?q=51.5,-0.12",
        "we meet here: https://maps.google.com/?q=51.5,-0.12",
        "the letter (file attached)",
        "null and void",
        "I created group “Trip”",
        "OPTION: tea",
        "are you there:",
    ],
)
def test_what_people_say_about_such_things_is_speech(tmp_path: Path, body: str) -> None:
    for header_ in ("13/10/2025, 10:00 - ", "[13/10/2025, 10:00:00] "):
        found = taken(tmp_path, f"{header_}Nora: {body}", f"{header_}Lumi: ok")
        assert found.texts == [body, "ok"]


@pytest.mark.parametrize(
    "body",
    [
        "Missed voice call",
        "Missed video call. Tap to call back",
        "Videollamada perdida.",
        "You deleted this message",
        "This message was deleted by admin Marc.",
        "Waiting for this message. This may take a while.",
        "You received a view once message. For added privacy, you can only open it on your phone.",
        "<View once voice message omitted>",
        "<Video note omitted>",
        "live location shared",
        "Location: https://maps.google.com/?q=51.5,-0.12",
        "Pimlico Gardens (London): https://foursquare.com/v/4e89af95e5fa82ad4c0aa03b",
        "Marc.vcf (file attached)",
        "STK-20251013-WA0004.webp (in a language that nobody wrote down)",
        "Some file.txt document omitted",
        "Messages and calls are end-to-end encrypted. Only people in this chat can read them.",
    ],
)
def test_what_nobody_says_is_kept_as_a_reject(tmp_path: Path, body: str) -> None:
    for start in ("13/10/2025, 10:00 - ", "[13/10/2025, 10:00:00] "):
        found = taken(tmp_path, f"{start}Nora: {body}", f"{start}Nora: hi", f"{start}Lumi: ok")
        assert found.texts == ["hi", "ok"]
        assert body in found.rejects[0]["raw"]


@pytest.mark.parametrize(
    "notice",
    [
        'Nora changed the subject to "Trip: Rome"',
        "Marc cambió la descripción del grupo a: normas",
        "Nora hat die Gruppe „Reise: Rom“ erstellt",
        "Nora a changé le sujet de “A: b” à “C”",
        "Noraがグループ名を「旅行: 夏」に変更しました",
        'Nora добавил(-а) эту группу в сообщество "Дом: Двор"',
        'Nora grup adını "Gezi: Roma" olarak değiştirdi',
        "الرسائل والمكالمات مشفّرة بالكامل: لا أحد خارج هذه الدردشة يستطيع قراءتها",
    ],
)
def test_a_colon_in_a_notice_makes_no_speaker(tmp_path: Path, notice: str) -> None:
    found = taken(
        tmp_path, f"13/10/2025, 10:00 - {notice}", "13/10/2025, 10:01 - Nora: hi", "13/10/2025, 10:02 - Lumi: hello"
    )
    assert {message["speaker_id"] for message in found.messages} == {"Nora", "Lumi"}
    assert found.reasons == ["a notice of the app, nobody said it"]


@pytest.mark.parametrize(
    "mark",
    [
        "This message was edited",
        "Se editó este mensaje.",
        "Diese Nachricht wurde bearbeitet.",
        "Ce message a été modifié",
        "Mensagem editada",
        "Questo messaggio è stato modificato",
        "Bu mesaj düzenlendi",
        "Сообщение изменено",
        "הודעה זו נערכה",
    ],
)
def test_the_mark_of_an_edited_message_is_no_text(tmp_path: Path, mark: str) -> None:
    found = taken(tmp_path, f"13/10/2025, 10:00 - Nora: one\ntwo <{mark}>", "13/10/2025, 10:00 - Lumi: I <3 it")
    assert found.texts == ["one\ntwo", "I <3 it"]
    assert found.about("one\ntwo") == {"edited": True}
    iphone = taken(
        tmp_path,
        f"[13/10/2025, 10:00:00] Nora: one {LRM}<in some other language>",
        f"[13/10/2025, 10:00:00] Nora: {LRM}@\u2068Lumi\u2069 look",
    )
    assert iphone.texts == ["one", "@Lumi look"]


def test_text_before_the_first_message_is_kept_as_a_reject(tmp_path: Path) -> None:
    found = taken(tmp_path, "and so on", "13/10/2025, 10:00 - Nora: hi")
    assert found.texts == ["hi"]
    assert found.reasons == ["text before the first message"]


# -- who is who, and which chat -----------------------------------------------------------------------------------------


def test_the_agent_is_found_however_its_name_is_written(tmp_path: Path) -> None:
    for written, asked in (("LUMÍ", "lumi"), ("Lumi 🤖✨", "Lumi"), ("Lumi", "lumi 💛"), (f"~{NNBSP}Lumi", "Lumi")):
        found = taken(tmp_path, "13/10/2025, 10:00 - Nora: hi", f"13/10/2025, 10:01 - {written}: hello", agent=asked)
        assert found.said == [("Nora", "hi"), (asked, "hello")]
        assert found.messages[1]["role"] == "agent"
        assert found.messages[0]["session_id"] == "whatsapp/nora/2025-10-13"
    number = taken(
        tmp_path,
        "[13/10/2025, 10:00:00] \u202a+34\u00a0600\u00a011\u00a022\u00a033\u202c: hi",
        "[13/10/2025, 10:00:00] Nora: hello",
        agent="+34600112233",
    )
    assert number.said[0] == ("+34600112233", "hi")


def test_an_agent_must_be_named_and_is_told_when_nobody_is_it(tmp_path: Path) -> None:
    lines = ("13/10/2025, 10:00 - Nora: hi", "13/10/2025, 10:01 - Lumi: hello")
    with pytest.raises(SourceError, match="--agent.*Lumi, Nora"):
        taken(tmp_path, *lines, agent=None)
    found = taken(tmp_path, *lines, agent="Max")
    assert [message["role"] for message in found.messages] == ["user", "user"]
    assert [note for note in found.notes if "nobody in it is called Max" in note]


def test_people_who_are_no_contacts(tmp_path: Path) -> None:
    found = taken(tmp_path, f"[13/10/2025, 10:00:00] ~{NNBSP}Nora: hi", "[13/10/2025, 10:01:00] Lumi: hello")
    assert found.messages[0]["user_id"] == "Nora"
    two = taken(
        tmp_path,
        f"[13/10/2025, 10:00:00] ~{NNBSP}Nora: hi",
        "[13/10/2025, 10:01:00] Lumi: hello",
        "[13/10/2025, 10:02:00] Nora: I am another",
    )
    assert len({message["speaker_id"] for message in two.messages}) == 3


def test_a_renamed_export_is_the_same_chat(tmp_path: Path) -> None:
    lines = ("12/10/2025, 10:00 - Nora: hi", "13/10/2025, 10:02 - Lumi: hello")
    names = ("WhatsApp Chat with Nora.txt", "WhatsApp Chat with Nora (1).txt", "chat.txt", "_chat.txt", "old/x.TXT")
    ids = {frozenset(taken(tmp_path, *lines, called=name).ids) for name in names}
    assert len(ids) == 1
    longer = taken(tmp_path, *lines, "13/10/2025, 10:03 - Nora: and more")
    assert ids.pop() < longer.ids


def test_two_people_s_exports_of_one_name_share_no_session(tmp_path: Path) -> None:
    nora = taken(tmp_path, "[19/10/2025, 10:00:00] Nora: hi", "[19/10/2025, 10:02:00] Lumi: hi", called="_chat.txt")
    marc = taken(tmp_path, "[19/10/2025, 10:00:00] Marc: hi", "[19/10/2025, 10:02:00] Lumi: hi", called="_chat.txt")
    group = taken(
        tmp_path,
        f"[19/10/2025, 10:00:00] Nora: {LRM}Marc created group “Nora”",
        "[19/10/2025, 10:00:00] Marc: hi",
        "[19/10/2025, 10:02:00] Lumi: hi",
        called="_chat.txt",
    )
    sessions = [{message["session_id"] for message in found.messages} for found in (nora, marc, group)]
    assert len(set().union(*sessions)) == 3


def test_a_group_keeps_its_first_name(tmp_path: Path) -> None:
    lines = [
        '12/10/2025, 10:00 - Nora created group "Trip"',
        "12/10/2025, 10:00 - Nora: hi",
        "12/10/2025, 10:01 - Marc: hi",
        "12/10/2025, 10:02 - Lumi: hi",
    ]
    before = taken(tmp_path, *lines)
    after = taken(tmp_path, *lines, '13/10/2025, 10:00 - Marc changed the subject from "Trip" to "Rome"')
    assert before.ids == after.ids
    assert before.messages[0]["session_id"] == "whatsapp/group/trip/2025-10-12"


@pytest.mark.parametrize(
    ("called", "archive", "chat"),
    [
        ("WhatsApp Chat with Trip (1).txt", None, "trip"),
        ("Chat de WhatsApp con Trip.txt", None, "trip"),
        ("_chat.txt", "WhatsApp Chat - Trip (2)", "trip"),
        ("Trip ile WhatsApp Sohbeti.txt", None, "trip"),
        ("WhatsApp_Chat_with_Trip.txt", None, "trip"),
        ("TripとのWhatsAppチャット.txt", None, "trip"),
    ],
)
def test_a_group_that_nothing_names_is_called_by_its_file(
    tmp_path: Path, called: str, archive: str | None, chat: str
) -> None:
    lines = [f"12/10/2025, 10:0{i} - {who}: hi" for i, who in enumerate(("Nora", "Marc", "Lumi"))]
    found = taken(tmp_path, *lines, called=called, archive=archive)
    assert {message["session_id"] for message in found.messages} == {f"whatsapp/group/{chat}/2025-10-12"}
    unnamed = [taken(tmp_path, *lines, called=name).ids for name in ("chat.txt", "export.txt")]
    assert unnamed[0] == unnamed[1]
    other = taken(tmp_path, "12/10/2025, 09:00 - Nora: earlier", *lines)
    assert not unnamed[0] & other.ids


def test_a_chat_in_which_only_the_agent_speaks_is_with_whom_its_file_says(tmp_path: Path) -> None:
    found = taken(tmp_path, "[12/10/2025, 10:00:00] Lumi: hi", called="_chat.txt", archive="WhatsApp Chat - Nora")
    assert (found.messages[0]["user_id"], found.messages[0]["session_id"]) == ("Nora", "whatsapp/nora/2025-10-12")


# -- times and repeats --------------------------------------------------------------------------------------------------


def test_the_hour_that_comes_twice_in_autumn(tmp_path: Path) -> None:
    clock = ("01:59", "02:30", "02:59", "02:01", "02:40", "03:01")
    lines = [f"26/10/2025, {time} - {('Nora', 'Lumi')[i % 2]}: {i}" for i, time in enumerate(clock)]
    found = taken(tmp_path, "25/10/2025, 12:00 - Nora: noon", *lines, timezone="Europe/Madrid")
    assert [f"{message['occurred_at']:%H:%M}" for message in found.messages] == [
        "10:00",
        "23:59",
        "00:30",
        "00:59",
        "01:01",
        "01:40",
        "02:01",
    ]


def test_equal_minutes_keep_the_order_of_the_file_and_equal_lines_are_two(tmp_path: Path) -> None:
    found = taken(
        tmp_path,
        *(f"13/10/2025, 10:00 - {who}: {text}" for who, text in [("Nora", "ok"), ("Lumi", "b"), ("Nora", "ok")]),
    )
    assert found.texts == ["ok", "b", "ok"]
    assert len(found.ids) == 3
    first, second, third = found.messages
    assert (second["follows"], third["follows"]) == (first["message_id"], second["message_id"])
    assert taken(tmp_path, *("13/10/2025, 10:00 - Nora: ok",) * 2).ids <= found.ids


# -- files --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_encodings_and_windows_lines(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "chat.txt"
    file.write_bytes("[12/10/2025, 10:00:00] Nora: hí\r\n[13/10/2025, 10:02:00] Lumi: hello\r\n\r\n".encode(encoding))
    assert choose_source(PluginRegistry(), str(file), None).name == "whatsapp"
    assert take(WhatsApp(), file, agent="Lumi").texts == ["hí", "hello"]


@pytest.mark.parametrize(
    "text",
    [
        "hello\n",
        "2025-01-01 10:00:00 - INFO: started\n2025-01-01 10:00:01 - app: x\n",
        "[2025-01-01 10:00:00] local.ERROR: broken\n[2025-01-01 10:00:01] local.INFO: done\n",
        "2025-01-01 10:00:00 - app.main: started\n",
        "12/03/2025 10:00:00 - WARNING: low disk\n12/03/2025 10:00:01 - Error: no disk\n",
        "2025-01-01T10:00:00Z host app[12]: started\n",
        "when,who,text\n2025-01-01 10:00,Nora,hi\n",
        "12/03/2025, 10:11 - bought milk\n",
        "99/99/9999, 10:00 - Nora: hi\n",
        "line\n" * 40 + "12/03/2025, 10:11 - Nora: hi\n",
        "",
    ],
)
def test_what_is_not_claimed(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.txt"
    file.write_text(text, encoding="utf-8")
    assert not WhatsApp().sniff(file, text)
    assert not WhatsApp().sniff(tmp_path / "a.csv", "12/03/2025, 10:11 - Nora: hi\n")


def test_a_file_without_messages_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("nothing\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"a\.txt: no line looks like a WhatsApp message"):
        take(WhatsApp(), file, agent="Lumi")


def test_a_message_of_very_many_lines(tmp_path: Path) -> None:
    found = taken(
        tmp_path, "13/10/2025, 10:00 - Nora: start", *["a line of it"] * 100_000, "14/10/2025, 10:00 - Lumi: ok"
    )
    assert [text.count("\n") for text in found.texts] == [100_000, 0]


def test_broken_files_are_read_or_refused(tmp_path: Path) -> None:
    dice = random.Random(3)
    starts = [
        "[19/10/2025, 01:02:19] Nora: ",
        "12/03/2025, 10:11 - Nora: ",
        "\u200f١٢\u200f/٣\u200f/٢٠٢٥، ٩:٢٩ م - نورا: ",
        "99/99/9999, 99:99 - X: ",
        "[3/18/R9999, 14:56:01] E: ",
        "9999/12/31, 23:59 - Z: ",
        "1403/12/30, 10:00 - P: ",
    ]
    bodies = [
        "hi",
        f"{LRM}image omitted",
        "<" * 50,
        "POLL:",
        "OPTION: A (99999999999 votes)",
        "\x00",
        '"',
        "",
        ": ",
        "\u202e" * 9,
    ]
    file = tmp_path / "chat.txt"
    for _ in range(150):
        lines = [dice.choice([*starts, ""]) + dice.choice(bodies) for _ in range(dice.randint(1, 20))]
        data = "\n".join(lines).encode()
        cut = dice.randrange(len(data) + 1)
        file.write_bytes(data[:cut] + bytes([dice.randrange(256)]) * dice.randint(0, 2) + data[cut:])
        zone = dice.choice(["UTC", "Pacific/Apia"])
        holds(
            WhatsApp(),
            file,
            agent=dice.choice(["Nora", "M", None]),
            timezone=zone,
            day_first=dice.choice([None, True, False]),
        )


def test_what_was_pasted_from_an_iphone_stays_inside_of_its_message(tmp_path: Path) -> None:
    """An iPhone ends messages with a carriage return: a line without one begins none, whatever it looks like."""
    file = tmp_path / "_chat.txt"
    inner = "[22/01/2025, 09:58:00] Bob: see you\n[22/01/2025, 09:59:00] Nora: ok\r\n"
    file.write_bytes(
        f"[22/01/2025, 10:00:00] Nora: look:\n{inner}[22/01/2025, 10:01:00] Lumi: I see\r\n[22/01/2025, 10:02:00] Nora: yes\r\n".encode()
    )
    found = take(WhatsApp(), file, agent="Lumi")
    assert {m["speaker_id"] for m in found.messages} == {"Nora", "Lumi"}
    assert found.texts[0] == f"look:\n{inner.strip()}"
    # A file of which a part was saved by an editor: lines inside go on in time, and are messages.
    edited = "".join(f"[22/01/2025, 10:0{n}:00] {'Lumi' if n % 2 else 'Nora'}: m{n}\n" for n in range(6))
    file.write_bytes(f"[22/01/2025, 09:00:00] Nora: hi\r\n{edited}[22/01/2025, 11:00:00] Nora: bye\r\n".encode())
    assert len(take(WhatsApp(), file, agent="Lumi").messages) == 8


@pytest.mark.parametrize(
    ("line", "time"),
    [
        ("2024-06-27, 8:04:08 PM: Nora: hi: you", "2024-06-27 20:04:08"),
        ("27.06.2024 - 20:04:08; Nora: hi: you", "2024-06-27 20:04:08"),
    ],
)
def test_headers_of_old_exports_and_of_viewers(tmp_path: Path, line: str, time: str) -> None:
    found = taken(tmp_path, line, line.replace("Nora", "Lumi"), agent="Lumi")
    assert (times(found), found.texts) == ([time] * 2, ["hi: you"] * 2)
    assert WhatsApp().sniff(tmp_path / "chat.txt", f"{line}\n")
