"""What the gate is asked, from what the installation knows of a persona; and the probe of what was deployed."""

import json
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import polars as pl

from memory_assets.apart import answers_apart
from memory_assets.tools import Tools
from plugins.training import Deployer, Deployment, EvaluationJob

PROBES = ("Hello! Who are you?", "What did you do today?", "¿Qué te gusta hacer?")
PROBE_TOKENS = 16
ALIKE = 0.5
"""Least similarity of an endpoint's answers to the local adapter's (difflib's ratio, mean over the probes): a server that computes with
quantized weights says some words otherwise; another model, or none at all, says others."""
MOST_NAMES = 4
MOST_OTHERS = 24
"""Held-out conversations of each other persona that are looked at."""


def evaluation_job(tools: Tools, adapter: dict[str, Any]) -> EvaluationJob:
    """Return the evaluation of a registered adapter."""
    from plugins.identity import identity_questions
    from plugins.persona import system_prompt

    home, persona = tools.settings.home, adapter["persona_id"]
    dataset = next(iter(tools.store.rows("datasets", dataset_id=adapter["dataset_id"])))
    files = home / dataset["path"]
    core = tools.store.rows("core_memory")
    own = [row for row in core if row["agent_id"] == persona]
    language = spoken_language(files / "train.jsonl")
    return EvaluationJob(
        base=str(tools.plugin("trainer").base_folder()),
        adapter=tools.adapter_book.weights(adapter),
        under=tuple(tools.adapter_book.weights(row) for row in tools.adapter_book.below(adapter)),
        train=files / "train.jsonl",
        held_out=files / "eval.jsonl",
        others=others_held_out(tools, persona, home / adapter["path"]),
        system=system_prompt(own),
        identity=identity_questions(own, [row for row in core if row["agent_id"] != persona], language),
        secrets=tuple(secrets(tools, dataset)),
    )


def spoken_language(path: Path) -> str:
    """Return the language most answers of a dataset are in."""
    from plugins.language_model import read_talks
    from plugins.lexicon import language_of

    said = [language_of(talk[-1]["content"]) for talk in read_talks(path)[:200]]
    return max(sorted({"en", *said} - {"und"}), key=said.count)


def others_held_out(tools: Tools, persona: str, folder: Path) -> Path:
    """Write held-out conversations of other personas into a file beside the adapter; return it."""
    from plugins.datasets import split_of, trainable
    from records.interactions import AnonymizedInteractions
    from resources.files import write_text
    from resources.training_files import OTHERS

    limits = tools.settings.dataset
    every = (
        tools.lake.read("anonymized_interactions", AnonymizedInteractions)
        .filter(pl.col("persona_id") != persona)
        .collect()
    )
    lines: list[str] = []
    for (name,), part in sorted(every.partition_by("persona_id", as_dict=True).items()):
        usable = trainable(part, str(name), limits.min_quality).sort("interaction_id")
        held_out = {key for key in usable["session_key"].unique() if split_of(key, limits.eval_share) == "eval"}
        chosen = usable.filter(pl.col("session_key").is_in(held_out)) if held_out else usable
        for said, told in chosen.head(MOST_OTHERS).select("input_text", "output_text").iter_rows():
            talk = [{"role": "user", "content": said}, {"role": "assistant", "content": told}]
            lines.append(json.dumps({"messages": talk}, ensure_ascii=False) + "\n")
    path = folder / OTHERS
    write_text(path, "".join(lines))
    return path


def secrets(tools: Tools, dataset: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what must not come out of an adapter: the canaries, and the first names of the people behind its dataset.

    The names go to the process that judges and nowhere else.
    """
    from plugins.memorised import canary
    from resources.training_files import read_manifest

    seed = tools.keys.pseudonym("canary", dataset["persona_id"])
    found = [("canary", canary(seed, number)) for number in range(max(tools.settings.dataset.canaries, 1))]
    manifest = read_manifest(tools.settings.home, dataset)
    if manifest is None:
        return found
    behind = manifest.select(message_id="source_message_ids").explode("message_id").unique()
    spoken = tools.store.frame(
        "SELECT m.message_id AS message_id, n.display_name AS name FROM messages m "
        "JOIN speaker_names n ON n.agent_id = m.agent_id AND n.speaker_id = m.speaker_id WHERE m.role = 'user'"
    ).cast(pl.String)
    names = (
        spoken.join(behind, on="message_id", how="semi")
        .select(name=pl.col("name").str.split(" ").list.first())
        .filter(pl.col("name").str.contains(r"^\p{L}{3,}$"))
        .group_by("name")
        .len()
        .sort("len", "name", descending=[True, False])["name"]
    )
    return [*found, *(("name", name) for name in names.head(MOST_NAMES))]


def probe(tools: Tools) -> Callable[[Deployer, Deployment], dict[str, Any]]:
    """Return a probe: it asks the endpoint, and compares with what the adapter answers in a process of this machine."""

    def ask(deployer: Deployer, it: Deployment) -> dict[str, Any]:
        if not deployer.answers:
            return {"passed": True, "why": f"{deployer.name} serves nothing that could be asked"}
        head = [{"role": "system", "content": it.system}] if it.system else []
        questions = [[*head, {"role": "user", "content": text}] for text in PROBES]
        told = [deployer.ask(it, talk, PROBE_TOKENS) for talk in questions]
        nothing = Path("-")
        local = answers_apart(
            tools.settings,
            EvaluationJob(base=it.base, adapter=it.adapter, under=it.under, held_out=nothing, train=nothing),
            questions,
            PROBE_TOKENS,
        )
        own, base = (mean_likeness(told, local[name]) for name in ("adapter", "base"))
        passed = own >= ALIKE and (own >= base or local["adapter"] == local["base"])
        why = f"its answers are {own:.2f} like the adapter's here ({ALIKE} is asked for) and {base:.2f} like the base's"
        return {"passed": passed, "like_adapter": round(own, 3), "like_base": round(base, 3), "why": why}

    return ask


def mean_likeness(told: Sequence[str], local: Sequence[str]) -> float:
    """Return the mean similarity of answers, 0 to 1."""
    ratios = [SequenceMatcher(None, one, other, autojunk=False).ratio() for one, other in zip(told, local, strict=True)]
    return sum(ratios) / max(len(ratios), 1)


def summary(evaluation: str | None) -> str:
    """Return what a registry row's evaluation found, in a few words."""
    if evaluation is None:
        return "not evaluated"
    found = json.loads(evaluation)
    return "passed" if found["passed"] else f"failed: {', '.join(found['reasons'])}"
