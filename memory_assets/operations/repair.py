"""Repair: what is damaged and made from other things is removed, and made again.

It is removed rather than kept aside: nobody can say what of a damaged file an erasure did not reach. Killed at any moment, the next
repair, or the next run, does the rest: a partition counts as never made, and its week as unsynced, before a file of it goes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from memory_assets.instances import remove_databases
from memory_assets.layers import LAYERS, Slot
from memory_assets.operations.damage import Damage, look
from memory_assets.operations.materialize import materialize_weeks
from memory_assets.tables import LAKE_RECORDS
from memory_assets.tools import Tools
from model_registry.exports import remove_exports
from model_registry.files import MANIFEST, adapters_of, descendants, id_of
from privacy.unreadable import again, drop
from records.errors import DamagedError, MemoryAssetsError
from resources.files import write_frame
from resources.settings import Settings
from resources.sqlite_damage import remove_database

Step = Callable[..., None]


@dataclass
class Repaired:
    """What was found and done.

    Attributes:
        damaged: Everything that is, or was.
        weeks: Those to be made again, or made again.
        made: Whether they were.
        left: What cannot be made again, and what a person is to do about it.
    """

    damaged: list[Damage] = field(default_factory=list)
    weeks: list[str] = field(default_factory=list)
    made: bool = False
    left: list[str] = field(default_factory=list)
    publish: bool = False

    @property
    def removed(self) -> list[Damage]:
        """Return what was made from other things, and is removed."""
        return [one for one in self.damaged if one.kind != "lasting"]


def repair(
    settings: Settings, step: Step, *, check: bool = False, make: bool = True, kinds: Collection[str] | None = None
) -> Repaired:
    """Look at every file of the installation, remove what is damaged and make it again.

    Args:
        check: Only look.
        make: Without it what was removed is left to the next run.
        kinds: Of what is looked at, only these; default: everything.

    Raises:
        MemoryAssetsError: the store cannot be opened, or what is made again cannot be made.
    """
    tools = Tools(settings)
    step(0.0, "looking")
    done = Repaired([one for one in look(tools) if kinds is None or one.kind in (*kinds, "lasting")])
    done.left = [one.said() for one in done.damaged if one.kind == "lasting"]
    if any(one.path == tools.store.damaged().path for one in done.damaged if one.kind == "lasting") or check:
        return done  # what was made of a damaged store may be all that is left of it
    weeks: set[str] = set()
    for one in done.removed:
        weeks.update(_remove(tools, one, done))
    done.weeks = sorted(weeks)
    step(0.3, "removed")
    if make and (done.weeks or done.publish):
        # Without a week only the analytics are published.
        materialize_weeks(settings, done.weeks, lambda share, note="": step(0.3 + 0.7 * share, note))
        done.made = True
    step(1.0)
    return done


def making(settings: Settings, weeks: list[str], step: Step) -> list[str]:
    """Materialize weeks; if that fails because something is damaged, remove it and materialize again; return the weeks that were.

    Raises:
        MemoryAssetsError: it failed for another reason.
    """
    try:
        materialize_weeks(settings, weeks, step)
    except MemoryAssetsError:
        found = repair(settings, lambda *_: None, make=False, kinds=MADE_BY_RUNS)
        if not found.removed:
            raise
        weeks = sorted({*weeks, *found.weeks})
        materialize_weeks(settings, weeks, step)
    return weeks


def _remove(tools: Tools, one: Damage, done: Repaired) -> list[str]:
    """Remove a damaged thing, and let count as never made what it was; return the weeks to be made again."""
    return _HOW[one.kind](tools, one, done)


def _partition(tools: Tools, one: Damage, done: Repaired) -> list[str]:
    weeks = again(tools, one.of, [one.part])
    tools.lake.delete(one.of, one.part)
    if one.of.endswith("_dataset"):
        done.left.append(f"{one.path}: removed; {_train_again(one.of.removesuffix('_dataset'), one.part)}")
        return []
    return weeks


def _table(tools: Tools, one: Damage, done: Repaired) -> list[str]:
    try:
        read = (tools.vectors.current(one.of) or {}).get("table")
    except DamagedError:
        read = None
    if one.part and read is not None and one.part != read:  # one that is still being made, of another embedder
        with tools.vectors.locked(one.of):
            shutil.rmtree(tools.vectors.folder / f"{one.part}.lance", ignore_errors=True)
        return again(tools, one.of)
    weeks = again(tools, one.of)
    drop(tools, one.of)
    return weeks


def _indexes(tools: Tools, one: Damage, done: Repaired) -> list[str]:
    """Make the indexes of a table anew; the rows, which took an embedder, stay."""
    from datetime import timedelta

    vectors = tools.vectors
    try:
        with vectors.locked(one.of):
            lance = vectors.open_table(one.part)
            for index in lance.list_indices() if lance is not None else []:
                vectors.make_index(lance, index.columns[0], replace=True)
            if lance is not None:  # the old ones go with the versions that use them
                vectors.retried(lance.optimize, cleanup_older_than=timedelta(0), delete_unverified=True)
    except (RuntimeError, OSError, ValueError, DamagedError):
        return _table(tools, one, done)
    return []


def _pointer(tools: Tools, one: Damage, done: Repaired) -> list[str]:
    """Let readers be told again of the embedder's table, if that is there; otherwise it is made."""
    from memory_assets.assets.vector_weeks import encoder_of

    encoder, path = encoder_of(tools, one.of), tools.vectors.folder / f"{one.of}.json"
    path.unlink(missing_ok=True)
    lance = tools.vectors.open(one.of, encoder.fingerprint)
    if lance is None or tools.vectors.names(one.of) != [lance.name]:
        return _table(tools, one, done)
    tools.vectors.publish(one.of, encoder.fingerprint, encoder.embedder.dim, [])
    return []


def _analytics(tools: Tools, one: Damage, done: Repaired) -> list[str]:
    path = tools.warehouse.path.with_name(one.path)
    path.unlink(missing_ok=True)
    path.with_name(path.name + ".wal").unlink(missing_ok=True)
    done.publish = done.publish or path == tools.warehouse.path
    return []


def _memo(tools: Tools, one: Damage, done: Repaired) -> list[str]:
    remove_database(tools.memo.path)
    return []


def _vault(tools: Tools, one: Damage, done: Repaired) -> list[str]:
    weeks = again(tools, "anonymized_interactions")
    if tools.settings.vault is not None:
        remove_database(tools.settings.vault)
    return weeks


def _samples(tools: Tools, one: Damage, done: Repaired) -> list[str]:
    """Remove the lines that trainers read; the manifest stays, which says on whose words an adapter was trained."""
    row = tools.store.rows("datasets", dataset_id=one.of)[0]
    for path in (tools.settings.home / row["path"]).glob("*.jsonl"):
        path.unlink(missing_ok=True)
    done.left.append(f"{one.path}: removed; {_train_again(row['kind'], _slot(row))}")
    return []


def _dataset(tools: Tools, one: Damage, done: Repaired) -> list[str]:
    """Write a manifest anew from the lake; where that holds another dataset by now, nobody can say what adapters were trained on."""
    row = tools.store.rows("datasets", dataset_id=one.of)[0]
    folder = tools.settings.home / row["path"]
    rows = _samples_in_lake(tools, row)
    if rows is not None:
        write_frame(folder / MANIFEST, rows.drop("messages"))
        return []
    trained = adapters_of(tools.store, [one.of])
    tools.adapter_book.quarantine(trained, erase=True)
    shutil.rmtree(folder, ignore_errors=True)
    gone = (
        f", and {len(trained)} adapters with it, of which nobody can say any more what they were trained on"
        if trained
        else ""
    )
    done.left.append(f"{one.path}: removed{gone}; {_train_again(row['kind'], _slot(row))}")
    return []


def _samples_in_lake(tools: Tools, row: dict[str, Any]) -> Any | None:
    layer = LAYERS[row["kind"]]
    part = str(layer.key(Slot(layer.name, row["persona_id"], week=row["week"], skill=row["skill"])))
    try:
        rows = tools.lake.collect(layer.dataset, LAKE_RECORDS[layer.dataset], [part])
    except DamagedError:
        return None
    told = (row["kind"], row["persona_id"], row["week"], row["skill"])
    ids = (
        {id_of(rows, *told, planted) for planted in (0, 1, tools.settings.dataset.canaries or 0)}
        if rows.height
        else set()
    )
    return rows if row["dataset_id"] in ids else None


def _adapter(tools: Tools, one: Damage, done: Repaired) -> list[str]:
    """Take an adapter away whose weights are not as they were trained, and those that work only upon it."""
    row = tools.adapter_book.get(one.of)
    upon = [
        other for other in descendants(tools.store, [row]) if one.of in (json.loads(other["config"]).get("under") or [])
    ]
    tools.adapter_book.quarantine([row], erase=True)
    tools.adapter_book.quarantine(upon, erase=False)
    done.left.append(f"{one.path}: removed and quarantined; {_train_again(row['layer'], _slot(row))}")
    return []


def _export(tools: Tools, one: Damage, done: Repaired) -> list[str]:
    """Forget an export whose file is gone, so that nothing of it has to be erased."""
    remove_exports(tools.store, tools.settings.home, tools.store.rows("exports", export_id=one.of))
    return []


def _dagster(tools: Tools, one: Damage, done: Repaired) -> list[str]:
    remove_databases(tools.settings, tools.settings.home / one.path)
    return []


def _train_again(layer: str, slot: str) -> str:
    return f"`memory train {layer} {slot.replace('|', ' ')}` makes it again"


def _slot(row: dict[str, Any]) -> str:
    return " ".join(part for part in (row["persona_id"], row["week"], row["skill"]) if part)


MADE_BY_RUNS = ("lake", "vectors", "index", "pointer", "analytics", "memo", "vault")
"""Kinds of what a run of the weeks reads and makes."""

_HOW: dict[str, Callable[[Tools, Damage, Repaired], list[str]]] = {
    "lake": _partition,
    "vectors": _table,
    "index": _indexes,
    "pointer": _pointer,
    "analytics": _analytics,
    "memo": _memo,
    "vault": _vault,
    "samples": _samples,
    "dataset": _dataset,
    "adapter": _adapter,
    "export": _export,
    "dagster": _dagster,
}
