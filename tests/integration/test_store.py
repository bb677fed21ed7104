"""The store, on SQLite and PostgreSQL: nothing lost, nothing doubled, immutable is immutable."""

import json
import sqlite3
import time
from datetime import timedelta

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from records.errors import StoreError
from records.store import STORE_TABLES
from resources.snapshot import read_week_messages
from resources.store import MIGRATIONS, InteractionStore, newest_revision
from resources.sync import SyncState
from resources.tables import VERSION_TABLE, store_metadata
from tests.conftest import MONDAY, message_rows, write_rows


def test_migrations_make_what_the_records_say(store: InteractionStore) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    store.migrate()
    with store.engine.connect() as connection:
        found = compare_metadata(
            MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}), store_metadata()
        )
    assert found == []
    assert store._revision() == newest_revision() == ScriptDirectory(str(MIGRATIONS)).get_current_head()
    assert {record.table_name() for record in STORE_TABLES} <= set(sa.inspect(store.engine).get_table_names())


def test_messages_are_known_once_and_read_back(store: InteractionStore) -> None:
    rows = message_rows(10)
    assert write_rows(store, rows) == 10
    assert write_rows(store, rows + message_rows(4, session="new", start=MONDAY + timedelta(days=8))) == 4
    week = read_week_messages(store, "2025-01-06", "2025-01-06")
    assert week.height == 10
    assert set(week["speaker_name"]) == {"Ana", "Lumi"}
    assert str(week.schema["occurred_at"]) == "Datetime(time_unit='us', time_zone='UTC')"
    assert store.weeks() == ["2025-01-06", "2025-01-13"]
    assert store.personas() == ["lumi"]


def test_sessions_merge_the_same_in_any_order(store: InteractionStore) -> None:
    rows = message_rows(4)
    write_rows(store, rows[2:])
    store.set_opt_out(session_id="lumi-user-ana")
    write_rows(store, rows[:2])
    session = store.rows("sessions", session_id="lumi-user-ana")[0]
    assert session["started_at"] == MONDAY
    assert session["opt_out_training"]


def test_immutable_core_memory_is_refused_by_the_database_itself(store: InteractionStore) -> None:
    store.set_core_memory("lumi", "identity", "name", "Lumi", is_mutable=False)
    store.set_core_memory("lumi", "identity", "name", "Lumi", is_mutable=False)
    store.set_core_memory("lumi", "like", "tea", "green")
    store.set_core_memory("lumi", "like", "tea", "black")
    with pytest.raises(StoreError, match="immutable"):
        store.set_core_memory("lumi", "identity", "name", "Other")
    with pytest.raises(StoreError, match="immutable"):
        store.delete_core_memory("lumi", "identity", "name")
    attempts = [
        "UPDATE core_memory SET value = 'x'",
        "DELETE FROM core_memory",
        "UPDATE core_memory SET is_mutable = true",
    ]
    attempts += ["TRUNCATE core_memory"] if not store.is_sqlite else []
    for attempt in attempts:
        with pytest.raises(sa.exc.DBAPIError, match="immutable"), store.writer.begin() as connection:
            connection.execute(sa.text(attempt))
    store.delete_core_memory("lumi", "like", "tea")
    assert [row["value"] for row in store.rows("core_memory")] == ["Lumi"]


def test_a_stranger_with_plain_sqlite_cannot_replace_an_immutable_entry(tmp_path) -> None:
    path = tmp_path / "s.sqlite"
    store = InteractionStore(f"sqlite:///{path}").migrate()
    store.set_core_memory("lumi", "identity", "name", "Lumi", is_mutable=False)
    store.close()
    for attempt in (
        "REPLACE INTO core_memory VALUES ('lumi','identity','name','X',1)",
        "INSERT OR REPLACE INTO core_memory VALUES ('lumi','identity','name','X',1)",
        "DELETE FROM core_memory",
    ):
        with sqlite3.connect(path) as connection, pytest.raises(sqlite3.IntegrityError, match="immutable"):
            connection.execute(attempt)


def test_unsynced_counts_watermark_and_exact_marks(store: InteractionStore) -> None:
    write_rows(store, message_rows(24))
    sync = SyncState(store)
    assert (sync.largest_pair(), sync.due(25)) == (24, [])
    write_rows(store, message_rows(1, start=MONDAY + timedelta(days=9), session="late"))
    due = sync.due(25)
    assert [(item.week, item.messages) for item in due] == [("2025-01-06", 24), ("2025-01-13", 1)]
    assert due[1].watermark > due[0].watermark
    first_week = read_week_messages(store, "2025-01-06", "2025-01-06")["message_id"].to_list()
    assert sync.mark([*first_week, "m_unknown"]) == 24
    assert sync.mark(first_week) == 0
    assert (sync.unsynced(), sync.pair_count("lumi", "user-ana"), sync.due(25)) == (1, 1, [])
    assert sync.unsynced_weeks() == ["2025-01-13"]


def test_worlds_without_a_user_are_counted_as_a_pair(store: InteractionStore) -> None:
    rows = [row | {"user_id": None, "role": "agent", "group": True} for row in message_rows(26)]
    write_rows(store, rows)
    assert [item.week for item in SyncState(store).due(25)] == ["2025-01-06"]
    assert SyncState(store).pair_count("lumi", None) == 26


def test_feedback_and_opt_out_reach_the_snapshot(store: InteractionStore) -> None:
    write_rows(store, message_rows(4))
    answer = read_week_messages(store, "2025-01-06", "2025-01-06").filter(pl.col("role") == "agent")["message_id"][0]
    store.add_feedback(answer, rating=1.0)
    store.add_feedback(answer, rating=0.0, quality_override=0.8)
    store.set_opt_out(speaker_id="user-ana")
    row = (
        read_week_messages(store, "2025-01-06", "2025-01-06").filter(pl.col("message_id") == answer).row(0, named=True)
    )
    assert (row["rating"], row["quality_override"], row["user_opt_out"]) == (0.5, 0.8, True)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_import_in_any_order_and_pieces_with_repeats_is_the_same_store(tmp_path_factory, data) -> None:
    rows = message_rows(12) + message_rows(6, session="b", user="user-ben", start=MONDAY + timedelta(days=5))
    shuffled = data.draw(st.permutations(rows))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    pieces = [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    pieces += [data.draw(st.sampled_from(pieces))]
    folder = tmp_path_factory.mktemp("order")
    whole, parts = (InteractionStore(f"sqlite:///{folder / name}.sqlite").migrate() for name in ("whole", "parts"))
    write_rows(whole, rows)
    for piece in pieces:
        if piece:
            write_rows(parts, piece)
    sessions = [json.dumps(s.rows("sessions"), default=str) for s in (whole, parts)]
    frames = [read_week_messages(s, "2025-01-06", "2025-01-13").sort("message_id") for s in (whole, parts)]
    assert sessions[0] == sessions[1]
    assert frames[0].equals(frames[1])


@pytest.mark.postgres
@pytest.mark.slow
def test_a_week_is_read_in_little_more_than_its_rows_take(postgres_url: str) -> None:
    """Joins with sessions, speakers and feedback cost little beside the rows themselves, which are read by the same driver."""
    store = InteractionStore(postgres_url).migrate()
    with store.writer.begin() as connection:
        connection.execute(
            sa.text("INSERT INTO sessions VALUES ('s','a','u',false,'2025-01-06','2025-01-06','t',NULL)")
        )
        connection.execute(
            sa.text(
                "INSERT INTO messages (message_id, session_id, agent_id, user_id, speaker_id, role, text, occurred_at, week, source, received_at) "
                "SELECT 'm_' || lpad(n::text, 24, '0'), 's', 'a', 'u', 'u', 'user', 'a message of ordinary length, number ' || n, "
                "'2025-01-06'::timestamptz + n * interval '1 millisecond', '2025-01-06', 't', now() FROM generate_series(1, 200000) n"
            )
        )
    plain, whole = [], []
    for _ in range(3):
        start = time.perf_counter()
        store.frame("SELECT * FROM messages")
        plain.append(time.perf_counter() - start)
        start = time.perf_counter()
        frame = read_week_messages(store, "2025-01-06", "2025-01-06")
        whole.append(time.perf_counter() - start)
        assert frame.height == 200_000
    store.close()
    assert min(whole) < 5 * min(plain), (whole, plain)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "no SQLAlchemy URL"),
        ("mysql://x/db", "mysql is no store"),
        ("postgresql+foo://x/db", "cannot be opened.*foo"),
        ("postgresql+psycopg://nobody@127.0.0.1:1/db", "postgresql store cannot be opened"),
        ("sqlite:////proc/nowhere/s.sqlite", "sqlite store cannot be opened"),
    ],
)
def test_a_store_that_cannot_be_opened_is_one_sentence(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        InteractionStore(url).migrate()


def test_a_file_that_is_no_database_is_named(tmp_path) -> None:
    (tmp_path / "s.sqlite").write_text("certainly not a database, whatever its name says")
    with pytest.raises(StoreError, match="is damaged.*restore it from a backup"):
        InteractionStore(f"sqlite:///{tmp_path / 's.sqlite'}").migrate()
