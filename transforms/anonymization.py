"""Anonymization of a week of interactions by the chosen plugin, with the second look."""

import json
from collections.abc import Callable, Sequence

import polars as pl

from plugins.contracts import Anonymizer
from records.interactions import AnonymizedInteractions
from records.memory import Facts
from transforms.interactions import SESSION

Pseudonym = Callable[[str, str], str]


def people_of(raw: pl.DataFrame) -> pl.DataFrame:
    """Return agent_id, session_id, people: names and ids of the persons who spoke in each session of a week's RawInteractions."""
    users = raw.filter(pl.col("role") == "user")
    names = pl.concat(
        [
            users.select(*SESSION, name="speaker_id"),
            users.select(*SESSION, name="speaker_name"),
            raw.select(*SESSION, name="user_id").drop_nulls(),
        ]
    )
    return names.group_by(SESSION).agg(people=pl.col("name").unique().sort())


PLACE = "place"
"""Where names of agents are known: a world, or the memory of an agent outside of worlds."""


def _place() -> pl.Expr:
    return pl.coalesce(pl.format("world:{}/", "world_id"), "agent_id").alias(PLACE)


def agent_names(raw: pl.DataFrame) -> dict[str, list[str]]:
    """Return place to the names and ids of the agents that speak there in a week, which stay.

    A person may be called as an agent of somebody else's memory is: there the name is a person's.
    """
    agents = raw.filter(pl.col("role") == "agent").select(_place(), "speaker_id", "speaker_name")
    return {
        str(place): sorted(set(part["speaker_id"]) | set(part["speaker_name"]))
        for (place,), part in agents.partition_by(PLACE, as_dict=True).items()
    }


TELLING = {"name": "person", "city": "place", "origin": "place", "employer": "organisation"}
"""Keys of facts, or their last part ("sister.name"), whose value would expose somebody."""


def told_by(facts: pl.DataFrame) -> pl.DataFrame:
    """Return user_key, told: what each user said of themselves and theirs in the week's Facts, as {kind, value}.

    Values of more than four words, and those in small letters, are no names.
    """
    kind = pl.col("key").str.split(".").list.last().replace_strict(TELLING, default=None, return_dtype=pl.String)
    named = pl.col("value").str.contains(r"^\p{Lu}") & (pl.col("value").str.count_matches(r"\S+") <= 4)
    return (
        facts.filter(pl.col("polarity") & named)
        .select("user_key", told=pl.struct(kind=kind, value="value"))
        .filter(pl.col("told").struct.field("kind").is_not_null())
        .unique()
        .sort("user_key", "told")
        .group_by("user_key", maintain_order=True)
        .agg("told")
    )


def anonymize_week(
    scored: pl.DataFrame,
    raw: pl.DataFrame,
    anonymizer: Anonymizer,
    pseudonym: Pseudonym,
    facts: pl.DataFrame | None = None,
    earlier: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return AnonymizedInteractions for one week; its facts tell more names than those of who spoke.

    Args:
        earlier: The week as it was made before: texts of rows that would be made from the same are taken over.
    """
    if scored.is_empty():
        return AnonymizedInteractions.create_empty()
    keep = agent_names(raw)
    frame = (
        scored.with_columns(_place())
        .join(people_of(raw), on=SESSION, how="left")
        .with_columns(pl.col("people").fill_null(pl.lit([], dtype=pl.List(pl.String))))
    )
    told = told_by(Facts.create_empty() if facts is None else facts)
    frame = frame.join(told, on="user_key", how="left", maintain_order="left")
    frame = frame.with_columns(made_from=made_from(frame, keep, anonymizer, pseudonym))
    known = _known(frame, earlier)
    new = frame.join(known, on="interaction_id", how="anti")
    clean = [_clean(part, names, anonymizer, pseudonym) for part, names in _by_place(new, keep)]
    texts = pl.concat([known, *clean])
    return AnonymizedInteractions.shaped(
        frame.drop("input_text", "output_text", "correction", "told")
        .join(texts, on="interaction_id", maintain_order="left")
        .with_columns(anonymized_by=pl.lit(anonymizer.fingerprint))
    )


CLEAN = ("interaction_id", "input_text", "output_text", "correction", "n_replaced", "residual")
SIDES = ("input", "output", "correction")
"""Texts of an interaction; the first letter tells them apart in an id."""


def made_from(
    frame: pl.DataFrame, keep: dict[str, list[str]], anonymizer: Anonymizer, pseudonym: Pseudonym
) -> pl.Series:
    """Return a keyed hash of everything that decides each row's anonymized texts. The key keeps short texts from being guessed."""
    shared = {
        place: json.dumps([anonymizer.fingerprint, keep.get(place, [])]) for place in frame[PLACE].unique().to_list()
    }
    rows = frame.select(PLACE, "input_text", "output_text", "correction", "people", "told").iter_rows()
    return pl.Series(
        "made_from",
        [pseudonym("made_from", shared[place] + json.dumps(row, ensure_ascii=False)) for place, *row in rows],
        dtype=pl.String,
    )


def _by_place(frame: pl.DataFrame, keep: dict[str, list[str]]) -> list[tuple[pl.DataFrame, list[str]]]:
    """Return the rows of each place with the names that stay there, in order."""
    parts = sorted(frame.partition_by(PLACE, as_dict=True).items())
    return [(part, keep.get(str(place), [])) for (place,), part in parts]


def _known(frame: pl.DataFrame, earlier: pl.DataFrame | None) -> pl.DataFrame:
    """Return the texts that were made from the same before."""
    if earlier is None or not {"made_from", "correction"} <= set(earlier.columns):
        return AnonymizedInteractions.create_empty().select(CLEAN)
    return earlier.join(frame, on=["interaction_id", "made_from"], how="semi").select(CLEAN)


def _clean(frame: pl.DataFrame, keep: Sequence[str], anonymizer: Anonymizer, pseudonym: Pseudonym) -> pl.DataFrame:
    """Return the rows' texts anonymized, with what was replaced and what the second look still finds."""
    if frame.is_empty():
        return AnonymizedInteractions.create_empty().select(CLEAN)
    sides = pl.concat(
        [
            frame.select(
                id=pl.concat_str(pl.lit(side[0]), "interaction_id"),
                text="correction" if side == "correction" else f"{side}_text",
                people="people",
                told="told",
            ).drop_nulls("text")
            for side in SIDES
        ]
    )
    clean = anonymizer.anonymize(sides, keep, pseudonym)
    checked = clean.join(sides.select("id", "people"), on="id").join(
        anonymizer.residual(clean.join(sides.select("id", "people"), on="id"), keep), on="id"
    )
    checked = checked.with_columns(_side=pl.col("id").str.head(1), interaction_id=pl.col("id").str.slice(1))

    def text(side: str) -> pl.Expr:
        return pl.col("text").filter(pl.col("_side") == side[0]).first()

    return checked.group_by("interaction_id", maintain_order=True).agg(
        input_text=text("input"),
        output_text=text("output"),
        correction=text("correction"),
        n_replaced=pl.col("n_replaced").sum(),
        residual=pl.col("residual").sum(),
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
        parts = [
            anonymizer.anonymize(part.select(id=key, text=column, people="people"), names, pseudonym)
            for part, names in _by_place(frame.join(people, on=SESSION, how="left").with_columns(_place()), keep)
        ]
        if not parts:
            return frame
        clean = pl.concat(parts).select(pl.col("id").alias(key), pl.col("text").alias("_clean"))
        frame = (
            frame.join(clean, on=key, maintain_order="left").with_columns(pl.col("_clean").alias(column)).drop("_clean")
        )
    return frame
