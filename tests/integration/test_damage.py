"""Damaged files: each is named in one sentence with what mends it, none stops an erasure, and a repair makes everything again."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import cli
from benchmarks.syncs import commit
from memory_assets.operations.damage import look
from memory_assets.operations.forget import forget_everywhere
from memory_assets.operations.plan import out_of_date
from memory_assets.operations.repair import repair
from memory_assets.tables import LAKE_RECORDS
from memory_assets.tools import Tools
from model_registry.exports import write_export
from model_registry.files import adapter_row, write_dataset
from plugins.training.exporters import ChatMLExporter
from privacy.erasure import Erasure
from privacy.leak_test import search
from records.errors import DamagedError, StoreError
from records.interactions import RawInteractions
from resources.settings import Settings
from serving.client import MemoryClient
from tests.conftest import fast_settings, killed_run, lance_rows, message_rows, weekly_run, write_rows
from tests.integration.damaging import (
    HARMS,
    TABLES,
    Harm,
    emptied,
    garbage,
    gone,
    header_flipped,
    log_taken,
    page_flipped,
    truncated,
)
from tests.integration.test_erasure import WEEKS, group, others, quiet, zoes
from tests.integration.test_pipeline import fill, same
from transforms.samples import Limits, build_samples

HALVES = (
    ("raw truncated", "facts chunk flipped", "history emptied", "messages: newest manifest gone", "facts: data file gone",
     "analytics header flipped", "memo garbage", "manifest truncated", "weights truncated"),
    ("history gone", "messages: an index gone", "episodes: data file truncated", "pointer of noise", "analytics flipped",
     "memo truncated", "samples truncated", "facts without their sources"),
)  # fmt: skip
"""Kinds of damage that one installation has at once: a repair or an erasure then costs one run for many kinds."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the home of an installation with everything that may be damaged; it is copied, never used."""
    folder = tmp_path_factory.mktemp("whole")
    settings = fast_settings(folder)
    fill(settings, [*others(), *group(("user-ana", "user-zoe", "user-ben")), *zoes()])
    assert weekly_run(settings, WEEKS[0], WEEKS[-1], analytics=True).success
    tools = Tools(settings)
    anonymized = tools.lake.collect("anonymized_interactions", LAKE_RECORDS["anonymized_interactions"])
    counted = lambda texts: [len(text.split()) for text in texts]  # noqa: E731
    samples = build_samples(anonymized, "lumi", "", Limits(longest=500, min_quality=0), counted).samples
    assert samples.height > 3
    record = LAKE_RECORDS["personality_dataset"]
    tools.lake.write("personality_dataset", "lumi", record.shaped(samples))
    told = {"kind": "personality", "persona_id": "lumi", "week": None}
    row = write_dataset(settings.home, tools.store, record.shaped(samples), ChatMLExporter(), **told, card={})
    weights = settings.home / "adapters/ad_1/adapter"
    weights.mkdir(parents=True)
    (weights / "adapter_model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    trained = {
        "layer": "personality",
        "persona_id": "lumi",
        "week": None,
        "base_model": "b",
        "config": {},
        "metrics": {},
    }
    adapter = adapter_row("ad_1", dataset_id=row["dataset_id"], path="adapters/ad_1", status="candidate", **trained)
    tools.store.register("adapters", adapter)
    what = {"agent_id": "lumi", "layer": "personality", "week": None, "skill": None, "format": "chatml"}
    write_export(settings.home, tools.store, folder / "lumi.jsonl", ["{}"], samples, **what)
    tools.memo.put("some/plugin", {"x": b"1"})
    tools.keys.erased("user", "nobody")
    assert list(look(tools)) == []
    tools.store.close()
    return settings.home


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Callable[[str], Settings]:
    """Return a maker of copies of the installation."""

    def make(name: str = "home") -> Settings:
        shutil.copytree(whole, tmp_path / name)
        os.environ.pop("DAGSTER_HOME", None)
        return fast_settings(tmp_path, name)

    return make


@pytest.fixture
def memory(copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Return a function that runs the command on a copy: exit code and what it said; a stack trace fails the test."""
    settings = copy()
    config = tmp_path / "memory.toml"
    config.write_text(
        f'home = "{settings.home}"\nplugins_dir = "{settings.plugins_dir}"\n[plugins.embedder]\nuse = "hashing"\n'
        '[plugins.tokens]\nuse = "none"\n[plugins.anonymizer]\nuse = "patterns"\n'
    )
    monkeypatch.delenv("MEMORY_HOME", raising=False)
    monkeypatch.setenv("MEMORY_CONFIG", str(config))

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["memory", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capfd.readouterr()
        assert "Traceback" not in said.err
        return int(ended.value.code or 0), " ".join((said.out + said.err).split())

    run.settings = settings  # type: ignore[attr-defined]
    return run


def a_message(settings: Settings) -> str:
    """Return a message of Zoe's."""
    store = Tools(settings).store
    return str(store.frame("SELECT message_id FROM messages WHERE user_id = 'user-zoe' LIMIT 1").item())


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.name)
def test_every_command_answers_or_says_which_file_and_what_mends_it(memory, harm: Harm) -> None:
    settings = memory.settings
    message = a_message(settings)
    harmed = harm.inflict(settings.home)
    silent = harmed == "memo.sqlite"
    code, said = memory("repair", "--check")
    assert ("nothing is damaged" in said) == silent
    assert code == (0 if silent else 1)
    named = said.split(": ")[0]
    assert silent or harmed.startswith(named.removesuffix("/_indices").split("__")[0].removesuffix("/adapter")), said
    for command in (
        ("trace", message),
        ("stats", "--agent", "lumi"),
        ("sql", "select * from stg_messages"),
        ("plan", "--no-measure"),
        ("recall", "quetzal tattoo", "--agent", "lumi"),
        ("export", str(settings.home.parent / "out.jsonl"), "--agent", "nobody"),
    ):
        code, said = memory(*command)
        if code:
            assert "memory repair" in said or "agent" in said, said


@pytest.mark.thorough
@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.name)
def test_what_makes_anything_makes_it_or_says_what_mends_it_and_a_chat_goes_on(memory, harm: Harm) -> None:
    settings = memory.settings
    harmed = harm.inflict(settings.home)
    client = MemoryClient(settings)
    for n in range(3):
        assert client.remember(f"The quokka sleeps in room {n}", agent="lumi", user="user-ana")
    answered = client.context("quokka", agent="lumi", user="user-ana")
    assert "quokka sleeps in room 2" in answered.text
    client.facts(agent="lumi", user="user-ana")
    client.recall("quokka", agent="lumi", user="user-ana")
    client.close()
    trains = [("train", "personality", "lumi")] if harmed.startswith(("datasets", "adapters")) else []
    export = ("export", str(settings.home.parent / "out.jsonl"), "--agent", "lumi")
    for command in (export, *trains, ("plan", "--run"), ("materialize", "--all")):
        code, said = memory(*command)
        assert not code or "memory repair" in said or (trains and "check gate failed" in said), said


@pytest.mark.parametrize("names", HALVES, ids=["first", "second"])
def test_a_repair_makes_everything_again(copy, names: tuple[str, ...]) -> None:
    before, settings = copy("whole"), copy()
    harmed = [harm.inflict(settings.home) for harm in HARMS if harm.name in names]
    assert len(harmed) == len(names)
    done = repair(settings, quiet)
    assert done.made
    assert len(done.damaged) >= len(names)
    assert list(look(Tools(settings))) == []
    assert out_of_date(Tools(settings)) == {}
    same(settings, before)


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.name)
def test_no_damage_stops_an_erasure(copy, harm: Harm) -> None:
    settings = copy()
    tools = Tools(settings)
    erasure = Erasure(tools)
    needles = erasure.seek("user", "user-zoe")
    said = tools.store.frame("SELECT message_id FROM messages WHERE user_id = 'user-zoe'")["message_id"]
    harm.inflict(settings.home)
    done = erasure.forget("user", "user-zoe")
    assert done.receipt
    assert tools.store.frame("SELECT count(*) FROM messages WHERE user_id = 'user-zoe'").item() == 0
    # What did not stand in its way and cannot be read is removed by a repair, as the command does it.
    repair(settings, quiet, make=False)
    found = search(needles_left(erasure, needles), settings, tools.store, Tools(settings).vectors)
    assert (found.found, found.unsearchable) == ({}, 0)
    assert [one for one in look(Tools(settings)) if one.kind != "adapter"] == []
    vectors = Tools(settings).vectors
    for kind in TABLES[1:]:
        for name in vectors.names(kind):
            sources = vectors.columns(vectors.open_table(name), ["source_message_ids"]).to_series().explode()
            assert not sources.is_in(said.implode()).any(), kind


def needles_left(erasure: Erasure, needles: list[str]) -> list[str]:
    """Return what nobody else said."""
    from privacy.leak_test import without_shared

    left = without_shared(needles, erasure.store)
    assert any("quetzal" in needle for needle in left)
    return left


def test_after_an_erasure_amid_damage_everything_is_as_without_it(copy) -> None:
    before, settings = copy("whole"), copy()
    first = forget_everywhere(before, "user", "user-zoe", quiet)
    for harm in HARMS:
        if harm.name in (*HALVES[0], "export manifest garbage"):
            harm.inflict(settings.home)
    done = forget_everywhere(settings, "user", "user-zoe", quiet)
    assert first.leaks == done.leaks == 0
    assert done.removed["damaged"] >= 3
    assert [one for one in done.pending if not one.startswith("train")] == [
        one for one in first.pending if not one.startswith("train")
    ]
    assert list(look(Tools(settings))) == []
    same(settings, before)


def test_a_run_that_comes_upon_a_damaged_week_says_which(memory) -> None:
    home = memory.settings.home
    truncated(home / "lake/facts/2025-01-06.parquet")
    code, said = memory("materialize", "--week", "2025-01-20")
    assert code == 2
    assert "lake/facts/2025-01-06.parquet is damaged: `memory repair` removes it and makes it again" in said
    assert "records.errors" not in said
    words = b"".join(path.read_bytes() for path in (home / "dagster").rglob("*.db*"))
    assert b"lake/facts/2025-01-06.parquet is damaged" in words


KILLED = """
import os, signal, sys; from pathlib import Path
from resources import lake
from resources.settings import load_settings
from memory_assets.operations.repair import repair
def dies(self, *args):
    os.kill(os.getpid(), signal.SIGKILL)
lake.Lake.delete = dies
repair(load_settings(home=Path(sys.argv[1]), plugins_dir=Path(sys.argv[2]),
    plugins={'embedder': {'use': 'hashing'}, 'tokens': {'use': 'none'}, 'anonymizer': {'use': 'patterns'}}), lambda *_: None)
"""


def test_a_repair_that_is_killed_is_finished_by_the_next(copy) -> None:
    settings = copy()
    truncated(settings.home / "lake/facts/2025-01-13.parquet")
    killed_run(KILLED, str(settings.home), str(settings.plugins_dir))
    assert [one.path for one in look(Tools(settings))] == ["lake/facts/2025-01-13.parquet"]
    assert Tools(settings).sync.unsynced_weeks() == ["2025-01-13"]
    assert out_of_date(Tools(settings))["facts"] == {"2025-01-13": "never made"}
    done = repair(settings, quiet, make=False)
    assert (done.weeks, done.made) == (["2025-01-13"], False)
    # Gone, and known to be made: nothing is damaged any more.
    assert list(look(Tools(settings))) == []
    assert "2025-01-13" in Tools(settings).sync.unsynced_weeks()


@pytest.mark.parametrize("do", [garbage, truncated, emptied, page_flipped], ids=lambda do: do.__name__)
def test_a_damaged_store_is_named_and_nothing_is_touched(memory, do) -> None:
    home = memory.settings.home
    (do if do is page_flipped else log_taken(do))(home / "store.sqlite")
    before = {path: path.read_bytes() for path in home.rglob("*.parquet")}
    for command in (("repair",), ("status",), ("materialize", "--all"), ("recall", "quetzal", "--agent", "lumi")):
        code, said = memory(*command)
        if code:
            assert (
                "store.sqlite is damaged: it is what everything else is made from" in said
                or "store.sqlite: it is" in said
            )
            assert "sqlite3 store.sqlite .recover" in said
    assert memory("repair")[0] != 0
    assert {path: path.read_bytes() for path in home.rglob("*.parquet")} == before


@pytest.mark.parametrize("name", ["pseudonym", "lasting"])
@pytest.mark.parametrize("do", [garbage, emptied, gone], ids=lambda do: do.__name__)
def test_a_damaged_key_is_named(memory, name: str, do) -> None:
    do(memory.settings.home / f"keys/{name}.key")
    code, said = memory("repair")
    assert code == 1
    assert said.startswith(f"keys/{name}.key is ")
    assert "restore it from a backup" in said


@pytest.mark.parametrize("where", ["history/runs.db", "history/runs/index.db", "schedules/schedules.db"])
def test_databases_of_dagster_are_begun_anew(memory, where: str) -> None:
    from memory_assets.instances import instance

    settings = memory.settings
    with instance(settings):
        pass
    os.environ.pop("DAGSTER_HOME", None)
    header_flipped(settings.home / "dagster" / where)
    code, said = memory("materialize", "--all")
    assert code == 2
    assert "Dagster's own databases" in said
    assert "memory repair" in said
    code, said = memory("repair")
    assert f"dagster/{where}: damaged" in said
    assert code == 0
    with instance(settings) as opened:
        assert opened.get_runs_count() == 0


def test_a_damaged_memo_is_begun_anew(tools: Tools) -> None:
    tools.memo.put("plugin/1", {"a": b"1", "b": b"2"})
    log_taken(garbage)(tools.memo.path)
    assert tools.memo.get("plugin/1", ["a"]) == {}
    tools.memo.put("plugin/1", {"c": b"3"})
    assert tools.memo.get("plugin/1", ["a", "c"]) == {"c": b"3"}
    log_taken(truncated)(tools.memo.path)
    tools.memo.scrub()
    tools.memo.drop("plugin/1", ["c"])
    assert tools.memo.known("plugin/1", ["c"]) == []


def test_a_damaged_vault_is_named_and_goes_with_an_erasure(make_settings, tmp_path: Path) -> None:
    settings = make_settings(vault=tmp_path / "vault.sqlite")
    write_rows(Tools(settings).store, message_rows(6))
    assert weekly_run(settings, "2025-01-06").success
    tools = Tools(settings)
    assert tools.vault is not None
    kept = tools.vault.path.read_bytes()
    garbage(tools.vault.path)
    with pytest.raises(DamagedError, match=r"vault.sqlite is damaged: `memory repair`"):
        tools.vault.reveal("i_1")
    assert [one.path for one in look(tools)] == ["vault.sqlite"]
    done = Erasure(tools).forget("user", "user-ana")
    assert done.removed["damaged"] == 1
    assert not tools.vault.path.exists()
    assert kept


def test_a_lake_elsewhere_names_no_secret_and_what_is_no_damage_stays_itself(tools: Tools) -> None:
    frame = RawInteractions.create_empty()
    tools.lake.write("raw_interactions", "2025-01-06", frame)
    with pytest.raises(Exception, match="no_such_column"):
        tools.lake.collect("raw_interactions", RawInteractions, columns=["no_such_column"])
    truncated(Path(tools.lake.location("raw_interactions", "2025-01-06")))
    with pytest.raises(StoreError, match=r"^lake/raw_interactions/2025-01-06.parquet is damaged"):
        tools.lake.collect("raw_interactions", RawInteractions)


@pytest.mark.parametrize("harmed", [False, True], ids=["sound", "a vector of nothing"])
def test_a_sound_table_of_long_texts_is_not_damaged(make_settings, harmed: bool) -> None:
    """The vector of a text that is cut into passages is their mean, and no vector of length one."""
    settings = make_settings()
    rows = message_rows(12)
    for row in rows[:3]:
        row["text"] = " ".join(f"{row['line']} and {number // 100} bridges" for number in range(400))
    write_rows(Tools(settings).store, rows)
    commit(settings, WEEKS[:1])
    tools = Tools(settings)
    tools.stamps.wrote("message_embeddings", {WEEKS[0]: ("", len(rows))})
    lengths = lance_rows(settings).select(pl.col("vector").arr.to_list().list.eval(pl.element() ** 2).list.sum().sqrt())
    assert (lengths.to_series() < 0.97).sum() == 3
    if harmed:
        lance = tools.vectors.open("message_embeddings")
        lance.update(where=f"text = '{rows[0]['text']}'", values={"vector": [0.0] * 64})
    found = repair(settings, quiet, check=True).damaged
    assert [(one.kind, one.of) for one in found] == [("vectors", "message_embeddings")] * harmed
