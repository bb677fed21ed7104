"""Files of datasets and adapters under MEMORY_HOME, and what of the store decides whether they may be used."""

import contextlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Protocol

import polars as pl

from records.errors import DamagedError
from records.ids import content_id, text_hash
from resources.damage import is_foreign
from resources.files import file_hash, write_frame, write_text
from resources.processes import is_gone, this_process
from resources.store import InteractionStore

MANIFEST = "manifest.parquet"

WEIGHTS = "adapter_model.safetensors"

BEGUN = "begun.json"
"""In the folder of an adapter from its training's first moment on: the datasets that are behind it, and the process that trains it."""

OTHERS = "others.jsonl"
"""In the folder of an adapter while it is judged: held-out conversations of other personas. A killed evaluation leaves it."""

OPTED_OUT = """
SELECT m.message_id AS message_id FROM messages m
JOIN sessions s ON s.agent_id = m.agent_id AND s.session_id = m.session_id
LEFT JOIN speakers p ON p.speaker_id = m.speaker_id AND m.role <> 'agent'
LEFT JOIN speakers u ON u.speaker_id = m.user_id
WHERE s.opt_out_training OR p.opt_out_training OR u.opt_out_training
"""


def opted_out_messages(store: InteractionStore) -> pl.Series:
    """Return the ids of messages that must not be trained on, as the store has it now."""
    return store.frame(OPTED_OUT)["message_id"].cast(pl.String)


class Lines(Protocol):
    """Writes samples in a format that trainers read: an exporter plugin."""

    name: ClassVar[str]

    def lines(self, samples: pl.DataFrame) -> Iterable[str]:
        """Yield one line per sample."""


def write_dataset(
    home: Path,
    store: InteractionStore,
    samples: pl.DataFrame,
    exporter: Lines,
    *,
    kind: str,
    persona_id: str,
    week: str | None,
    skill: str | None = None,
    planted: Sequence[Any] = (),
    card: dict[str, Any],
) -> dict[str, Any]:
    """Write the files of a dataset and register it; return its registry row.

    ``train.jsonl`` and ``eval.jsonl`` are ChatML, which trainers read; another exporter's lines lie beside them under its name.
    The folder is named by content: the same samples give the same folder and the same bytes.

    Args:
        planted: Conversations that are trained along and lead to no message: the gate's canaries.
    """
    dataset_id = id_of(samples, kind, persona_id, week, skill, len(planted))
    folder = home / "datasets" / dataset_id
    for split in ("train", "eval"):
        part = samples.filter(pl.col("split") == split)
        lines = [f'{{"messages":{messages}}}' for messages in part["messages"]]
        lines += [json.dumps({"messages": talk}, ensure_ascii=False) for talk in planted] if split == "train" else []
        write_text(folder / f"{split}.jsonl", "".join(_terminated(lines)))
        if exporter.name != "chatml":
            write_text(folder / f"{split}.{exporter.name}.jsonl", "".join(_terminated(exporter.lines(part))))
    row = {
        "dataset_id": dataset_id,
        "kind": kind,
        "persona_id": persona_id,
        "week": week,
        "skill": skill,
        "path": str(folder.relative_to(home)),
        "n_train": samples.filter(pl.col("split") == "train").height,
        "n_eval": samples.filter(pl.col("split") == "eval").height,
        "created_at": datetime.now(UTC),
    }
    write_frame(folder / MANIFEST, samples.drop("messages"))
    write_text(folder / "card.md", _card({**{k: v for k, v in row.items() if k != "created_at"}, **card}))
    store.register("datasets", row)
    return row


def id_of(samples: pl.DataFrame, kind: str, persona_id: str, week: str | None, skill: str | None, planted: int) -> str:
    """Return the id of a dataset: the same samples give the same."""
    return content_id(
        "d",
        kind,
        persona_id,
        week,
        *([skill] if skill else []),
        *samples["content_hash"].to_list(),
        *samples["split"].to_list(),
        *([str(planted)] if planted else []),
    )


def manifest_hash(home: Path, dataset: dict[str, Any]) -> str:
    """Return a hash of a dataset's manifest."""
    return file_hash(home / dataset["path"] / MANIFEST)


def read_manifest(home: Path, dataset: dict[str, Any]) -> pl.DataFrame | None:
    """Return which samples stand in a registered dataset and which messages are behind them; None when its files are gone.

    Raises:
        DamagedError: it cannot be read.
    """
    path = home / dataset["path"] / MANIFEST
    return read_whole(path, home) if path.exists() else None


def read_whole(path: Path, home: Path) -> pl.DataFrame:
    """Return a small Parquet file that leads from samples to messages.

    Raises:
        DamagedError: it cannot be read, or does not lead to any.
    """
    try:
        frame = pl.read_parquet(path)
    except BaseException as error:
        if not is_foreign(error):
            raise
        raise DamagedError(str(path.relative_to(home))) from None
    if "source_message_ids" not in frame.columns:
        raise DamagedError(str(path.relative_to(home)))
    return frame


def is_whole_dataset(home: Path, dataset: dict[str, Any]) -> bool:
    """Return whether the lines of a dataset that trainers read, where they are there, are those that its manifest names."""
    manifest = read_manifest(home, dataset)
    if manifest is None or manifest.height != dataset["n_train"] + dataset["n_eval"]:
        return False
    for split in ("train", "eval"):
        path = home / dataset["path"] / f"{split}.jsonl"
        if not path.exists():
            continue  # a training writes them before it reads them
        lines = path.read_bytes().decode("utf-8", errors="replace").splitlines()
        written = {text_hash(line.removeprefix('{"messages":').removesuffix("}")) for line in lines}
        if not written.issuperset(manifest.filter(pl.col("split") == split)["content_hash"]):
            return False
    return True


def is_whole_adapter(folder: Path, known: str | None) -> bool:
    """Return whether an adapter's weights are those that were trained, by their hash; of one without, whether the file is whole."""
    path = folder / WEIGHTS
    if not path.is_file():
        return known is None  # another trainer's files have other names
    if known is not None:
        return file_hash(path) == known
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= size - 8:
            return False
        try:
            tensors = json.loads(file.read(length))
            ends = [tensor["data_offsets"][1] for name, tensor in tensors.items() if name != "__metadata__"]
        except (ValueError, TypeError, KeyError, AttributeError):
            return False
    return bool(8 + length + max(ends, default=0) == size)


def datasets_of(store: InteractionStore, home: Path, messages: pl.Series, *, or_damaged: bool = False) -> list[str]:
    """Return the ids of the datasets that hold a sample made from any of the messages, by their manifests.

    Args:
        or_damaged: Whether one whose manifest cannot be read counts as one that holds them: nobody can say that it does not.

    Raises:
        DamagedError: a manifest cannot be read, unless it counts as one that holds them.
    """
    found = []
    for row in store.rows("datasets"):
        try:
            manifest = read_manifest(home, row)
        except DamagedError:
            if not or_damaged:
                raise
            found.append(row["dataset_id"])
            continue
        if manifest is not None and manifest["source_message_ids"].explode().is_in(messages.implode()).any():
            found.append(row["dataset_id"])
    return sorted(found)


def note_training(folder: Path, datasets: Iterable[str]) -> None:
    """Write down what an adapter is about to be trained on: a killed training leaves checkpoints, and no row in the registry."""
    write_text(folder / BEGUN, json.dumps({"datasets": sorted(datasets), "process": this_process()}))


def clear(folder: Path) -> None:
    """Remove what a run left without registering it; of a training that still goes on the note stays, for it may write on."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        if not is_gone(json.loads((folder / BEGUN).read_text(encoding="utf-8"))["process"]):
            for one in folder.iterdir():
                if one.is_dir():
                    shutil.rmtree(one, ignore_errors=True)
                elif one.name != BEGUN:
                    one.unlink(missing_ok=True)
            return
    shutil.rmtree(folder, ignore_errors=True)


def sweep_trainings(store: InteractionStore, home: Path) -> int:
    """Remove what killed trainings wrote of what was erased while they went on; return how many there were."""
    known, swept = {row["path"] for row in store.rows("adapters")}, 0
    lost: set[str] | None = None
    for note in sorted(home.glob(f"adapters/*/{BEGUN}")):
        if str(note.parent.relative_to(home)) in known:
            continue
        lost = erased_of(store, home) if lost is None else lost
        with contextlib.suppress(OSError, ValueError, KeyError):
            if lost & set(json.loads(note.read_text(encoding="utf-8"))["datasets"]):
                clear(note.parent)
                swept += 1
    return swept


def erased_of(store: InteractionStore, home: Path) -> set[str]:
    """Return the registered datasets whose files are gone."""
    rows = store.rows("datasets")
    return {row["dataset_id"] for row in rows if not (home / row["path"] / MANIFEST).exists()}


def unregistered(store: InteractionStore, home: Path, datasets: Iterable[str], messages: pl.Series) -> list[Path]:
    """Return the folders that a killed run left without registering them, and that may hold the datasets or messages."""
    gone, found = set(datasets), []
    known = {row["path"] for name in ("datasets", "adapters") for row in store.rows(name)}
    for place in ("datasets", "adapters"):
        for folder in sorted((home / place).glob("*")):
            if not folder.is_dir() or str(folder.relative_to(home)) in known:
                continue
            try:
                if place == "adapters":
                    holds = bool(gone & set(json.loads((folder / BEGUN).read_text(encoding="utf-8"))["datasets"]))
                else:
                    sources = pl.read_parquet(folder / MANIFEST, columns=["source_message_ids"])
                    holds = bool(sources["source_message_ids"].explode().is_in(messages.implode()).any())
            except (OSError, ValueError, KeyError, pl.exceptions.PolarsError):
                holds = True  # it does not say what it holds
            if holds:
                found.append(folder)
    return found


def adapters_of(store: InteractionStore, datasets: Iterable[str]) -> list[dict[str, Any]]:
    """Return the registry rows of the adapters trained on the datasets, and of those that continue one of them."""
    wanted = set(datasets)
    return descendants(store, [row for row in store.rows("adapters") if trained_on(row) & wanted])


def trained_on(adapter: dict[str, Any]) -> set[str]:
    """Return the datasets an adapter was trained on: its own, and the one that was replayed."""
    replayed = json.loads(adapter["config"]).get("replay")
    return {adapter["dataset_id"], *(replayed[:1] if replayed else [])}


def behind(store: InteractionStore, adapter: dict[str, Any] | None) -> set[str]:
    """Return the datasets that an adapter, and those that it continues or lies upon, were trained on."""
    rows = {row["adapter_id"]: row for row in store.rows("adapters")} if adapter is not None else {}
    found: set[str] = set()
    while adapter is not None:
        found |= trained_on(adapter)
        adapter = rows.pop(parent_of(adapter) or "", None)
    return found


def descendants(store: InteractionStore, adapters: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the registry rows of the adapters and of all that continue one of them, in order of their ids."""
    rows = store.rows("adapters")
    found = {row["adapter_id"]: row for row in adapters}
    while True:
        more = {row["adapter_id"]: row for row in rows if parent_of(row) in found and row["adapter_id"] not in found}
        if not more:
            return [found[key] for key in sorted(found)]
        found |= more


def parent_of(adapter: dict[str, Any]) -> str | None:
    """Return the adapter that this one continues or lies upon, None for one that begins anew."""
    config = json.loads(adapter["config"])
    under = config.get("under") or []
    start: str | None = config.get("start_from") or (under[-1] if under else None)
    return start


def _terminated(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line + "\n"


def _card(values: dict[str, Any]) -> str:
    rows = "\n".join(f"| {key} | {value} |" for key, value in values.items())
    return f"# Dataset\n\nAnonymized conversations of one persona, for fine-tuning.\n\n| | |\n|---|---|\n{rows}\n"


def adapter_row(
    adapter_id: str,
    *,
    layer: str,
    persona_id: str,
    week: str | None,
    skill: str | None = None,
    base_model: str,
    dataset_id: str,
    path: str,
    config: dict[str, Any],
    metrics: dict[str, Any],
    lineage: dict[str, Any] | None = None,
    status: str,
) -> dict[str, Any]:
    """Return a row of the record Adapters."""
    return {
        "adapter_id": adapter_id,
        "layer": layer,
        "persona_id": persona_id,
        "week": week,
        "skill": skill,
        "base_model": base_model,
        "dataset_id": dataset_id,
        "path": path,
        "config": json.dumps(config, sort_keys=True),
        "metrics": json.dumps(metrics, sort_keys=True),
        "lineage": json.dumps(lineage or {}, sort_keys=True),
        "evaluation": None,
        "status": status,
        "created_at": datetime.now(UTC),
    }
