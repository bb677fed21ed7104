"""Many small commits: a table stays small, readers of other processes never fail, and a kill while it is merged loses nothing."""

import multiprocessing
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from memory_assets.tools import Tools
from records.memory import MessageEmbeddings
from resources.vector_upkeep import Upkeep, parts_of
from resources.vectors import Committed, VectorStore, differing
from serving.client import MemoryClient
from serving.recall.candidates import Memories
from serving.scope import Scope
from tests.conftest import killed_run, message_rows, write_rows
from tests.integration.test_vectors import DIM, rows, vectors

WEEKS = ["2025-01-06", "2025-01-13", "2025-01-20"]


def commit(store: VectorStore, week: str, frame: pl.DataFrame) -> Committed:
    """Make a week exactly these rows."""
    made = vectors(frame.height)
    return store.replace_week("message_embeddings", MessageEmbeddings, frame, made, week, "e", DIM, "window_text")


def content(store: VectorStore) -> pl.DataFrame:
    """Return all rows with their vectors, in key order."""
    lance = store.open("message_embeddings", "e")
    assert lance is not None
    return pl.DataFrame(lance.search().limit(None).to_arrow()).sort("message_id")


def files(store: VectorStore) -> int:
    return sum(1 for path in store.folder.rglob("*") if path.is_file())


def test_a_hundred_small_commits_leave_few_files_and_the_same_rows_as_one(tmp_path: Path) -> None:
    many, once = VectorStore(tmp_path / "many", Upkeep(parts=5, grace_s=0)), VectorStore(tmp_path / "once")
    most: dict[str, int] = {"parts": 0, "versions": 0, "files": 0}
    for number in range(100):
        week = WEEKS[number % 3]
        commit(many, week, rows(week, 25 * (number // 3 + 1)))
        lance = many.open("message_embeddings", "e")
        assert lance is not None
        most["parts"] = max(most["parts"], parts_of(lance))
        most["versions"] = max(most["versions"], len(many.manifests(lance.name)))
        most["files"] = max(most["files"], files(many))
    assert most["parts"] <= 5
    assert most["versions"] <= 5 + 12
    assert most["files"] < 150, most
    for week in WEEKS:
        of_week = content(many).filter(pl.col("week") == week)
        assert np.array_equal(np.stack(of_week["vector"].to_list()), vectors(of_week.height))
        commit(once, week, of_week.drop("vector"))
    assert content(many).drop("vector").equals(content(once).drop("vector"))
    found = lance.search("text 0", query_type="fts", fts_columns="window_text").limit(10_000).to_arrow()
    assert len(found) == 2500


def test_a_commit_writes_the_rows_that_differ(tmp_path: Path) -> None:
    store, week = VectorStore(tmp_path), WEEKS[0]
    commit(store, week, rows(week, 500))
    told = rows(week, 525).with_columns(
        window_text=pl.when(pl.col("message_id") == f"m{week}-0007").then(pl.lit("more")).otherwise("window_text")
    )
    left = told.filter(pl.col("message_id") != f"m{week}-0003")
    done = commit(store, week, left)
    assert (done.rows, done.inserted, done.updated, done.deleted) == (524, 25, 1, 1)
    assert content(store).drop("vector").equals(left.sort("message_id"))
    emptied = commit(store, week, left.clear())
    assert (emptied.deleted, content(store).height) == (524, 0)


def test_more_rows_that_are_gone_than_a_filter_should_name(tmp_path: Path) -> None:
    store, week = VectorStore(tmp_path), WEEKS[0]
    commit(store, WEEKS[1], rows(WEEKS[1], 5))
    commit(store, week, rows(week, 3000))
    assert commit(store, week, rows(week, 100)).deleted == 2900
    assert sorted(content(store)["week"].value_counts().rows()) == [(week, 100), (WEEKS[1], 5)]


def test_what_differs_is_seen_in_nulls_and_lists_and_new_rows_of_nulls() -> None:
    schema = {"key": pl.String, "x": pl.Float64, "y": pl.List(pl.Int32)}
    before = pl.DataFrame({"key": ["a", "b", "c"], "x": [1.0, None, 3.0], "y": [[1, 2], [1], None]}, schema=schema)
    after = pl.DataFrame(
        {"key": ["a", "b", "c", "d"], "x": [1.0, None, None, None], "y": [[1, 2], [1, 2], None, None]}, schema=schema
    )
    assert differing(before, after, "key").to_list() == ["b", "c", "d"]
    assert differing(before, before, "key").is_empty()


def recalling(settings: Any, over: Any, told: Any) -> None:
    """Recall from clients that are new and from one that is not, until it is over; tell how often, and what was raised."""
    kept, done, raised = MemoryClient(settings, count_recalls=False), 0, []
    told.put("ready")
    while not over.wait(0.02):
        for client in (kept, MemoryClient(settings, count_recalls=False)):
            try:
                found = client.recall("where did I move to with my dog?", agent="lumi", user="user-ana").memories
                assert found, "nothing was recalled"
                done += 1
            except Exception as error:  # noqa: BLE001  (each is a failure, whatever it is)
                raised.append(repr(error)[:300])
    told.put((done, raised))


@pytest.mark.thorough
def test_a_reader_of_another_process_recalls_through_a_hundred_syncs(make_settings) -> None:
    from benchmarks.syncs import commit as sync

    settings = make_settings(vectors={"parts": 3, "grace_s": 1})
    tools = Tools(settings)
    said = message_rows(400, agent="lumi")
    write_rows(tools.store, said[:4])
    sync(settings, WEEKS[:1])
    context = multiprocessing.get_context("spawn")
    over, told = context.Event(), context.Queue()
    reader = context.Process(target=recalling, args=(settings, over, told))
    reader.start()
    assert told.get(timeout=120) == "ready"
    removed = 0
    for number in range(1, 100):
        write_rows(tools.store, said[4 * number : 4 * number + 4])
        lance = tools.vectors.open("message_embeddings")
        assert lance is not None
        before = {path.name for path in tools.vectors.manifests(lance.name)}
        sync(settings, WEEKS[:1])
        removed += len(before - {path.name for path in tools.vectors.manifests(lance.name)})
    over.set()
    done, raised = told.get(timeout=120)
    reader.join(60)
    assert raised == []
    assert done > 10
    assert removed > 20  # else nothing was at stake


def test_a_reader_whose_version_was_removed_reads_the_newest(make_settings) -> None:
    from benchmarks.syncs import commit as sync

    settings = make_settings(vectors={"parts": 1, "grace_s": 0})
    tools = Tools(settings)
    said = message_rows(40)
    write_rows(tools.store, said[:4])
    sync(settings, WEEKS[:1])
    memories, scope = Memories(VectorStore(settings.vectors_dir)), Scope("lumi", "user-ana")
    opened = memories.table("message_embeddings")
    assert opened is not None
    known = (memories.vectors.changed(opened[0].name), opened[1][1])
    for number in (8, 12, 16):
        write_rows(tools.store, said[:number])
        sync(settings, WEEKS[:1])
    # As if it had been halted since it looked for the newest version.
    memories._versions[opened[0].name] = known
    folder = settings.vectors_dir / f"{opened[0].name}.lance" / "_versions"
    os.utime(folder, ns=(known[0], known[0]))
    with pytest.raises(RuntimeError, match="(?i)not found"):
        memories._whole(scope, False, 0)
    assert memories.messages(scope, "dog", None, 0).rows.height == 16


KILLED = """
import os, signal, sys, threading; from pathlib import Path
from resources.vector_upkeep import NEVER, Upkeep
from resources.vectors import VectorStore
from tests.integration.test_vector_upkeep import WEEKS, commit
from tests.integration.test_vectors import rows
class Dies(VectorStore):
    def retried(self, action, *args, **kwargs):
        if kwargs.get('cleanup_older_than') != NEVER:
            return super().retried(action, *args, **kwargs)
        threading.Timer(float(sys.argv[2]), os.kill, (os.getpid(), signal.SIGKILL)).start()
        super().retried(action, *args, **kwargs)
        threading.Event().wait(30)
store = Dies(Path(sys.argv[1]), Upkeep(parts=2, grace_s=0))
for number in range(4):
    commit(store, WEEKS[0], rows(WEEKS[0], 4000 + 25 * number))
"""


@pytest.mark.parametrize("after", [0.0, 0.004, 0.012, 0.03])
def test_killed_while_the_table_is_merged_nothing_is_lost(tmp_path: Path, after: float) -> None:
    killed_run(KILLED, str(tmp_path), str(after))
    store = VectorStore(tmp_path, Upkeep(parts=2, grace_s=0))
    there = content(store).height
    assert there >= 4025
    assert (there - 4000) % 25 == 0
    for number in range(4, 9):
        commit(store, WEEKS[0], rows(WEEKS[0], 4000 + 25 * number))
    assert content(store).height == content(store)["message_id"].n_unique() == 4200
    lance = store.open("message_embeddings", "e")
    assert lance is not None
    assert parts_of(lance) <= 3
    held = 4200 * (4 * DIM + 200)
    data = sum(path.stat().st_size for path in (store.folder / f"{lance.name}.lance" / "data").iterdir())
    assert data < 2.5 * held  # what the killed process had half written is gone, too


def test_a_version_stays_for_the_grace_after_it_was_replaced_however_old_it_is(tmp_path: Path) -> None:
    store, week = VectorStore(tmp_path, Upkeep(parts=1, grace_s=60)), WEEKS[0]
    commit(store, week, rows(week, 5))
    lance = store.open("message_embeddings", "e")
    assert lance is not None
    held = store.open("message_embeddings", "e")  # a reader: it stays at this version
    for path in store.manifests(lance.name):
        an_hour_ago = path.stat().st_mtime - timedelta(hours=1).total_seconds()
        os.utime(path, (an_hour_ago, an_hour_ago))
    for number in range(2, 6):
        commit(store, week, rows(week, 5 * number))
    assert np.asarray(held.to_arrow()["message_id"]).shape == (5,)
