"""Messages that no run has taken in yet: all are recalled, as they will be after the run, and nothing of what is gone."""

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa

from benchmarks.syncs import commit
from plugins.contracts import Embedder
from resources.settings import Settings
from resources.store import InteractionStore
from resources.sync import SyncState
from serving.client import MemoryClient
from serving.recall import fresh
from serving.recall.fresh import Fresh
from serving.recall.recaller import Recaller
from serving.scope import Scope
from tests.conftest import MONDAY, message_rows, weekly_run, write_rows

WEEK = f"{MONDAY:%Y-%m-%d}"
START = datetime(2025, 1, 7, 10, tzinfo=UTC)
HOBBIES = ("knitting", "chess", "sailing", "pottery", "fencing", "juggling")


def talk(count: int, needles: dict[int, str], **given: Any) -> list[dict[str, Any]]:
    """Return rows of a conversation, some with other texts."""
    return [row | ({"text": needles[n]} if n in needles else {}) for n, row in enumerate(message_rows(count, **given))]


@pytest.fixture
def no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let messages be marked as synced although no run made a table of them: nothing is read in its place."""
    monkeypatch.setattr(Recaller, "_look_for_table", lambda self, scope: None)


@pytest.fixture(params=["whole", "by words"])
def any_number(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let fresh messages be read whole, or be too many for that."""
    if request.param == "by words":
        monkeypatch.setattr(fresh, "WHOLE", 10)
        monkeypatch.setattr(fresh, "NEWEST", 2)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def installed(request: pytest.FixtureRequest, make_settings: Callable[..., Settings]) -> Settings:
    """Return settings of an installation on each database."""
    if request.param == "sqlite":
        return make_settings()
    return make_settings(store_url=request.getfixturevalue("postgres_url"))


def texts(client: MemoryClient, question: str, **given: Any) -> list[str]:
    return [m.text for m in client.recall(question, **{"agent": "lumi", "kinds": ("message",), **given}).memories]


@pytest.mark.usefixtures("any_number")
def test_the_oldest_of_many_is_found_in_any_form_of_its_words(installed: Settings) -> None:
    client = MemoryClient(installed, embedder=False)
    needles = {
        0: "The axolotl sleeps in the cellar",
        150: "Mi canción favorita habla de un colibrí",
        298: "We planted quinces",
    }
    write_rows(client.store, talk(301, needles))
    assert needles[0] in texts(client, "axolotls?")
    assert needles[150] in texts(client, "¿Qué canciones de COLIBRIES?")
    assert needles[298] in texts(client, "a quince", user="user-ana")
    assert texts(client, "quince axolotl", user="somebody else") == []
    client.close()


@pytest.mark.usefixtures("any_number", "no_table")
def test_what_others_write_erase_sync_reopen_and_edit_is_seen_at_once(installed: Settings) -> None:
    client, other = MemoryClient(installed, embedder=False), MemoryClient(installed, embedder=False)
    write_rows(other.store, talk(40, {3: "The axolotl sleeps", 5: "A capybara swims", 8: "An okapi hides"}))
    assert "The axolotl sleeps" in texts(client, "axolotl")
    write_rows(other.store, [message_rows(1, session="new")[0] | {"text": "A tapir came"}])
    assert "A tapir came" in texts(client, "tapir")
    m = other.store.meta.tables["messages"]

    def change(said: str, **values: Any) -> str:
        """Change a message as an import or a run does."""
        [row] = other.store.rows("messages", text=said)
        with other.store.writer.begin() as connection:
            connection.execute(sa.update(m).where(m.c.message_id == row["message_id"]).values(**values))
        return str(row["message_id"])

    synced = change("A capybara swims", synced_at=START)
    assert "A capybara swims" not in texts(client, "capybara swims", k=50)
    with other.store.writer.begin() as connection:
        connection.execute(sa.update(m).where(m.c.message_id == synced).values(synced_at=None))
    assert "A capybara swims" in texts(client, "capybara swims")
    change("The axolotl sleeps", text="The wombat sleeps", edited_at=START)
    assert "The wombat sleeps" in texts(client, "wombat")
    assert "The axolotl sleeps" not in texts(client, "axolotl sleeps", k=50)
    change("The wombat sleeps", text="The numbat sleeps", edited_at=START + timedelta(seconds=1))
    assert "The numbat sleeps" in texts(client, "numbat")
    [hidden] = other.store.rows("messages", text="An okapi hides")
    other.forget(message=hidden["message_id"])
    assert not [text for text in texts(client, "okapi hides", k=50) if "okapi" in text]
    kept = client.recaller.fresh._held
    for held in kept.values():
        assert held.index is None or not {"okapi", "axolotl"} & set(held.index._words)
        assert held.known is None or "okapi" not in " ".join(held.known["said"])
    other.forget(user="user-ana")
    assert texts(client, "capybara tapir Bilbao", k=50) == []
    client.close()
    other.close()


@pytest.mark.usefixtures("any_number")
def test_a_request_to_forget_holds_among_all_of_them(installed: Settings) -> None:
    client = MemoryClient(installed, embedder=False)
    asked = "Please forget what I told you about my axolotl in the cellar."
    said = {2: "My axolotl lives in the cellar", 20: asked, 31: "I fixed my bike", 30: "The cellar was painted green"}
    write_rows(client.store, talk(200, said))
    answer = client.recall("axolotl in the cellar", agent="lumi", kinds=("message",), k=50)
    shown = [m.text for m in answer.memories]
    assert said[30] in shown
    assert not {said[2], asked} & set(shown)
    [gone] = client.store.rows("messages", text=said[2])
    assert gone["message_id"] in answer.withdrawn
    assert gone["message_id"] in client.recaller.withdrawn(Scope("lumi"), [gone["message_id"]])
    assert "axolotl" not in client.context("where does my axolotl live?", agent="lumi", budget=2_000).text
    client.close()


def test_what_is_kept_grows_by_what_is_new_and_is_bounded(
    store: InteractionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh, "WHOLE", 10)
    write_rows(store, talk(60, {}) + talk(30, {}, agent="sage"))
    gone: list[int] = []
    kept, read = Fresh(store, gone.extend), []
    frame = store.frame
    store.frame = lambda statement, values=(): read.append(rows := frame(statement, values)) or rows  # type: ignore[method-assign]
    kept.told(Scope("lumi"), "bridges")
    index = kept._held[Scope("lumi")].index
    read.clear()
    write_rows(store, talk(1, {0: "a tapir"}, session="late"))
    assert "a tapir" in kept.told(Scope("lumi"), "tapir").image.rows["text"].to_list()
    assert kept._held[Scope("lumi")].index is index
    assert len(index) == 61
    assert sum("speaker_id" in rows.columns and "text" in rows.columns and rows.height for rows in read) == 1
    read.clear()
    kept.told(Scope("lumi"), "tapir")
    assert not store.is_sqlite or len(read) == 1  # the rows that are shown
    monkeypatch.setattr(fresh, "HELD_BYTES", 1)
    kept.told(Scope("sage"), "bridges")
    assert list(kept._held) == [Scope("sage")]
    assert len(gone) == 61


def test_a_state_is_another_one_after_whatever_anybody_commits(store: InteractionStore) -> None:
    other = InteractionStore(store.url.render_as_string(hide_password=False))
    seen = [store.state()]
    for who in (store, other):
        write_rows(who, message_rows(1, session=f"s{len(seen)}"))
        seen.append(store.state())
        # A server has other databases, in which others may write.
        assert not store.is_sqlite or store.state() == seen[-1]
    store.close()
    if store.is_sqlite:  # a new connection begins to count anew
        seen.append(store.state())
    assert len({*seen, None}) == len(seen) + 1
    other.close()


# -- as after the run -------------------------------------------------------------------------------------------------


def turns(client: MemoryClient, **scope: Any) -> dict[str, int]:
    found = client.recall("Bilbao dog number tell", k=500, kinds=("message",), **scope).memories
    return {m.id: m.turn for m in found}


def test_turns_are_those_of_the_run_also_where_it_took_in_a_half(installed: Settings) -> None:
    client = MemoryClient(installed)
    # A conversation over two weeks, one with system messages, one whose source counts by itself, one whose clocks run backwards.
    rows = message_rows(30, step=timedelta(hours=8))
    rows += [r | ({"role": "system"} if n % 5 == 0 else {}) for n, r in enumerate(message_rows(20, session="system"))]
    rows += [r | {"turn": 100 + n} for n, r in enumerate(message_rows(6, session="counted"))]
    rows += message_rows(8, session="back", step=timedelta(seconds=0))
    write_rows(client.store, rows)
    before = turns(client, agent="lumi")
    recent = client.recent(agent="lumi", session="lumi-user-ana", limit=50)
    assert len(before) == len(rows) - 4
    assert min(before.values()) == 1
    block = client.context("my dog number 20", agent="lumi", session="lumi-user-ana", budget=2_000)
    client.store.close()
    assert weekly_run(installed, WEEK, "2025-01-13").success
    after = MemoryClient(installed)
    assert turns(after, agent="lumi") == before
    assert after.recent(agent="lumi", session="lumi-user-ana", limit=50).equals(recent)
    assert dict(recent.select("message_id", "turn").rows()).items() <= before.items()
    again = after.context("my dog number 20", agent="lumi", session="lumi-user-ana", budget=2_000)
    for shown in (block, again):
        assert {m.id: m.turn for m in shown.memories if m.kind == "message"}.items() <= before.items()
    late = message_rows(40, step=timedelta(hours=8))[30:] + message_rows(24, session="system")[20:]
    write_rows(after.store, late)
    half = turns(after, agent="lumi")
    assert len(half) == len(before) + len(late)
    after.store.close()
    assert weekly_run(installed, WEEK, "2025-01-13").success
    assert turns(MemoryClient(installed), agent="lumi") == half


def test_turns_are_told_within_a_week_only(installed: Settings) -> None:
    client = MemoryClient(installed, embedder=False)
    write_rows(client.store, talk(12, {1: "The axolotl sleeps"}, start=datetime(2025, 1, 12, 23, 54, tzinfo=UTC)))
    now = datetime(2025, 1, 13, 0, 30, tzinfo=UTC)
    block = client.context("axolotl", agent="lumi", session="lumi-user-ana", budget=2_000, now=now)
    assert "(turn 2, 35 min ago)" in block.text  # it is the sixth turn of the next week now
    write_rows(client.store, talk(30, {1: "The okapi sleeps"}, session="one week"))
    block = client.context("okapi", agent="lumi", session="one week", budget=2_000)
    assert "(turn 2, 28 turns ago)" in block.text
    client.close()


def group(client: MemoryClient) -> list[dict[str, Any]]:
    for n in range(12):
        speaker = ("ana", "ben", None)[n % 3]
        client.remember(
            f"group {HOBBIES[n % 6]} {n}", agent="lumi", role="agent" if speaker is None else "user", session="group",
            speaker=speaker or "lumi", occurred_at=START + timedelta(minutes=n),
        )  # fmt: skip
    return [{"agent": "lumi"}, {"agent": "lumi", "user": "ana"}, {"agent": "lumi", "user": "ben"}]


def shared_session(client: MemoryClient) -> list[dict[str, Any]]:
    for n in range(12):
        user = ("ana", "ben")[n % 2]
        moment = START + timedelta(minutes=n)
        client.remember_exchange(
            f"{HOBBIES[n % 6]} {n}", f"so {n}", agent="lumi", user=user, session="default", occurred_at=moment
        )
    return [{"agent": "lumi"}, {"agent": "lumi", "user": "ana"}, {"agent": "lumi", "user": "ben"}]


def world(client: MemoryClient) -> list[dict[str, Any]]:
    for n in range(12):
        speaker = ("guard", "smith", "hero")[n % 3]
        for agent in ("guard", "smith"):
            client.remember(
                f"{agent} heard {speaker} on {HOBBIES[n % 6]} {n}", agent=agent, world="tavern", session="evening",
                role="user" if speaker == "hero" else "agent", user="hero" if speaker == "hero" and n % 2 else None,
                speaker=speaker, participants=["guard", "smith", "hero"], occurred_at=START + timedelta(minutes=n),
            )  # fmt: skip
    scopes: list[dict[str, Any]] = [{"agent": agent, "world": "tavern"} for agent in ("guard", "smith", "Smith")]
    return [*scopes, {"agent": "guard"}, {"agent": "guard", "world": "tavern", "user": "hero"}]


def direct(client: MemoryClient) -> list[dict[str, Any]]:
    for n in range(8):
        role = ("user", "agent", "system")[n % 3]
        client.remember(
            f"{role} {HOBBIES[n % 6]} {n}", agent="lumi", user="ana", session="s", role=role,
            speaker="platform" if role == "system" else None, occurred_at=START + timedelta(minutes=n),
        )  # fmt: skip
    return [{"agent": "lumi"}, {"agent": "lumi", "user": "ana"}, {"agent": "lumi", "user": "platform"}]


@pytest.mark.usefixtures("any_number")
@pytest.mark.parametrize("conversation", [group, shared_session, world, direct])
def test_what_is_recalled_fresh_is_recalled_after_the_run(
    make_settings: Callable[..., Settings], conversation: Callable[[MemoryClient], list[dict[str, Any]]]
) -> None:
    settings = make_settings()
    client = MemoryClient(settings)
    scopes = conversation(client)
    question = " ".join(HOBBIES) + " so"

    def recalled(client: MemoryClient) -> list[dict[str, tuple[Any, ...]]]:
        return [
            {
                m.id: (m.text, m.turn, m.speaker, m.session_id, m.occurred_at)
                for m in client.recall(question, k=100, kinds=("message",), **scope).memories
            }
            for scope in scopes
        ]

    before = recalled(client)
    blocks = [client.context("hobbies", **scope).text.splitlines()[-6:] for scope in scopes]
    counts = [client.stats(**scope) for scope in scopes]
    client.store.close()
    assert weekly_run(settings, WEEK, WEEK).success
    after = MemoryClient(settings)
    assert recalled(after) == before
    assert any(before)
    assert [after.context("hobbies", **scope).text.splitlines()[-6:] for scope in scopes] == blocks
    for scope, fresh_counts in zip(scopes, counts, strict=True):
        now = after.stats(**scope)
        assert (now["messages"], now["unsynced"]) == (fresh_counts["messages"], 0)
        assert fresh_counts["unsynced"] == fresh_counts["messages"]


# -- vectors ----------------------------------------------------------------------------------------------------------


class Slow(Embedder):
    """Knows what an animal is; says how often it was asked, waits when it is told to, and can break."""

    name, version = "slow", "1"

    def __init__(self) -> None:
        super().__init__(self.Config())
        self.asked: list[str] = []
        self.wait, self.broken = threading.Event(), False
        self.wait.set()

    @property
    def dim(self) -> int:
        return 2

    def embed(self, texts: Any) -> np.ndarray:
        if threading.current_thread().name == "memory-fresh":
            self.wait.wait(20)
            if self.broken:
                raise RuntimeError("away")
        self.asked += texts
        return np.array(
            [[1.0, 0.0] if "axolotl" in text or "pet" in text else [0.0, 1.0] for text in texts], np.float32
        )

    def embed_query(self, text: str) -> np.ndarray:
        return np.asarray(self.embed([text])[0])


def behind(client: MemoryClient) -> None:
    """Wait until all is embedded."""
    vectors = client.recaller.vectors
    assert vectors is not None
    for thread in list(vectors._threads):
        thread.join(20)


def test_what_was_just_said_has_its_vector_at_once_and_the_rest_soon(make_settings: Callable[..., Settings]) -> None:
    embedder = Slow()
    embedder.wait.clear()
    client = MemoryClient(make_settings(), embedder=embedder)
    write_rows(client.store, talk(120, {5: "Our axolotl sleeps"}))
    client.remember("The axolotl ate", agent="lumi", user="user-ana", session="s")
    found = client.recall("what about the pet?", agent="lumi", kinds=("message",)).memories
    assert found[0].text == "The axolotl ate"
    assert found[0].shares["semantic"] > 0.5
    asked = len(embedder.asked)
    assert asked < 12
    client.recall("what about the pet?", agent="lumi", kinds=("message",))
    assert len(embedder.asked) == asked  # what waits is not embedded by whoever asks
    embedder.wait.set()
    behind(client)
    assert len(embedder.asked) == 122
    found = client.recall("what about the pet?", agent="lumi", kinds=("message",)).memories
    assert {m.text for m in found[:2]} == {"The axolotl ate", "Our axolotl sleeps"}
    behind(client)
    assert len(embedder.asked) == 122
    client.close()


def test_an_embedder_that_breaks_behind_leaves_recall_by_words(make_settings: Callable[..., Settings]) -> None:
    embedder = Slow()
    client = MemoryClient(make_settings(), embedder=embedder)
    embedder.broken = True
    write_rows(client.store, talk(60, {5: "Our axolotl sleeps"}))
    assert "Our axolotl sleeps" in texts(client, "sleeps", k=1)
    behind(client)
    embedder.broken = False
    texts(client, "sleeps")
    behind(client)
    rows = client.store.rows("messages")
    assert {f"{'Ana' if row['role'] == 'user' else 'Lumi'}: {row['text']}" for row in rows} <= set(embedder.asked)
    client.close()


@pytest.mark.usefixtures("no_table")
def test_vectors_of_what_is_gone_are_dropped(make_settings: Callable[..., Settings]) -> None:
    client = MemoryClient(make_settings(), embedder=Slow())
    write_rows(client.store, talk(30, {}) + talk(5, {}, agent="sage"))
    for agent in ("lumi", "sage"):
        texts(client, "Bilbao", agent=agent)
        behind(client)
    vectors = client.recaller.vectors
    assert vectors is not None
    assert len(vectors._known) == 35
    SyncState(client.store).mark(row["message_id"] for row in client.store.rows("messages", agent_id="lumi")[10:])
    texts(client, "Bilbao")
    behind(client)
    assert len(vectors._known) == 15
    client.forget(session="sage-user-ana")
    assert len(vectors._known) == len(vectors._waiting) == 0
    client.close()


def test_what_is_kept_goes_when_another_client_has_erased_somebody(make_settings: Callable[..., Settings]) -> None:
    """Whatever is asked next: of no scope anything stays that was read before, also of what a run has taken in."""
    settings = make_settings()
    client, other = MemoryClient(settings), MemoryClient(settings, embedder=False)
    zoes = {"user": "user-zoe", "session": "zoe"}
    write_rows(other.store, talk(4, {}) + talk(4, {0: "The axolotl sleeps"}, **zoes))
    commit(settings, [WEEK])
    write_rows(other.store, talk(2, {}, agent="sage") + talk(6, {4: "The okapi hides"}, **zoes)[4:])
    scopes: list[dict[str, Any]] = [{}, {"user": "user-zoe"}]
    for scope in scopes:
        assert {"The axolotl sleeps", "The okapi hides"} <= set(texts(client, "axolotl okapi", k=50, **scope))
    behind(client)
    recaller = client.recaller
    assert recaller.vectors is not None
    assert len(recaller.vectors._known) == 2
    assert {key[2] for key in recaller.memories._cache} >= {Scope("lumi"), Scope("lumi", "user-zoe")}

    assert other.forget(user="user-zoe").messages == 6

    assert len(texts(client, "bridges", agent="sage")) == 2
    behind(client)
    assert set(recaller.fresh._held) == {Scope("sage")}
    sages = {row["seq"] for row in other.store.rows("messages", agent_id="sage")}
    assert set(recaller.vectors._known) == sages
    assert {key[2] for key in recaller.memories._cache} <= {Scope("sage")}
    assert not [key for key in recaller._questions if "okapi" in str(key)]
    for scope in scopes:
        assert not [
            text for text in texts(client, "axolotl okapi", k=50, **scope) if "axolotl" in text or "okapi" in text
        ]
        assert "okapi" not in client.context("what hides?", agent="lumi", budget=2_000, **scope).text
    assert texts(client, "axolotl okapi", user="user-zoe") == []
    assert client.recent(agent="lumi", user="user-zoe").is_empty()
    client.close()
    other.close()


@pytest.mark.parametrize("count", [2, 40], ids=["at once", "and behind"])
def test_vectors_that_are_made_while_somebody_is_erased_are_not_kept(
    make_settings: Callable[..., Settings], count: int
) -> None:
    embedder, met = Slow(), []
    client = MemoryClient(make_settings(), embedder=embedder)
    write_rows(client.store, talk(count, {}, user="user-zoe"))
    plainly = embedder.embed

    def embed(made: Any) -> np.ndarray:
        if not met and any("Bilbao" in text for text in made):
            met.append(client.forget(user="user-zoe").messages)
        return plainly(made)

    embedder.embed = embed  # type: ignore[method-assign]
    texts(client, "where did I move to?")
    assert met == [count]
    behind(client)
    assert client.recaller.vectors is not None
    assert not client.recaller.vectors._known
    assert not client.recaller.vectors._waiting
    client.close()


def test_the_thread_behind_ends_with_the_client(make_settings: Callable[..., Settings]) -> None:
    embedder = Slow()
    client = MemoryClient(make_settings(), embedder=embedder)
    write_rows(client.store, talk(200, {}))
    texts(client, "Bilbao")
    assert client.recaller.vectors is not None
    [thread] = client.recaller.vectors._threads
    client.close()
    thread.join(20)  # closing waits for two seconds; a machine that is busy may take longer
    assert not thread.is_alive()
    done = len(embedder.asked)
    assert done < 150
    assert texts(client, "Bilbao")  # asked once more it answers, and begins nothing
    assert "memory-fresh" not in {thread.name for thread in threading.enumerate()}


def test_the_thread_behind_keeps_no_process_alive(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings()
    client = MemoryClient(settings)
    write_rows(client.store, talk(900, {}))
    client.close()
    code = (
        "import sys, time\n"
        "from resources.settings import load_settings\n"
        "from serving.client import MemoryClient\n"
        "client = MemoryClient(load_settings(home=sys.argv[1], plugins_dir=sys.argv[2], plugins={'embedder': {'use': 'hashing'}, "
        "'tokens': {'use': 'none'}}))\n"
        "embedder = client.recaller.embedder\n"
        "embed = embedder.embed\n"
        "object.__setattr__(embedder, 'embed', lambda texts: time.sleep(0.05) or embed(texts))\n"
        "print(len(client.recall('Bilbao', agent='lumi').memories), len(client.recaller.vectors._waiting) > 800)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(settings.home), str(settings.plugins_dir)],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    assert done.stdout.split() == ["10", "True"]
    assert done.stderr == ""


def test_an_edited_text_takes_the_place_of_the_tables(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings()
    client = MemoryClient(settings)
    write_rows(client.store, talk(10, {3: "The axolotl sleeps"}))
    client.store.close()
    assert weekly_run(settings, WEEK, WEEK).success
    client = MemoryClient(settings)
    assert "The axolotl sleeps" in texts(client, "axolotl")
    m = client.store.meta.tables["messages"]
    with client.store.writer.begin() as connection:
        new = {"text": "The wombat sleeps", "edited_at": START, "synced_at": None}
        connection.execute(sa.update(m).where(m.c.text == "The axolotl sleeps").values(**new))
    assert "The wombat sleeps" in texts(client, "wombat")
    assert not [text for text in texts(client, "axolotl", k=50) if "axolotl" in text]
    assert len(texts(client, "Bilbao", k=50)) == 10
    client.close()


def test_told_of_some_is_an_image_of_some(store: InteractionStore) -> None:
    write_rows(store, talk(9, {}))
    told = Fresh(store).told(Scope("lumi"), "")
    kept = np.arange(9) % 2 == 0
    vectors = np.arange(18, dtype=np.float32).reshape(9, 2)
    pieces, ends = np.arange(18, dtype=np.int8).reshape(18, 1), np.cumsum(np.arange(9) // 2)
    dressed = replace(told.image, vectors=vectors, pieces=pieces[: ends[-1]], piece_ends=ends)
    some = replace(told, image=dressed).only(kept)
    assert some.image.rows.equals(told.image.rows.filter(pl.Series(kept)))
    for new, old in enumerate(np.flatnonzero(kept)):
        for values, marks, whole, whole_marks in (
            (some.image.terms, some.image.term_ends, told.image.terms, told.image.term_ends),
            (some.image.pieces, some.image.piece_ends, dressed.pieces, dressed.piece_ends),
        ):
            assert values is not None
            assert whole is not None
            part = np.split(values, marks)[new]
            assert part.tolist() == np.split(whole, whole_marks)[old].tolist()
        assert some.image.vectors is not None
        assert some.image.vectors[new].tolist() == vectors[old].tolist()
