"""The newest messages of a scope, straight from the store and from what waits for it."""

from typing import Any

import polars as pl

from resources.snapshot import tidy
from resources.store import InteractionStore
from serving.recall.newest import waiting_of
from serving.recall.turns import turns_of
from serving.scope import Scope
from transforms.order import ordered

RECENT = """
SELECT m.message_id, m.agent_id, m.session_id, coalesce(n.display_name, m.speaker_id) AS speaker_name, m.role, m.text,
       m.occurred_at, m.turn, m.follows, m.seq
FROM messages m LEFT JOIN speaker_names n ON n.agent_id = m.agent_id AND n.speaker_id = m.speaker_id
WHERE {where} ORDER BY m.occurred_at DESC, m.seq DESC LIMIT {limit}
"""

COLUMNS = (
    "message_id", "agent_id", "session_id", "speaker_name", "role", "text", "occurred_at", "turn", "follows", "seq",
)  # fmt: skip

BESIDE = 20
"""Messages that are read beyond those asked for: what is of one time stands together before the last ones are taken."""


def recent_messages(
    store: InteractionStore | None,
    scope: Scope,
    session: str | None,
    limit: int,
    waiting: list[dict[str, Any]] | None = None,
) -> pl.DataFrame:
    """Return the newest messages of a scope (and a conversation), as they were said, oldest of them first.

    Columns: those of the query, position, and given, whether the source numbered the message; ``turn`` is that of the run.

    Args:
        store: None where it cannot be used.
        waiting: What waits in the spool.
    """
    wanted = [("m.agent_id = ?", scope.agent_id), ("m.user_id = ?", scope.user_id), ("m.session_id = ?", session)]
    given = [(clause, value) for clause, value in wanted if value is not None]
    where, values = " AND ".join(clause for clause, _ in given), [value for _, value in given]
    late = waiting_of(waiting or [], scope, session).tail(limit + BESIDE)
    if store is not None:
        found = tidy(store.frame(RECENT.format(where=where, limit=int(limit) + BESIDE), values))
        if not late.height:
            return _numbered(store, ordered(found).sort("position", "seq").tail(limit))
    else:
        found = pl.DataFrame()
    newest: Any = found["seq"].max() if found.height else 0
    behind = 1 + int(newest)
    late = late.with_row_index("seq", offset=behind).with_columns(pl.col("seq").cast(pl.Int64))
    late = late.select(*[name for name in COLUMNS if name != "seq"], "seq")
    together = pl.concat([found.select(late.columns), late], how="vertical_relaxed") if found.height else late
    together = ordered(together.unique("message_id", keep="first", maintain_order=True))
    return _numbered(store, together.sort("position", "seq").tail(limit))


def _numbered(store: InteractionStore | None, last: pl.DataFrame) -> pl.DataFrame:
    """Return messages with the turns that the run gives them; what is not in the store has none yet."""
    last = last.with_columns(pl.col("turn").cast(pl.Int64), given=pl.col("turn").is_not_null())
    asked = last.filter(~pl.col("given")).select("agent_id", "message_id", "session_id", "occurred_at")
    turns: dict[str, int] = {}
    for (agent,), part in asked.group_by("agent_id") if store is not None else ():
        turns.update(turns_of(store, str(agent), part.drop("agent_id").rows()))  # type: ignore[arg-type]
    known = pl.DataFrame(list(turns.items()), schema={"message_id": pl.String, "_turn": pl.Int64}, orient="row")
    last = last.join(known, on="message_id", how="left", maintain_order="left")
    return last.with_columns(turn=pl.coalesce("turn", "_turn")).drop("_turn")
