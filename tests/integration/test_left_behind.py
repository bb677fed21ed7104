"""What killed processes left, and where others' things name the erased: an erasure removes it, the leak test would find it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from benchmarks.syncs import commit
from memory_assets.operations.forget import resume
from memory_assets.tools import Tools
from model_registry.exports import write_export
from model_registry.files import adapter_row, write_dataset
from plugins.sources import scratch
from plugins.training.exporters import ChatMLExporter
from privacy.erasure import Erasure
from privacy.receipts import train_again
from records.training import DatasetManifest
from resources.files import ASIDE, write_text
from resources.settings import Settings
from serving.client import MemoryClient
from tests.conftest import MONDAY, killed_run, message_rows, write_rows

WEEK = f"{MONDAY:%Y-%m-%d}"
SECRET = "the quetzal tattoo on my left shoulder"
NAME = "Zoraida Quintana"


@pytest.fixture(scope="module")
def dead() -> int:
    """Return the number of a process that is gone."""
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    return gone.pid


def filled(settings: Settings) -> Tools:
    """Return an installation in which Ana and Zoe each had a conversation, and nothing was made of it."""
    zoes = message_rows(6, session="zoe-private", user="user-zoe", start=MONDAY + timedelta(hours=4))
    for row in zoes:
        if row["role"] == "user":
            row.update(speaker_name=NAME, text=f"I showed {SECRET} to my sister, day {row['line']}")
    tools = Tools(settings)
    write_rows(tools.store, message_rows(6, session="a") + zoes)
    return tools


# -- core memory ----------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from resources.settings import load_settings
from privacy import store_rows as erasing_rows
from serving.client import MemoryClient
inner = erasing_rows._erase_core_memory
def dies(store, rows, count):
    inner(store, rows[:1], count)
    os.kill(os.getpid(), signal.SIGKILL)
erasing_rows._erase_core_memory = dies
chosen = {"embedder": {"use": "hashing"}, "tokens": {"use": "none"}, "anonymizer": {"use": "patterns"}}
settings = load_settings(home=Path(sys.argv[1]), plugins_dir=Path(sys.argv[2]), plugins=chosen)
MemoryClient(settings).forget(user="user-zoe")
"""


def test_core_memory_that_names_the_erased_goes_however_an_erasure_was_killed(make_settings) -> None:
    """Its entries go one by one, as long as the store still says how the erased is called."""
    tools = filled(make_settings())
    for key, value, mutable in (
        ("friend", f"{NAME} is the best friend of lumi", False),
        ("guest", f"lumi lets {NAME} in", True),
        ("oath", f"lumi never lies to {NAME}", False),
        ("home", "Bilbao", False),
    ):
        tools.store.set_core_memory("lumi", "about", key, value, is_mutable=mutable)
    tools.store.close()
    killed_run(KILLED, str(tools.settings.home), str(tools.settings.plugins_dir))
    tools = Tools(tools.settings)
    assert len(tools.store.rows("core_memory")) == 3
    [done] = resume(tools.settings, lambda *_: None, rebuild=False)
    assert done.leaks == 0
    assert [row["key"] for row in tools.store.rows("core_memory")] == ["home"]
    assert tools.store.rows("messages", user_id="user-zoe") == []


# -- many -----------------------------------------------------------------------------------------------------------


def test_somebody_with_more_sessions_and_names_than_a_query_takes_is_erased(make_settings) -> None:
    tools = Tools(make_settings())
    rows = [
        row | {"speaker_name": f"Zoë of {number}", "line": number + 1}
        for number in range(1_100)
        for row in message_rows(1, agent=f"agent-{number}", session=f"zoe-{number}", user="user-zoe")
    ]
    anas = message_rows(1, agent="agent-7", session="ana")[0] | {"participants": ["user-ana", "Zoë of 7"]}
    write_rows(tools.store, [*rows, anas])
    done = Erasure(tools).forget("user", "user-zoe")
    assert (done.messages, done.removed["participants"]) == (1_100, 1)
    [left] = tools.store.rows("messages")
    assert (left["user_id"], left["participants"]) == ("user-ana", '["user-ana"]')
    assert {row["user_id"] for row in tools.store.rows("sessions")} == {"user-ana"}
    assert {row["display_name"] for row in tools.store.rows("speaker_names")} == {"Ana"}


# -- files ----------------------------------------------------------------------------------------------------------


def test_what_a_killed_export_left_outside_of_the_home_is_found_and_goes(make_settings, dead: int) -> None:
    tools = filled(make_settings())
    home, outside = tools.settings.home, tools.settings.home.parent / "outside"
    samples = pl.DataFrame({"sample_id": ["s"], "source_message_ids": [["m_of_others"]], "content_hash": ["h"]})
    what = {"agent_id": "lumi", "layer": "personality", "week": None, "skill": None, "format": "chatml"}
    write_export(home, tools.store, outside / "out.jsonl", ["{}"], samples, **what)
    theirs = outside / "notes.txt"
    theirs.write_text("no part of the installation")
    erasure = Erasure(tools)
    needles = erasure.seek("user", "user-zoe")
    left = outside / f".out.jsonl.{dead}-1.00000000{ASIDE}"
    left.write_text(json.dumps({"said": SECRET}))
    writes_it_still = outside / f".other.jsonl.{os.getpid()}-0.00000000{ASIDE}"
    done = erasure.forget("user", "user-zoe")
    assert not left.exists()
    assert theirs.exists()
    assert (outside / "out.jsonl").exists()
    assert done.removed["unfinished"] == 1
    assert erasure.verify(done, needles, []).total == 0
    writes_it_still.write_text(f"I showed {SECRET} to my sister, day 3")
    assert erasure.verify(done, needles, []).found == {"beside exports": 1}


def test_what_a_killed_import_unpacked_goes_and_what_others_unpack_stays(
    make_settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    tools = filled(make_settings())
    killed, foreign = tools.settings.home / scratch.FOLDER / "x1", tmp_path / "tmp" / "memory-import-of-somebody"
    with scratch.within(killed.parent), scratch.scratch() as running:
        for folder in (killed, running, foreign):
            write_text(folder / "deep" / "chat.txt", f"{NAME}: {SECRET}")
        done = Erasure(tools).forget("user", "user-zoe")
        assert [folder.exists() for folder in (killed, running, foreign)] == [False, True, True]
    assert done.removed["unfinished"] == 1


def dataset(tools: Tools, persona: str, system: str, adapter: str) -> str:
    """Register a dataset of a persona, made of nobody's messages who is erased here, and an adapter trained on it; return its id."""
    talk = [{"role": "system", "content": system}, {"role": "assistant", "content": "Kaixo!"}]
    samples = DatasetManifest.shaped(
        pl.DataFrame(
            {
                "sample_id": [f"s-{persona}"],
                "split": ["train"],
                "session_key": ["k"],
                "week": [WEEK],
                "interaction_ids": [["i"]],
                "source_message_ids": [[f"m-of-ana-{persona}"]],
                "quality": [0.5],
                "n_tokens": [5],
                "content_hash": [f"h-{persona}"],
                "messages": [json.dumps(talk)],
                "rejected": pl.Series([None], dtype=pl.String),
            }
        )
    )
    tools.lake.write("personality_dataset", persona, samples)
    of_it = {"persona_id": persona, "week": None}
    row = write_dataset(
        tools.settings.home, tools.store, samples, ChatMLExporter(), kind="personality", **of_it, card={}
    )
    path = f"adapters/{adapter}"
    write_text(tools.settings.home / path / "adapter/adapter_model.safetensors", "weights")
    known = {"layer": "personality", "base_model": "b", "config": {}, "metrics": {}, "status": "candidate"}
    tools.store.register("adapters", adapter_row(adapter, dataset_id=row["dataset_id"], path=path, **of_it, **known))
    return str(row["path"])


@pytest.mark.parametrize("kind", ["user", "session"])
def test_a_dataset_whose_prompts_held_the_name_goes_with_its_adapter(make_settings, kind: str) -> None:
    """Samples begin with the agent's core memory, whoever said the rest of them."""
    tools = filled(make_settings())
    tools.store.set_core_memory("lumi", "about", "friend", f"{NAME} is my friend", is_mutable=False)
    tools.store.set_core_memory("mira", "about", "home", "Bilbao", is_mutable=False)
    named = dataset(tools, "lumi", f"friend: {NAME} is my friend", "a_named")
    other = dataset(tools, "mira", "home: Bilbao", "a_other")
    erasure = Erasure(tools)
    needles = erasure.seek("user", "user-zoe")
    done = erasure.forget(kind, "user-zoe" if kind == "user" else "zoe-private")
    gone = kind == "user"  # a conversation has no name
    assert done.quarantined == (["a_named"] if gone else [])
    assert done.personas == (["lumi"] if gone else [])
    assert (train_again("lumi") in done.pending) == gone
    home = tools.settings.home
    assert [(home / path).exists() for path in (named, other)] == [not gone, True]
    assert [(home / f"adapters/{name}").exists() for name in ("a_named", "a_other")] == [not gone, True]
    rows = [tools.lake.collect("personality_dataset", DatasetManifest, [name]).height for name in ("lumi", "mira")]
    assert rows == [0 if gone else 1, 1]
    if gone:
        assert erasure.verify(done, needles, []).total == 0


@pytest.mark.parametrize("place", ["a commit", "an index", "a table"])
def test_what_a_killed_commit_left_of_a_table_of_vectors_goes(make_settings, place: str) -> None:
    tools = filled(make_settings())
    commit(tools.settings, [WEEK])
    [table] = tools.settings.vectors_dir.glob("*.lance")
    [data] = (table / "data").glob("*.lance")
    if place == "a commit":
        left = table / "data" / "0123456789abcdef.lance"
    elif place == "an index":
        left = table / "_indices" / "01234567-89ab-cdef-0123-456789abcdef" / "part_0_tokens.lance"
    else:
        left = table.with_name("fact_embeddings__00000000.lance") / "data" / "0123456789abcdef.lance"
    left.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(data, left)
    erasure = Erasure(tools)
    needles = erasure.seek("user", "user-zoe")
    done = erasure.forget("user", "user-zoe")
    assert done.removed["message_embeddings"] == 6
    assert not left.exists()
    assert erasure.verify(done, needles, []).total == 0
    assert tools.vectors.count("message_embeddings") == 6


# -- rejects --------------------------------------------------------------------------------------------------------


def test_lines_that_an_import_refused_go_with_the_session_they_are_of(make_settings, tmp_path: Path) -> None:
    tools = filled(make_settings())
    file = tmp_path / "talk.jsonl"
    rows = [row | {"text": "", "session_id": session} for session in ("zoe-private", "a") for row in message_rows(1)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    client = MemoryClient(tools.settings, embedder=False)
    assert client.import_file(str(file)).rejected == 2
    done = client.forget(session="zoe-private")
    assert done.removed["rejects"] == 1
    again = client.import_file(str(file))  # what was refused of it is kept no more than what would have been taken
    assert again.rejected == 2
    assert [json.loads(row["raw"])["session_id"] for row in client.store.rows("rejects")] == ["a"]
    client.close()
