"""JSON lines and CSV: given a table of messages or exchanges, this is remembered."""

import json
import random
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from plugins.contracts import SourceOptions
from plugins.sources.reading import head_of
from plugins.sources.tables.tabular import Csv, JsonLines
from records.errors import AgentNeeded, SourceError
from tests.unit.taken import Taken, holds, mutants, take

ROW = {"agent_id": "lumi", "user_id": "u", "occurred_at": "2025-01-06T10:00:00Z"}


def jsonl(tmp_path: Path, *rows: Any, name: str = "log.jsonl", **options: Any) -> Taken:
    file = tmp_path / name
    file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return take(JsonLines(), file, **options)


def table(tmp_path: Path, text: str, encoding: str = "utf-8", name: str = "log.csv", **options: Any) -> Taken:
    file = tmp_path / name
    file.write_bytes(text.encode(encoding))
    return take(Csv(), file, **{"agent": "Lumi", **options})


def test_messages_and_exchanges_are_taken_and_what_is_none_is_refused(tmp_path: Path) -> None:
    found = jsonl(
        tmp_path,
        ROW | {"text": "hola", "role": "user"},
        ROW | {"input_text": "¿qué tal?", "output_text": "bien", "occurred_at": 1736157600},
        "{not json",
        ROW,
        ROW | {"text": "x", "occurred_at": "2999-01-01"},
        ROW | {"text": "x", "occurred_at": "1999-01-01"},
        ROW | {"text": "x", "role": "wizard"},
        ROW | {"text": "x", "occurred_at": "yesterday"},
        "[1]",
        "7",
        '{"text": "cut of',
    )
    assert [(m["role"], m["text"]) for m in found.messages] == [
        ("user", "hola"),
        ("user", "¿qué tal?"),
        ("agent", "bien"),
    ]
    reasons = {reject["line"]: reject["reason"] for reject in found.rejects}
    assert reasons[3] == reasons[9] == reasons[10] == "not a JSON object"
    assert reasons[4] == "no text"
    assert "future" in reasons[5]
    assert "before the first week" in reasons[6]
    assert "unknown role" in reasons[7]
    assert "cannot be read" in reasons[8]
    assert "truncated" in reasons[11]


def test_an_exchange_is_two_messages_of_which_each_keeps_what_is_its_own(tmp_path: Path) -> None:
    exchange = ROW | {
        "input_text": "q", "output_text": "a", "turn": 3, "input_emotion": "joy", "output_emotion": "fear",
        "model_version": "m", "importance": 0.4, "rating": "up", "correct": "false", "quality": 7,
    }  # fmt: skip
    asked, answered = jsonl(tmp_path, exchange).messages
    assert (asked["emotion"], asked["model_version"], asked["turn"]) == ("joy", None, 6)
    assert (answered["emotion"], answered["model_version"], answered["turn"]) == ("fear", "m", 7)
    assert asked["importance"] == answered["importance"] == 0.4
    assert answered["follows"] == asked["message_id"]
    file = tmp_path / "log.jsonl"
    [batch] = JsonLines().read(str(file), SourceOptions())
    assert [row.get("feedback") for row in batch.rows] == [None, {"rating": 1.0, "correct": False}]
    for turn in ("inf", "1e400", "x", -1, [1]):
        assert len(jsonl(tmp_path, exchange | {"turn": turn}).rejects) == 2


def test_exchanges_of_one_time_stay_in_pairs_and_equal_ones_are_counted(tmp_path: Path) -> None:
    rows = [ROW | {"input_text": f"q{number % 4}", "output_text": f"a{number % 4}"} for number in range(8)]
    found = jsonl(tmp_path, *rows)
    assert len(found.ids) == 16
    ids = [m["message_id"] for m in found.messages]
    assert [m["follows"] for m in found.messages] == [None, *ids[:-1]]
    assert jsonl(tmp_path, *rows, name="renamed.jsonl").ids == found.ids
    assert found.ids < jsonl(tmp_path, *rows, rows[0]).ids


def test_an_array_and_a_pretty_printed_object_are_rows_too(tmp_path: Path) -> None:
    rows = [ROW | {"text": "one", "speaker_id": "ana"}, 5, ROW | {"text": "two", "speaker_id": "ana"}]
    for value in (rows, {"data": [rows[0], rows[2]]}, rows[0]):
        found = jsonl(tmp_path, json.dumps(value, indent=2), name="log.json")
        assert found.texts == (["one", "two"] if value is not rows[0] else ["one"])
        assert JsonLines().sniff(tmp_path / "log.json", head_of(tmp_path / "log.json"))
    assert jsonl(tmp_path, json.dumps(rows, indent=2), name="log.json").rejects[0]["line"] == 2
    with pytest.raises(SourceError, match="truncated"):
        jsonl(tmp_path, json.dumps(rows, indent=2).rpartition(",")[0], name="log.json")
    assert jsonl(tmp_path, "{bad", rows[0]).texts == ["one"]


def test_common_names_of_columns_are_taken_where_they_are_clear(tmp_path: Path) -> None:
    found = table(tmp_path, "Date,Time,Sender,Message\n2025-01-06,10:00,ana,hi\n2025-01-06,10:01,bot,yo\n")
    assert found.said == [("ana", "hi"), ("Lumi", "yo")]
    assert {m["session_id"] for m in found.messages} == {"Lumi/ana/2025-01-06"}
    assert found.messages[1]["occurred_at"] == datetime(2025, 1, 6, 10, 1, tzinfo=UTC)
    assert found.notes == [
        "log.csv: columns taken by their names: Date as occurred_at, Sender as speaker_name, Message as text; others with --map"
    ]
    pairs = table(tmp_path, "username,message,response,timestamp\nana,hi,hello,2025-01-06\n")
    assert pairs.said == [("ana", "hi"), ("Lumi", "hello")]
    sides = table(tmp_path, "user,assistant,timestamp\nhi,hello,2025-01-06\n", user="ana")
    assert sides.said == [("ana", "hi"), ("Lumi", "hello")]
    roles = jsonl(tmp_path, *({"role": r, "content": r, "created_at": "2025-01-06", "name": "ana"} for r in ("user", "assistant")),
                  agent="Lumi")  # fmt: skip
    assert [m["role"] for m in roles.messages] == ["user", "agent"]
    timeless = table(tmp_path, "text,from\na,ana\n")
    assert (timeless.texts, timeless.notes[1]) == (
        [], "log.csv: no column is a time; name it with --map occurred_at=COLUMN, or give one time with --at",
    )  # fmt: skip
    assert table(tmp_path, "text,from\na,ana\nb,Lumi\n", at=datetime(2025, 1, 6, tzinfo=UTC)).texts == ["a", "b"]
    with pytest.raises(SourceError, match="message and content could each be the text.*--map text="):
        table(tmp_path, "content,message,date\na,b,2025-01-06\n")
    with pytest.raises(SourceError, match="timestamp and created could each be the time.*--map occurred_at="):
        table(tmp_path, "text,created,timestamp\na,2025-01-06,2025-01-06\n")


def test_a_map_wins_and_has_to_name_what_is_there(tmp_path: Path) -> None:
    text = 'who,body,text,when\nana,"hello, you",x,2025-01-06T10:00\nana,two\n'
    given = {"text": "body", "speaker_id": "who"}
    found = table(tmp_path, text, timezone="Europe/Madrid", columns=given)
    assert found.said == [("ana", "hello, you")]
    assert found.messages[0]["occurred_at"] == datetime(2025, 1, 6, 9, tzinfo=UTC)
    assert found.reasons == ["another number of fields than the header"]
    with pytest.raises(SourceError, match=r"there is no column 'bodi' \(did you mean 'body'\?\); found who, body"):
        table(tmp_path, text, columns={"text": "bodi"})
    with pytest.raises(SourceError, match="'txt' is no column of a message"):
        table(tmp_path, text, columns={"txt": "body"})
    absent = jsonl(tmp_path, ROW | {"text": "x"}, columns={"text": "bodi"})
    assert absent.messages == []
    assert absent.notes == ["log.jsonl: no line has the column of --map text=bodi"]


def test_ids_count_where_they_are_unique_everywhere(tmp_path: Path) -> None:
    def row(ref: str, text: str) -> dict[str, str]:
        return {"message_id": ref, "message": text, "date": "2025-01-06", "from": "ana"}

    uuid = "0b9a4f6e-4d1c-4f0e-9a55-2b1f6f0e7c11"
    before, after = jsonl(tmp_path, row(uuid, "hi"), agent="x"), jsonl(tmp_path, row(uuid, "hi!"), agent="x")
    assert before.ids == after.ids
    assert jsonl(tmp_path, row("1", "hi"), agent="x").ids == jsonl(tmp_path, row("2", "hi"), agent="x").ids


def test_answers_belong_to_the_talk_they_stand_in(tmp_path: Path) -> None:
    def row(speaker: str, text: str) -> dict[str, str]:
        return {"speaker": speaker, "text": text, "occurred_at": "2025-01-06"}

    found = jsonl(
        tmp_path, row("Lumi", "0"), row("ana", "1"), row("LUMI", "2"), row("bo", "3"), row("lumi", "4"), agent="Lumi"
    )
    assert [m["user_id"] for m in found.messages] == ["ana", "ana", "ana", "bo", "bo"]


def test_delimiters_encodings_and_line_ends_are_recognised(tmp_path: Path) -> None:
    rows = [
        ["text", "occurred_at", "speaker_id"],
        ['é, "so"\nhe said; \t|', "2025-01-06", "ana"],
        ["b", "2025-01-06", "ana"],
    ]
    for delimiter, encoding, end, name in (
        (",", "utf-8", "\n", "a.csv"), (";", "utf-8-sig", "\r\n", "a.csv"), ("\t", "utf-16", "\n", "a.tsv"),
        ("|", "utf-16-le", "\r\n", "A.CSV"), (",", "latin-1", "\n", "a.csv"), (",", "utf-8", "\r", "a.csv"),
    ):  # fmt: skip
        quoted = [['"' + field.replace('"', '""') + '"' for field in row] for row in rows]
        text = (end.join(delimiter.join(row) for row in quoted) + end).replace("\n", end if end == "\r" else "\n")
        file = tmp_path / name
        file.write_bytes(text.encode(encoding))
        found = take(Csv(), file, agent="Lumi", encoding="latin-1" if encoding == "latin-1" else None)
        assert found.texts == ['é, "so"\nhe said; \t|', "b"]
        assert Csv().sniff(file, head_of(file))
    assert table(tmp_path, "sep=;\ntext;occurred_at;from\na,b;2025-01-06;ana\n").texts == ["a,b"]


def test_odd_csv_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    long = "x" * 300_000
    found = table(
        tmp_path,
        f'text,occurred_at,from\n"never closed,2025-01-06,ana\n{long},2025-01-06,ana\n"c\nd",2025-01-06,ana\n'
        'a,2025-01-06,ana,,\n,,\n\nlast,2025-01-06,"ana\nz,2025-01-06,ana\n',
    )
    assert found.texts == [long, "c\nd", "a", "z"]
    assert [reject["line"] for reject in found.rejects] == [2, 9]
    assert table(tmp_path, "text,occurred_at,from\na,2025-01-06,ana\na,2025-01-06,ana\n").texts == ["a", "a"]
    for text, message in (
        ("text,occurred_at\n", "no rows"),
        ("", "empty"),
        ("text,Text,text\na,b,c\n", "two columns are called 'text'"),
        ("a,b\n1,2\n", "no column 'text'.*found a, b"),
    ):
        with pytest.raises(SourceError, match=message):
            table(tmp_path, text)


def test_a_list_of_the_newest_first_keeps_its_pairs(tmp_path: Path) -> None:
    rows = [ROW | {"text": f"{number}", "role": ("user", "agent")[number % 2], "occurred_at": f"2025-01-06T10:{number // 2:02}"}
            for number in range(16)]  # fmt: skip
    found = jsonl(tmp_path, *reversed(rows))
    assert found.texts == [f"{number}" for number in range(16)]


def test_any_broken_table_is_read_or_refused_in_a_sentence(tmp_path: Path) -> None:
    rows = [
        ROW | {"text": "a", "turn": 1, "participants": ["x"], "metadata": {"a": 1}, "importance": 0.5},
        ROW | {"input_text": "a", "output_text": "b", "rating": 1, "correct": True, "turn": 2},
        {"message": "a", "date": "2025-01-06", "time": "10:00", "sender": "ana", "uuid": "0" * 20},
    ]
    file = tmp_path / "f.jsonl"
    for number, broken in enumerate(mutants(rows, 300)):
        file.write_text("\n".join(map(json.dumps, broken)) if number % 2 else json.dumps(broken, indent=1))
        holds(JsonLines(), file, agent="Lumi")
    dice, parts = (
        random.Random(3),
        ["a", '"b"', '"c', 'd"e', "inf", "2025-01-06", "10:00", "", "\r", '"x\ny"', "ana", ";"],
    )
    for _ in range(200):
        lines = [
            "text,occurred_at,from",
            *(",".join(dice.choices(parts, k=dice.choice((3, 3, 3, 2, 4)))) for _ in range(9)),
        ]
        (tmp_path / "f.csv").write_text("\n".join(lines))
        holds(Csv(), tmp_path / "f.csv", agent="Lumi")


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    peaks = []
    for count in (5_000, 40_000):
        file = tmp_path / "big.jsonl"
        file.write_text("".join(json.dumps(ROW | {"text": f"number {i} " * 20}) + "\n" for i in range(count)))
        tracemalloc.start()
        rows = sum(len(batch.rows) for batch in JsonLines().read(str(file), SourceOptions()))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert rows == count
    assert peaks[1] < 3 * peaks[0]  # a batch that is read, and the one before


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("02/06/2025 10:00", "2025-06-02 10:00:00"),
        ("2.6.25 9:05", "2025-06-02 09:05:00"),
        ("02-Jun-25 10:00 PM", "2025-06-02 22:00:00"),
        ("Jun 2, 2025 10:00:07 a. m.", "2025-06-02 10:00:07"),
        ("2 de junio de 2025, 10:00", "2025-06-02 10:00:00"),
        ("Mon, 02 Jun 2025 10:00:00 +0200", "2025-06-02 08:00:00"),
        ("Mon Jun 02 10:00:00 +0000 2025", "2025-06-02 10:00:00"),
        ("Mon Jun 02 2025 10:00:00 GMT+0200 (CEST)", "2025-06-02 08:00:00"),
        ("10:00 02/06/2025", "2025-06-02 10:00:00"),
        ("1748858400", "2025-06-02 10:00:00"),
        ("31/02/2025 10:00", None),
        ("6/2/25 13:00 PM", None),
        ("yesterday", None),
    ],
)
def test_times_as_spreadsheets_write_them(tmp_path: Path, written: str, meant: str | None) -> None:
    found = table(tmp_path, f'date;who;text\n25/12/2024 10:00;ana;x\n"{written}";ana;y\n')
    assert [f"{m['occurred_at']:%Y-%m-%d %H:%M:%S}" for m in found.messages[1:]] == ([meant] if meant else [])
    assert found.reasons == ([] if meant else ["a time that cannot be read: write ISO 8601, e.g. 2025-03-01T18:30:00Z"])


@pytest.mark.parametrize(
    ("days", "first"),
    [
        (["3/4/25", "25/4/25"], "04-03"),
        (["3/4/25", "4/25/25"], "03-04"),
        (["1/4/25", "2/2/25", "2/4/25"], "01-04"),
        (["3/4/25 10:00 PM"], "03-04"),
        (["3/4/25 10:00"], "04-03"),
    ],
)
def test_days_and_months_are_told_apart_by_the_whole_table(tmp_path: Path, days: list[str], first: str) -> None:
    rows = [{"sender": "ana", "text": f"m{n}", "timestamp": day} for n, day in enumerate(days)]
    written = "".join(f"{row['timestamp']},ana,{row['text']}\n" for row in rows)
    for found in (jsonl(tmp_path, *rows, agent="Lumi"), table(tmp_path, f"timestamp,sender,text\n{written}")):
        assert f"{found.messages[0]['occurred_at']:%m-%d}" == first
        assert any("nothing in it tells days from months" in note for note in found.notes) is (len(days) == 1)
    assert f"{jsonl(tmp_path, *rows, agent='Lumi', day_first=False).messages[0]['occurred_at']:%m-%d}" in (
        "03-04",
        "01-04",
    )


def test_an_agent_is_found_by_its_name_beside_a_number(tmp_path: Path) -> None:
    found = table(tmp_path, "AuthorID,Author,Date,Content\n1,ana#1234,2025-01-06,hi\n2,lumi#0001,2025-01-06,yo\n")
    assert [(m["speaker_id"], m["role"]) for m in found.messages] == [("1", "user"), ("Lumi", "agent")]
    own = table(tmp_path, "author_id,author,date,text\n1,Ana,2025-01-06,hi\n2,Bo,2025-01-06,yo\n", user="ana")
    assert {m["speaker_id"] for m in own.messages} == {"ana", "2"}
    assert (
        own.notes[-1]
        == "log.csv: nobody in it is called Lumi: all of it is kept as said by people; its speakers are Ana, Bo"
    )


def test_nothing_is_taken_before_it_is_known_whose_memory_it_is(tmp_path: Path) -> None:
    text = "date,sender,message\n2025-01-06,Ana,hi\n2025-01-06,Lumi,yo\n"
    with pytest.raises(AgentNeeded, match="whose memory is it.*its speakers are Ana, Lumi"):
        table(tmp_path, text, agent=None)
    with pytest.raises(SourceError, match="nothing in it says who the user is: name them with --user"):
        table(tmp_path, "date,role,content\n2025-01-06,user,hi\n2025-01-06,assistant,yo\n")


def test_a_user_without_a_name_goes_by_the_session(tmp_path: Path) -> None:
    rows = "".join(f"{s},{role},{role},2025-01-06\n" for s in ("c1", "c2") for role in ("user", "assistant"))
    found = table(tmp_path, f"conversation_id,role,content,created_at\n{rows}")
    assert [m["user_id"] for m in found.messages] == ["user of c1"] * 2 + ["user of c2"] * 2
    authors = [
        ROW | {"user_id": "u1", "session_id": "t", "role": "user", "text": "q"},
        ROW | {"user_id": "u2", "session_id": "t", "role": "assistant", "text": "a"},
    ]
    assert {m["user_id"] for m in jsonl(tmp_path, *authors).messages} == {"u1"}


def test_a_row_without_a_speaker_is_put_into_nobodys_mouth(tmp_path: Path) -> None:
    text = "date,sender,message\n2025-01-06,Ana,hi\n2025-01-06,,who am I?\n2025-01-06,Lumi,yo\n"
    for options in ({}, {"user": "Ana"}):
        found = table(tmp_path, text, **options)
        assert (found.texts, found.reasons) == (["hi", "yo"], ["no speaker: who said it is not clear"])
    alone = table(tmp_path, "date,text\n2025-01-06,dear diary\n", user="ana")
    assert alone.said == [("ana", "dear diary")]
    assert "no column says who speaks" in alone.notes[-1]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ((5, 1, 3), (1.0, -1.0, 0.0)),
        ((10, 0, 5), (1.0, -1.0, 0.0)),
        ((1, -1, 0), (1.0, -1.0, 0.0)),
        ((9, -3), (None, None)),
    ],
)
def test_one_star_of_five_is_no_praise(
    tmp_path: Path, given: tuple[float, ...], meant: tuple[float | None, ...]
) -> None:
    file = tmp_path / "log.csv"
    rows = "".join(f"2025-01-06,ana,q,a{n},{rating}\n" for n, rating in enumerate(given))
    file.write_text(f"date,user_id,question,answer,rating\n{rows}", encoding="utf-8")
    batches = list(Csv().read(str(file), SourceOptions(agent="Lumi")))
    answers = [row for batch in batches for row in batch.rows if row["role"] == "agent"]
    assert [row.get("feedback", {}).get("rating") for row in answers] == list(meant)
    assert any("ratings are taken as from" in note for note in batches[0].notes) is (max(given) > 1 and min(given) >= 0)
