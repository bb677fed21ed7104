"""The fence: what was read before an erasure is not written after it, however the two fall together; freed pages are overwritten."""

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from memory_assets.jobs import MEMORY
from memory_assets.operations.forget import resume
from memory_assets.tools import Tools
from plugins.contracts import SourceOptions
from plugins.sources.normalise import normalise
from privacy import receipts
from privacy.erasure import Erasure
from privacy.leak_test import search, without_shared
from records.errors import ErasedMeanwhile, StoreError
from resources import fence, scrub
from serving.client import MemoryClient
from tests.conftest import MONDAY, lake_bytes, lance_rows, message_rows, weekly_run, write_rows
from tests.integration.test_erasure import SECRET, WEEKS, others, zoes
from tests.integration.test_pipeline import fill, same

STEPS = [*MEMORY, "analytics"]
LATER = MONDAY + timedelta(weeks=1, hours=5)


def test_an_erasure_just_before_a_step_writes_wins(make_settings, monkeypatch) -> None:
    """Whatever a run is about to write when somebody is forgotten, the run ends well and holds nothing of them."""
    people = {step: f"user-{step}" for step in STEPS}
    theirs = [
        row for user in people.values() for row in message_rows(4, start=LATER, session=f"talk-{user}", user=user)
    ]
    for row in theirs:
        row["text"] = f"{row['text']}, said {row['session_id'].upper()} and showed {SECRET}"
    settings = fill(make_settings("with"), [*others(), *theirs])
    without = fill(make_settings("without"), others())
    shutil.copytree(settings.home / "keys", without.home / "keys", dirs_exist_ok=True)
    needles = [needle for user in people.values() for needle in Erasure(Tools(settings)).needles("user", user)]
    met: list[str] = []
    plain = fence.Fence.committing

    @contextlib.contextmanager
    def met_by_an_erasure(self: fence.Fence) -> Iterator[None]:
        step = self._reader[1] if self._reader is not None else None
        if step in people and step not in met:
            met.append(step)
            Erasure(Tools(settings)).forget("user", people[step])
        with plain(self):
            yield

    monkeypatch.setattr(fence.Fence, "committing", met_by_an_erasure)
    assert weekly_run(settings, WEEKS[0], WEEKS[-1], analytics=True).success
    assert sorted(met) == sorted(STEPS)
    tools = Tools(settings)
    assert search(without_shared(needles, tools.store), settings, tools.store, tools.vectors).found == {}
    assert set(lance_rows(settings)["user_id"]) <= {"user-ana"}
    # The next run makes what is missing; then it is as if they had never come.
    assert weekly_run(settings, WEEKS[0], WEEKS[-1], analytics=True).success
    assert weekly_run(without, WEEKS[0], WEEKS[-1], analytics=True).success
    assert Tools(settings).sync.unsynced() == 0
    same(settings, without)
    assert lake_bytes(settings) == lake_bytes(without)


def test_what_is_said_while_somebody_is_erased_is_either_erased_or_refused(store) -> None:
    taken = normalise(message_rows(4), SourceOptions(), "test", "test")
    before = fence.generation(store)
    with store.writer.begin() as connection:
        fence.raise_generation(connection, store)
    with pytest.raises(ErasedMeanwhile):
        store.write(taken.messages, taken.sessions, taken.speakers, since=before)
    assert store.scalar(sa.text("SELECT count(*) FROM messages")) == 0
    assert store.write(taken.messages, taken.sessions, taken.speakers, since=before + 1) == 4


def test_an_import_that_an_erasure_overtakes_takes_in_nothing_of_the_erased(
    make_settings, tmp_path, monkeypatch
) -> None:
    settings = make_settings()
    client = MemoryClient(settings, embedder=False)
    file = tmp_path / "talk.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in [*others(), *zoes()]))
    from serving import capture

    plain, met = capture.write, []

    def late(*given: Any) -> int:
        if not met:
            met.append(True)
            Erasure(Tools(settings)).forget("user", "user-zoe")
        return plain(*given)

    monkeypatch.setattr(capture, "write", late)
    summary = client.import_file(str(file))
    assert (summary.new, summary.erased) == (24, 8)
    assert client.store.rows("messages", user_id="user-zoe") == []
    with pytest.raises(StoreError, match="erased"):
        client.start_session("lumi", "user-zoe")
    with pytest.raises(StoreError, match="erased"):
        client.worlds.add_affinity("user-zoe", "lumi", 5.0)


def test_a_store_that_is_restored_from_a_backup_forgets_again(make_settings) -> None:
    settings = fill(make_settings(), [*others(), *zoes()])
    Tools(settings).store.close()
    store = Path(sa.engine.make_url(settings.store_url).database or "")
    backup = store.with_suffix(".backup")
    with sqlite3.connect(store) as connection:
        connection.execute("VACUUM INTO ?", [str(backup)])
    erasure = Erasure(Tools(settings))
    erasure.forget("user", "user-zoe")
    erasure.forget("conversation", json.dumps(["lumi", "a1"]))
    erasure.forget("message", erasure._messages("user", "user-ana")["message_id"][0])
    left = erasure.store.rows("messages")
    erasure.store.close()
    with contextlib.closing(sqlite3.connect(backup)) as old, contextlib.closing(sqlite3.connect(store)) as now:
        old.backup(now)
    backup.unlink()
    client = MemoryClient(settings, embedder=False)
    assert client.recall("quetzal tattoo", agent="lumi", user="user-zoe").memories == []
    assert [row["message_id"] for row in client.store.rows("messages")] == [row["message_id"] for row in left]
    with pytest.raises(StoreError, match="erased"):
        client.remember("me again", agent="lumi", user="user-zoe")
    assert SECRET.encode() not in store.read_bytes()
    assert len(client.receipts()) == 3


@pytest.mark.parametrize("how", ["another file", "into the same file"])
def test_a_backup_that_is_put_back_under_a_client_is_erased_from_before_it_answers(make_settings, how: str) -> None:
    settings = fill(make_settings(), [*others(), *zoes()])
    store = Path(sa.engine.make_url(settings.store_url).database or "")
    client = MemoryClient(settings, embedder=False)
    backup = store.with_suffix(".backup")
    with contextlib.closing(sqlite3.connect(store)) as connection:
        connection.execute("VACUUM INTO ?", [str(backup)])
    assert client.recall("quetzal tattoo", agent="lumi", user="user-zoe").memories
    assert client.forget(user="user-zoe").messages
    assert client.recall("quetzal tattoo", agent="lumi", user="user-zoe").memories == []
    if how == "another file":
        for end in ("-wal", "-shm"):
            store.with_name(store.name + end).unlink(missing_ok=True)
        backup.replace(store)
    else:
        with contextlib.closing(sqlite3.connect(backup)) as old, contextlib.closing(sqlite3.connect(store)) as now:
            old.backup(now)
    with contextlib.closing(sqlite3.connect(store)) as connection:
        assert connection.execute("SELECT count(*) FROM messages WHERE user_id = 'user-zoe'").fetchone() != (0,)
    assert client.recall("quetzal tattoo", agent="lumi", user="user-zoe").memories == []
    assert client.recall("Bilbao", agent="lumi", user="user-ana").memories
    with contextlib.closing(sqlite3.connect(store)) as connection:
        assert connection.execute("SELECT count(*) FROM messages WHERE user_id = 'user-zoe'").fetchone() == (0,)
    with pytest.raises(StoreError, match="erased"):
        client.remember("me again", agent="lumi", user="user-zoe")


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_a_reader_that_stays_delays_the_overwriting_and_is_said(request, make_settings, monkeypatch, kind: str) -> None:
    url = {} if kind == "sqlite" else {"store_url": request.getfixturevalue("postgres_url")}
    settings = fill(make_settings(**url), [*others(), *zoes()])
    monkeypatch.setattr(scrub, "PATIENCE_S", 0.5)
    monkeypatch.setattr(Erasure.scrub, "__defaults__", (0.5,))
    reader = Tools(settings).store
    with reader.engine.connect().execution_options(
        isolation_level="REPEATABLE READ" if url else "SERIALIZABLE"
    ) as open_:
        open_.execute(sa.text("SELECT count(*) FROM messages")).scalar_one()
        done = Erasure(Tools(settings)).forget("user", "user-zoe")
        assert receipts.SCRUB_AGAIN in done.pending
        assert MemoryClient(settings, embedder=False).receipts()[0]["valid"]
    reader.close()
    monkeypatch.setattr(Erasure.scrub, "__defaults__", (20.0,))  # PostgreSQL may look at the tables by itself meanwhile
    assert resume(settings, lambda *_: None, rebuild=False) == []
    tools = Tools(settings)
    assert not tools.receipt_book.scrub_pending()
    assert SECRET.encode() not in stored_bytes(tools)


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_no_page_of_the_store_holds_anything_of_the_erased(request, make_settings, kind: str) -> None:
    url = {} if kind == "sqlite" else {"store_url": request.getfixturevalue("postgres_url")}
    settings = fill(make_settings(**url), [*others(), *zoes()])
    tools = Tools(settings)
    assert SECRET.encode() in stored_bytes(tools)
    assert b"user-zoe" in stored_bytes(tools)
    with (
        tools.store.writer.begin() as connection
    ):  # as it was before freed pages were overwritten: the leak test sees them
        connection.execute(sa.text("DELETE FROM messages WHERE user_id = 'user-zoe'"))
    if url:
        assert search([SECRET], settings, tools.store, tools.vectors).found["store.files"] > 0
    Erasure(tools).forget("user", "user-zoe")
    assert search([SECRET], settings, tools.store, tools.vectors).found == {}
    found = stored_bytes(tools)
    assert b"user-ana" in found
    for erased in (SECRET, "user-zoe", "Zoraida", "zoe-private", "Wilhelmina"):
        assert erased.encode() not in found, erased


@pytest.mark.postgres
def test_samples_of_values_that_somebody_came_to_see_meanwhile_wait(make_settings, postgres_url, monkeypatch) -> None:
    store = Tools(make_settings(store_url=postgres_url)).store
    asked = iter([True, False, True, True])  # before the tables are written anew, and before the samples are
    monkeypatch.setattr(scrub, "_unseen", lambda *_: next(asked))
    assert not scrub.scrub_store(store)
    assert scrub.scrub_store(store)
    store.close()


def stored_bytes(tools: Tools) -> bytes:
    """Return every byte of a store: SQLite's files, or the relations of PostgreSQL with its indexes and statistics."""
    if tools.store.is_sqlite:
        tools.store.close()
        path = Path(str(tools.store.url.database))
        return b"".join(one.read_bytes() for one in sorted(path.parent.glob(path.name + "*")) if one.is_file())
    query = (
        "SELECT pg_read_binary_file(pg_relation_filepath(oid)) FROM pg_class WHERE relkind IN ('r', 'i', 't') "
        "AND (relnamespace = 'public'::regnamespace OR relname LIKE 'pg_statistic%' OR relkind = 't')"
    )
    with tools.store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("CHECKPOINT"))
        return b"".join(bytes(data) for data in connection.execute(sa.text(query)).scalars() if data)


def test_others_rows_that_name_the_erased_do_not_any_more(make_settings) -> None:
    settings = make_settings()
    client = MemoryClient(settings, embedder=False)
    at = {"agent": "lumi", "session": "table"}
    client.remember("Soy Zoraida, hola", user="user-zoe", speaker_name="Zoraida Quintana", agent="lumi")
    client.remember(
        "We were all at the harbour", user="user-ana", participants=["user-zoe", "user-ana", "Zoraida Quintana"], **at
    )
    client.remember("Only she was there", user="user-ana", participants=["user-zoe"], **at)
    client.remember("Somebody else was there", user="user-ana", participants=["user-zoe-2"], **at)
    for key, value, mutable in (
        ("friend", "Zoraida Quintana is the best friend of lumi", False),
        ("note", "user-zoe likes tea", True),
        ("style", "Speaks like Zoraida Quintanas aunt", True),
        ("home", "Bilbao", False),
    ):
        client.store.set_core_memory("lumi", "about", key, value, is_mutable=mutable)
    client.store.set_core_memory("sage", "about", "friend", "Another Zoraida Quintana", is_mutable=True)
    client.store.insert_once(
        "rejects",
        [
            {"reject_id": "r1", "source": "jsonl", "file": "log", "line": 1, "reason": "no text", "raw": '{"who": "Zoraida Quintana"}'},
            {"reject_id": "r2", "source": "jsonl", "file": "log", "line": 2, "reason": "no text", "raw": '{"who": "Ana"}'},
        ],
    )  # fmt: skip
    done = Erasure(Tools(settings)).forget("user", "user-zoe")
    assert {key: done.removed[key] for key in ("participants", "core_memory", "rejects")} == {
        "participants": 2,
        "core_memory": 2,
        "rejects": 1,
    }
    present = {row["text"]: row["participants"] for row in client.store.rows("messages")}
    assert present == {
        "We were all at the harbour": '["user-ana"]',
        "Only she was there": None,
        "Somebody else was there": '["user-zoe-2"]',
    }
    assert sorted(row["key"] for row in client.store.rows("core_memory", agent_id="lumi")) == ["home", "style"]
    assert len(client.store.rows("core_memory", agent_id="sage")) == 1
    with pytest.raises(StoreError, match="immutable"):
        client.store.delete_core_memory("lumi", "about", "home")
    assert [row["reject_id"] for row in client.store.rows("rejects")] == ["r2"]


def test_who_speaks_under_another_id_than_the_user_has_is_erased_with_it(make_settings) -> None:
    """A chat that was imported for a user names its speakers itself."""
    settings = make_settings()
    rows = zoes()
    for row in rows:
        if row["role"] == "user":
            row["speaker_id"] = "Zoraida Quintana"
    shared = message_rows(2, start=LATER, session="s2", user="user-ana")
    family = {"speaker_id": "The family", "speaker_name": "The family"}
    shared[0] |= family
    more = [rows[0] | family | {"text": "We are all here", "occurred_at": shared[0]["occurred_at"]}]
    tools = Tools(settings)
    write_rows(tools.store, [*others(), *rows, *shared, *more])
    tools.store.insert_once(
        "rejects",
        [
            {"reject_id": "r1", "source": "whatsapp", "file": "Chat with Zoraida Quintana.txt", "line": 1, "reason": "x", "raw": None},
            {"reject_id": "r2", "source": "whatsapp", "file": "chat.txt", "line": 2, "reason": "x", "raw": rows[0]["text"]},
            {"reject_id": "r3", "source": "whatsapp", "file": "chat.txt", "line": 3, "reason": "x", "raw": "The family"},
        ],
    )  # fmt: skip
    Erasure(tools).forget("user", "user-zoe")
    assert {row["speaker_id"] for row in tools.store.rows("speakers")} == {"lumi", "user-ana", "The family"}
    assert "Zoraida Quintana" not in {row["display_name"] for row in tools.store.rows("speaker_names")}
    assert [row["reject_id"] for row in tools.store.rows("rejects")] == ["r3"]
    assert b"Zoraida" not in stored_bytes(tools)
