"""Anonymization of a week of interactions by the chosen plugin, with the second look."""

from collections.abc import Callable, Sequence

import polars as pl

from plugins.contracts import Anonymizer
from records.interactions import AnonymizedInteractions

Pseudonym = Callable[[str, str], str]


def people_of(raw: pl.DataFrame) -> pl.DataFrame:
    """Return session_id, people: names and ids of the persons who spoke in each session of a week's RawInteractions."""
    users = raw.filter(pl.col("role") == "user")
    names = pl.concat(
        [
            users.select("session_id", name="speaker_id"),
            users.select("session_id", name="speaker_name"),
            raw.select("session_id", name="user_id").drop_nulls(),
        ]
    )
    return names.group_by("session_id").agg(people=pl.col("name").unique().sort())


def agent_names(raw: pl.DataFrame) -> list[str]:
    """Return the names and ids of the agents in a week, which stay."""
    agents = raw.filter(pl.col("role") == "agent")
    return sorted(set(agents["speaker_id"]) | set(agents["speaker_name"]))


def anonymize_week(
    scored: pl.DataFrame, raw: pl.DataFrame, anonymizer: Anonymizer, pseudonym: Pseudonym
) -> pl.DataFrame:
    """Return AnonymizedInteractions for one week."""
    if scored.is_empty():
        return AnonymizedInteractions.create_empty()
    keep = agent_names(raw)
    frame = scored.join(people_of(raw), on="session_id", how="left").with_columns(
        pl.col("people").fill_null(pl.lit([], dtype=pl.List(pl.String)))
    )
    sides = pl.concat(
        [
            frame.select(id=pl.concat_str(pl.lit(side), "interaction_id"), text=f"{name}_text", people="people")
            for side, name in (("i", "input"), ("o", "output"))
        ]
    )
    clean = anonymizer.anonymize(sides, keep, pseudonym)
    checked = clean.join(sides.select("id", "people"), on="id").join(
        anonymizer.residual(clean.join(sides.select("id", "people"), on="id"), keep), on="id"
    )
    checked = checked.with_columns(_side=pl.col("id").str.head(1), interaction_id=pl.col("id").str.slice(1))
    joined = frame.drop("input_text", "output_text")
    for side, name in (("i", "input"), ("o", "output")):
        joined = joined.join(
            checked.filter(pl.col("_side") == side).select(
                "interaction_id",
                pl.col("text").alias(f"{name}_text"),
                pl.col("n_replaced").alias(f"_n{side}"),
                pl.col("residual").alias(f"_r{side}"),
            ),
            on="interaction_id",
        )
    return AnonymizedInteractions.shaped(
        joined.with_columns(
            n_replaced=pl.col("_ni") + pl.col("_no"),
            residual=pl.col("_ri") + pl.col("_ro"),
            anonymized_by=pl.lit(anonymizer.fingerprint),
        )
    )


def anonymize_texts(
    frame: pl.DataFrame,
    raw: pl.DataFrame,
    columns: Sequence[str],
    key: str,
    anonymizer: Anonymizer,
    pseudonym: Pseudonym,
) -> pl.DataFrame:
    """Return the frame with its text columns anonymized, for installations whose memory is anonymized, too."""
    keep, people = agent_names(raw), people_of(raw)
    for column in columns:
        texts = frame.join(people, on="session_id", how="left").select(id=key, text=column, people="people")
        clean = anonymizer.anonymize(texts, keep, pseudonym).select(
            pl.col("id").alias(key), pl.col("text").alias("_clean")
        )
        frame = (
            frame.join(clean, on=key, maintain_order="left").with_columns(pl.col("_clean").alias(column)).drop("_clean")
        )
    return frame
