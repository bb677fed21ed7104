"""What is out of date: a change of plugin, prompt, model or key touches what it must and nothing else, and can be interrupted."""

import hmac
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from memory_assets.code_location import build_defs
from memory_assets.lineage import HOW, made_by
from memory_assets.operations import plan as planning
from memory_assets.operations.materialize import materialize_plan
from memory_assets.operations.plan import out_of_date, plan
from memory_assets.partitions import weekly_partitions
from memory_assets.tools import Tools
from records.errors import StoreError
from resources.settings import Settings
from serving.client import MemoryClient
from tests.conftest import MONDAY, fast_settings, lake_bytes, message_rows, weekly_run, write_rows

WEEKS = ["2025-01-06", "2025-01-13"]
Make = Callable[..., Settings]


def nothing(*_: object) -> None:
    """Show no progress."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the home of an installation of two weeks in which everything is made; it is copied, never used."""
    settings = fast_settings(tmp_path_factory.mktemp("made"))
    rows = message_rows(8, session="a") + message_rows(6, start=MONDAY + timedelta(weeks=1), session="b")
    rows[0]["text"] = "My sister Ana lives in Porto and I work as a nurse"
    write_rows(Tools(settings).store, rows)
    (settings.home / "dagster").mkdir(parents=True)
    assert weekly_run(settings, WEEKS[0], WEEKS[-1], analytics=True).success
    Tools(settings).store.close()
    return settings.home


@pytest.fixture
def filled(made: Path, make_settings: Make, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return an installation of two weeks in which everything is made."""
    settings = make_settings()
    shutil.copytree(made, settings.home, dirs_exist_ok=True)
    monkeypatch.setenv("DAGSTER_HOME", str(settings.home / "dagster"))
    return settings


def changed(make_settings: Make, llm: dict[str, str] | None = None, **plugins: object) -> Settings:
    """Return the same installation with another choice of plugins."""
    chosen = {"embedder": {"use": "hashing"}, "tokens": {"use": "none"}, "anonymizer": {"use": "patterns"}}
    return make_settings(plugins={**chosen, **plugins}, llm=llm or {})


def test_the_table_of_lineage_is_the_graph(settings: Settings) -> None:
    graph = build_defs(settings).resolve_asset_graph()
    for asset, how in HOW.items():
        node = graph.get(dg.AssetKey(asset))
        assert {key.path[-1] for key in node.parent_keys} == set(how.sources), asset
        assert node.code_version == how.code
        assert (node.partitions_def == weekly_partitions(settings.first_week)) == how.weekly
    for number, (_, how) in enumerate(HOW.items()):
        assert set(how.sources) <= set(list(HOW)[:number])


def test_nothing_is_out_of_date_after_a_run_and_everything_before(settings: Settings, filled: Settings) -> None:
    assert out_of_date(Tools(filled)) == {}
    late = message_rows(2, start=MONDAY + timedelta(hours=9), session="late")
    write_rows(Tools(filled).store, late)
    stale = out_of_date(Tools(filled))
    assert set(stale) == set(HOW)
    assert stale["raw_interactions"] == {WEEKS[0]: "messages came in"}
    assert stale["facts"] == {WEEKS[0]: "follows raw_interactions"}
    texts = {entry.asset: entry.texts for entry in plan(Tools(filled), measure=False)}
    assert texts["message_embeddings"] == 2


def test_an_asset_can_be_read_outside_of_a_run(filled: Settings) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        value = build_defs(filled).load_asset_value(dg.AssetKey("fact_history"), instance=instance)
    assert value.collect().height == len(read(filled, "fact_history")) > 0


def test_an_empty_installation_has_no_plan(settings: Settings) -> None:
    assert plan(Tools(settings)) == []


def test_a_new_setting_of_one_plugin_touches_what_is_made_by_it_and_nothing_else(
    filled: Settings, make_settings: Make
) -> None:
    before = lake_bytes(filled)
    other = changed(make_settings, scorer={"use": "heuristic"})
    entries = plan(Tools(other))
    assert [entry.asset for entry in entries] == [
        name for name in HOW if name not in ("raw_interactions", "facts", "fact_history", "fact_embeddings")
    ]
    assert entries[0].weeks == WEEKS
    assert entries[0].why[0].startswith("learned/1/")
    assert "heuristic/2/" in entries[0].why[0]
    assert sum(entry.texts for entry in entries if entry.asset == "message_embeddings") == 0
    materialize_plan(other, out_of_date(Tools(other)), nothing)
    assert out_of_date(Tools(other)) == {}
    after = lake_bytes(other)
    touched = {name.split("/")[0] for name in before if before[name] != after[name]}
    assert "scored_interactions" in touched
    assert touched.isdisjoint({"raw_interactions", "facts", "fact_history"})
    assert {row["scored_by"].split("/")[0] for row in read(other, "scored_interactions")} == {"heuristic"}


def test_a_one_file_plugin_that_was_edited_is_noticed(filled: Settings, make_settings: Make) -> None:
    """Given a script that is being written: its version stays 1, and what it computes is another thing."""
    settings = changed(make_settings)
    assert settings.plugins_dir is not None
    script = settings.plugins_dir / "hashing.py"
    script.write_text(script.read_text(encoding="utf-8").replace("+= 1", "+= 2"), encoding="utf-8")
    stale = out_of_date(Tools(settings))
    assert {"message_embeddings", "fact_embeddings", "episode_embeddings"} <= set(stale)
    assert "scored_interactions" not in stale


def read(settings: Settings, asset: str) -> list[dict]:
    """Return the rows of all partitions of an asset."""
    from memory_assets.tables import LAKE_RECORDS

    return Tools(settings).lake.read(asset, LAKE_RECORDS[asset]).collect().to_dicts()


def test_a_new_embedder_embeds_everything_and_the_old_table_serves_until_then(
    filled: Settings, make_settings: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = changed(make_settings, embedder={"use": "hashing", "salt": "x"})
    tools = Tools(other)
    entries = {entry.asset: entry for entry in plan(tools)}
    assert list(entries) == ["message_embeddings", "fact_embeddings", "episode_embeddings"]
    assert entries["message_embeddings"].texts == 14
    assert entries["fact_embeddings"].texts == len(read(other, "fact_history"))
    old = tools.vectors.current("message_embeddings")
    # Half-way, after the first week, the old table still serves, and the plan asks for the rest.
    materialize_plan(other, {"message_embeddings": {WEEKS[0]}}, nothing)
    assert Tools(other).vectors.current("message_embeddings") == old
    rest = {entry.asset: entry for entry in plan(Tools(other), measure=False)}
    assert rest["message_embeddings"].weeks == [WEEKS[1]]
    assert rest["message_embeddings"].texts == 6
    materialize_plan(other, out_of_date(Tools(other)), nothing)
    assert Tools(other).vectors.current("message_embeddings")["embedder"] != old["embedder"]
    assert out_of_date(Tools(other)) == {}


def test_a_run_that_stops_between_two_assets_is_seen(filled: Settings, make_settings: Make) -> None:
    other = changed(make_settings, scorer={"use": "heuristic"})
    materialize_plan(other, {"scored_interactions": set(WEEKS)}, nothing)
    stale = out_of_date(Tools(other))
    assert stale["anonymized_interactions"] == dict.fromkeys(WEEKS, "scored_interactions was made again")
    assert "scored_interactions" not in stale
    assert set(stale["episodes"]) == set(WEEKS)


def test_a_prompt_and_a_model_are_part_of_what_made_it(filled: Settings, make_settings: Make) -> None:
    from plugins.extractors.llm import LLMFacts

    llm = {"base_url": "http://127.0.0.1:9/v1", "model": "small"}
    asking = Tools(changed(make_settings, facts={"use": "openai"}, llm=llm))
    larger = Tools(changed(make_settings, facts={"use": "openai"}, llm={**llm, "model": "large"}))
    assert made_by(asking, "facts") != made_by(larger, "facts")

    class Asked(LLMFacts):
        prompt = "another"

    assert Asked().fingerprint != LLMFacts().fingerprint
    entry = next(entry for entry in plan(asking, measure=False) if entry.asset == "facts")
    said = sum(len(row["text"]) for row in read(filled, "raw_interactions"))
    assert entry.tokens > said / planning.CHARACTERS_PER_TOKEN


def test_a_new_key_makes_everything_with_pseudonyms_again(filled: Settings) -> None:
    client = MemoryClient(filled)
    client.forget(session="b")
    client.close()
    weekly_run(filled, WEEKS[0], WEEKS[-1], analytics=True)
    assert out_of_date(Tools(filled)) == {}
    before = {row["session_key"] for row in read(filled, "anonymized_interactions")}
    Tools(filled).keys.rotate()
    stale = out_of_date(Tools(filled))
    assert set(stale) == set(HOW)
    materialize_plan(filled, stale, nothing)
    assert out_of_date(Tools(filled)) == {}
    for asset in ("raw_interactions", "scored_interactions", "anonymized_interactions"):
        assert before.isdisjoint({row["session_key"] for row in read(filled, asset)}), asset
    # Who was erased stays erased, and its receipt stays signed.
    client = MemoryClient(filled)
    assert [row["valid"] for row in client.receipts()] == [True]
    path = filled.home / "again.jsonl"
    pl.DataFrame(message_rows(6, start=MONDAY + timedelta(weeks=1), session="b")).write_ndjson(path)
    summary = client.import_file(str(path))
    assert (summary.new, summary.erased) == (0, 6)
    client.close()


def test_a_lost_key_is_an_error_and_a_killed_rotation_is_none(filled: Settings) -> None:
    path = Tools(filled).keys.path
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(StoreError, match=r"pseudonym.key is missing: restore it from a backup, or .*rotate-key"):
        Tools(filled).keys.pseudonym("user", "x")
    path.write_bytes(b"z" * 32)
    with pytest.raises(StoreError, match="is another key than before"):
        Tools(filled).keys.identity()
    path.write_bytes(kept[:9])
    with pytest.raises(StoreError, match="is not a 32-byte key"):
        Tools(filled).keys.identity()
    path.unlink()
    tools = Tools(filled)
    new = tools.keys.rotate()
    assert tools.keys.path.stat().st_mode & 0o777 == 0o600
    assert Tools(filled).keys.identity() == new
    # Killed after the file was replaced and before the store was told.
    tools.store.register("installation_state", {"name": "pseudonym_key", "value": "00000000"})
    assert Tools(filled).keys.identity() == new
    (filled.home / "keys" / "lasting.key").unlink()
    with pytest.raises(StoreError, match="nothing tells who was erased"):
        Tools(filled).keys.erased("user", "x")


def test_an_installation_that_had_one_key_keeps_its_hashes(settings: Settings) -> None:
    tools = Tools(settings)
    tools.keys.path.parent.mkdir(parents=True)
    tools.keys.path.write_bytes(b"k" * 32)
    before = hmac.new(b"k" * 32, b"erased-user:x", "sha256").hexdigest()[:12]
    assert tools.keys.erased("user", "x") == f"erased-user_{before}"
    tools.keys.rotate()
    assert Tools(settings).keys.erased("user", "x") == f"erased-user_{before}"


def test_what_another_run_writes_meanwhile_makes_the_result_out_of_date(filled: Settings) -> None:
    """Two runs at once: the second writes facts after the first has read them, the first writes its history last."""
    first, second = Tools(filled), Tools(filled)
    first.stamps.reading("fact_history", "facts")
    second.stamps.wrote("facts", {WEEKS[0]: ("another content", 3)})
    first.stamps.wrote("fact_history", {"all": ("older", 3)})
    assert out_of_date(first)["fact_history"] == {"all": "facts was made again"}
