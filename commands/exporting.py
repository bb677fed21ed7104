"""What goes out: anonymized conversations for training elsewhere, registered so that trace and erasure know them."""

from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from commands.base import Agent, Json, app, client, say
from records.errors import MemoryAssetsError, SettingsError


@app.command()
def export(
    target: Annotated[Path, typer.Argument(help="File to write.")],
    agent: Agent,
    format: Annotated[
        str, typer.Option("--format", "-f", help="chatml, sharegpt, alpaca, prompt, preference, or a plugin's.")
    ] = "chatml",
    split: Annotated[str, typer.Option(help="train, eval or all.")] = "train",
    layer: Annotated[
        str, typer.Option(help="personality: all weeks; episodic: one --week; skill: one --skill.")
    ] = "personality",
    week: Annotated[str | None, typer.Option(help="Only this week, by its Monday: 2025-03-03.")] = None,
    skill: Annotated[str | None, typer.Option(help="Only what this skill of the settings is learned from.")] = None,
    min_quality: Annotated[
        float | None, typer.Option(min=0, max=1, help="Lowest quality of a sample; default: as the settings say.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Export an agent's anonymized conversations for training: opt-outs, junk and low quality are left out."""
    from memory_assets.assets.datasets import SkillConfig, learnable, skill_filter
    from memory_assets.tools import Tools
    from model_registry.exports import write_export
    from records.interactions import AnonymizedInteractions
    from records.weeks import parse_week

    if split not in ("train", "eval", "all"):
        raise SettingsError(f"--split {split}: write train, eval or all")
    if layer not in ("personality", "episodic", "skill"):
        raise SettingsError(f"--layer {layer}: write personality, episodic or skill")
    if layer == "episodic" and week is None:
        raise SettingsError("--layer episodic: name its week with --week, e.g. --week 2025-03-03")
    if (layer == "skill") != (skill is not None):
        raise SettingsError("--layer skill and --skill NAME belong together")
    tools = Tools(client().settings)
    chosen = skill_filter(tools, skill, SkillConfig()) if skill is not None else None
    if week is not None:
        only = pl.col("week") == parse_week(week).isoformat()
        chosen = only if chosen is None else chosen & only
    exporter = tools.registry.create("exporter", name=format)
    tools.fence.reading(("export",))
    persona = client().agent_id(agent)
    tools.lake.verify(
        "anonymized_interactions", AnonymizedInteractions, known=tools.stamps.known("anonymized_interactions")
    )
    anonymized = tools.lake.read("anonymized_interactions", AnonymizedInteractions)
    _, samples, _ = learnable(tools, anonymized, persona, chosen, min_quality)
    part = samples if split == "all" else samples.filter(pl.col("split") == split)
    lines = list(exporter.lines(part))
    if not lines:
        of = " that somebody corrected" if format == "preference" and part.height else ""
        raise MemoryAssetsError(
            f"nothing to export: no {split} sample of agent {agent}{of}; agents that answered are "
            f"{', '.join(tools.store.personas()) or 'none'} (materialize first)"
        )
    if len(lines) < part.height:
        part = part.drop_nulls("rejected")
    what = {"agent_id": persona, "layer": layer, "week": week, "skill": skill, "format": format}
    with tools.fence.committing():
        export_id = write_export(tools.settings.home, tools.store, target, lines, part, **what)
    say(
        {"samples": len(lines), "path": str(target), "format": format, "export": export_id},
        as_json,
        f"{len(lines)} samples written to {target}, known as {export_id}",
    )
