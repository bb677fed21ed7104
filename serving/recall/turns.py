"""Which turn of its conversation a message is: as the run numbers it, before and after the run."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from records.weeks import week_of
from resources.snapshot import tidy
from resources.store import InteractionStore
from transforms.order import ordered

WEEK = timedelta(days=7)

AT_ONCE = 200
"""Conversations of a week that one query reads."""

ROWS = """
SELECT m.message_id, m.agent_id, m.session_id, m.week, m.role, m.occurred_at, m.turn, m.follows
FROM messages m WHERE {where}
"""


def numbered(messages: pl.DataFrame) -> pl.DataFrame:
    """Return message_id and turn of all messages of some conversations: the source's number, else the place within the week, from 1.

    The same as `transforms.interactions.snapshot` makes of each week.

    Args:
        messages: message_id, agent_id, session_id, week, role, occurred_at, turn, follows, of whole weeks of the conversations.
    """
    # A conversation of a week stands alone: the run sees no other.
    apart = messages.with_columns(session_id=pl.concat_str("session_id", "week", separator="\0"))
    place = pl.int_range(1, pl.len() + 1).over("agent_id", "session_id")
    return ordered(apart).select("message_id", turn=pl.coalesce("turn", place).cast(pl.Int64))


def turns_of(store: InteractionStore, agent: str, messages: Sequence[tuple[str, str, datetime]]) -> dict[str, int]:
    """Return message id to turn, of messages of an agent given as id, session and time; those that are not there have none.

    Cost: linear in the messages of their conversations in the weeks in which they were said.
    """
    wanted = sorted({(session, week_of(moment)) for _, session, moment in messages})
    found: dict[str, int] = {}
    ids = {message for message, _, _ in messages}
    for start in range(0, len(wanted), AT_ONCE):
        part = wanted[start : start + AT_ONCE]
        one = f"(m.session_id = ? AND m.agent_id = ? AND m.occurred_at >= {_time(store)} AND m.occurred_at < {_time(store)})"
        zone = "" if store.is_sqlite else "+00"
        values = [value for session, week in part for value in (session, agent, *_bounds(week, zone))]
        rows = store.frame(ROWS.format(where=" OR ".join([one] * len(part))), values)
        if rows.height:
            told = numbered(tidy(rows)).filter(pl.col("message_id").is_in(list(ids)))
            found.update(told.rows())
    return found


def _time(store: InteractionStore) -> str:
    """Return the placeholder of a moment in UTC that is given as text."""
    return "?" if store.is_sqlite else "CAST(? AS TIMESTAMPTZ)"


def _bounds(week: str, zone: str) -> list[str]:
    """Return the first moment of a week and that of the next one as text, as the database compares it."""
    first = datetime.fromisoformat(week)
    return [f"{moment:%Y-%m-%d} 00:00:00.000000{zone}" for moment in (first, first + WEEK)]
