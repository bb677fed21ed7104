"""Who is who: names whatever their case, sessions and display names of one agent, worlds, shared episodes, odd ids."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from plugins.contracts import SourceOptions
from records.errors import AgentNeeded, StoreError
from resources.settings import Settings
from serving.client import MemoryClient
from tests.conftest import MONDAY, weekly_run

ODD = ["o'brien", "x' OR '1'='1", "100%", "a_b", "axb", "a/b", "née", "🦊", "back\\slash", 'say "hi"', "world:a/b"]


@pytest.fixture
def client(settings: Settings) -> MemoryClient:
    """Return a client of a fresh installation that finds by words."""
    return MemoryClient(settings, embedder=False)


def test_names_are_matched_whatever_their_case_and_accents(client: MemoryClient) -> None:
    client.remember("My dog is called Toby", agent="Lumí", user="Inés", session="Día uno", occurred_at=MONDAY)
    asked = client.asked("LUMI", "ines", session="dia UNO")
    assert (asked.scope.agent_id, asked.scope.user_id, asked.session) == ("Lumí", "Inés", "Día uno")
    assert client.recall("what is my dog called?", agent="lumi", user="INES").memories
    client.remember("She is three", agent="lumi", user="Inés")  # the same agent goes on under the name it has
    assert client.people.agents() == ["Lumí"]


def test_an_exact_id_is_that_one_and_several_that_are_alike_are_none(client: MemoryClient) -> None:
    for user in ("Ana", "ana"):
        client.remember(f"I am {user} of the harbour", agent="sage", user=user)
    for user in ("Ana", "ana"):
        assert [m.text for m in client.recall("harbour", agent="sage", user=user).memories] == [
            f"I am {user} of the harbour"
        ]
    answer = client.recall("harbour", agent="sage", user="ANA")
    assert not answer.memories
    assert "did you mean" in answer.notes[0]


def test_a_scope_that_does_not_exist_is_said_with_the_nearest_names(client: MemoryClient) -> None:
    client.remember("hello", agent="sage", user="marcos")
    assert "there is no agent 'saga'; did you mean 'sage'?" in client.recall("hello", agent="saga").notes
    with pytest.raises(StoreError, match="sage knows no user 'marco'; did you mean 'marcos'"):
        client.asked("sage", "marco").known()
    assert client.context("hello", agent="saga").notes[0].startswith("there is no agent")


def test_two_agents_with_one_session_id_share_nothing(settings: Settings, client: MemoryClient) -> None:
    for minute in range(12):
        for agent, secret in (("luna", "the treasure lies under the old oak"), ("sol", "we sail to Cadiz on Friday")):
            client.remember_exchange(
                f"I am so happy, {secret}, part {minute}!", f"wonderful, tell me more about part {minute}",
                agent=agent, user=f"user of {agent}", session="default", occurred_at=MONDAY + timedelta(minutes=minute),
            )  # fmt: skip
    assert weekly_run(settings, "2025-01-06").success
    reader = MemoryClient(settings, embedder=False)
    for agent, other in (("luna", "Cadiz"), ("sol", "oak")):
        for question in ("what makes me happy?", "treasure oak", "sail Cadiz Friday"):
            for memory in reader.recall(question, agent=agent, k=50).memories:
                assert other not in memory.text
        assert other not in reader.context("how happy am I?", agent=agent, session="default").text


def test_display_names_belong_to_an_agents_memory(client: MemoryClient) -> None:
    client.remember("hello", agent="luna", user="u1", speaker_name="Ana")
    client.remember("hello", agent="sol", user="u1", speaker_name="Mrs. García")
    assert client.recall("hello", agent="luna").memories[0].speaker == "Ana"
    assert client.recall("hello", agent="sol").memories[0].speaker == "Mrs. García"


def test_agents_of_two_worlds_with_one_name_are_different(client: MemoryClient) -> None:
    for world in ("tavern", "castle"):
        client.remember_exchange(f"open the {world} gate", "yes", agent="guard", user="hero", world=world, session="s")
    for world in ("tavern", "castle"):
        found = client.recall("gate", agent="Guard", user="hero", world=world).memories
        assert [m.text for m in found if "gate" in m.text] == [f"open the {world} gate"]
        assert {row["world_id"] for row in client.store.rows("messages") if world in row["text"]} == {world}
    assert not client.recall("gate", agent="guard").memories


def test_only_the_owner_shares_an_episode(settings: Settings, client: MemoryClient) -> None:
    for minute in range(12):
        client.remember_exchange(
            f"I am terribly sad and afraid, my father died, day {minute}!", "I am so sorry for your loss",
            agent="luna", user="ana", session="s", occurred_at=MONDAY + timedelta(minutes=minute), importance=0.9,
        )  # fmt: skip
    assert weekly_run(settings, "2025-01-06").success
    reader = MemoryClient(settings, embedder=False)
    episode = next(m.id for m in reader.recall("father died", agent="luna", kinds=("episode",)).memories)
    for share in (reader.share, reader.worlds.share):
        with pytest.raises(StoreError, match="no such episode to share"):
            share(episode, by="sol", with_agent="mars")
    assert reader.share(episode, by="luna", with_agent="sol")
    assert [m.id for m in reader.recall("father", agent="sol", kinds=("episode",)).memories] == [episode]


@pytest.mark.parametrize("agent", ODD)
def test_odd_ids_work_everywhere(client: MemoryClient, agent: str) -> None:
    for other in ODD:
        client.remember(f"number {ODD.index(other)}", agent=other, user=other, session=other)
    mine = f"number {ODD.index(agent)}"
    assert [m.text for m in client.recall("number", agent=agent, user=agent).memories] == [mine]
    assert mine in client.context("number", agent=agent, user=agent, session=agent).text
    assert client.stats(agent=agent, user=agent)["messages"] == 1
    assert client.worlds.react(user=agent, agent=agent, session=agent, emotion="joy", valence=0.5, arousal=0.5)
    assert client.facts(agent=agent).is_empty()


def test_an_agents_name_in_a_chat_is_the_agent_and_no_file_names_one(client: MemoryClient, tmp_path: Path) -> None:
    chat = tmp_path / "chat.txt"
    chat.write_text("12/10/2025, 10:00 - Nora: hi\n13/10/2025, 10:02 - Lumi: hello\n", encoding="utf-8")
    with pytest.raises(AgentNeeded, match="--agent; its speakers are Lumi, Nora"):
        client.import_file(str(chat))
    client.import_file(str(chat), SourceOptions(agent="LUMÍ"))
    assert [(r["role"], r["speaker_id"]) for r in client.store.rows("messages")] == [
        ("user", "Nora"),
        ("agent", "LUMÍ"),
    ]
    strangers = client.preview_import(str(chat), SourceOptions(agent="Zoe"))
    assert "nobody in it is called Zoe" in strangers.summary.notes[0]


def test_opting_out_before_the_first_message_holds(settings: Settings, client: MemoryClient) -> None:
    client.opt_out(user="ana")
    client.remember("hello there", agent="sage", user="ana", occurred_at=MONDAY)
    from model_registry.files import opted_out_messages

    assert len(opted_out_messages(client.store)) == 1


def test_settable_everywhere_and_a_preview_keeps_nothing(client: MemoryClient, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps({"text": "hi", "role": "user", "occurred_at": "2025-01-06T10:00:00Z"}) + "\nnot json\n")
    options = SourceOptions(agent="sage", user="ana", session="one", world="w", metadata={"origin": "backup"})
    shown = client.preview_import(str(log), options)
    assert (shown.summary.format, shown.summary.read, shown.summary.rejected) == ("jsonl", 1, 1)
    assert shown.first[0]["text"] == "hi"
    assert not client.store.rows("messages")
    client.import_file(str(log), options)
    kept = client.store.rows("messages")[0]
    assert (kept["session_id"], kept["user_id"], kept["world_id"]) == ("one", "ana", "w")
    assert json.loads(kept["metadata"]) == {"origin": "backup"}


def test_one_call_is_one_exchange(client: MemoryClient) -> None:
    with pytest.raises(StoreError, match="no text"):
        client.remember_exchange("question", " ", agent="sage", user="ana", session="x")
    assert not client.store.rows("messages", session_id="x")


def test_pairs_of_one_time_stay_pairs_and_in_order(settings: Settings, make_settings: Callable[..., Settings]) -> None:
    from records.interactions import ScoredInteractions

    client = MemoryClient(settings, embedder=False)
    for n in range(30):
        client.remember_exchange(
            f"question {n} about Navidad",
            f"answer {n} about Navidad",
            agent="sage",
            user="ana",
            session="s",
            occurred_at=MONDAY,
        )
    assert weekly_run(settings, "2025-01-06").success
    from memory_assets.tools import Tools

    pairs = (
        Tools(settings).lake.read("scored_interactions", ScoredInteractions, ["2025-01-06"]).collect().sort("position")
    )
    assert pairs.select("input_text", "output_text").rows() == [
        (f"question {n} about Navidad", f"answer {n} about Navidad") for n in range(30)
    ]


def test_a_conversation_that_does_not_exist_is_said(client: MemoryClient) -> None:
    client.remember("hello", agent="sage", user="ana", session="one")
    assert client.recall("hello", agent="sage", session="ONE").memories
    assert client.recall("hello", agent="sage", session="two").notes[0].startswith("there is no conversation 'two'")
    assert not client.context("hello", agent="sage", user="ana", session="two").notes[0].startswith("there is no con")


def test_the_same_said_again_at_one_time_is_another_message_and_a_call_tried_again_is_none(
    client: MemoryClient,
) -> None:
    about = {"agent": "sage", "user": "ana", "session": "s", "occurred_at": MONDAY}
    said = [("ok", "fine"), ("and then?", "fine"), ("ok", "good"), ("ok", "fine")]
    ids = [client.remember_exchange(*pair, **about) for pair in said]
    assert len({each for pair in ids for each in pair}) == 8
    assert client.remember_exchange(*said[-1], **about) == ids[-1]  # tried again
    one = client.remember("ok", **about)
    assert client.remember("ok", **about) == one
    assert len(client.store.rows("messages")) == 9


def test_two_users_of_one_agent_with_one_session_id_share_nothing(settings: Settings, client: MemoryClient) -> None:
    told = {"ana": "the treasure lies under the old oak", "bea": "we sail to Cadiz on Friday"}
    for minute in range(10):
        for user, secret in told.items():
            client.remember_exchange(
                f"I am so happy, {secret}, part {minute}!", f"wonderful, tell me more about {secret.split()[-1]} {minute}",
                agent="luna", user=user, session="default", occurred_at=MONDAY + timedelta(minutes=minute), importance=0.9,
            )  # fmt: skip
    assert weekly_run(settings, "2025-01-06").success
    reader = MemoryClient(settings, embedder=False)
    for user, other in (("ana", "Cadiz"), ("bea", "oak")):
        found = reader.recall("what makes me happy?", agent="luna", user=user, k=50).memories
        assert {memory.kind for memory in found} >= {"message", "episode"}
        assert not [memory.text for memory in found if other in memory.text]
        assert other not in reader.context("how happy am I?", agent="luna", user=user, session="default").text


def test_names_that_look_like_somebodys_are_asked_back(
    settings: Settings, client: MemoryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from cli import app

    client.remember("hello", agent="sage", user="Marcos")
    monkeypatch.setenv("MEMORY_HOME", str(settings.home))
    for command in (["opt-out"], ["forget"]):
        asked = CliRunner().invoke(app, [*command, "--user", "Marco"])
        assert asked.exit_code != 0
        assert "did you mean 'Marcos'?" in str(asked.exception)
    for what in (["--user", "Wilhelmina"], ["--session", "typo"], ["--message", "m_typo"]):
        asked = CliRunner().invoke(app, ["forget", *what])
        assert asked.exit_code != 0
        assert "nothing was forgotten" in str(asked.exception)
    assert client.store.rows("tombstones") == []
    assert CliRunner().invoke(app, ["opt-out", "--user", "marcos"]).exit_code == 0
    assert client.store.rows("speakers", speaker_id="Marcos")[0]["opt_out_training"]
    assert CliRunner().invoke(app, ["opt-out", "--user", "Marco", "--as-written"]).exit_code == 0
