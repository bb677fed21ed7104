"""The newest messages of a scope, which stand in no table yet: those of the store, and those that wait for it in the spool."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import polars as pl

from resources.store import InteractionStore
from serving.recall.fresh import ROWS, Told, told_of, where_of
from serving.scope import Scope

INSTEAD = 1_000
"""Newest messages that are read where the table of all cannot be."""

BEHIND_ALL = 1 << 60
"""What waits has no number of arrival yet: it comes after all that has."""

WAITING = {
    "message_id": pl.String, "agent_id": pl.String, "session_id": pl.String, "speaker_name": pl.String, "role": pl.String,
    "occurred_at": pl.String, "turn": pl.Int64, "follows": pl.String, "emotion": pl.String, "importance": pl.Float64,
    "text": pl.String,
}  # fmt: skip
"""Columns of messages that wait, as the store has them."""

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
    rows = rows.unique("message_id", keep="first", maintain_order=True)  # a call that was tried again
    return rows.with_columns(pl.col("occurred_at").str.to_datetime(time_unit="us", time_zone="UTC"))


def waiting_told(messages: list[dict[str, Any]], scope: Scope) -> Told:
    """Return the messages that wait which belong to a scope."""
    rows = waiting_of(messages, scope).filter(pl.col("role") != "system")
    seq = [BEHIND_ALL + int.from_bytes(blake2b(one.encode(), digest_size=7).digest()) for one in rows["message_id"]]
    edited = pl.lit(None, pl.Datetime("us", "UTC"))
    return told_of(rows.with_columns(seq=pl.Series(seq, dtype=pl.Int64), edited_at=edited), None)[0]


def newest_told(store: InteractionStore, scope: Scope) -> Told:
    """Return the newest messages of a scope, those too that a run has taken in."""
    where, values = where_of(scope)
    query = f"{ROWS.format(which='1 = 1', where=where)} ORDER BY m.seq DESC LIMIT {INSTEAD}"
    return told_of(store.frame(query, values), None)[0]


def was_taken_in(store: InteractionStore, scope: Scope) -> bool:
    """Return whether a run has taken in messages of the scope, so that they stand in a table."""
    user, parameters = ("AND user_id = ?", [scope.user_id]) if scope.user_id is not None else ("", [])
    query = f"SELECT 1 AS one FROM messages WHERE synced_at IS NOT NULL AND agent_id = ? {user} LIMIT 1"
    return not store.frame(query, [scope.agent_id, *parameters]).is_empty()
