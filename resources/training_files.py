"""Files of datasets and adapters under MEMORY_HOME, and what of the store decides whether they may be used."""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from records.ids import content_id
from resources.files import write_frame, write_text
from resources.store import InteractionStore

MANIFEST = "manifest.parquet"

OPTED_OUT = """
SELECT m.message_id AS message_id FROM messages m
JOIN sessions s ON s.session_id = m.session_id
LEFT JOIN speakers p ON p.speaker_id = m.speaker_id
LEFT JOIN speakers u ON u.speaker_id = m.user_id
WHERE s.opt_out_training OR p.opt_out_training OR u.opt_out_training
"""


def opted_out_messages(store: InteractionStore) -> pl.Series:
    """Return the ids of messages that must not be trained on, as the store has it now."""
    return store.frame(OPTED_OUT)["message_id"].cast(pl.String)


def write_dataset(
    home: Path,
    store: InteractionStore,
    samples: pl.DataFrame,
    lines: Callable[[pl.DataFrame], Iterable[str]],
    *,
    kind: str,
    persona_id: str,
    week: str | None,
    card: dict[str, Any],
) -> dict[str, Any]:
    """Write train.jsonl, eval.jsonl and card.md of a dataset and register it; return its registry row.

    The folder is named by content: the same samples give the same folder and the same bytes.
    """
    dataset_id = content_id(
        "d", kind, persona_id, week, *samples["content_hash"].to_list(), *samples["split"].to_list()
    )
    folder = home / "datasets" / dataset_id
    for split in ("train", "eval"):
        part = samples.filter(pl.col("split") == split)
        write_text(folder / f"{split}.jsonl", "".join(_terminated(lines(part))))
    row = {
        "dataset_id": dataset_id,
        "kind": kind,
        "persona_id": persona_id,
        "week": week,
        "path": str(folder.relative_to(home)),
        "n_train": samples.filter(pl.col("split") == "train").height,
        "n_eval": samples.filter(pl.col("split") == "eval").height,
        "created_at": datetime.now(UTC),
    }
    write_frame(folder / MANIFEST, samples.drop("messages"))
    write_text(folder / "card.md", _card({**{k: v for k, v in row.items() if k != "created_at"}, **card}))
    store.register("datasets", row)
    return row


def read_manifest(home: Path, dataset: dict[str, Any]) -> pl.DataFrame | None:
    """Return which samples stand in a registered dataset and which messages are behind them; None when its files are gone."""
    path = home / dataset["path"] / MANIFEST
    return pl.read_parquet(path) if path.exists() else None


def datasets_of(store: InteractionStore, home: Path, messages: pl.Series) -> list[str]:
    """Return the ids of the datasets that hold a sample made from any of the messages, by their manifests."""
    found = []
    for row in store.rows("datasets"):
        manifest = read_manifest(home, row)
        if manifest is not None and manifest["source_message_ids"].explode().is_in(messages.implode()).any():
            found.append(row["dataset_id"])
    return sorted(found)


def adapters_of(store: InteractionStore, datasets: Iterable[str]) -> list[dict[str, Any]]:
    """Return the registry rows of the adapters trained on the datasets, and of those that continue one of them."""
    rows, wanted = store.rows("adapters"), set(datasets)
    found = {row["adapter_id"]: row for row in rows if row["dataset_id"] in wanted}
    while True:
        more = {row["adapter_id"]: row for row in rows if parent_of(row) in found and row["adapter_id"] not in found}
        if not more:
            return [found[key] for key in sorted(found)]
        found |= more


def parent_of(adapter: dict[str, Any]) -> str | None:
    """Return the adapter that this one continues, None for one that begins anew."""
    start: str | None = json.loads(adapter["config"]).get("start_from")
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
    base_model: str,
    dataset_id: str,
    path: str,
    config: dict[str, Any],
    metrics: dict[str, Any],
    status: str,
) -> dict[str, Any]:
    """Return a row of the record Adapters."""
    return {
        "adapter_id": adapter_id,
        "layer": layer,
        "persona_id": persona_id,
        "week": week,
        "base_model": base_model,
        "dataset_id": dataset_id,
        "path": path,
        "config": json.dumps(config, sort_keys=True),
        "metrics": json.dumps(metrics, sort_keys=True),
        "status": status,
        "created_at": datetime.now(UTC),
    }
