"""A week of vectors: what is new is embedded, what is known is taken from the table or the memo, and one commit replaces the week."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from memory_assets.tools import Tools
from plugins.embedders.encoder import Encoder
from plugins.embedders.passages import LONGEST

if TYPE_CHECKING:
    import numpy as np

    from records.base import Record

CHUNK = 256
"""Texts embedded between two saves: what a kill in between costs."""

CHARACTERS = 128_000
"""Of them, unless it is one text: a minute or two on one core."""

TOGETHER = ("agent_id", "user_id", "session_id", "position", "turn_first")
"""Order of the rows in a table: what is read together lies together."""


def encoder_of(tools: Tools, kind: str) -> Encoder:
    """Return what encodes the texts of a table: messages have token vectors, what is derived from them has not."""
    return Encoder(tools.plugin("embedder"), tools.plugin("tokens") if kind == "message_embeddings" else None)


def commit_week(
    tools: Tools, kind: str, record: "type[Record]", frame: pl.DataFrame, week: str, encoder: Encoder
) -> int:
    """Encode what is neither in the table nor in the memo, and replace the week; return the number of texts embedded."""
    from transforms.embedded_text import spoken

    frame = frame.sort([name for name in TOGETHER if name in frame.columns], maintain_order=True, nulls_last=True)
    texts = spoken(frame) if "speaker_name" in frame.columns else frame["text"]
    wanted = pl.DataFrame({"text_hash": frame["text_hash"], "text": texts}).unique(
        "text_hash", keep="first", maintain_order=True
    )
    embedder, late = encoder.embedder, encoder.late

    def vectors(batch: list[str]) -> list[bytes]:
        return [row.tobytes() for row in encoder.vectors(batch)]

    held = _held_vectors(tools, kind, encoder, week)
    known, embedded = _encoded(tools, embedder.fingerprint, wanted, held, vectors)
    saved = {embedder.fingerprint: [key for key in known if key not in held]}
    tokens: list[bytes] | None = None
    if late is not None:

        def pieces(batch: list[str]) -> list[bytes]:
            return [rows.tobytes() for rows in encoder.token_vectors(batch)]

        held = tools.vectors.week_tokens(kind, encoder.fingerprint, week)
        known_tokens, again = _encoded(tools, late.fingerprint, wanted, held, pieces)
        saved[late.fingerprint] = [key for key in known_tokens if key not in held]
        embedded = max(embedded, again)
        tokens = [known_tokens[key] for key in frame["text_hash"]]
    with tools.fence.committing():
        tools.vectors.replace_week(
            kind,
            record,
            frame,
            stacked(frame["text_hash"].to_list(), known, embedder.dim),
            week,
            encoder.fingerprint,
            embedder.dim,
            "window_text" if "window_text" in frame.columns else "text",
            tokens,
        )
    # Committed vectors are remembered by the table itself.
    for maker, keys in saved.items():
        if keys:
            tools.memo.drop(maker, keys)
    return embedded


def _held_vectors(tools: Tools, kind: str, encoder: Encoder, week: str) -> dict[str, bytes]:
    """Return the vectors that the encoder's table holds, or the table in use if it is of the same embedder."""
    held = tools.vectors.week_vectors(kind, encoder.fingerprint, week)
    now = tools.vectors.current(kind)
    if not held and now is not None and now["embedder"].split("+")[0] == encoder.embedder.fingerprint:
        held = tools.vectors.week_vectors(kind, now["embedder"], week)
    return {key: row.tobytes() for key, row in held.items()}


def _encoded(
    tools: Tools, maker: str, wanted: pl.DataFrame, held: dict[str, bytes], encode: Callable[[list[str]], list[Any]]
) -> tuple[dict[str, bytes], int]:
    """Return input hash to bytes for every wanted text, and how many had to be encoded; each chunk is saved before the next."""
    missing = wanted.filter(~pl.col("text_hash").is_in(list(held)))
    remembered = tools.memo.get(maker, missing["text_hash"].to_list())
    known = {**held, **remembered}
    missing = missing.filter(~pl.col("text_hash").is_in(list(remembered)))
    read = pl.col("text").str.len_chars().clip(upper_bound=LONGEST).cum_sum()
    chunks = missing.with_columns(_texts=pl.int_range(pl.len()) // CHUNK, _read=read // CHARACTERS)
    for part in chunks.partition_by("_texts", "_read", maintain_order=True):
        made = dict(zip(part["text_hash"].to_list(), encode(part["text"].to_list()), strict=True))
        tools.memo.put(maker, made)
        known.update(made)
    return known, missing.height


def stacked(inputs: Sequence[str], known: dict[str, bytes], dim: int) -> "np.ndarray":
    """Return the vectors of the inputs as float32 (n, dim)."""
    import numpy as np

    if not inputs:
        return np.zeros((0, dim), np.float32)
    return np.frombuffer(b"".join(known[key] for key in inputs), dtype=np.float32).reshape(len(inputs), dim)
