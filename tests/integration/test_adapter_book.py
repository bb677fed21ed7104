"""The registry of adapters: what may be served, what is served, and the way back."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from memory_assets.tools import Tools
from model_registry.files import adapter_row, descendants
from plugins.deployers.folder import FolderDeployer
from plugins.training.contracts import Deployer, Deployment
from records.errors import StoreError, TrainingError
from resources.settings import Settings


def registered(tools: Tools, key: str, *, persona: str = "lumi", layer: str = "personality", **changes: object) -> str:
    """Register an adapter that passed the gate, with weights; return its id."""
    row = adapter_row(
        key,
        layer=layer,
        persona_id=persona,
        week=changes.pop("week", None),
        skill=changes.pop("skill", None),
        base_model="b",
        dataset_id=f"d_{key}",
        path=f"adapters/{key}",
        config=changes.pop("config", {}),
        metrics={},
        status="candidate",
    )
    row["created_at"] = datetime.now(UTC) - timedelta(days=1) + timedelta(seconds=len(tools.store.rows("adapters")))
    tools.store.register("adapters", row)
    folder = tools.settings.home / "adapters" / key / "adapter"
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(key.encode())
    (folder / "adapter_config.json").write_text("{}")
    if changes.pop("passed", True):
        tools.adapter_book.evaluated(key, {"passed": True, "reasons": [], "verdicts": []}, passed=True)
    return key


@pytest.fixture
def tools(make_settings) -> Tools:
    """Return an installation whose base needs no loading."""
    return Tools(make_settings(plugins={"trainer": {"use": "peft", "base": "some/base"}}))


def current(settings: Settings, persona: str = "lumi", layer: str = "personality") -> str | None:
    """Return which adapter a server finds."""
    path = settings.home / "deployed" / persona / layer / "current" / "adapter_model.safetensors"
    return path.read_text() if path.exists() else None


def statuses(tools: Tools) -> dict[str, str]:
    """Return adapter to status."""
    return {row["adapter_id"]: row["status"] for row in tools.store.rows("adapters")}


def test_one_is_served_the_one_before_is_retired_and_can_come_back(tools: Tools) -> None:
    book = tools.adapter_book
    for key in ("a1", "a2", "a3"):
        registered(tools, key)
        book.promote(key)
        assert current(tools.settings) == key
    assert statuses(tools) == {"a1": "retired", "a2": "retired", "a3": "deployed"}
    assert [row["adapter_id"] for row in book.served("lumi")] == ["a3"]
    assert book.rollback("lumi")["adapter_id"] == "a2"
    assert current(tools.settings) == "a2"
    assert statuses(tools) == {"a1": "retired", "a2": "deployed", "a3": "retired"}
    before = len(tools.store.rows("deployments"))
    book.promote("a2")  # it is served already
    assert len(tools.store.rows("deployments")) == before
    assert len(book.served()) == 1


def test_layers_and_personas_are_served_beside_each_other(tools: Tools) -> None:
    book = tools.adapter_book
    registered(tools, "p1")
    registered(tools, "w1", layer="episodic", week="2025-09-01")
    registered(tools, "w2", layer="episodic", week="2025-09-08")
    registered(tools, "s1", layer="skill", skill="cooking")
    registered(tools, "s2", layer="skill", skill="chess")
    registered(tools, "q1", persona="sage")
    for key in ("p1", "w1", "w2", "s1", "s2", "q1"):
        book.promote(key)
    assert {row["adapter_id"] for row in book.served()} == {"p1", "w2", "s1", "s2", "q1"}
    assert book.deployment(book.get("w2"), serving=False).tag == "lumi:week37"
    assert book.deployment(book.get("s1"), serving=False).tag == "lumi:cooking"
    assert current(tools.settings, layer="skill-chess") == "s2"


def test_what_did_not_pass_or_is_gone_is_not_served(tools: Tools) -> None:
    book = tools.adapter_book
    registered(tools, "new", passed=False)
    with pytest.raises(TrainingError, match="was not evaluated"):
        book.promote("new")
    assert book.evaluated("new", {"passed": False, "reasons": ["style", "secrets"]}, passed=False) == "candidate"
    with pytest.raises(TrainingError, match="did not pass the gate: style, secrets"):
        book.promote("new")
    registered(tools, "gone")
    (tools.settings.home / "adapters/gone/adapter/adapter_model.safetensors").unlink()
    (tools.settings.home / "adapters/gone/adapter/adapter_config.json").unlink()
    (tools.settings.home / "adapters/gone/adapter").rmdir()
    with pytest.raises(TrainingError, match="no weights on this machine"):
        book.promote("gone")
    with pytest.raises(StoreError, match="there is no adapter 'x'"):
        book.get("x")
    with pytest.raises(TrainingError, match="no adapter of lumi was deployed before"):
        book.rollback("lumi")
    assert current(tools.settings) is None


def test_a_person_approves_where_the_settings_say_so(make_settings) -> None:
    tools = Tools(make_settings(plugins={"trainer": {"use": "peft", "base": "b"}}, adapters={"approval": "person"}))
    registered(tools, "a1")
    assert statuses(tools) == {"a1": "candidate"}
    tools.adapter_book.promote("a1")
    assert statuses(tools) == {"a1": "deployed"}


def test_a_failing_probe_brings_back_what_was_served(tools: Tools) -> None:
    def wrong(deployer: Deployer, it: Deployment) -> dict[str, object]:
        assert current(tools.settings) == "a2"
        return {"passed": False, "why": "its answers are another model's"}

    registered(tools, "a1")
    tools.adapter_book.promote("a1")
    registered(tools, "a2")
    with pytest.raises(TrainingError, match="another model's; a1 is served as before"):
        tools.adapter_book.promote("a2", wrong)
    assert current(tools.settings) == "a1"
    assert statuses(tools) == {"a1": "deployed", "a2": "approved"}


def test_an_endpoint_that_does_not_answer_has_failed_its_probe(tools: Tools) -> None:
    def silent(deployer: Deployer, it: Deployment) -> dict[str, object]:
        raise TrainingError("it cannot be reached")

    registered(tools, "a1")
    with pytest.raises(TrainingError, match="it cannot be reached; nothing is served in its place"):
        tools.adapter_book.promote("a1", silent)
    assert current(tools.settings) is None
    assert statuses(tools) == {"a1": "approved"}


def test_quarantine_undeploys_takes_descendants_along_and_cannot_be_undone_by_rollback(tools: Tools) -> None:
    book = tools.adapter_book
    registered(tools, "old")
    registered(tools, "p1")
    registered(tools, "w1", layer="episodic", week="2025-09-01", config={"start_from": "p1"})
    registered(tools, "k1", layer="skill", skill="chess", config={"under": ["p1"]})
    for key in ("old", "p1", "w1", "k1"):
        book.promote(key)
    gone = book.quarantine(descendants(tools.store, [book.get("p1")]), erase=True)
    assert gone == ["k1", "p1", "w1"]
    assert book.served() == []
    assert current(tools.settings) is None
    assert not (tools.settings.home / "adapters/p1").exists()
    assert (tools.settings.home / "adapters/old/adapter").is_dir()
    with pytest.raises(TrainingError, match="p1 is quarantined"):
        book.promote("p1")
    assert book.rollback("lumi")["adapter_id"] == "old"
    left = list(Path(tools.settings.home / "deployed").rglob("adapter_model.safetensors"))
    assert {path.read_text() for path in left} == {"old"}
    ended = [row for row in tools.store.rows("deployments") if row["adapter_id"] in gone]
    assert all(row["withdrawn_at"] is not None for row in ended)
    assert json.loads(book.get("old")["evaluation"])["passed"]


@pytest.mark.parametrize("way", ["promote", "rollback"])
def test_what_is_quarantined_while_it_is_deployed_is_not_served(tools: Tools, monkeypatch, way: str) -> None:
    book = tools.adapter_book
    book.promote(registered(tools, "old"))
    registered(tools, "new")
    if way == "rollback":
        book.promote("new")
    late = "old" if way == "rollback" else "new"
    plainly = FolderDeployer.deploy

    def deploy(self, deployment: Deployment) -> str:
        place = plainly(self, deployment)
        book.quarantine(tools.store.rows("adapters", adapter_id=late), erase=False)
        return place

    monkeypatch.setattr(FolderDeployer, "deploy", deploy)
    with pytest.raises(TrainingError, match="was quarantined while"):
        book.rollback("lumi") if way == "rollback" else book.promote(late)
    assert current(tools.settings) != late
    assert statuses(tools)[late] == "quarantined"
