"""What the gate is asked, from what the installation knows of a persona; and the probe of what was deployed."""

import json
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import polars as pl

from memory_assets.operations.planted_secrets import secrets
from memory_assets.operations.worker import answers_apart
from memory_assets.tools import Tools
from plugins.training.contracts import Deployer, Deployment, EvaluationJob, unmeasured, why_failed
from records.names import world_and_name

PROBES = ("Hello! Who are you?", "What did you do today?", "¿Qué te gusta hacer?")
PROBE_TOKENS = 16
ALIKE = 0.5
"""Least similarity of an endpoint's answers to the local adapter's (difflib's ratio, mean over the probes): a server that computes with
quantized weights says some words otherwise; another model, or none at all, says others."""
MOST_OTHERS = 24
"""Held-out conversations of each other persona that are looked at."""

NAME = {"category": "identity", "key": "name"}


def evaluation_job(tools: Tools, adapter: dict[str, Any]) -> EvaluationJob:
    """Return the evaluation of a registered adapter."""
    from plugins.evaluators.identity import identity_questions
    from transforms.system_prompt import system_prompt

    home, persona = tools.settings.home, adapter["persona_id"]
    dataset = next(iter(tools.store.rows("datasets", dataset_id=adapter["dataset_id"])))
    files = home / dataset["path"]
    core = tools.store.rows("core_memory")
    language = spoken_language(files / "train.jsonl")
    # Somebody of whom nothing is written has a name all the same.
    own = [row for row in core if row["agent_id"] == persona]
    introduced = [] if own else [{"agent_id": persona, **NAME, "value": called(tools, persona)}]
    return EvaluationJob(
        base=str(tools.plugin("trainer").base_folder()),
        adapter=tools.adapter_book.weights(adapter),
        under=tuple(tools.adapter_book.weights(row) for row in tools.adapter_book.below(adapter)),
        train=files / "train.jsonl",
        held_out=files / "eval.jsonl",
        others=others_held_out(tools, persona, home / adapter["path"]),
        system=system_prompt(own),
        introduced=system_prompt(introduced),
        identity=identity_questions(own or introduced, [row for row in core if row["agent_id"] != persona], language),
        secrets=tuple(secrets(tools, dataset)),
    )


def called(tools: Tools, persona: str) -> str:
    """Return what an agent is called: the name it speaks under, else that of its id."""
    spoken = tools.store.rows("speaker_names", agent_id=persona, speaker_id=persona)
    return str(spoken[0]["display_name"]) if spoken else world_and_name(persona)[1]


def spoken_language(path: Path) -> str:
    """Return the language most answers of a dataset are in."""
    from language.lexicon import language_of
    from plugins.training.language_model import read_talks

    said = [language_of(talk[-1]["content"]) for talk in read_talks(path)[:200]]
    return max(sorted({"en", *said} - {"und"}), key=said.count)


def others_held_out(tools: Tools, persona: str, folder: Path) -> Path:
    """Write held-out conversations of other personas into a file beside the adapter; return it."""
    from model_registry.files import OTHERS
    from records.interactions import AnonymizedInteractions
    from resources.files import write_text
    from transforms.samples import split_of, trainable

    limits = tools.settings.dataset
    every = tools.lake.collect("anonymized_interactions", AnonymizedInteractions, where=pl.col("persona_id") != persona)
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
    if not found["passed"]:
        return f"failed: {why_failed(found.get('verdicts', [])) or ', '.join(found['reasons'])}"
    left = unmeasured(found.get("verdicts", []))
    return f"passed, not measured: {', '.join(left)}" if left else "passed"
