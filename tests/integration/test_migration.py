"""Stores of earlier versions keep everything: order of arrival, names, sessions that two agents used, moods."""

import sqlalchemy as sa

from resources.snapshot import read_week_messages
from resources.store import MIGRATIONS, InteractionStore
from transforms.order import ordered


def at_revision(url: str, revision: str) -> InteractionStore:
    """Return a store as an earlier version left it."""
    from alembic import command
    from alembic.config import Config

    store = InteractionStore(url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with store.writer.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    return store


OLD = [
    "INSERT INTO speakers VALUES ('u1', 'user', 'Ana', true), ('lumi', 'agent', 'Lumi', false), ('sol', 'agent', 'sol', false)",
    "INSERT INTO sessions VALUES ('s', 'lumi', 'u1', true, '2025-01-06 10:00:00', NULL, 't', NULL)",
    "INSERT INTO moods VALUES ('s', 'lumi', 'cheerful', 0.5, '2025-01-06 10:00:00')",
]
SAID = [
    ("m_z", "lumi", "u1", "user", "first question", "10:00:00"),
    ("m_a", "lumi", "lumi", "agent", "first answer", "10:00:00"),
    ("m_y", "lumi", "u1", "user", "second question", "10:00:00"),
    ("m_b", "lumi", "lumi", "agent", "second answer", "10:00:00"),
    ("m_c", "sol", "u1", "user", "for another agent", "10:00:00"),
    ("m_d", "lumi", "u1", "user", "later", "10:01:00"),
]


def test_an_older_store_keeps_its_order_of_arrival_its_names_and_its_sessions(
    store: InteractionStore, tmp_path
) -> None:
    url = store.url.render_as_string(hide_password=False)
    with store.writer.begin() as connection:  # an empty store of the newest version: begin anew
        for table in reversed(store.meta.sorted_tables):
            connection.execute(sa.text(f"DROP TABLE {table.name}"))
        connection.execute(sa.text("DROP TABLE memory_schema_version"))
        if not store.is_sqlite:
            connection.execute(sa.text("DROP FUNCTION core_memory_guard CASCADE"))
    old = at_revision(url, "0005")
    with old.writer.begin() as connection:
        for statement in OLD:
            connection.execute(sa.text(statement))
        for message_id, agent, speaker, role, text, at in SAID:
            connection.execute(
                sa.text(
                    "INSERT INTO messages (message_id, session_id, agent_id, user_id, speaker_id, role, text, occurred_at, week, "
                    "source, received_at) "
                    "VALUES (:m, 's', :a, 'u1', :s, :r, :t, :o, '2025-01-06', 't', '2025-01-06 12:00:00')"
                ),
                {"m": message_id, "a": agent, "s": speaker, "r": role, "t": text, "o": f"2025-01-06 {at}"},
            )
    old.close()
    new = InteractionStore(url).migrate()
    week = ordered(read_week_messages(new, "2025-01-06", "2025-01-06"))
    mine = week.filter(week["agent_id"] == "lumi")
    assert mine["text"].to_list() == ["first question", "first answer", "second question", "second answer", "later"]
    assert mine["speaker_name"].unique().sort().to_list() == ["Ana", "Lumi"]
    assert week.filter(week["agent_id"] == "sol")["text"].to_list() == ["for another agent"]
    assert week["session_opt_out"].all()
    assert [row["agent_id"] for row in new.rows("sessions", session_id="s")] == ["lumi", "sol"]
    assert new.rows("moods")[0]["agent_id"] == "lumi"
    assert new.rows("speakers", speaker_id="u1")[0]["opt_out_training"]
    new.close()
