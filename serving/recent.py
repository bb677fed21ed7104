"""The newest messages of a scope, straight from the store and from what waits for it."""

from typing import Any

import polars as pl

from plugins.order import ordered
from resources.snapshot import tidy
from resources.store import InteractionStore
from serving.newest import waiting_of
from serving.scope import Scope

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
            return ordered(found).sort("position", "seq").tail(limit)
    else:
        found = pl.DataFrame()
    newest: Any = found["seq"].max() if found.height else 0
    behind = 1 + int(newest)
    late = late.with_row_index("seq", offset=behind).with_columns(pl.col("seq").cast(pl.Int64))
    late = late.select(*[name for name in COLUMNS if name != "seq"], "seq")
    together = pl.concat([found.select(late.columns), late], how="vertical_relaxed") if found.height else late
    return ordered(together.unique("message_id", keep="first", maintain_order=True)).sort("position", "seq").tail(limit)
