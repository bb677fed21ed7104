"""Candidates for recall: what the tables and the store offer for a question, within a scope."""

from typing import Any

import numpy as np
import polars as pl

from resources.snapshot import tidy
from resources.store import InteractionStore
from resources.vectors import VectorStore, matrix
from serving.scope import Scope

NEAREST = 200
"""Candidates taken from each search; beyond them a rank is of no use to anybody."""

FRESH = 200
"""Newest messages that no run has taken in yet; a sync starts at 25, so there are rarely more."""

COLUMNS = {
    "message_embeddings": [
        "message_id",
        "session_id",
        "speaker_id",
        "speaker_name",
        "occurred_at",
        "turn",
        "source_ref",
        "emotion",
        "importance",
        "text",
        "week",
    ],
    "episode_embeddings": [
        "episode_id",
        "session_id",
        "started_at",
        "turn_first",
        "turn_last",
        "title",
        "emotion",
        "importance",
        "source_message_ids",
        "text",
        "week",
    ],
}


def indexed(vectors: VectorStore, kind: str, scope: Scope, question: str, vector: np.ndarray | None) -> pl.DataFrame:
    """Return the union of the nearest by meaning and by words, with ``semantic`` (cosine, null without vector) and ``keyword``
    (BM25, 0 if not found by words).

    The scan by meaning is exact inside the scope: an approximate index loses more than half of a small scope's best.
    """
    lance = vectors.open(kind)
    columns = COLUMNS[kind]
    key = columns[0]
    if lance is None:
        return pl.DataFrame()
    by_words = _by_words(lance, scope, question, columns, kind)
    if vector is None:
        return by_words.with_columns(semantic=pl.lit(None, pl.Float64))
    table = (
        lance.search(vector, vector_column_name="vector")
        .distance_type("cosine")
        .where(scope.where(), prefilter=True)
        .bypass_vector_index()
        .select([*columns, "_distance"])
        .limit(NEAREST)
        .to_arrow()
    )
    nearest = _frame(table).with_columns(semantic=1 - pl.col("_distance").cast(pl.Float64)).drop("_distance")
    missing = by_words.filter(~pl.col(key).is_in(nearest[key].implode()))
    if missing.height:
        missing = missing.join(_cosines(lance, key, missing[key].to_list(), vector), on=key, how="left")
    scores = by_words.select(key, "keyword")
    found = nearest.join(scores, on=key, how="left").with_columns(pl.col("keyword").fill_null(0.0))
    return pl.concat([found, missing.select(found.columns)]) if missing.height else found


def _by_words(lance: Any, scope: Scope, question: str, columns: list[str], kind: str) -> pl.DataFrame:
    text = "window_text" if kind == "message_embeddings" else "text"
    words = [word for word in question.split() if any(c.isalnum() for c in word)][:64]
    if not words:
        return _frame(lance.search().where("false").select(columns).limit(1).to_arrow()).with_columns(
            keyword=pl.lit(0.0)
        )
    table = (
        lance.search(" ".join(words), query_type="fts", fts_columns=text)
        .where(scope.where(), prefilter=True)
        .select([*columns, "_score"])
        .limit(NEAREST)
        .to_arrow()
    )
    return _frame(table).with_columns(keyword=pl.col("_score").cast(pl.Float64)).drop("_score")


def _cosines(lance: Any, key: str, ids: list[str], vector: np.ndarray) -> pl.DataFrame:
    listed = ", ".join(f"'{value}'" for value in ids)  # content ids: letters, digits and underscores
    table = lance.search().where(f"{key} IN ({listed})").select([key, "vector"]).limit(len(ids)).to_arrow()
    return pl.DataFrame(
        {key: table[key].to_pylist(), "semantic": (matrix(table["vector"]) @ vector).astype(float)},
        schema={key: pl.String, "semantic": pl.Float64},
    )


def _frame(table: Any) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


FRESH_QUERY = """
SELECT m.message_id, m.session_id, m.speaker_id, coalesce(p.display_name, m.speaker_id) AS speaker_name, m.occurred_at, m.turn,
       m.source_ref, m.emotion, m.text, m.week
FROM messages m LEFT JOIN speakers p ON p.speaker_id = m.speaker_id
WHERE m.synced_at IS NULL AND m.role <> 'system' AND m.agent_id = ? {user}
ORDER BY m.seq DESC LIMIT {limit}
"""


def fresh(store: InteractionStore, scope: Scope) -> pl.DataFrame:
    """Return the newest messages of the scope that no run has taken in yet."""
    user, parameters = (
        ("AND m.user_id = ?", [scope.agent_id, scope.user_id]) if scope.user_id is not None else ("", [scope.agent_id])
    )
    frame = tidy(store.frame(FRESH_QUERY.format(user=user, limit=FRESH), parameters))
    return frame.with_columns(
        pl.col("emotion").fill_null("neutral"), pl.col("turn").fill_null(0), importance=pl.lit(0.5)
    )
