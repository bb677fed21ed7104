"""The snapshot of a week: every message of it with its session's and speaker's state, as one frame."""

from typing import Any

import polars as pl

from resources.store import InteractionStore

COLUMNS = """
    m.message_id, m.session_id, m.agent_id, m.world_id, m.user_id, m.speaker_id,
    coalesce(n.display_name, m.speaker_id) AS speaker_name, m.role, m.text, m.emotion, m.importance, m.turn, m.follows,
    m.location, m.participants, m.model_version, m.metadata, m.occurred_at, m.week, m.source, m.source_ref,
    s.opt_out_training AS session_opt_out, coalesce(p.opt_out_training, u.opt_out_training) AS speaker_opt_out,
    u.opt_out_training AS user_opt_out, f.quality_override, f.rating, f.correct, c.correction
"""

QUERY = f"""
SELECT {COLUMNS}
FROM messages m
JOIN sessions s ON s.agent_id = m.agent_id AND s.session_id = m.session_id
LEFT JOIN speaker_names n ON n.agent_id = m.agent_id AND n.speaker_id = m.speaker_id
LEFT JOIN speakers p ON p.speaker_id = m.speaker_id AND m.role <> 'agent'
LEFT JOIN speakers u ON u.speaker_id = m.user_id
LEFT JOIN (
    SELECT message_id, max(quality_override) AS quality_override, avg(rating) AS rating,
           avg(CASE WHEN correct THEN 1.0 WHEN NOT correct THEN -1.0 END) AS correct
    FROM feedback GROUP BY message_id
) f ON f.message_id = m.message_id
LEFT JOIN (
    SELECT message_id, correction
    FROM (SELECT message_id, correction, row_number() OVER (PARTITION BY message_id ORDER BY given_at DESC, feedback_id) AS place
          FROM feedback WHERE correction IS NOT NULL) ranked
    WHERE place = 1
) c ON c.message_id = m.message_id
"""


def read_week_messages(store: InteractionStore, first: str, last: str) -> pl.DataFrame:
    """Return the messages of the weeks ``first`` to ``last`` (both included), in the order of their sessions.

    Cost: linear in the messages of those weeks; 1,000,000 take seconds (see benchmarks/pipeline.py).
    """
    frame = store.frame(QUERY + "WHERE m.week >= ? AND m.week <= ?", [first, last])
    return tidy(frame)


def tidy(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a store query's frame with the same types from SQLite and PostgreSQL."""
    flags = ("session_opt_out", "speaker_opt_out", "user_opt_out")
    nullable = (
        "world_id",
        "user_id",
        "emotion",
        "follows",
        "location",
        "participants",
        "model_version",
        "metadata",
        "source_ref",
        "correction",
    )
    casts: list[Any] = [
        pl.col(name).cast(pl.Boolean, strict=False).fill_null(value=False) for name in flags if name in frame.columns
    ]
    casts += [pl.col(name).cast(pl.String) for name in nullable if name in frame.columns]
    casts += [
        pl.col(name).cast(pl.Float64)
        for name in ("importance", "quality_override", "rating", "correct")
        if name in frame.columns
    ]
    if "turn" in frame.columns:
        casts.append(pl.col("turn").cast(pl.Int64))
    return frame.with_columns(utc("occurred_at", frame.schema["occurred_at"]), *casts)


def utc(column: str, dtype: pl.DataType) -> pl.Expr:
    """Return a time column as UTC microseconds; SQLite gives text, PostgreSQL a timestamp."""
    expr = pl.col(column)
    if dtype == pl.String:
        expr = expr.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us").dt.replace_time_zone("UTC")
    elif dtype == pl.Null:
        expr = expr.cast(pl.Datetime("us", "UTC"))
    return expr.dt.cast_time_unit("us").dt.convert_time_zone("UTC")
