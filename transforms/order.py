"""The order of a conversation: what its source shows first was said first, whatever the clocks say.

A source gives an order by turn numbers, or by what each message follows (`Messages.follows`); where it gives none, time decides.
"""

import numpy as np
import polars as pl

ORDER = ("agent_id", "session_id", "position")
"""Columns that sort messages and interactions as they were said."""

ROUNDS = 8
"""How often it is looked again which of several messages comes last; each round decides links that are one further apart."""

PER_MILLISECOND = 1_000_000
"""Places that one millisecond of a conversation has in `position`."""


def ordered(messages: pl.DataFrame) -> pl.DataFrame:
    """Return messages as they were said, sorted by agent, session and the added column ``position``.

    ``position`` is the latest time so far (milliseconds since 1970) times 10⁶, plus the place among those of that time: it sorts the
    messages of a conversation across weeks, and time never runs backwards along it. What is not decided by turn, source or time
    is decided by ids, so that the order of rows, and of imports, does not matter.

    Args:
        messages: With message_id, agent_id, session_id, role, occurred_at, turn and follows.

    Cost: that of three sorts.
    """
    if messages.is_empty():
        return messages.with_columns(position=pl.lit(None, pl.Int64))
    frame = messages.sort("agent_id", "session_id", "occurred_at", "message_id")
    own = frame["occurred_at"].dt.epoch("us").to_numpy()
    latest = own
    if frame["follows"].null_count() + frame["turn"].null_count() < 2 * frame.height:
        before = _followed(frame, own)
        chains = _Chains(own, _by_turn(frame, before, _Chains(own, before)))
        frame = frame.with_columns(
            _latest=pl.Series(chains.latest),
            _root=frame["message_id"].gather(chains.root),
            _depth=pl.Series(chains.depth),
        ).sort("agent_id", "session_id", "_latest", "_root", "_depth", "message_id")
        latest = frame["_latest"].to_numpy()
        frame = frame.drop("_latest", "_root", "_depth")
    ms = latest // 1000
    return frame.with_columns(position=pl.Series(ms * PER_MILLISECOND + _places(frame, ms)))


def _places(frame: pl.DataFrame, ms: np.ndarray) -> np.ndarray:
    """Return the place of each message among those of its conversation and millisecond; the frame is in order."""
    session = frame.select(pl.struct(*ORDER[:2]).rle_id()).to_series().to_numpy()
    first = np.ones(frame.height, bool)
    first[1:] = (session[1:] != session[:-1]) | (ms[1:] != ms[:-1])
    rows = np.arange(frame.height)
    return rows - np.maximum.accumulate(np.where(first, rows, 0))


def with_position(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with ``position``; one that has none is in the order of time, ties as they stand."""
    if "position" in frame.columns:
        return frame
    ms = pl.col("occurred_at").dt.epoch("ms")
    return frame.with_columns(position=ms * PER_MILLISECOND + pl.int_range(pl.len()).over(ms))


class _Chains:
    """Where each message stands in the chain of those that follow each other.

    Attributes:
        root: Row of the first message of the chain, int64 (n,).
        depth: How many messages of the chain come before, int64 (n,).
        latest: Latest time from the first message to this one, microseconds, int64 (n,).
    """

    def __init__(self, times: np.ndarray, before: np.ndarray) -> None:
        """Follow the links, all at once and twice as far in each step.

        Args:
            times: Microseconds, int64 (n,).
            before: Row that each message follows, -1 for none, int64 (n,).
        """
        count = len(times)
        self.root, self.depth, self.latest = np.arange(count), (before >= 0).astype(np.int64), times.copy()
        step = before.copy()
        for _ in range(max(count, 2).bit_length() + 1):
            rows = np.flatnonzero(step >= 0)
            if not len(rows):
                return
            ahead = step[rows]
            latest, depth = np.maximum(self.latest[rows], self.latest[ahead]), self.depth[rows] + self.depth[ahead]
            root, further = self.root[ahead], step[ahead]
            self.latest[rows], self.depth[rows], self.root[rows], step[rows] = latest, depth, root, further
        # Two sources that contradict each other make a ring: its messages are ordered by time and id.
        rings = np.flatnonzero(step >= 0)
        self.root[rings], self.depth[rings], self.latest[rings] = rings, 0, times[rings]


def _followed(frame: pl.DataFrame, times: np.ndarray) -> np.ndarray:
    """Return the row that each message follows within its conversation, -1 for none.

    Where exports put different messages before it (one was deleted meanwhile, say), it follows the last of them.
    """
    before = np.full(frame.height, -1)
    if frame["follows"].null_count() == frame.height:
        return before
    rows = frame.select(*ORDER[:2], follows="message_id", _before=pl.int_range(pl.len(), dtype=pl.Int64))
    links = (
        frame.select(*ORDER[:2], pl.col("follows").str.split(" "), _row=pl.int_range(pl.len(), dtype=pl.Int64))
        .explode("follows")
        .drop_nulls("follows")
        .join(rows, on=[*ORDER[:2], "follows"])
        .sort("_row", "follows")
    )
    row, ahead = links["_row"].to_numpy(), links["_before"].to_numpy()
    before[row] = ahead
    several = np.isin(row, np.flatnonzero(np.bincount(row, minlength=1) > 1))
    row, ahead = row[several], ahead[several]
    for _ in range(ROUNDS if len(row) else 0):
        chains = _Chains(times, before)
        best = np.lexsort((ahead, chains.depth[ahead], chains.latest[ahead], row))
        chosen = before.copy()
        chosen[row[best]] = ahead[best]  # the last one of each row is written last
        if (chosen == before).all():
            break
        before = chosen
    return before


def _by_turn(frame: pl.DataFrame, followed: np.ndarray, chains: _Chains) -> np.ndarray:
    """Return the row that each message follows, by turn numbers where they say so, else as the source gave it (``followed``).

    A session whose turns are each there once (per role) is numbered by its source: that decides. Where numbers come again, as in a
    bot that counts from one after every start, they only decide among messages of one time.
    """
    before = followed.copy()
    if frame["turn"].null_count() == frame.height:
        return before
    numbered = (
        frame.select("agent_id", "session_id", "role", "turn", "message_id")
        .with_columns(
            _row=pl.int_range(pl.len(), dtype=pl.Int64),
            _latest=pl.Series(chains.latest),
            _root=frame["message_id"].gather(chains.root),
            _depth=pl.Series(chains.depth),
        )
        .filter(pl.col("turn").is_not_null())
        .with_columns(_sure=~pl.struct("turn", "role").is_duplicated().over("agent_id", "session_id"))
        .with_columns(pl.col("_sure").all().over("agent_id", "session_id"))
    )
    by_time = pl.when("_sure").then(0).otherwise("_latest")
    line = numbered.sort(
        "agent_id", "session_id", by_time, "turn", "_latest", "_root", "_depth", "message_id"
    ).with_columns(
        _high=pl.col("_latest").cum_max().over("agent_id", "session_id"),
        _before=pl.col("_row").shift(1).over("agent_id", "session_id"),
    )
    line = line.with_columns(_undecided=pl.col("_latest") <= pl.col("_high").shift(1).over("agent_id", "session_id"))
    rows = line["_row"].to_numpy()
    said = line.select(pl.when("_undecided").then("_before").fill_null(-1)).to_series().to_numpy()
    before[rows] = said
    return before
