"""Sources: every format becomes the same messages; what cannot be taken is a reject or one clear sentence."""

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from plugins.contracts import SourceOptions
from plugins.registry import PluginRegistry
from plugins.sources.normalise import normalise, parse_time
from records.errors import SourceError
from serving.capture import choose_source


def read(path: Path | str, name: str | None = None, **options: Any) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return messages, sessions and rejects of a file."""
    given = SourceOptions(**options)
    source = choose_source(PluginRegistry(), str(path), name)
    frames = []
    rejects = []
    for batch in source.read(str(path), given):
        messages, sessions, _, refused = normalise(batch.rows, given, source.name, Path(str(path)).name)
        frames.append((messages, sessions))
        rejects.append(pl.DataFrame([*batch.rejects, *refused.to_dicts()], schema=refused.schema, orient="row"))
    return pl.concat([f[0] for f in frames]), pl.concat([f[1] for f in frames]), pl.concat(rejects)


def test_jsonl_takes_messages_and_exchanges_and_keeps_rejects(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text(
        "\n".join(
            [
                json.dumps(
                    {
                        "agent_id": "lumi",
                        "user_id": "u",
                        "text": "hola",
                        "role": "user",
                        "occurred_at": "2025-01-06T10:00:00Z",
                    }
                ),
                json.dumps(
                    {
                        "agent_id": "lumi",
                        "user_id": "u",
                        "input_text": "¿qué tal?",
                        "output_text": "bien",
                        "occurred_at": 1736157600,
                    }
                ),
                "{not json",
                json.dumps({"agent_id": "lumi", "user_id": "u", "occurred_at": "2025-01-06"}),
                json.dumps({"agent_id": "lumi", "user_id": "u", "text": "x", "occurred_at": "2999-01-01"}),
                json.dumps({"agent_id": "lumi", "user_id": "u", "text": "x", "occurred_at": "1999-01-01"}),
                json.dumps(
                    {"agent_id": "lumi", "user_id": "u", "text": "x", "role": "wizard", "occurred_at": "2025-01-06"}
                ),
                json.dumps({"agent_id": "lumi", "user_id": "u", "text": "x", "occurred_at": "yesterday"}),
                '{"text": "cut of',
            ]
        ),
        encoding="utf-8",
    )
    messages, _, rejects = read(file)
    assert sorted(messages["text"]) == ["bien", "hola", "¿qué tal?"]
    assert messages.filter(pl.col("text") == "bien")["role"].item() == "agent"
    reasons = dict(zip(rejects["line"], rejects["reason"], strict=True))
    assert reasons[3] == "not a JSON object"
    assert reasons[4] == "no text"
    assert "future" in reasons[5]
    assert "before the first week" in reasons[6]
    assert "unknown role" in reasons[7]
    assert "cannot be read" in reasons[8]
    assert "truncated" in reasons[9]


def test_csv_and_parquet_with_a_column_map(tmp_path: Path) -> None:
    csv = tmp_path / "log.csv"
    csv.write_text('who,body,when\nana,"hello, you",2025-01-06T10:00\nana,two\n', encoding="utf-8")
    options = {
        "agent": "sage",
        "timezone": "Europe/Madrid",
        "columns": {"text": "body", "speaker_id": "who", "occurred_at": "when"},
    }
    messages, _, rejects = read(csv, **options)
    assert messages["occurred_at"].to_list() == [datetime(2025, 1, 6, 9, tzinfo=UTC)]
    assert rejects["reason"].to_list() == ["another number of fields than the header"]
    parquet = tmp_path / "log.parquet"
    pl.DataFrame({"who": ["ana"], "body": ["hello, you"], "when": ["2025-01-06T10:00"]}).write_parquet(parquet)
    assert read(parquet, **options)[0]["message_id"].to_list() == messages["message_id"].to_list()
    with pytest.raises(SourceError, match="no column 'text'.*who, body, when"):
        read(csv, agent="sage")
    with pytest.raises(SourceError, match="there is no column 'bodi'"):
        read(csv, agent="sage", columns={"text": "bodi"})


@pytest.mark.parametrize(
    ("name", "items"),
    [
        (
            "chatml",
            [
                {
                    "id": "c1",
                    "created_at": "2025-01-06T10:00:00Z",
                    "messages": [
                        {"role": "system", "content": "be kind"},
                        {"role": "user", "content": "hi"},
                        {"role": "assistant", "content": "hello"},
                    ],
                }
            ],
        ),
        (
            "sharegpt",
            [
                {
                    "id": "c1",
                    "created_at": "2025-01-06T10:00:00Z",
                    "conversations": [
                        {"from": "system", "value": "be kind"},
                        {"from": "human", "value": "hi"},
                        {"from": "gpt", "value": "hello"},
                    ],
                }
            ],
        ),
    ],
)
@pytest.mark.parametrize("as_lines", [True, False])
def test_training_formats_keep_order_and_roles(tmp_path: Path, name: str, items: list[Any], as_lines: bool) -> None:
    file = tmp_path / ("c.jsonl" if as_lines else "c.json")
    file.write_text("\n".join(json.dumps(item) for item in items) if as_lines else json.dumps(items))
    messages, _, rejects = read(file, agent="sage")
    assert rejects.is_empty()
    assert messages.sort("occurred_at").select("role", "text").rows() == [
        ("system", "be kind"),
        ("user", "hi"),
        ("agent", "hello"),
    ]


def test_a_format_without_times_asks_for_one(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text(json.dumps([{"messages": [{"role": "user", "content": "hi"}]}]))
    assert "give that of the first message with --at" in read(file, agent="a")[2]["reason"][0]
    assert read(file, agent="a", at=datetime(2025, 1, 6, tzinfo=UTC))[0].height == 1


WHATSAPP_ANDROID = """06/01/25, 10:11 - Messages and calls are end-to-end encrypted.
06/01/25, 10:11 - Ana Beltrán: hola
06/01/25, 10:11 - Ana Beltrán: hola
06/01/25, 10:12 - Lumi: buenas
en dos líneas
13/01/25, 9:05 p. m. - Ana Beltrán: <Media omitted>
"""
WHATSAPP_IOS = "[1/13/25, 9:05:10 PM] Ana Beltrán: see you\n[1/13/25, 9:05:59 PM] Lumi: bye\n"


def test_whatsapp_of_android_and_ios(tmp_path: Path) -> None:
    android = tmp_path / "chat.txt"
    android.write_text(WHATSAPP_ANDROID, encoding="utf-8")
    messages, sessions, rejects = read(android, agent="Lumi")
    assert messages.sort("occurred_at", "source_ref")["text"].to_list() == ["hola", "hola", "buenas\nen dos líneas"]
    assert messages["message_id"].n_unique() == 3
    assert set(messages["user_id"]) == {"Ana Beltrán"}
    assert sessions["session_id"].to_list() == ["chat/2025-01-06"]
    assert sorted(rejects["reason"]) == ["a notice of the app, nobody said it", "media or deleted message, no text"]
    ios = tmp_path / "ios.txt"
    ios.write_text(WHATSAPP_IOS, encoding="utf-8")
    assert read(ios, agent="Lumi")[0].sort("occurred_at")["occurred_at"][0] == datetime(
        2025, 1, 13, 21, 5, 10, tzinfo=UTC
    )


def test_discord(tmp_path: Path) -> None:
    file = tmp_path / "d.json"
    author = {"id": "42", "name": "ana", "nickname": "Ana", "isBot": False}
    file.write_text(
        json.dumps(
            {
                "guild": {"id": "1"},
                "channel": {"id": "9", "name": "general"},
                "messages": [
                    {"id": "1", "timestamp": "2025-01-06T10:00:00+00:00", "content": "hey", "author": author},
                    {
                        "id": "2",
                        "timestamp": "2025-01-06T10:00:05+00:00",
                        "content": "hello",
                        "author": {"id": "7", "name": "sage", "isBot": True},
                    },
                    {"id": "3", "timestamp": "2025-01-06T10:00:09+00:00", "content": "", "author": author},
                ],
            }
        )
    )
    messages, _, rejects = read(file)
    assert messages.sort("occurred_at").select("agent_id", "user_id", "speaker_id", "role").rows() == [
        ("sage", "42", "42", "user"),
        ("sage", "42", "sage", "agent"),
    ]
    assert rejects.height == 1


def test_locomo_and_memorybank(tmp_path: Path) -> None:
    locomo = tmp_path / "locomo.json"
    locomo.write_text(
        json.dumps(
            [
                {
                    "qa": [],
                    "sample_id": "conv-1",
                    "conversation": {
                        "speaker_a": "Ann",
                        "session_1_date_time": "1:56 pm on 8 May, 2023",
                        "session_1": [{"speaker": "Ann", "dia_id": "D1:1", "text": "Look", "blip_caption": "a sunset"}],
                    },
                }
            ]
        )
    )
    messages, _, _ = read(locomo)
    assert messages.select("agent_id", "text", "source_ref", "user_id").row(0) == (
        "conv-1",
        "Look [image: a sunset]",
        "D1:1",
        None,
    )
    bank = tmp_path / "bank.json"
    bank.write_text(
        json.dumps(
            {"Emily": {"name": "Emily", "history": {"2023-04-27": [{"query": "Hi", "response": "Hello"}], "soon": []}}}
        )
    )
    messages, _, rejects = read(bank)
    assert messages.sort("occurred_at").select("user_id", "role", "text").rows() == [
        ("Emily", "user", "Hi"),
        ("Emily", "agent", "Hello"),
    ]
    assert rejects["reason"].to_list() == ["a day that is no date"]


def test_any_sqlalchemy_url(tmp_path: Path) -> None:
    path = tmp_path / "bot.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE chat (id INTEGER PRIMARY KEY, who TEXT, body TEXT, at TEXT)")
        connection.execute("INSERT INTO chat (who, body, at) VALUES ('ana', 'hola', '2025-01-06 10:00:00')")
    options = {"agent": "lumi", "table": "chat", "columns": {"text": "body", "speaker_id": "who", "occurred_at": "at"}}
    assert read(f"sqlite:///{path}", **options)[0]["text"].to_list() == ["hola"]
    with pytest.raises(SourceError, match="no table 'chats'; there are chat"):
        read(f"sqlite:///{path}", agent="lumi", table="chats")
    with pytest.raises(SourceError, match="needs --table"):
        read(f"sqlite:///{path}", agent="lumi")


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "a.jsonl", "empty"),
        (b"\x00\x01\x02binary", "a.jsonl", "binary"),
        ("año".encode("latin-1"), "a.jsonl", "not utf-8.*line 1"),
        (b'[{"messages": [', "a.json", "truncated|not valid JSON|no format"),
        (b"PAR1 and no more", "a.parquet", "cannot be read"),
        (b"hello\n", "a.txt", "no format recognises"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path, content: bytes, name: str, message: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read(file)
    with pytest.raises(SourceError, match="no such file"):
        read(tmp_path / "nothing.jsonl")


def test_times_of_all_kinds() -> None:
    moment = datetime(2025, 3, 1, 18, 30, tzinfo=UTC)
    for value in (
        moment.timestamp(),
        moment.timestamp() * 1e3,
        moment.timestamp() * 1e6,
        "2025-03-01T18:30:00Z",
        "2025-03-01 19:30+01:00",
        str(int(moment.timestamp())),
    ):
        assert parse_time(value, SourceOptions()) == moment
    with pytest.raises(SourceError, match="no time zone"):
        parse_time("2025-03-01", SourceOptions(timezone="Mars/Olympus"))
