"""A chat goes on with what can be read: without the store, and with tables whose files are damaged or gone."""

import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from records.errors import StoreError
from resources.settings import Settings
from serving.client import MemoryClient
from tests.conftest import fast_settings, weekly_run
from tests.integration.test_pipeline import WEEKS, fill, three_weeks


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an installation of which everything was made."""
    folder = tmp_path_factory.mktemp("made")
    settings = fill(fast_settings(folder), three_weeks())
    assert weekly_run(settings, WEEKS[0], WEEKS[-1]).success
    return folder


@pytest.fixture
def installed(made: Path, tmp_path: Path) -> Settings:
    """Return the settings of a copy of it."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return fast_settings(tmp_path)


def table(vectors: Path, kind: str = "message_embeddings") -> Path:
    """Return the folder of the table that readers use."""
    [found] = vectors.glob(f"{kind}__*.lance")
    return found


def cut(share: float, pattern: str, vectors: Path) -> None:
    """Cut files of the table of messages."""
    for path in table(vectors).glob(pattern):
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def zeroed(vectors: Path) -> None:
    """Write zeros over the first half of its data: LanceDB panics."""
    for path in (table(vectors) / "data").glob("*.lance"):
        data = path.read_bytes()
        path.write_bytes(bytes(len(data) // 2) + data[len(data) // 2 :])


def without(pattern: str, vectors: Path) -> None:
    """Remove files or folders of the table of messages."""
    for path in list(table(vectors).glob(pattern)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "manifest cut": partial(cut, 0.5, "_versions/*.manifest"),
    "manifest empty": partial(cut, 0.0, "_versions/*.manifest"),
    "data cut": partial(cut, 0.5, "data/*.lance"),
    "data zeroed": zeroed,
    "data gone": partial(without, "data/*.lance"),
    "indexes gone": partial(without, "_indices"),
    "indexes cut": partial(cut, 0.1, "_indices/*/*.lance"),
    "table gone": lambda vectors: shutil.rmtree(table(vectors)),
    "folder gone": shutil.rmtree,
    "which table, unreadable": lambda vectors: (vectors / "message_embeddings.json").write_text("{"),
    "which table, gone": lambda vectors: (vectors / "message_embeddings.json").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_table_of_messages_leaves_the_words_of_the_store(
    installed: Settings, damage: Callable[[Path], object]
) -> None:
    damage(installed.vectors_dir)
    memory = MemoryClient(installed)
    memory.remember("Mi gata se llama Misu", agent="lumi", user="user-ana")
    answer = memory.recall("Who moved to Bilbao?", agent="lumi", user="user-ana")
    assert answer.memories
    assert {found.kind for found in answer.memories} == {"message"}
    assert "Bilbao" in answer.memories[0].text
    assert [note for note in answer.notes if "message_embeddings" in note and "`memory repair`" in note]
    block = memory.context("¿Cómo se llama mi gata?", agent="lumi", user="user-ana")
    assert "Misu" in block.text
    assert [note for note in block.notes if "`memory repair`" in note]
    assert memory.facts(agent="lumi", user="user-ana").is_empty()  # nothing tells which of them were withdrawn
    assert memory.stats(agent="lumi", user="user-ana")["messages"] == 25
    # Withdrawn is withdrawn, wherever it is read.
    memory.remember("Por favor, olvida que mi gata se llama Misu", agent="lumi", user="user-ana")
    assert not [m for m in memory.recall("gata Misu", agent="lumi", user="user-ana").memories if "Misu" in m.text]
    memory.close()


@pytest.mark.parametrize("kind", ["fact_embeddings", "episode_embeddings"])
def test_a_damaged_table_of_facts_or_episodes_is_left_out_and_named(installed: Settings, kind: str) -> None:
    for path in (table(installed.vectors_dir, kind) / "data").glob("*.lance"):
        path.write_bytes(b"")
    memory = MemoryClient(installed)
    answer = memory.recall("Who moved to Bilbao?", agent="lumi", user="user-ana", k=30)
    assert kind.removesuffix("_embeddings") not in {found.kind for found in answer.memories}
    assert "message" in {found.kind for found in answer.memories}
    assert [note for note in answer.notes if kind in note and "`memory repair`" in note]
    assert memory.context("Bilbao", agent="lumi", user="user-ana").text
    memory.close()


def test_a_table_that_is_whole_again_is_used_again(installed: Settings, made: Path) -> None:
    memory = MemoryClient(installed)
    whole = memory.recall("Who moved to Bilbao?", agent="lumi", user="user-ana")
    cut(0.5, "data/*.lance", installed.vectors_dir)
    other = memory.recall("Who moved to Bilbao?", agent="lumi")  # of a scope that is in no cache
    assert other.notes
    shutil.rmtree(installed.vectors_dir)
    shutil.copytree(made / "home" / "vectors", installed.vectors_dir)
    again = memory.recall("Who moved to Bilbao?", agent="lumi", user="user-ana")
    assert [m.id for m in again.memories] == [m.id for m in whole.memories]
    assert again.notes == whole.notes
    memory.close()


def away(settings: Settings) -> None:
    """Put something else in the place of the store."""
    for path in settings.home.glob("store.sqlite*"):
        path.unlink()
    (settings.home / "store.sqlite").write_bytes(b"something else" * 1_000)


@pytest.mark.parametrize("is_warm", [False, True])
def test_without_the_store_the_tables_answer_and_what_was_withdrawn_stays_so(
    installed: Settings, is_warm: bool
) -> None:
    memory = MemoryClient(installed)
    about = {"agent": "lumi", "user": "user-ana"}
    if is_warm:
        memory.remember("Please forget what I said about my dog number 4", **about)
        withdrawn = memory.recall("dog number 4", **about).withdrawn
        assert withdrawn
    away(installed)
    answer = memory.recall("Who moved to Bilbao?", **about)
    assert answer.memories
    assert [note for note in answer.notes if note.startswith("the newest messages")]
    if is_warm:
        found = memory.recall("dog number 4", k=50, kinds=("message",), **about).memories
        assert {m.id for m in found}.isdisjoint(withdrawn)
    memory.remember("Tengo un gato, Misu", **about)
    assert memory.recall("¿Qué gato tengo?", **about).memories[0].text == "Tengo un gato, Misu"
    block = memory.context("hola", **about)
    assert "Misu" in block.text
    assert [note for note in block.notes if note.startswith("the newest messages")]
    memory.remember("Por favor, olvida lo de mi gato Misu", **about)
    assert not [m for m in memory.recall("gato Misu", **about).memories if "Tengo un gato" in m.text]
    assert is_warm or memory.facts(**about).height  # the one fact is of the dog
    assert memory.recent(**about)["text"].to_list()[0] == "Tengo un gato, Misu"
    assert memory.stats(**about)["waiting"] == 2
    assert memory.system_prompt("lumi") == ""
    assert memory.start_session("lumi", "user-ana")
    assert memory.reach.is_resting()  # of all this only the first asked the store
    memory.close()


def test_what_must_not_be_done_by_halves_is_one_sentence(installed: Settings) -> None:
    memory = MemoryClient(installed)
    memory.remember("hola", agent="lumi", user="user-ana")
    away(installed)
    for call in (
        lambda: memory.forget(user="user-ana"),
        lambda: memory.import_file("sample/streamer.jsonl"),
        lambda: memory.opt_out(user="user-ana"),
        lambda: memory.trace("m_1"),
        memory.receipts,
        lambda: memory.feedback("m_1", rating=1),
        lambda: memory.worlds.add_affinity("user-ana", "lumi", 1),
    ):
        with pytest.raises(StoreError, match="damaged") as told:
            call()
        assert "\n" not in str(told.value)
    memory.close()


def test_counting_what_is_recalled_never_raises_and_loses_nothing_of_a_lock(
    installed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    monkeypatch.setattr("serving.access.FLUSH_SECONDS", -1.0)
    memory = MemoryClient(installed)
    engine = memory.store.engine

    def read_only(connection: Any, *_: object) -> None:
        connection.execute("PRAGMA query_only = ON")

    sa.event.listen(engine, "checkout", read_only)
    found = memory.recall("Bilbao", agent="lumi", user="user-ana")
    for thread in threading.enumerate():
        if thread.name == "memory-access":
            thread.join()
    assert found.memories
    assert not raised
    sa.event.remove(engine, "checkout", read_only)
    engine.dispose()
    memory.reach.try_again()
    assert memory.access.flush() == len(found.memories)
    memory.close()


def test_the_status_shows_what_waits_and_why(installed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from cli import app

    memory = MemoryClient(installed)
    memory.remember("hola", agent="lumi", user="user-ana")
    away(installed)
    memory.remember("¿hay alguien?", agent="lumi", user="user-ana")
    memory.close()
    cut(0.5, "_versions/*.manifest", installed.vectors_dir)
    monkeypatch.setenv("MEMORY_HOME", str(installed.home))
    monkeypatch.setenv("COLUMNS", "200")
    shown = CliRunner().invoke(app, ["status"])
    assert shown.exit_code == 0, shown.output
    assert "waiting" in shown.output
    assert "damaged" in shown.output
    assert "memory repair" in shown.output
    asked = CliRunner().invoke(app, ["recall", "Bilbao", "--agent", "lumi", "--keywords"])
    assert asked.exit_code == 0, asked.output
    assert "the newest messages" in asked.output


def test_a_warehouse_that_is_damaged_where_a_query_reads_is_one_sentence(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import duckdb

    from cli import app

    settings.home.mkdir(exist_ok=True)
    with duckdb.connect(str(settings.warehouse_path)) as connection:
        connection.execute("CREATE TABLE t AS SELECT i, 'x' || i AS s FROM range(300000) r(i)")
    data = settings.warehouse_path.read_bytes()
    settings.warehouse_path.write_bytes(data[:300_000] + b"\xff" * 200_000 + data[500_000:])
    monkeypatch.setenv("MEMORY_HOME", str(settings.home))
    asked = CliRunner().invoke(app, ["sql", "SELECT sum(length(s)) FROM t"])
    assert isinstance(asked.exception, StoreError)
    assert "memory repair" in str(asked.exception)
    assert "\n" not in str(asked.exception)
