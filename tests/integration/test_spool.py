"""Capture while the store cannot be used: nothing is lost, nothing doubled, and the order is that of what was said."""

import json
import logging
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from records.errors import StoreError
from resources.settings import Settings
from serving import spool
from serving.client import MemoryClient
from tests.conftest import MONDAY, killed_run

NOBODY_LISTENS = "postgresql+psycopg://postgres@127.0.0.1:1/nothing"

HOLD = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def client(settings: Settings) -> Iterator[MemoryClient]:
    """Yield a client whose store is there, and holds a word of an agent."""
    memory = MemoryClient(settings, embedder=False)
    memory.remember_exchange("Hello", "Hi, I am Lumi", agent="lumi", user="ana", session="before")
    yield memory
    memory.close()


@pytest.fixture
def away(make_settings: Callable[..., Settings]) -> MemoryClient:
    """Return a client of the same installation that was told of a server which does not listen."""
    return MemoryClient(make_settings(store_url=NOBODY_LISTENS), embedder=False)


def stored(memory: MemoryClient) -> list[dict[str, Any]]:
    """Return the messages of the store as they arrived, without those of the fixture."""
    rows = memory.store.rows("messages")
    return [row for row in sorted(rows, key=lambda row: row["seq"]) if row["session_id"] != "before"]


def waiting(settings: Settings) -> str:
    """Return what the spool holds."""
    return "".join(path.read_text(encoding="utf-8") for path in sorted((settings.home / "spool").glob("*.jsonl")))


def test_a_lock_that_lasts_makes_what_is_said_wait_in_order_and_under_the_ids_it_was_told(
    settings: Settings, client: MemoryClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    path = str(settings.home / "store.sqlite")
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        one = client.remember("Vivo en Bilbao, junto al río", agent="lumi", user="ana", session="s")
        pair = client.remember_exchange(
            "And where do you live?", "En una biblioteca 🦊", agent="Lumi", user="ana", session="s"
        )
        with pytest.raises(StoreError, match="no text"):
            client.remember("  ", agent="lumi", user="ana")
        assert client.stats(agent="lumi", user="ana") == {
            "messages": 2, "unsynced": 2, "waiting": 3, "facts": 0, "vectors": 0,
        }  # fmt: skip
        # What waits is recalled all the same, and is the newest.
        assert client.recall("¿Dónde vivo? Bilbao", agent="lumi", user="ana").memories[0].id == one
        assert client.recent(agent="lumi", user="ana", session="s")["message_id"].to_list() == [one, *pair]
        assert "biblioteca" in client.context("hola", agent="lumi", user="ana", session="s").text
        assert [note for note in client.notes if "database is locked" in note]
        other.communicate("\n")
    mode = stat.S_IMODE((settings.home / "spool" / "waiting.jsonl").stat().st_mode)
    assert mode == 0o600
    assert not stored(client)
    client.reach.try_again()
    last = client.remember("Now it is free", agent="lumi", user="ana", session="s")
    rows = stored(client)
    assert [row["message_id"] for row in rows] == [one, *pair, last]
    assert rows[2]["follows"] == pair[0]
    assert {row["agent_id"] for row in rows} == {"lumi"}
    assert not waiting(settings)
    assert client.notes == []
    said = [record.getMessage() for record in caplog.records if record.name.startswith("serving")]
    assert len(said) == 1, said
    assert "locked" in said[0]
    assert not [word for word in ("Bilbao", "ana", "biblioteca") if word in said[0]]


@pytest.mark.parametrize("in_place", [False, True])
def test_a_damaged_file_takes_nothing_in_and_its_backup_takes_all(
    settings: Settings, client: MemoryClient, tmp_path: Path, in_place: bool
) -> None:
    path, backup, garbage = settings.home / "store.sqlite", tmp_path / "backup.sqlite", tmp_path / "garbage"
    client.close()
    shutil.copyfile(path, backup)
    garbage.write_bytes(b"this is no database" * 3_000)
    if in_place:
        path.write_bytes(garbage.read_bytes())
    else:
        garbage.replace(path)
    ids = client.remember_exchange("¿Sigues ahí?", "Sí, aquí estoy", agent="lumi", user="ana", session="s")
    assert [note for note in client.notes if "damaged" in note]
    with pytest.raises(StoreError, match="damaged") as told:
        client.forget(user="ana")
    assert "\n" not in str(told.value)
    for leftover in settings.home.glob("store.sqlite-*"):
        leftover.unlink()
    backup.replace(path)
    client.reach.try_again()
    client.recall("Sí", agent="lumi", user="ana")  # reading takes it in, too
    assert tuple(row["message_id"] for row in stored(client)) == ids


def test_a_disk_that_is_not_there_is_no_reason_to_begin_another_store(make_settings, tmp_path: Path) -> None:
    disk, aside = tmp_path / "disk", tmp_path / "unmounted"
    settings = make_settings(store_url=f"sqlite:///{disk}/memory/store.sqlite")
    before = MemoryClient(settings, embedder=False)
    before.remember("hello", agent="lumi", user="ana", session="before")
    disk.rename(aside)
    after = MemoryClient(settings, embedder=False)
    ids = [memory.remember(f"wer da? {n}", agent="lumi", user="ana") for n, memory in enumerate((before, after))]
    assert not disk.exists()
    assert after.recall("wer", agent="lumi", user="ana").memories
    with pytest.raises(StoreError, match="is gone"):
        after.import_file("sample/streamer.jsonl")
    aside.rename(disk)
    for memory in (before, after):
        memory.reach.try_again()
        memory.recall("wer", agent="lumi", user="ana")
        assert [row["message_id"] for row in stored(memory)] == ids


def test_a_full_database_makes_what_is_said_wait(settings: Settings, client: MemoryClient) -> None:
    with client.store.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    ids = [client.remember(f"página {n} " + "x" * 4_000, agent="lumi", user="ana", session="s") for n in range(5)]
    assert waiting(settings)
    assert [note for note in client.notes if "full" in note]
    assert len(client.recent(agent="lumi", user="ana", session="s")) == 5
    with client.store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    client.reach.try_again()
    ids.append(client.remember("ya hay sitio", agent="lumi", user="ana", session="s"))
    assert [row["message_id"] for row in stored(client)] == ids


def mounted(*command: str) -> None:
    """Mount something, or skip the test where that is not allowed."""
    if os.geteuid() != 0 or subprocess.run(["mount", *command], capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting is not allowed here")


def test_a_disk_that_is_full_everywhere_keeps_a_bounded_number_in_memory(
    make_settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted("-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk))
    try:
        client = MemoryClient(make_settings().model_copy(update={"home": disk / "home"}).resolved(), embedder=False)
        client = MemoryClient(
            client.settings.model_copy(update={"store_url": f"sqlite:///{disk}/home/store.sqlite"}), embedder=False
        )
        client.remember("hello", agent="lumi", user="ana", session="before")
        filler = disk / "filler"
        with pytest.raises(OSError, match="No space"):
            filler.write_bytes(b"x" * 4_000_000)
        monkeypatch.setattr(spool, "HELD", 3)
        ids = [client.remember(f"{n} " + "ñ" * 30_000, agent="lumi", user="ana", session="s") for n in range(3)]
        with pytest.raises(StoreError, match="make room"):
            client.remember("x" * 60_000, agent="lumi", user="ana", session="s")
        assert len(client.recent(agent="lumi", user="ana", session="s")) == 3
        filler.unlink()
        client.reach.try_again()
        ids.append(client.remember("again", agent="lumi", user="ana", session="s"))
        assert [row["message_id"] for row in stored(client)] == ids
        client.close()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_a_folder_that_can_only_be_read_is_read_and_what_is_said_waits(make_settings, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    client = MemoryClient(make_settings(store_url=f"sqlite:///{folder}/store.sqlite"), embedder=False)
    client.remember("hello", agent="lumi", user="ana", session="before")
    client.close()
    mounted("--bind", str(folder), str(folder))
    try:
        mounted("-o", "remount,bind,ro", str(folder))
        ids = [client.remember(f"solo lectura {n}", agent="lumi", user="ana", session="s") for n in range(2)]
        assert client.recall("lectura", agent="lumi", user="ana").memories[0].text.startswith("solo")
        client.close()
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)
    client.reach.try_again()
    client.recall("x", agent="lumi", user="ana")
    assert [row["message_id"] for row in stored(client)] == ids


# -- names, times and sessions -------------------------------------------------------------------------------------


def test_who_was_meant_is_found_when_the_store_is_there(client: MemoryClient, away: MemoryClient) -> None:
    ids = away.remember_exchange("¿Quién eres?", "Lumi, como siempre", agent="LUMI", user="ana")
    ids += (away.remember("Halt!", agent="Guard", world="Castle", role="agent"),)
    assert client.keeper.drain().kept == 3
    rows = {row["message_id"]: row for row in stored(client)}
    assert tuple(rows) == ids
    assert [row["agent_id"] for row in rows.values()] == ["lumi", "lumi", "world:Castle/Guard"]
    assert rows[ids[1]]["speaker_id"] == "lumi"
    assert rows[ids[0]]["session_id"].startswith("lumi/ana/")


def test_the_same_said_again_at_one_time_is_kept_twice_and_a_call_tried_again_once(
    client: MemoryClient, away: MemoryClient
) -> None:
    about = {"agent": "lumi", "user": "ana", "session": "s", "occurred_at": MONDAY}
    direct = [client.remember(text, **about) for text in ("ok", "and then?")]
    first = away.remember("sí", **about)
    assert away.remember("sí", **about) == first  # tried again
    away.remember("ok", **about)
    again = away.remember("sí", **about)
    assert again != first
    client.keeper.drain()
    rows = stored(client)
    assert [row["text"] for row in rows] == ["ok", "and then?", "sí", "ok", "sí"]
    assert [row["message_id"] for row in rows][:3] == [*direct, first]
    assert rows[4]["message_id"] == again
    assert [row["follows"] for row in rows][1:] == [row["message_id"] for row in rows][:-1]


@pytest.mark.parametrize("state", ["waits", "was taken in", "was taken in by one that was killed before it said so"])
def test_a_call_that_was_tried_again_is_shown_once(
    settings: Settings, client: MemoryClient, away: MemoryClient, state: str
) -> None:
    about = {"agent": "lumi", "user": "ana", "session": "s", "occurred_at": MONDAY}
    for _ in range(3):
        one = away.remember("The axolotl sleeps in the cellar", **about)
    for _ in range(2):
        pair = away.remember_exchange("And the okapi?", "It hides in the garden", **about)
    asked = away
    if state != "waits":
        asked, path = client, settings.home / "spool" / "waiting.jsonl"
        lines = path.read_bytes()
        assert client.keeper.drain().left == 0
        assert [row["message_id"] for row in stored(client)] == [one, *pair]
        if "killed" in state:
            path.with_name("draining.jsonl").write_bytes(lines)
            client.reach.writing.shut("database is locked")  # so that what waits is not taken in before it is read
            assert client.spool.count() == 3
    assert asked.recent(agent="lumi", user="ana", session="s")["message_id"].to_list() == [one, *pair]
    found = asked.recall("axolotl okapi garden cellar", agent="lumi", user="ana", session="s", kinds=("message",))
    assert sorted(memory.id for memory in found.memories) == sorted([one, *pair])
    block = asked.context("where is the axolotl?", agent="lumi", user="ana", session="s", budget=2_000).text
    assert block.count("The axolotl sleeps in the cellar") == 1
    if state == "waits":
        assert [note for note in away.notes if note.startswith("messages that wait") and ": 3" in note]
    client.reach.try_again()
    client.keeper.drain()
    assert [row["message_id"] for row in stored(client)] == [one, *pair]


def test_sessions_and_opt_outs_wait_too(client: MemoryClient, away: MemoryClient) -> None:
    session = away.start_session("Lumi", "ben", session="b", opt_out_training=True, metadata={"channel": "voz"})
    away.remember("no entrenes con esto", agent="lumi", user="ben", session=session)
    away.end_session(session)
    other = away.start_session("lumi", "cleo")
    assert client.opt_out(session=other) == 1  # what waits comes in before
    [row] = client.store.rows("sessions", session_id="b")
    assert (row["agent_id"], row["user_id"], row["opt_out_training"]) == ("lumi", "ben", True)
    assert json.loads(row["metadata"]) == {"channel": "voz"}
    assert row["ended_at"] > row["started_at"]


# -- what may not come in ------------------------------------------------------------------------------------------


def test_what_is_erased_while_it_waits_never_comes_in(
    settings: Settings, client: MemoryClient, away: MemoryClient
) -> None:
    away.remember("my treasure lies in Zarautz", agent="lumi", user="ana", session="s")
    done = client.forget(user="ana")
    assert done.messages == 3
    assert "Zarautz" not in waiting(settings)
    away.remember_exchange("the Zarautz treasure again", "¿Cuál?", agent="lumi", user="ana", session="t")
    away.start_session("lumi", "ana", session="u")
    away.remember("I am Ben", agent="lumi", user="ben", session="t")
    drained = client.keeper.drain()
    assert (drained.kept, drained.erased, drained.left) == (1, 2, 0)
    assert [row["text"] for row in stored(client)] == ["I am Ben"]
    assert not client.store.rows("sessions", user_id="ana")
    assert "Zarautz" not in waiting(settings)
    with pytest.raises(StoreError, match="was erased"):
        client.remember("and again", agent="lumi", user="ana")


def test_a_line_that_cannot_be_taken_in_is_a_kept_reject_and_stops_nothing(
    settings: Settings, client: MemoryClient, away: MemoryClient
) -> None:
    for number in range(3):
        away.remember(f"uno {number}", agent="lumi", user="ana", session="s")
    path = settings.home / "spool" / "waiting.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    early = lines[1].replace(json.loads(lines[1])["at"], "2001-01-01T00:00:00+00:00")
    unknown = json.dumps({"kind": "later", "at": json.loads(lines[1])["at"], "given": {"session": "s", "agent": None}})
    path.write_text("\n".join([lines[0], "{not json", early, unknown, lines[2], lines[1][:40]]), encoding="utf-8")
    away.remember("after a kill", agent="lumi", user="ana", session="s")  # the part of a line before it was never kept
    drained = client.keeper.drain()
    assert (drained.kept, drained.rejected, drained.left) == (3, 3, 0)
    assert [row["text"] for row in stored(client)] == ["uno 0", "uno 2", "after a kill"]
    reasons = sorted(row["reason"] for row in client.store.rows("rejects", file="spool"))
    assert "before the first week" in reasons[2]
    assert reasons[0].startswith("a line that cannot be read")


# -- many, kills, and several at once ------------------------------------------------------------------------------


def test_two_hundred_messages_are_taken_in_in_order(client: MemoryClient, away: MemoryClient) -> None:
    ids = [
        each
        for n in range(100)
        for each in away.remember_exchange(f"pregunta {n}", f"answer {n}", agent="lumi", user="ana", session="s")
    ]
    ids.append(client.remember("the last one waits behind them, or comes after", agent="lumi", user="ana", session="s"))
    assert client.recent(agent="lumi", user="ana", session="s", limit=3)["message_id"].to_list() == ids[-3:]
    while client.keeper.drain(limit_s=0.2).left:
        pass
    rows = stored(client)
    assert [row["message_id"] for row in rows] == ids
    assert all(row["follows"] == before["message_id"] for before, row in zip(rows[:200:2], rows[1:200:2], strict=True))


SAY = f"""
import os, signal, sys
from pathlib import Path
from resources.settings import load_settings
from serving.client import MemoryClient
memory = MemoryClient(load_settings(home=Path(sys.argv[1]), store_url="{NOBODY_LISTENS}"), embedder=False)
number = 0
while True:
    number += 1
    print(memory.remember(f"mensaje {{number}} " + "x" * 2000, agent="lumi", user="ana", session=sys.argv[2]), flush=True)
"""


def test_a_kill_while_it_spools_loses_nothing_that_was_told_to_be_kept(
    settings: Settings, client: MemoryClient
) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MEMORY_")}
    root = str(Path(__file__).parents[2])
    told: list[str] = []
    speakers = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", SAY, str(settings.home), name],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=root, env={**environment, "PYTHONPATH": root},
        )
        for name in ("a", "b")
    ]  # fmt: skip
    for speaker in speakers:
        assert speaker.stdout is not None
        told += [speaker.stdout.readline().strip() for _ in range(15)]
    for speaker in speakers:
        speaker.kill()
        assert speaker.stdout is not None
        told += [line.strip() for line in speaker.stdout if line.endswith("\n")]
        speaker.wait()
        speaker.stdout.close()
    drained = client.keeper.drained()
    rows = stored(client)
    assert set(told) <= {row["message_id"] for row in rows}
    assert len(rows) == drained.kept <= len(told) + 2
    for session in ("a", "b"):
        said = [row["text"].split()[1] for row in rows if row["session_id"] == session]
        assert said == [str(number) for number in range(1, len(said) + 1)]


DRAIN = """
import os, signal, sys
from pathlib import Path
import serving.keeping
from resources.settings import load_settings
from serving.client import MemoryClient
kept, real = 0, serving.keeping.write
def counted(*given):
    global kept
    kept += 1
    if kept == 20 and sys.argv[2] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    done = real(*given)
    if kept == 20 and sys.argv[2] == "after":
        os.kill(os.getpid(), signal.SIGKILL)
    return done
serving.keeping.write = counted
MemoryClient(load_settings(home=Path(sys.argv[1])), embedder=False).keeper.drained()
"""


def test_a_kill_while_it_drains_and_two_that_drain_at_once_double_nothing(
    settings: Settings, client: MemoryClient, away: MemoryClient
) -> None:
    about = {"agent": "lumi", "user": "ana", "session": "s"}
    ids = [
        each
        for n in range(60)
        for each in away.remember_exchange(
            ("ok", "no", "ok")[n % 3], "de acuerdo", occurred_at=MONDAY + timedelta(minutes=n // 3), **about
        )
    ]
    killed_run(DRAIN, str(settings.home), "before")
    killed_run(DRAIN, str(settings.home), "after")
    assert len(stored(client)) == 2 * (19 + 20)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MEMORY_")}
    root = str(Path(__file__).parents[2])
    both = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", DRAIN.replace("== 20", "< 0"), str(settings.home), ""],
            cwd=root, env={**environment, "PYTHONPATH": root},
        )
        for _ in range(2)
    ]  # fmt: skip
    assert [process.wait(timeout=300) for process in both] == [0, 0]
    rows = stored(client)
    assert [row["message_id"] for row in rows] == ids
    assert len(set(ids)) == 120


# -- PostgreSQL ----------------------------------------------------------------------------------------------------


@pytest.mark.postgres
def test_postgresql_that_ends_connections_locks_and_refuses_writes(make_settings, postgres_url: str) -> None:
    client = MemoryClient(make_settings(store_url=postgres_url), embedder=False)
    admin = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    about = {"agent": "lumi", "user": "ana", "session": "s"}
    ids = [client.remember("hello", **about)]
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with admin.connect() as connection:
        connection.execute(sa.text(end))
    ids.append(client.remember("después de un corte", **about))  # another connection was taken
    assert client.spool.is_empty()
    with admin.connect() as connection:
        connection.execute(sa.text("BEGIN; LOCK TABLE messages IN ACCESS EXCLUSIVE MODE"))
        ids.append(client.remember("while it is locked", **about))
        assert client.recall("locked", agent="lumi", user="ana").memories[0].id == ids[-1]
        assert [note for note in client.notes if "postgresql" in note]
        connection.execute(sa.text("ROLLBACK"))
    with admin.connect() as connection:
        name = client.store.url.database
        connection.execute(sa.text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
        connection.execute(sa.text(end))
    client.reach.try_again()
    ids.append(client.remember("en una réplica", **about))
    assert client.spool.count() == 2
    assert [row["message_id"] for row in stored(client)] == ids[:2]
    with admin.connect() as connection:
        connection.execute(sa.text("SET default_transaction_read_only = off"))
        connection.execute(sa.text(f"ALTER DATABASE {name} SET default_transaction_read_only = off"))
        connection.execute(sa.text(end))
    client.reach.try_again()
    ids.append(client.remember("done", **about))
    assert [row["message_id"] for row in stored(client)] == ids
    client.close()
    admin.dispose()


@pytest.mark.postgres
def test_a_server_that_does_not_listen_is_waited_for_once(make_settings, away: MemoryClient, postgres_url: str) -> None:
    ids = [away.remember("¿Hay alguien?", agent="lumi", user="ana"), away.remember("nobody", agent="lumi", user="ana")]
    assert away.reach.is_resting()
    client = MemoryClient(make_settings(store_url=postgres_url), embedder=False)
    assert client.recall("alguien", agent="lumi", user="ana").memories[0].id == ids[0]
    assert [row["message_id"] for row in stored(client)] == ids
    client.close()
