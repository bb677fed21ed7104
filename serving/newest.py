"""The newest messages of a scope, which stand in no table yet: those of the store, and those that wait for it in the spool."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from plugins.feelings import emotion_of
from plugins.order import ordered
from plugins.terms import term_lists, traits
from resources.snapshot import tidy
from resources.store import InteractionStore
from serving.image import PLAIN, Image
from serving.scope import Scope

FRESH = 200
"""Newest messages that no run has taken in yet; a sync starts at 25, so there are rarely more."""

INSTEAD = 1_000
"""Newest messages that are read where the table of all cannot be."""

FRESH_QUERY = """
SELECT m.message_id, m.agent_id, m.session_id, coalesce(n.display_name, m.speaker_id) AS speaker_name, m.role, m.occurred_at,
       m.turn, m.follows, m.emotion, m.importance, m.text
FROM messages m LEFT JOIN speaker_names n ON n.agent_id = m.agent_id AND n.speaker_id = m.speaker_id
WHERE {which} AND m.role <> 'system' AND m.agent_id = ? {user}
ORDER BY m.seq DESC LIMIT {limit}
"""

WAITING = {
    "message_id": pl.String, "agent_id": pl.String, "session_id": pl.String, "speaker_name": pl.String, "role": pl.String,
    "occurred_at": pl.String, "turn": pl.Int64, "follows": pl.String, "emotion": pl.String, "importance": pl.Float64,
    "text": pl.String,
}  # fmt: skip
"""Columns of `FRESH_QUERY`, of messages that wait."""

Waiting = Callable[[], list[dict[str, Any]]]
"""Returns the messages that wait for the store, oldest first."""


def waiting_of(messages: list[dict[str, Any]], scope: Scope, session: str | None = None) -> pl.DataFrame:
    """Return those of the messages that wait which belong to a scope (and a conversation), oldest first: the columns `WAITING`."""
    mine = [
        message
        for message in messages
        if message.get("agent_id") == scope.agent_id
        and (scope.user_id is None or message.get("user_id") == scope.user_id)
        and (session is None or message.get("session_id") == session)
    ]
    rows = pl.DataFrame([{name: row.get(name) for name in WAITING} for row in mine], schema=WAITING)
    return rows.with_columns(pl.col("occurred_at").str.to_datetime(time_unit="us", time_zone="UTC"))


def fresh(
    store: InteractionStore | None, scope: Scope, waiting: list[dict[str, Any]] | None = None, *, instead: bool = False
) -> pl.DataFrame:
    """Return the newest messages of the scope that no run has taken in yet, newest first: the columns `PLAIN` and role.

    Args:
        store: None where it cannot be used.
        waiting: What waits in the spool.
        instead: Whether they stand in for the table of all messages: then also those that a run has taken in.
    """
    parts = []
    if waiting:
        parts.append(waiting_of(waiting, scope).filter(pl.col("role") != "system").reverse())
    if store is not None:
        user, parameters = (
            ("AND m.user_id = ?", [scope.agent_id, scope.user_id])
            if scope.user_id is not None
            else ("", [scope.agent_id])
        )
        which, limit = ("1 = 1", INSTEAD) if instead else ("m.synced_at IS NULL", FRESH)
        rows = store.frame(FRESH_QUERY.format(which=which, user=user, limit=limit), parameters)
        if not rows.is_empty():
            parts.append(tidy(rows))
    parts = [part for part in parts if part.height]
    if not parts:
        return pl.DataFrame()
    # One that is being taken in may stand in both.
    rows = pl.concat(parts, how="vertical_relaxed").unique("message_id", keep="first", maintain_order=True)
    return (
        ordered(rows.with_row_index("_arrived"))
        .sort("_arrived")
        .with_columns(
            pl.col("emotion").map_elements(emotion_of, return_dtype=pl.String).fill_null("neutral"),
            pl.col("turn").fill_null(0).cast(pl.Int64),
            pl.col("importance").fill_null(0.5),
        )
        .select(*PLAIN, "role")
    )


def was_taken_in(store: InteractionStore, scope: Scope) -> bool:
    """Return whether a run has taken in messages of the scope, so that they stand in a table."""
    user, parameters = ("AND user_id = ?", [scope.user_id]) if scope.user_id is not None else ("", [])
    query = f"SELECT 1 AS one FROM messages WHERE synced_at IS NOT NULL AND agent_id = ? {user} LIMIT 1"
    return not store.frame(query, [scope.agent_id, *parameters]).is_empty()


def fresh_image(rows: pl.DataFrame, known: dict[str, tuple[np.ndarray, np.ndarray]], dim: int, pieces: int) -> Image:
    """Return the image of messages that stand in no table.

    Args:
        known: Message id to its vector and token vectors, for those that are embedded already.
        dim: Dimensions of vectors, 0 for none.
        pieces: Dimensions of token vectors, 0 for none.
    """
    said = rows.select(pl.concat_str("speaker_name", "text", separator=": ")).to_series().to_list()
    lists = term_lists(said)
    image = Image(
        rows.select(PLAIN),
        rows.select(traits()).to_series().to_numpy(),
        lists.explode(empty_as_null=False, keep_nulls=False).to_numpy().astype(np.int32),
        lists.list.len().cast(pl.Int64).cum_sum().to_numpy(),
    )
    none = (np.zeros(dim, np.float32), np.zeros((0, pieces), np.int8))
    parts = [known.get(key, none) for key in rows["message_id"]]
    if dim:
        image.vectors = np.stack([part[0] for part in parts])
    if pieces:
        image.pieces = np.concatenate([part[1] for part in parts])
        image.piece_ends = np.cumsum([len(part[1]) for part in parts])
    return image
