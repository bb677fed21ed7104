"""The image of a scope: its messages as arrays in the order of the conversation, ready to be scored.

How they are scored does not belong here (see features.py), nor where they come from (see candidates.py).
"""

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from operator import eq
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from transforms.order import with_position

PLAIN = [
    "message_id",
    "session_id",
    "speaker_name",
    "occurred_at",
    "position",
    "turn",
    "emotion",
    "importance",
    "text",
]
"""Columns of a message that a reader sees. Each costs a quarter of a millisecond: what few need is looked up for the best ones."""

UNKNOWN_TURN = -1
"""Turn of a message whose source gave none, until a run numbers it or it is looked up (see turns.py); no turn is negative."""

ORDER = ("session_id", "position", "message_id")


@dataclass
class Image:
    """Messages of one scope, n of them.

    Attributes:
        rows: The columns `PLAIN`, in the order of `ORDER`.
        traits: Bits of `language.terms.BITS`, int64 (n,).
        terms: Hashed stems of all messages, one after the other, int32.
        term_ends: Where each message's terms end, int64 (n,).
        vectors: float32 (n, dim), or None; rows of zeros stand for messages that are not embedded yet.
        pieces: Token vectors of all messages, one after the other, int8 (m, dim), or None.
        piece_ends: Where each message's token vectors end, int64 (n,).
    """

    rows: pl.DataFrame
    traits: np.ndarray
    terms: np.ndarray
    term_ends: np.ndarray
    vectors: np.ndarray | None = None
    pieces: np.ndarray | None = None
    piece_ends: np.ndarray | None = None

    @classmethod
    def empty(cls) -> "Image":
        """Return the image of a scope without messages."""
        rows = pl.DataFrame(schema=dict.fromkeys(PLAIN, pl.String))
        return cls(rows, np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64))

    def __len__(self) -> int:
        return self.rows.height

    @cached_property
    def lengths(self) -> np.ndarray:
        """Return the number of terms per message, at least 1, float64 (n,)."""
        return np.maximum(np.diff(self.term_ends, prepend=0), 1).astype(np.float64)

    @cached_property
    def term_rows(self) -> np.ndarray:
        """Return the message of each term."""
        return np.repeat(np.arange(len(self)), np.diff(self.term_ends, prepend=0))

    @cached_property
    def sessions(self) -> np.ndarray:
        """Return the number of the session of each message, counted from 0 in order."""
        if not len(self):
            return np.zeros(0, np.int64)
        names = self.rows["session_id"]
        return (names != names.shift(1)).fill_null(value=False).cast(pl.Int64).cum_sum().to_numpy()

    @cached_property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Return per message the first row of its session and the row after its last."""
        counts = np.bincount(self.sessions)
        ends = np.cumsum(counts)
        return np.repeat(ends - counts, counts), np.repeat(ends, counts)

    @cached_property
    def embedded(self) -> np.ndarray:
        """Return whether each message has a vector, bool (n,)."""
        return np.zeros(len(self), bool) if self.vectors is None else np.asarray(self.vectors.any(axis=1))

    @cached_property
    def times(self) -> np.ndarray:
        """Return when each message was said, datetime64[us]."""
        return self.rows["occurred_at"].dt.replace_time_zone(None).to_numpy()

    @cached_property
    def withdrawn(self) -> np.ndarray:
        """Return which messages somebody asked to forget or not to keep, bool (n,)."""
        from serving.recall.retractions import withdrawn

        return withdrawn(self)

    @cached_property
    def superseded(self) -> np.ndarray:
        """Return which messages a later one has replaced, bool (n,)."""
        from serving.recall.retractions import superseded

        return superseded(self)

    def hiding(self, ids: Collection[str]) -> "Image":
        """Return the same in which these messages are withdrawn, too."""
        places = self.rows["message_id"].is_in(list(ids)).to_numpy()
        if not places.any():
            return self
        copy = dataclasses.replace(self)
        copy.__dict__["withdrawn"] = self.withdrawn | places
        return copy

    @property
    def size(self) -> int:
        """Return the bytes that it holds, roughly."""
        arrays = (self.terms, self.term_ends, self.traits, self.vectors, self.pieces, self.piece_ends)
        return int(self.rows.estimated_size()) + sum(a.nbytes for a in arrays if a is not None)


def image_of(table: pa.Table, *, vectors: bool, pieces: int) -> Image:
    """Return the image of rows of the Lance table.

    Args:
        vectors: Whether the table has a column ``vector``.
        pieces: Dimensions of the column ``tokens``, 0 if it has none.
    """
    rows = frame_of(table.select([name for name in PLAIN if name in table.column_names]))
    rows = with_position(rows).select(PLAIN)
    if not _in_order(rows):
        order = rows.select(pl.arg_sort_by(*ORDER)).to_series().to_numpy()
        table, rows = table.take(pa.array(order)), rows[order]
    # The parts are put together array by array: `Table.combine_chunks` took up to 9 ms where this takes 0.2.
    terms, term_ends = _in_one([_flat(part) for part in table["terms"].chunks], np.zeros(0, np.int32))
    image = Image(rows, table["traits"].to_numpy(), terms, term_ends)
    if vectors:
        dim = table["vector"].type.list_size
        parts = [np.asarray(part.flatten(), dtype=np.float32).reshape(-1, dim) for part in table["vector"].chunks]
        image.vectors = _stacked(parts, np.zeros((0, dim), np.float32))
    if pieces:
        none = np.zeros((0, pieces), np.int8)
        image.pieces, image.piece_ends = _in_one([_binary(part, pieces) for part in table["tokens"].chunks], none)
    return image


def _in_order(rows: pl.DataFrame) -> bool:
    """Return whether each session stands in one piece, in the order of time: so are the rows of a table written by weekly runs."""
    if rows.height < 2:
        return True
    sessions = rows["session_id"].to_list()
    same = np.fromiter(map(eq, sessions[1:], sessions), bool, len(sessions) - 1)
    if len(sessions) - int(same.sum()) != len(set(sessions)):
        return False
    places = rows["position"].to_numpy()
    return bool(((places[1:] > places[:-1]) | ~same).all())


def joined(first: Image, second: Image) -> Image:
    """Return one image of both, in order."""
    rows = pl.concat([first.rows, second.rows.select(first.rows.columns)], how="vertical_relaxed")
    order = rows.select(pl.arg_sort_by(*ORDER)).to_series().to_numpy()
    terms, term_ends = _regrouped([first.terms, second.terms], [first.term_ends, second.term_ends], order)
    image = Image(rows[order], np.concatenate([first.traits, second.traits])[order], terms, term_ends)
    if first.vectors is not None and second.vectors is not None:
        image.vectors = np.concatenate([first.vectors, second.vectors])[order]
    if first.pieces is not None and second.pieces is not None:
        assert first.piece_ends is not None
        assert second.piece_ends is not None
        image.pieces, image.piece_ends = _regrouped(
            [first.pieces, second.pieces], [first.piece_ends, second.piece_ends], order
        )
    return image


def taken(image: Image, kept: np.ndarray) -> Image:
    """Return the image of some of its messages, bool (n,)."""
    order = np.flatnonzero(kept)
    terms, term_ends = _regrouped([image.terms], [image.term_ends], order)
    part = Image(image.rows[order], image.traits[order], terms, term_ends)
    if image.vectors is not None:
        part.vectors = image.vectors[order]
    if image.pieces is not None:
        assert image.piece_ends is not None
        part.pieces, part.piece_ends = _regrouped([image.pieces], [image.piece_ends], order)
    return part


def _regrouped(values: list[np.ndarray], ends: list[np.ndarray], order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return lists that lie one after the other in another order of the lists."""
    flat = np.concatenate(values)
    counts = np.concatenate([np.diff(part, prepend=0) for part in ends])
    starts = np.cumsum(counts) - counts
    counts, starts = counts[order], starts[order]
    new_ends = np.cumsum(counts)
    places = np.arange(int(new_ends[-1]) if len(new_ends) else 0) + np.repeat(starts - (new_ends - counts), counts)
    return flat[places], new_ends


def _stacked(parts: list[np.ndarray], none: np.ndarray) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else none


def _in_one(parts: list[tuple[np.ndarray, np.ndarray]], none: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of several lists of lists in one, and where each row's end."""
    values = _stacked([part for part, _ in parts], none)
    before = np.cumsum([0, *(len(part) for part, _ in parts)])
    ends = [end + start for (_, end), start in zip(parts, before, strict=False)]
    return values, _stacked(ends, np.zeros(0, np.int64))


def _flat(column: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return a list column's values and where each row's end."""
    offsets = np.asarray(column.offsets).astype(np.int64)
    if not len(column):
        return np.zeros(0, np.int32), np.zeros(0, np.int64)
    return np.asarray(column.values)[offsets[0] : offsets[-1]], offsets[1:] - offsets[0]


def _binary(column: Any, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a binary column's bytes as int8 rows of ``dim`` and where each message's rows end."""
    if not len(column):
        return np.zeros((0, dim), np.int8), np.zeros(0, np.int64)
    if pa.types.is_binary(column.type):
        column = column.cast(pa.large_binary())
    _, offset_buffer, data = column.buffers()
    offsets = np.frombuffer(offset_buffer, dtype=np.int64)[column.offset : column.offset + len(column) + 1]
    flat = np.frombuffer(data, dtype=np.int8)[offsets[0] : offsets[-1]]
    return flat.reshape(-1, dim), (offsets[1:] - offsets[0]) // dim


def frame_of(table: pa.Table) -> pl.DataFrame:
    """Return an Arrow table as a frame."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame
