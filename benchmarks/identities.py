"""Injected identities: seeded people are written into real chats, in English and Spanish, lower case and with typos; what leaks is counted.

    python -m benchmarks.identities PATH/locomo5.json
    python -m benchmarks.identities --format convai PATH/export_2018-07-04_train.json

Every conversation is given people of its own; what they are called, and how they can be reached, is said in sentences that stand in no
pattern of the project. The chats then take the project's own way through the store and the weekly build into anonymized
interactions, analytics and datasets, and every file of these is searched. Names are Faker's (MIT), with a seed.
"""

import argparse
import json
import os
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.erasure import HASHING
from benchmarks.evidence import FORMATS, convai
from benchmarks.installation import home
from memory_assets.operations.materialize import materialize_weeks
from memory_assets.tools import Tools
from plugins.anonymizers.names import fold
from plugins.anonymizers.surrogates import DetectorAnonymizer
from plugins.contracts import SourceOptions
from plugins.sources.normalise import normalise
from resources.settings import load_settings

TALKS = {**FORMATS, "convai": convai}

SENTENCES = {
    "email": ("you can write me at {} any time", "mi correo es {} por si acaso", "{} is where the tickets went"),
    "phone": ("text me, it's {}", "mi número nuevo es el {}", "they left a message from {} yesterday"),
    "id": ("they needed my dni, {}, again", "the form asked for my social security number {}", "mi nie es {} creo"),
    "iban": ("send it to {} please", "hazme el bizum o al {}"),
    "card": ("the card ending was wrong, it is {}", "me cobraron en la tarjeta {}"),
    "key": ("i pasted {} into the config, oops", "usa esta clave {} para entrar"),
    "own_name": ("{} here, hello again!", "soy {}, ¿te acuerdas?", "as {} always says, take it easy", "they wrote {} on my cup"),
    "other_name": ("my sister {} came over for dinner", "mi jefe {} no para de llamar", "I had lunch with {} downtown", "le conté todo a {} ayer"),
    "street": ("we live at {} now", "nos mudamos a la {}"),
    "city": ("I grew up in {} before all this", "me crié en {} con mis abuelos"),
}  # fmt: skip
CLASSES = {
    "contacts, ids, keys": ("email", "phone", "id", "iban", "card", "key"),
    "names of the session's people": ("own_name",),
    "others": ("other_name", "street", "city"),
}


@dataclass
class Injected:
    """What was written into a message: its kind, and the words that must not be found."""

    kind: str
    value: str
    form: str


def identity(maker: Any, chance: random.Random) -> dict[str, str]:
    """Return a person's data."""
    letter, number = "TRWAGMYFPDXBNJZSQVHLCKE", chance.randrange(10_000_000, 99_999_999)
    ssn = f"{chance.randrange(100, 899)}-{chance.randrange(10, 99)}-{chance.randrange(1000, 9999)}"
    return {
        "email": maker.email(),
        "phone": maker.phone_number(),
        "id": f"{number}{letter[number % 23]}" if chance.random() < 0.5 else ssn,
        "iban": maker.iban(),
        "card": maker.credit_card_number(),
        "key": f"sk-{''.join(chance.choices('abcdefghijkmnpqrstuvwxyz23456789', k=24))}",
        "own_name": maker.first_name(),
        "other_name": maker.first_name(),
        "street": maker.street_address().split("\n")[0],
        "city": maker.city(),
    }


def written(value: str, kind: str, chance: random.Random) -> tuple[str, str]:
    """Return how a value is written in a chat, and how: as it is, in lower case, or (names) with a typo."""
    how = chance.choice(["plain", "lower", "typo"] if kind == "own_name" else ["plain", "lower"])
    if kind == "key" or how == "plain":
        return value, "plain"
    if how == "lower" or len(value) < 5:
        return value.lower(), "lower"
    place = chance.randrange(1, len(value) - 2)
    return value[:place] + value[place + 1] + value[place] + value[place + 2 :], "typo"


def injected(path: Path, kind: str, seed: int, share: float) -> Iterator[tuple[dict[str, Any], list[Injected]]]:
    """Yield message rows, and what was written into them."""
    from faker import Faker

    chance = random.Random(seed)
    makers = {}
    for locale in ("en_GB", "es_MX"):
        makers[locale] = Faker(locale)
        makers[locale].seed_instance(seed)
    for talk in TALKS[kind](path):
        speakers = list(dict.fromkeys(turn.speaker for turn in talk.turns))
        who = {speaker: identity(makers[chance.choice(list(makers))], chance) for speaker in speakers}
        for number, turn in enumerate(talk.turns):
            person, found, text = who[turn.speaker], [], turn.text.strip() or "-"
            if chance.random() < share:
                of = chance.choice(list(SENTENCES))
                # Names of the session's people are the user's: the agent's own name stays by design.
                own = who[speakers[-1]] if of == "own_name" else person
                if of == "other_name":
                    own = identity(makers[chance.choice(list(makers))], chance)
                value, form = written(own[of], of, chance)
                text = f"{text} {chance.choice(SENTENCES[of]).format(value)}"
                found.append(Injected(of, value, form))
            yield (
                {
                    "line": number + 1,
                    "session_id": f"{talk.name}/{turn.session}",
                    "agent_id": speakers[0],
                    "user_id": f"{talk.name}-{speakers[-1]}",
                    "speaker_id": f"{talk.name}-{turn.speaker}" if turn.speaker != speakers[0] else turn.speaker,
                    # The people of the session go by the injected names.
                    "speaker_name": person["own_name"] if turn.speaker != speakers[0] else turn.speaker,
                    "role": "agent" if turn.speaker == speakers[0] else "user",
                    "occurred_at": turn.at.isoformat(),
                    "text": text,
                },
                found,
            )


def artefacts(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield name and text of everything that leaves the memory: anonymized interactions, analytics, datasets."""
    import duckdb

    for path in sorted((folder / "lake").rglob("*.parquet")):
        if path.parent.name == "anonymized_interactions":
            frame = pl.read_parquet(path)
            yield "anonymized", "\n".join(frame["input_text"].to_list() + frame["output_text"].to_list())
    for path in sorted((folder / "datasets").rglob("*.jsonl")):
        yield (
            "datasets",
            "\n".join(
                message["content"]
                for line in path.read_text(encoding="utf-8").splitlines()
                for message in json.loads(line)["messages"]
            ),
        )
    with duckdb.connect(str(folder / "analytics.duckdb"), read_only=True) as connection:
        for schema, table in connection.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall():
            yield "analytics", str(connection.execute(f'SELECT * FROM "{schema}"."{table}"').fetchall())


def leaks(value: str, kind: str, text: str) -> bool:
    """Return whether a value stands in a folded text: numbers by their digits, names as words of their own."""
    if kind in ("phone", "card", "iban", "id"):
        digits = re.sub(r"\W", "", value).lower()
        return digits in re.sub(r"[^\w\n]", "", text)
    return re.search(rf"(?<!\w){re.escape(fold(value))}(?!\w)", text) is not None


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--format", choices=sorted(TALKS), default="locomo")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--share", type=float, default=0.5, help="of messages that something is written into")
    parser.add_argument("--home", type=Path, default=None)
    parser.add_argument("--show", action="store_true", help="name what leaked (it is made up)")
    options = parser.parse_args()
    rows, said = [], []
    for row, found in injected(options.path, options.format, options.seed, options.share):
        rows.append(row)
        said += found
    with home(options.home) as folder:
        (folder / "bench_plugins").mkdir(exist_ok=True)
        (folder / "bench_plugins/hashing.py").write_text(HASHING, encoding="utf-8")
        chosen = {"embedder": {"use": "bench-hashing"}, "tokens": {"use": "none"}}
        settings = load_settings(
            home=folder, plugins_dir=folder / "bench_plugins", plugins=chosen, first_week="2015-01-05"
        )
        tools = Tools(settings)
        taken = normalise(rows, SourceOptions(), "bench", "bench")
        tools.store.write(taken.messages, taken.sessions, taken.speakers, taken.names)
        materialize_weeks(settings, tools.store.weeks(), lambda *_: None)
        texts: dict[str, str] = defaultdict(str)
        for name, text in artefacts(folder):
            texts[name] += "\n" + fold(text)
        missed = [item for item in said if any(leaks(item.value, item.kind, text) for text in texts.values())]
        line: dict[str, Any] = {"benchmark": "identities", "messages": len(rows), "injected": len(said)}
        for name, kinds in CLASSES.items():
            of = [item for item in said if item.kind in kinds]
            wrong = [item for item in missed if item.kind in kinds]
            line[name] = {"injected": len(of), "leaked": len(wrong), "share": round(len(wrong) / max(len(of), 1), 4)}
        line["leaked_by_kind"] = {
            kind: f"{sum(item.kind == kind for item in missed)}/{sum(item.kind == kind for item in said)}"
            for kind in SENTENCES
        }
        line["same_surrogate"] = same_surrogate(said, tools)
        if options.show:
            print("\n".join(f"{item.kind} {item.form} {item.value}" for item in missed[:60]))
    line["load"] = os.getloadavg()[0]
    print(json.dumps(line, ensure_ascii=False))


def same_surrogate(said: list[Injected], tools: Tools) -> float:
    """Return the share of mentions of the sessions' people, however written, that become what the plain name becomes."""
    anonymizer = DetectorAnonymizer(DetectorAnonymizer.Config(model=False))
    names = sorted({item.value for item in said if item.kind == "own_name" and item.form == "plain"})
    mentions = [(name, form) for name in names for form in (name, name.lower(), name.upper(), f"{name}'s", fold(name))]
    frame = pl.DataFrame(
        {
            "id": [str(n) for n in range(len(mentions))],
            "text": [form for _, form in mentions],
            "people": [[name] for name, _ in mentions],
        }
    )
    clean = anonymizer.anonymize(frame, [], tools.keys.pseudonym)["text"].to_list()
    first: dict[str, str] = {}
    same = []
    for (name, _), text in zip(mentions, clean, strict=True):
        word = fold(text.removesuffix("'s"))
        same.append(first.setdefault(name, word) == word)
    return round(sum(same) / max(len(same), 1), 4)


if __name__ == "__main__":
    main()
