"""What may be trained on: opt-outs and personal data, looked up where samples are used, whatever ran before."""

import polars as pl

from records.errors import TrainingError
from serving.installation import Installation

SPOKEN = """
SELECT m.message_id AS message_id, m.role AS role, m.speaker_id AS speaker_id, m.user_id AS user_id, n.display_name AS name
FROM messages m LEFT JOIN speaker_names n ON n.agent_id = m.agent_id AND n.speaker_id = m.speaker_id
"""


def withdrawn(installation: Installation, samples: pl.DataFrame) -> pl.Series:
    """Return of each sample (source_message_ids) whether it leads to a message that must not be trained on now."""
    from model_registry.files import opted_out_messages

    forbidden = opted_out_messages(installation.store)
    return samples.select(
        pl.col("source_message_ids")
        .list.eval(pl.element().is_in(forbidden.implode()))
        .list.any()
        .fill_null(value=False)
    ).to_series()


def exposing(installation: Installation, samples: pl.DataFrame) -> pl.Series:
    """Return of each sample (sample_id, source_message_ids, messages) whether the second look finds personal data in it.

    Who spoke is looked up in the store as it is now: a name that was learned after the week was anonymized counts, too.
    """
    from transforms.samples import spoken_text

    people, keep = _people(installation, samples)
    texts = samples.select(id="sample_id", text=spoken_text(), source_message_ids="source_message_ids").join(
        people, on="id", how="left", maintain_order="left"
    )
    texts = texts.with_columns(pl.col("people").fill_null(pl.lit([], dtype=pl.List(pl.String))))
    found = installation.plugin("anonymizer").residual(texts.select("id", "text", "people"), keep)
    return texts.join(found, on="id", maintain_order="left").select(pl.col("residual") > 0).to_series()


def verify(installation: Installation, samples: pl.DataFrame) -> None:
    """Refuse to train on a message of somebody who has opted out since the dataset was made, or on personal data.

    Raises:
        TrainingError: with the number of such samples.
    """
    for found, what in (
        (withdrawn(installation, samples), "lead to messages that must not be trained on"),
        (exposing(installation, samples), "hold what may be personal data"),
    ):
        if found.any():
            raise TrainingError(f"{found.sum()} samples {what}: materialize the dataset again")


def _people(installation: Installation, samples: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Return id, people of each sample (names and ids of the users behind it), and the names of agents, which stay."""
    links = samples.select(id="sample_id", message_id="source_message_ids").explode("message_id")
    spoken = installation.store.frame(SPOKEN).cast(pl.String).join(links.select("message_id").unique(), on="message_id")
    agents = spoken.filter(pl.col("role") == "agent")
    keep = sorted({*agents["speaker_id"].drop_nulls(), *agents["name"].drop_nulls()})
    users = spoken.filter(pl.col("role") == "user").unpivot(
        index="message_id", on=["speaker_id", "user_id", "name"], value_name="person"
    )
    people = (
        links.join(users.drop_nulls("person"), on="message_id").group_by("id").agg(people=pl.col("person").unique())
    )
    return people.with_columns(pl.col("people").list.sort()), keep
