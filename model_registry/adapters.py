"""The registry of adapters: what may be served, what is served where, and the way back.

candidate ─ gate passed ─► approved ─► deployed ─ another one is deployed ─► retired; from anywhere ─► quarantined, which undeploys.
"""

import json
import shutil
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from plugins.training.contracts import Deployer, Deployment, unmeasured, why_failed
from records.errors import StoreError, TrainingError
from records.ids import content_id, text_hash

if TYPE_CHECKING:
    from serving.installation import Installation

Row = dict[str, Any]
MODEL_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
Probe = Callable[[Deployer, Deployment], dict[str, Any]]
"""Asks what was deployed and returns what it found, with ``passed``."""


class AdapterBook:
    """Adapters of one installation."""

    def __init__(self, installation: "Installation") -> None:
        self.of = installation
        self.store, self.home = installation.store, installation.settings.home

    # -- looking up -----------------------------------------------------------------------------------------------

    def get(self, adapter_id: str) -> Row:
        """Return the row of an adapter.

        Raises:
            StoreError: there is none of this id.
        """
        rows = self.store.rows("adapters", adapter_id=adapter_id)
        if not rows:
            raise StoreError(f"there is no adapter {adapter_id!r}: see `memory adapters`")
        return rows[0]

    def newest(self, layer: str, persona: str, *, week: str | None = None, skill: str | None = None) -> Row | None:
        """Return the newest adapter of a persona's layer that is not quarantined and whose weights are there."""
        rows = [
            row
            for row in self.store.rows("adapters", layer=layer, persona_id=persona)
            if row["status"] != "quarantined" and self.weights(row).is_dir() and row["skill"] == skill
        ]
        rows = [row for row in rows if row["week"] == week] if week is not None else rows
        return max(rows, key=lambda row: row["created_at"], default=None)

    def served(self, persona: str | None = None) -> list[Row]:
        """Return the deployments that stand."""
        rows = [row for row in self.store.rows("deployments") if row["withdrawn_at"] is None]
        return [row for row in rows if persona is None or row["persona_id"] == persona]

    def weights(self, adapter: Row) -> Path:
        """Return the folder of an adapter's weights."""
        return Path(self.home / adapter["path"] / "adapter")

    def below(self, adapter: Row) -> list[Row]:
        """Return the adapters that lie under this one when it works, lowest first."""
        ids = json.loads(adapter["config"]).get("under") or []
        return [self.get(key) for key in ids]

    def deployment(self, adapter: Row, *, serving: bool = True) -> Deployment:
        """Return an adapter as deployers take it; without ``serving`` no base is unpacked, which folders do without."""
        from transforms.system_prompt import system_prompt

        persona, layer = adapter["persona_id"], adapter["layer"]
        return Deployment(
            adapter_id=adapter["adapter_id"],
            adapter=self.weights(adapter),
            base=str(self.of.plugin("trainer").base_folder()) if serving else "",
            home=self.home / "deployed",
            persona_id=persona,
            layer=layer if adapter["skill"] is None else f"skill-{adapter['skill']}",
            tag=f"{_model_name(persona)}:{_version(adapter)}",
            system=system_prompt(self.store.rows("core_memory", agent_id=persona)),
            under=tuple(self.weights(row) for row in self.below(adapter)) if serving else (),
        )

    # -- moving ---------------------------------------------------------------------------------------------------

    def evaluated(self, adapter_id: str, evaluation: dict[str, Any], *, passed: bool) -> str:
        """Write down what the gate found; return the status: approved, unless a person is to say so first."""
        adapter = self.get(adapter_id)
        with self.store.writer.begin() as connection:
            table = self.store.meta.tables["adapters"]
            connection.execute(
                sa.update(table).where(table.c.adapter_id == adapter_id).values(evaluation=json.dumps(evaluation))
            )
        status = str(adapter["status"])
        if status in ("candidate", "approved"):
            by_itself = self.of.settings.adapters.approval == "gate"
            status = ("approved" if by_itself else status) if passed else "candidate"
            self.store.set_status(adapter_id, status)
        return status

    def promote(self, adapter_id: str, probe: Probe | None = None) -> Row:
        """Deploy an adapter; return its deployment. One that is deployed already is left as it is.

        Raises:
            TrainingError: the gate has not let it pass, it is quarantined, its weights are gone, or its probe failed: then what
                was served before is served again.
        """
        adapter = self.get(adapter_id)
        self._check(adapter)
        deployer: Deployer = self.of.plugin("deployer")
        it = self.deployment(adapter, serving=deployer.answers)
        before = self._current(adapter, deployer.name)
        place = deployer.deploy(it)
        found = _asked(probe, deployer, it) if probe is not None else None
        if found is not None and not found["passed"]:
            deployer.withdraw(it)
            again = self._serve_again(before, deployer)
            self.store.set_status(adapter_id, "approved" if adapter["status"] != "deployed" else "retired")
            raise TrainingError(f"{adapter_id} does not answer as it does here: {found['why']}; {again}")
        return self._served(it, adapter, deployer, place, found)

    def rollback(self, persona: str, layer: str = "personality", skill: str | None = None) -> Row:
        """Serve again what was served before the adapter that is served now; return its deployment.

        Raises:
            TrainingError: there is none before it that may be served.
        """
        deployer: Deployer = self.of.plugin("deployer")
        history = [
            row
            for row in self.store.rows("deployments", persona_id=persona, target=deployer.name, layer=layer)
            if row["skill"] == skill
        ]
        history.sort(key=lambda row: row["deployed_at"], reverse=True)
        now = next((row["adapter_id"] for row in history if row["withdrawn_at"] is None), None)
        for row in history:
            adapter = self.get(row["adapter_id"])
            usable = adapter["status"] not in ("quarantined", "candidate") and self.weights(adapter).is_dir()
            if row["withdrawn_at"] is None or row["adapter_id"] == now or not usable:
                continue
            it = self.deployment(adapter, serving=deployer.answers)
            return self._served(it, adapter, deployer, deployer.deploy(it), None)
        raise TrainingError(f"no adapter of {persona} was deployed before this one that may be served")

    def _served(
        self, it: Deployment, adapter: Row, deployer: Deployer, place: str, found: dict[str, Any] | None
    ) -> Row:
        """Note what is served now, unless an erasure took it away while it was deployed."""
        with self.of.fence.committing():
            if self.get(adapter["adapter_id"])["status"] == "quarantined":
                deployer.withdraw(it)
                raise TrainingError(f"{adapter['adapter_id']} was quarantined while it was deployed: it is not served")
            return self._note(adapter, deployer.name, place, found)

    def quarantine(self, adapters: Iterable[Row], *, erase: bool) -> list[str]:
        """Take adapters away from where servers find them, for good; return which.

        Args:
            erase: Also remove their weights.
        """
        found = []
        served = {row["adapter_id"]: row for row in self.served()}
        for adapter in adapters:
            key = adapter["adapter_id"]
            if key in served or adapter["status"] == "deployed":
                deployer = self._deployer(served.get(key))
                deployer.withdraw(self.deployment(adapter, serving=False))
                self._withdrawn([key])
            if erase:
                shutil.rmtree(self.home / adapter["path"], ignore_errors=True)
            if adapter["status"] != "quarantined":
                self.store.set_status(key, "quarantined")
            found.append(key)
        return found

    # -- parts ----------------------------------------------------------------------------------------------------

    def _check(self, adapter: Row) -> None:
        key, status = adapter["adapter_id"], adapter["status"]
        if status == "quarantined":
            raise TrainingError(f"{key} is quarantined: what it was trained on may not be used any more")
        if adapter["evaluation"] is None:
            raise TrainingError(f"{key} was not evaluated: materialize its evaluation first")
        judged = json.loads(adapter["evaluation"])
        if not judged["passed"]:
            why = why_failed(judged.get("verdicts", [])) or ", ".join(judged["reasons"])
            raise TrainingError(f"{key} did not pass the gate: {why}")
        if not all(unmeasured(judged.get("verdicts", [])).values()):
            # Gates once passed what they could not measure, without a word of what was missing.
            raise TrainingError(
                f"{key} was judged by an earlier gate, which left questions out: materialize its evaluation again"
            )
        if not self.weights(adapter).is_dir():
            raise TrainingError(f"{key} has no weights on this machine any more: train it again")

    def _deployer(self, row: Row | None) -> Deployer:
        """Return the deployer that put it there, which may be another one than that of the settings."""
        chosen: Deployer = self.of.plugin("deployer")
        if row is None or row["target"] == chosen.name:
            return chosen
        other: Deployer = self.of.registry.create("deployer", name=row["target"])
        return other

    def _current(self, adapter: Row, target: str) -> Row | None:
        return next((row for row in self.served(adapter["persona_id"]) if _same_slot(row, adapter, target)), None)

    def _serve_again(self, before: Row | None, deployer: Deployer) -> str:
        if before is None:
            return "nothing is served in its place"
        deployer.deploy(self.deployment(self.get(before["adapter_id"]), serving=deployer.answers))
        return f"{before['adapter_id']} is served as before"

    def _note(self, adapter: Row, target: str, place: str, probe: dict[str, Any] | None) -> Row:
        """Write the deployment down; the one before it ends at the same moment."""
        now = datetime.now(UTC)
        row = {
            "deployment_id": content_id("p", adapter["adapter_id"], target, now.isoformat()),
            "persona_id": adapter["persona_id"],
            "target": target,
            "layer": adapter["layer"],
            "skill": adapter["skill"],
            "adapter_id": adapter["adapter_id"],
            "place": place,
            "probe": None if probe is None else json.dumps(probe),
            "deployed_at": now,
            "withdrawn_at": None,
        }
        gone = [old for old in self.served(adapter["persona_id"]) if _same_slot(old, adapter, target)]
        if [old["adapter_id"] for old in gone] == [adapter["adapter_id"]] and gone[0]["place"] == place:
            return gone[0]
        table, adapters = self.store.meta.tables["deployments"], self.store.meta.tables["adapters"]
        with self.store.writer.begin() as connection:
            ended = [old["deployment_id"] for old in gone]
            connection.execute(sa.update(table).where(table.c.deployment_id.in_(ended)).values(withdrawn_at=now))
            retired = [old["adapter_id"] for old in gone if old["adapter_id"] != adapter["adapter_id"]]
            connection.execute(
                sa.update(adapters)
                .where(adapters.c.adapter_id.in_(retired), adapters.c.status == "deployed")
                .values(status="retired")
            )
            connection.execute(sa.insert(table), [row])
            connection.execute(
                sa.update(adapters).where(adapters.c.adapter_id == adapter["adapter_id"]).values(status="deployed")
            )
        return row

    def _withdrawn(self, adapters: list[str]) -> None:
        table = self.store.meta.tables["deployments"]
        with self.store.writer.begin() as connection:
            connection.execute(
                sa.update(table)
                .where(table.c.adapter_id.in_(adapters), table.c.withdrawn_at.is_(None))
                .values(withdrawn_at=datetime.now(UTC))
            )


def _asked(probe: Probe, deployer: Deployer, it: Deployment) -> dict[str, Any]:
    """Return what a probe found; an endpoint that does not answer has failed it."""
    try:
        return probe(deployer, it)
    except TrainingError as error:
        return {"passed": False, "why": str(error)}


def _same_slot(deployment: Row, adapter: Row, target: str) -> bool:
    return (deployment["target"], deployment["layer"], deployment["skill"]) == (
        target,
        adapter["layer"],
        adapter["skill"],
    )


def _model_name(persona: str) -> str:
    """Return what servers of models call a persona: small letters, digits, - _ and . of ASCII; what is left out of an id stands in a hash."""
    name = "".join(c if c in MODEL_LETTERS else "-" for c in persona.lower())[:40].lstrip("-._")
    return name if name == persona else f"{name}-{text_hash(persona)[:8]}".lstrip("-")


def _version(adapter: Row) -> str:
    """Return the tag of a version: personality, week05, or the skill's name."""
    if adapter["week"] is not None:
        return f"week{datetime.fromisoformat(adapter['week']).isocalendar().week:02d}"
    return str(adapter["skill"] or "personality")
