"""Conversations made by a seeded generator, for measuring how cost grows; nobody said any of it."""

import random
from datetime import UTC, datetime, timedelta

import polars as pl

from records.ids import content_id
from records.store import Messages, Sessions, Speakers
from records.weeks import week_of

NOUNS = (
    "garden",
    "sister",
    "guitar",
    "exam",
    "train",
    "kitchen",
    "novel",
    "dog",
    "concert",
    "office",
    "bridge",
    "recipe",
    "storm",
    "museum",
    "bicycle",
    "perro",
    "playa",
    "trabajo",
    "libro",
    "abuela",
    "tren",
    "cena",
    "faro",
    "piso",
    "examen",
    "guitarra",
    "viaje",
    "receta",
)
ENGLISH = (
    "I moved to {place} with my {noun} last week and the {noun2} was {adj}",
    "What do you think about the {noun} near the {noun2}?",
    "I really like {noun} and my {noun2} is {adj}",
    "Honestly the {noun} made me {feeling}, so I went to {place}",
    "I'm going to finish the {noun} before the {noun2}, it is number {n}",
    "That sounds {adj}; tell me more about the {noun} and the {noun2}",
)
SPANISH = (
    "Me mudé a {place} con mi {noun} y el {noun2} era {adj}",
    "¿Qué te parece el {noun} que hay junto al {noun2}?",
    "Me gusta mucho el {noun} y mi {noun2} está {adj}",
    "La verdad es que el {noun} me dejó {feeling} y me fui a {place}",
    "Voy a hacer el {noun} antes que el {noun2}, ya van {n}",
    "Suena {adj}; cuéntame más del {noun} y del {noun2}",
)
PLACES = ("Bilbao", "Leeds", "Sevilla", "Boston", "Oviedo", "Dublin", "Lugo", "Porto")
ADJECTIVES = ("lovely", "terrible", "quiet", "huge", "bonito", "horrible", "tranquilo", "enorme")
FEELINGS = ("happy", "sad", "angry", "scared", "feliz", "triste", "furioso", "asustado")


def conversations(
    messages: int, *, weeks: int = 8, seed: int = 7, per_session: int = 20, users: int = 200, agent: str = "bench"
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return frames of Messages, Sessions and Speakers: alternating user and agent, sessions spread evenly over the weeks."""
    draw = random.Random(seed)
    start = datetime(2025, 1, 6, tzinfo=UTC)
    rows, sessions = [], []
    for number in range(messages):
        session, turn = divmod(number, per_session)
        user = f"user-{session % users}"
        if turn == 0:
            began = start + timedelta(weeks=session % weeks, minutes=(session // weeks) % 9_000)
            sessions.append(
                {
                    "session_id": f"s{session}",
                    "agent_id": agent,
                    "user_id": user,
                    "opt_out_training": session % 50 == 0,
                    "started_at": began,
                    "ended_at": None,
                    "source": "synthetic",
                    "metadata": None,
                    "world_id": None,
                }
            )
        at = began + timedelta(seconds=30 * turn)
        mould = draw.choice(SPANISH if session % 2 else ENGLISH)
        text = mould.format(
            noun=draw.choice(NOUNS),
            noun2=draw.choice(NOUNS),
            place=draw.choice(PLACES),
            adj=draw.choice(ADJECTIVES),
            feeling=draw.choice(FEELINGS),
            n=draw.randrange(1_000_000),
        )
        said_by_user = turn % 2 == 0
        rows.append(
            {
                "message_id": content_id("m", seed, number),
                "session_id": f"s{session}",
                "agent_id": agent,
                "user_id": user,
                "speaker_id": user if said_by_user else agent,
                "role": "user" if said_by_user else "agent",
                "text": f"{text}. ({number})",
                "turn": turn + 1,
                "occurred_at": at,
                "week": week_of(at),
                "source": "synthetic",
            }
        )
    speakers = [{"speaker_id": f"user-{n}", "kind": "user", "opt_out_training": False} for n in range(users)]
    speakers.append({"speaker_id": agent, "kind": "agent", "opt_out_training": False})
    empty = [
        pl.lit(None, pl.String).alias(name)
        for name in (
            "world_id",
            "emotion",
            "follows",
            "location",
            "participants",
            "model_version",
            "metadata",
            "source_ref",
        )
    ]
    empty += [pl.lit(None, pl.Float64).alias("importance"), pl.lit(None, pl.Datetime("us", "UTC")).alias("edited_at")]
    frame = pl.DataFrame(rows, schema_overrides={"occurred_at": pl.Datetime("us", "UTC")}).with_columns(empty)
    return (
        Messages.shaped(frame),
        Sessions.shaped(pl.DataFrame(sessions, schema=Sessions.polars_schema(), orient="row")),
        Speakers.shaped(pl.DataFrame(speakers)),
    )
