"""Exports: what was written into files outside of the installation, from which messages, so that trace and erasure know them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from model_registry.files import read_whole
from records.errors import DamagedError
from records.ids import content_id
from resources.files import bytes_hash, file_hash, write_frame, write_text
from resources.store import InteractionStore

FOLDER = "exports"


@dataclass(frozen=True)
class Kept:
    """An export whose file could not be removed: it was moved or changed since."""

    export_id: str
    path: str


def write_export(
    home: Path, store: InteractionStore, target: Path, lines: Iterable[str], samples: pl.DataFrame, **what: Any
) -> str:
    """Write samples into a file and register it; return the export's id. Killed in between, it is registered without a file.

    Args:
        samples: Rows of DatasetManifest that the lines hold.
        what: agent_id, layer, week, skill, format.
    """
    text = "".join(f"{line}\n" for line in lines)
    path = str(target.resolve())
    export_id = content_id("x", path, *what.values(), *samples["content_hash"].to_list(), datetime.now(UTC).isoformat())
    manifest = home / FOLDER / f"{export_id}.parquet"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    write_frame(manifest, samples.select("sample_id", "source_message_ids", "content_hash"))
    row = {
        "export_id": export_id,
        **what,
        "path": path,
        "n_samples": samples.height,
        "content_hash": bytes_hash(text.encode()),
        "created_at": datetime.now(UTC),
    }
    # Known before it is there: a file that nobody knows could not be erased.
    store.register("exports", row)
    write_text(target, text)
    return export_id


def exports_of(
    store: InteractionStore, home: Path, messages: pl.Series, *, or_damaged: bool = False
) -> list[dict[str, Any]]:
    """Return the registered exports that hold a sample made from any of the messages.

    Args:
        or_damaged: Whether one of which nobody can say what it holds counts as one that does.

    Raises:
        DamagedError: what says what one holds cannot be read, unless it counts as one that does.
    """
    found = []
    for row in store.rows("exports"):
        manifest = home / FOLDER / f"{row['export_id']}.parquet"
        if not manifest.exists():
            continue
        try:
            behind = read_whole(manifest, home)["source_message_ids"].explode()
        except DamagedError:
            if not or_damaged:
                raise
            found.append(row)
            continue
        if behind.is_in(messages.implode()).any():
            found.append(row)
    return found


def remove_exports(store: InteractionStore, home: Path, rows: Sequence[dict[str, Any]]) -> list[Kept]:
    """Remove the files of exports as they were written, and what is known of them; return those whose file was not found as written."""
    import sqlalchemy as sa

    kept = []
    table = store.meta.tables["exports"]
    for row in rows:
        path = Path(row["path"])
        if path.is_file() and file_hash(path) == row["content_hash"]:
            path.unlink()
        else:
            kept.append(Kept(row["export_id"], row["path"]))
        (home / FOLDER / f"{row['export_id']}.parquet").unlink(missing_ok=True)
        with store.writer.begin() as connection:
            connection.execute(sa.delete(table).where(table.c.export_id == row["export_id"]))
    return kept
