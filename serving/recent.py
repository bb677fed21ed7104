"""The newest messages of a scope, straight from the store."""

import polars as pl

from plugins.order import ordered
from resources.snapshot import tidy
from resources.store import InteractionStore
from serving.turns import turns_of

RECENT = """
SELECT m.message_id, m.agent_id, m.session_id, coalesce(n.display_name, m.speaker_id) AS speaker_name, m.role, m.text,
       m.occurred_at, m.turn, m.follows, m.seq
FROM messages m LEFT JOIN speaker_names n ON n.agent_id = m.agent_id AND n.speaker_id = m.speaker_id
WHERE {where} ORDER BY m.occurred_at DESC, m.seq DESC LIMIT {limit}
"""

BESIDE = 20
"""Messages that are read beyond those asked for: what is of one time stands together before the last ones are taken."""


def recent_messages(store: InteractionStore, where: str, values: list[str], limit: int) -> pl.DataFrame:
    """Return the newest messages that ``where`` names (its placeholders are ``values``), as they were said, oldest of them first.

    Columns: those of the query, position, and given, whether the source numbered the message; ``turn`` is that of the run.
    """
    found = tidy(store.frame(RECENT.format(where=where, limit=int(limit) + BESIDE), values))
    last = ordered(found).sort("position", "seq").tail(limit).with_columns(given=pl.col("turn").is_not_null())
    asked = last.filter(~pl.col("given")).select("agent_id", "message_id", "session_id", "occurred_at")
    turns: dict[str, int] = {}
    for (agent,), part in asked.group_by("agent_id"):
        turns.update(turns_of(store, str(agent), part.drop("agent_id").rows()))
    known = pl.DataFrame(list(turns.items()), schema={"message_id": pl.String, "_turn": pl.Int64}, orient="row")
    last = last.join(known, on="message_id", how="left", maintain_order="left")
    return last.with_columns(turn=pl.coalesce("turn", "_turn")).drop("_turn")
