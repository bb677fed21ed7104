"""A time without offset means the same moment wherever it comes in: that of the zone of the settings, whatever the machine's is."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from plugins.contracts import SourceOptions
from records.errors import MemoryAssetsError
from resources.settings import Settings
from serving.client import MemoryClient

ROOT = Path(__file__).parents[2]
MOMENTS = [
    ("Europe/Madrid", datetime(2025, 3, 30, 2, 30), datetime(2025, 3, 30, 1, 30)),  # is left out there: 03:30
    ("Europe/Madrid", datetime(2025, 10, 26, 2, 30), datetime(2025, 10, 26, 0, 30)),  # comes twice: the first
    ("Europe/Madrid", datetime(2025, 7, 1, 0, 10), datetime(2025, 6, 30, 22, 10)),
    ("America/Bogota", datetime(2025, 3, 30, 2, 30), datetime(2025, 3, 30, 7, 30)),
    ("America/Bogota", datetime(2025, 6, 30, 23, 10), datetime(2025, 7, 1, 4, 10)),
]


def csv_of(folder: Path, local: datetime) -> str:
    path = folder / "log.csv"
    path.write_text(f"session_id,speaker_id,role,text,occurred_at\ns,ana,user,hello there,{local}\n")
    return str(path)


def jsonl_of(folder: Path, local: datetime) -> str:
    path = folder / "log.jsonl"
    row = {"session_id": "s", "speaker_id": "ana", "role": "user", "text": "hi", "occurred_at": local.isoformat()}
    path.write_text(json.dumps(row) + "\n")
    return str(path)


def whatsapp_of(folder: Path, local: datetime) -> str:
    path = folder / "WhatsApp Chat with Ana.txt"
    line = f"{local:%d/%m/%Y, %H:%M} - "
    path.write_text(f"{line}Ana: hello there\n{line}Sage: hello Ana\n")
    return str(path)


def table_of(folder: Path, local: datetime) -> str:
    path = folder / "bot.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE messages (session_id, speaker_id, role, text, occurred_at TIMESTAMP)")
        connection.execute("INSERT INTO messages VALUES ('s', 'ana', 'user', 'hello there', ?)", [str(local)])
    return f"sqlite:///{path}"


def times(client: MemoryClient) -> set[datetime]:
    """Return when everything was said, in UTC without saying so."""
    return {row["occurred_at"].replace(tzinfo=None) for row in client.store.rows("messages")}


@pytest.fixture
def make_client(make_settings: Callable[..., Settings]) -> Callable[[str], MemoryClient]:
    """Return a maker of clients in a zone; this machine's is another one, see `tests.conftest`."""
    made = iter(range(100))
    return lambda zone: MemoryClient(make_settings(f"home{next(made)}", timezone=zone), embedder=False)


@pytest.mark.parametrize(("zone", "local", "utc"), MOMENTS)
@pytest.mark.parametrize("source", [csv_of, jsonl_of, whatsapp_of, table_of])
def test_an_import_is_of_the_zone_of_the_settings(
    source: Callable[[Path, datetime], str], zone: str, local: datetime, utc: datetime, make_client, tmp_path: Path
) -> None:
    client, table = make_client(zone), "messages" if source is table_of else None
    target, options = source(tmp_path, local), SourceOptions(agent="Sage", table=table)
    preview = client.preview_import(target, options)
    assert {row["occurred_at"].replace(tzinfo=None) for row in preview.first} == {utc}
    client.import_file(target, options)
    assert times(client) == {utc}
    # What an import says itself wins.
    other = make_client(zone)
    other.import_file(target, SourceOptions(agent="Sage", table=table, timezone="Asia/Kathmandu"))
    assert times(other) == {local - timedelta(hours=5, minutes=45)}


@pytest.mark.parametrize(("zone", "local", "utc"), MOMENTS)
def test_what_is_remembered_and_asked_is_of_it_too(zone: str, local: datetime, utc: datetime, make_client) -> None:
    client = make_client(zone)
    client.remember("the lamp is green", agent="sage", user="ana", occurred_at=local)
    client.remember(
        "the lamp is red", agent="sage", user="ana", occurred_at=local.replace(tzinfo=UTC) + timedelta(days=9)
    )
    assert min(times(client)) == utc
    minute = timedelta(minutes=1)

    def found(since: datetime, until: datetime) -> list[str]:
        return [
            memory.text for memory in client.recall("lamp", agent="sage", since=since, until=until, now=until).memories
        ]

    assert found(local, local + timedelta(hours=2)) == ["the lamp is green"]
    aware = utc.replace(tzinfo=UTC)
    assert found(aware, aware + minute) == ["the lamp is green"]
    assert found(aware + minute, aware + timedelta(hours=1)) == []
    assert client.context("lamp", agent="sage", now=local + timedelta(days=1)).text.count("lamp") == 2


def test_the_time_of_the_first_message_is_of_it_too(make_client, tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text('{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}\n')
    client = make_client("America/Bogota")
    client.import_file(str(path), SourceOptions(agent="sage", user="ana", at=datetime(2025, 5, 1, 20)))
    assert min(times(client)) == datetime(2025, 5, 2, 1)


@pytest.mark.parametrize(
    ("zone", "now", "said"),
    [
        # 3 o'clock in UTC is still the evening before in Bogota: "yesterday" is the day before that.
        ("America/Bogota", datetime(2025, 5, 10, 3, tzinfo=UTC), datetime(2025, 5, 8, 12)),
        ("Europe/Madrid", datetime(2025, 5, 10, 3, tzinfo=UTC), datetime(2025, 5, 9, 12)),
        # and 23 o'clock in UTC is the morning after in Madrid.
        ("Europe/Madrid", datetime(2025, 5, 10, 23, tzinfo=UTC), datetime(2025, 5, 10, 12)),
    ],
)
def test_yesterday_is_a_day_of_the_zone(zone: str, now: datetime, said: datetime, make_client) -> None:
    client = make_client(zone)
    for day in range(6, 12):
        client.remember(f"we painted room {day}", agent="sage", user="ana", occurred_at=datetime(2025, 5, day, 12))
    for question in ("what did we paint yesterday", "¿qué pintamos ayer? paint"):
        best = client.recall(question, agent="sage", now=now).memories[0]
        assert best.text == f"we painted room {said.day}"


def test_a_time_that_no_zone_has_is_one_sentence(make_client) -> None:
    client = make_client("Asia/Tokyo")
    with pytest.raises(MemoryAssetsError, match="0001-01-01T00:00:00: a date that does not exist"):
        client.recall("lamp", agent="sage", since=datetime.min)
    with pytest.raises(MemoryAssetsError, match="a date that does not exist"):
        client.remember("lamp", agent="sage", user="ana", occurred_at=datetime.min)


def test_the_command_says_the_same_whatever_the_zone_of_the_machine(tmp_path: Path) -> None:
    local, path = "2025-06-30 23:10:00", csv_of(tmp_path, datetime(2025, 6, 30, 23, 10))
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("MEMORY_", "DAGSTER_"))}

    def memory(*arguments: str, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            cwd=ROOT,
            env={**plain, "COLUMNS": "300", "MEMORY_HOME": str(tmp_path / "home"), **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    bogota = {"MEMORY_TIMEZONE": "America/Bogota", "TZ": "Asia/Tokyo"}
    memory("import", path, "--agent", "sage", **bogota)

    def recalled(*options: str, **variables: str) -> list[str]:
        done = memory("recall", "hello there", "-a", "sage", "--keywords", "--json", *options, **variables)
        return [str(found["occurred_at"])[:16] for found in json.loads(done.stdout)["memories"]]

    assert recalled(**bogota) == ["2025-07-01 04:10"]
    assert recalled("--since", local, "--until", "2025-06-30 23:11", **bogota) == ["2025-07-01 04:10"]
    assert recalled("--since", "2025-07-01", **bogota) == []
    assert recalled("--since", "2025-07-01", TZ="Etc/GMT+5", MEMORY_TIMEZONE="UTC") == ["2025-07-01 04:10"]
    assert recalled("--until", "2025-06-30T23:10:30", TZ="America/Bogota") == ["2025-07-01 04:10"]  # the machine's
    wrong = memory("recall", "hello", "-a", "sage", code=2, MEMORY_TIMEZONE="Bogota")
    assert "timezone: " in wrong.stderr
    assert "'Bogota' is no time zone" in wrong.stderr
