"""An installation that holds the conversations of a benchmark, each as an agent's memory."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.evidence import Conversation
from language.terms import term_lists, traits
from memory_assets.assets.vector_weeks import commit_week, encoder_of
from memory_assets.tools import Tools
from records.ids import content_id
from records.memory import MessageEmbeddings
from records.weeks import week_of
from resources.settings import load_settings
from serving.client import MemoryClient
from transforms.embedded_text import hashes, spoken, window


@contextmanager
def home(given: Path | None) -> Iterator[Path]:
    """Yield a folder for the installation: the given one, in which a second run finds its vectors again, or a passing one."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)


def install(conversations: list[Conversation], home: Path) -> tuple[MemoryClient, dict[str, np.ndarray]]:
    """Return a client on an installation that holds the conversations as agents, and the dense vectors by message."""
    settings = load_settings(home=home, first_week="2015-01-05")
    tools = Tools(settings)
    rows = []
    for talk in conversations:
        for number, turn in enumerate(talk.turns):
            rows.append(
                {
                    "message_id": content_id("m", talk.name, turn.ref),
                    "session_id": f"{talk.name}/{turn.session}",
                    "agent_id": talk.name,
                    "user_id": None,
                    "speaker_id": turn.speaker,
                    "speaker_name": turn.speaker,
                    "role": turn.role,
                    "text": turn.text.strip() or "-",
                    "turn": number,
                    "occurred_at": turn.at,
                    "week": week_of(turn.at),
                    "source_ref": turn.ref,
                }
            )
    frame = pl.DataFrame(rows, schema_overrides={"user_id": pl.String, "occurred_at": pl.Datetime("us", "UTC")})
    frame = (
        frame.sort("session_id", "turn")
        .with_columns(owner="user_id")
        .with_columns(window_text=window(), traits=traits(), emotion=pl.lit("neutral"), importance=pl.lit(0.0))
    )
    frame = frame.with_columns(term_lists(spoken(frame).to_list()))
    encoder = encoder_of(tools, "message_embeddings")
    tools.store.close()  # opening it migrates it: the client reads fresh messages from it
    for (week,), part in frame.partition_by("week", as_dict=True).items():
        shaped = MessageEmbeddings.shaped(
            part.with_columns(text_hash=hashes(spoken(part)), embedder=pl.lit(encoder.fingerprint))
        )
        commit_week(tools, "message_embeddings", MessageEmbeddings, shaped, str(week), encoder)
    tools.vectors.publish("message_embeddings", encoder.fingerprint, encoder.embedder.dim, [])
    lance = tools.vectors.open("message_embeddings")
    assert lance is not None
    table = lance.search().select(["message_id", "vector"]).limit(None).to_arrow()
    vectors = dict(
        zip(
            table["message_id"].to_pylist(),
            np.asarray(table["vector"].combine_chunks().flatten()).reshape(-1, encoder.embedder.dim),
            strict=True,
        )
    )
    return MemoryClient(settings, count_recalls=False), vectors
