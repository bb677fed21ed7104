"""The demo: the bundled sample through every step, and a short report."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from memory_assets.layers import Slot
from memory_assets.operations.materialize import Step, materialize_weeks, train_slot
from memory_assets.tools import Tools
from records.errors import SourceError
from resources.settings import Settings

QUESTIONS = (
    ("lumi", "¿A qué ciudad se mudó Pau?"),
    ("lumi", "¿cómo está la abuela de Neus?"),
    ("sage", "What happened with Grace's dog?"),
    ("puerto-bruma", "Who saw the light at the lighthouse?"),
)
PERSONA = "sage"


@dataclass
class Report:
    """What the demo found, for machines and for people."""

    value: dict[str, Any]
    text: str


def run_demo(settings: Settings, sample: Path, train: bool, step: Step) -> Report:
    """Import, materialize, train, ask.

    Raises:
        SourceError: the sample is not there.
    """
    from plugins.contracts import SourceOptions
    from serving.client import MemoryClient

    manifest = sample / "sample.json"
    if not manifest.exists():
        raise SourceError(f"{sample}: no sample.json there: run the demo from a checkout of the project")
    description = json.loads(manifest.read_text(encoding="utf-8"))
    memory = MemoryClient(settings)
    for entry in description["core_memory"]:
        memory.store.set_core_memory(
            entry["agent"], entry["category"], entry["key"], entry["value"], is_mutable=entry["is_mutable"]
        )
    for file in description["files"]:
        named = file if isinstance(file, dict) else {"file": file}
        options = SourceOptions(
            agent=named.get("agent"), timezone=named.get("timezone", "UTC"), first_week=settings.first_week
        )
        memory.import_file(str(sample / named["file"]), options)
    for item in description["opt_out_sessions"]:
        memory.opt_out(session=item)
    step(0.05, "imported")
    materialize_weeks(settings, memory.store.weeks(), lambda done, note="": step(0.05 + 0.45 * done, note))
    trained = (
        train_slot(settings, Slot("personality", PERSONA), lambda done, note="": step(0.5 + 0.5 * done, "trained"))
        if train
        else None
    )
    if train:
        materialize_weeks_analytics_only(settings)
    tools = Tools(settings)
    value = {
        "tables": table_counts(tools),
        "best": extremes(tools, descending=True),
        "worst": extremes(tools, descending=False),
        "recall": [answer(memory, agent, question) for agent, question in QUESTIONS],
        "analytics": str(settings.warehouse_path),
        "adapter": trained,
    }
    return Report(value, rendered(value))


def materialize_weeks_analytics_only(settings: Settings) -> None:
    """Publish the analytics once more, with the adapter in them."""
    from memory_assets.instances import instance
    from memory_assets.operations.materialize import definitions_for, made_here

    with instance(settings) as dagster:
        made_here(dagster, definitions_for(settings).resolve_job_def("analytics_build"))


def table_counts(tools: Tools) -> dict[str, int]:
    """Return rows per table."""
    from memory_assets.tables import LAKE_RECORDS

    counts = {
        asset: tools.lake.read(asset, record).select(pl.len()).collect().item()
        for asset, record in LAKE_RECORDS.items()
    }
    counts["message_embeddings"] = tools.vectors.count("message_embeddings")
    counts["episode_embeddings"] = tools.vectors.count("episode_embeddings")
    return counts


def extremes(tools: Tools, *, descending: bool) -> list[dict[str, Any]]:
    """Return the three best or worst answered interactions, as they may be shown: anonymized."""
    from memory_assets.tables import LAKE_RECORDS

    frame = tools.lake.read("anonymized_interactions", LAKE_RECORDS["anonymized_interactions"]).filter(
        pl.col("output_text") != ""
    )
    return (
        frame.sort("quality", "interaction_id", descending=[descending, False])
        .head(3)
        .select("quality", "junk", pl.col("input_text").str.slice(0, 100), pl.col("output_text").str.slice(0, 120))
        .collect()
        .to_dicts()
    )


def answer(memory: Any, agent: str, question: str) -> dict[str, Any]:
    """Return the best memory of a question."""
    found = memory.recall(question, agent=agent, k=1).memories
    best = found[0] if found else None
    return {
        "agent": agent,
        "question": question,
        "text": best.text if best else None,
        "speaker": best.speaker if best else None,
        "on": f"{best.occurred_at:%Y-%m-%d}" if best else None,
        "score": best.score if best else None,
        "reason": best.reason if best else None,
    }


def rendered(value: dict[str, Any]) -> str:
    """Return the report for people."""
    lines = ["", "Tables"]
    lines += [f"  {name:26} {count:6}" for name, count in value["tables"].items()]
    for title, key in (("Best interactions (anonymized)", "best"), ("Worst interactions", "worst")):
        lines += ["", title]
        for row in value[key]:
            junk = f" [{row['junk']}]" if row["junk"] else ""
            lines.append(
                f"  {row['quality']:.2f}{junk}  {_one_line(row['input_text'])!r} → {_one_line(row['output_text'])!r}"
            )
    lines += ["", "Recall"]
    for item in value["recall"]:
        lines += [
            f"  {item['agent']}: {item['question']}",
            f"    {item['on']} {item['speaker'] or 'episode'}: {_one_line(str(item['text']))[:140]}",
            f"    because: {item['reason']} (score {item['score']})",
        ]
    adapter = value["adapter"]
    if adapter:
        lines += [
            "",
            f"Adapter of {PERSONA}: {adapter['status']}, {adapter['steps']} steps on {adapter['train_samples']} samples",
            f"  training loss {adapter['train_loss_first']:.3f} → {adapter['train_loss_last']:.3f}, "
            f"held-out loss {_number(adapter['eval_loss_base'])} (base) → {_number(adapter['eval_loss'])}",
            f"  {adapter['path']}",
        ]
    lines += [
        "",
        f'Analytics: {value["analytics"]}   (memory sql "select * from pipeline_health")',
        "Open the UI with: memory ui   then http://127.0.0.1:3000",
    ]
    return "\n".join(lines)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
