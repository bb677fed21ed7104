"""Training samples of a persona from anonymized interactions: what may be learned from, split by session."""

import json
from hashlib import blake2b
from typing import Any

import polars as pl

from records.ids import content_id, text_hash
from records.training import DatasetManifest


def build_samples(
    interactions: pl.DataFrame,
    persona_id: str,
    system_prompt: str,
    *,
    min_quality: float,
    eval_share: float,
    history: int,
) -> pl.DataFrame:
    """Return DatasetManifest rows for a persona.

    Opted-out interactions, junk, residual personal data and low quality are left out here again, whatever ran before.
    Earlier exchanges of the session become context only if they may be learned from, too. The same answer to the same
    input counts once. Cost is that of a sort.
    """
    usable = trainable(interactions, persona_id, min_quality).sort(
        "session_key", "occurred_at", "turn_first", "interaction_id"
    )
    rows: list[dict[str, Any]] = []
    seen: set[str] = set()
    for session in usable.partition_by("session_key", maintain_order=True):
        turns = session.to_dicts()
        for number, turn in enumerate(turns):
            context = turns[max(0, number - history) : number]
            messages = [{"role": "system", "content": system_prompt}] if system_prompt else []
            for part in (*context, turn):
                messages += [
                    {"role": "user", "content": part["input_text"]},
                    {"role": "assistant", "content": part["output_text"]},
                ]
            key = text_hash(f"{turn['input_text']}\x1f{turn['output_text']}".lower())
            if key in seen:
                continue
            seen.add(key)
            parts = [*context, turn]
            sample = json.dumps(messages, ensure_ascii=False)
            rows.append(
                {
                    "sample_id": content_id("t", persona_id, *(part["interaction_id"] for part in parts)),
                    "split": split_of(turn["session_key"], eval_share),
                    "session_key": turn["session_key"],
                    "week": turn["week"],
                    "interaction_ids": [part["interaction_id"] for part in parts],
                    "source_message_ids": [m for part in parts for m in part["source_message_ids"]],
                    "quality": round(sum(part["quality"] for part in parts) / len(parts), 4),
                    "content_hash": text_hash(sample),
                    "messages": sample,
                }
            )
    return DatasetManifest.shaped(pl.DataFrame(rows, schema=DatasetManifest.polars_schema(), orient="row"))


def spoken_text() -> pl.Expr:
    """Return what is said in a sample's ``messages`` (JSON), without the system prompt."""
    turns = pl.col("messages").str.json_decode(pl.List(pl.Struct({"role": pl.String, "content": pl.String})))
    said = turns.list.eval(pl.element().struct.field("content").filter(pl.element().struct.field("role") != "system"))
    return said.list.join("\n")


def trainable(interactions: pl.DataFrame, persona_id: str, min_quality: float) -> pl.DataFrame:
    """Return the interactions of a persona that may be trained on."""
    return interactions.filter(
        (pl.col("persona_id") == persona_id)
        & ~pl.col("opt_out")
        & (pl.col("residual") == 0)
        & pl.col("junk").is_null()
        & (pl.col("quality") >= min_quality)
        & (pl.col("input_text") != "")
        & (pl.col("output_text") != "")
    )


def split_of(session_key: str, eval_share: float) -> str:
    """Return train or eval for a session; the same for ever, because it depends on the session alone."""
    number = int.from_bytes(blake2b(session_key.encode(), digest_size=4).digest(), "big") / 2**32
    return "eval" if number < eval_share else "train"
