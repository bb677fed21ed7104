"""What is made: materialize, plan, plugins, demo."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from commands.base import Json, app, bar, client, out, say
from records.errors import SettingsError


@app.command()
def materialize(
    week: Annotated[
        list[str] | None, typer.Option("--week", "-w", help="Monday of a week, YYYY-MM-DD; may be repeated.")
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Every week that holds messages.")] = False,
    as_json: Json = False,
) -> None:
    """Make memory: snapshot, scores, anonymization, embeddings, facts, episodes, analytics. Without options: the unsynced weeks."""
    from memory_assets.operations.materialize import materialize_weeks
    from memory_assets.operations.publishing import are_owed
    from memory_assets.tools import Tools
    from records.weeks import parse_week
    from serving.keeping import RUN_WAIT_S

    memory = client()
    if week and all:
        raise SettingsError("--week and --all exclude each other")
    from resources.sync import SyncState

    memory.keeper.drain(wait_s=RUN_WAIT_S)
    stored = memory.store.weeks()
    chosen = (
        sorted({parse_week(text).isoformat() for text in week})
        if week
        else (stored if all else SyncState(memory.store).unsynced_weeks())
    )
    too_early = [text for text in chosen if text < memory.settings.first_week]
    if too_early:
        raise SettingsError(
            f"week {too_early[0]} is before the first week {memory.settings.first_week}: set first_week in memory.toml"
        )
    summary: dict[str, Any] = {"weeks": len(chosen)}
    if chosen or are_owed(Tools(memory.settings)):
        with bar("materializing", as_json) as step:
            summary.update(materialize_weeks(memory.settings, chosen, step))
    else:
        say(
            {"weeks": 0},
            as_json,
            "nothing to do: every message is synced (--all makes every week again)"
            if stored
            else "nothing to do: the store holds no messages; import some first",
        )
        return
    say(summary, as_json, "\n".join(f"{key.replace('_', ' ')}: {value}" for key, value in summary.items()))


@app.command()
def plugins(as_json: Json = False) -> None:
    """List plugins: kind, name, version, package, and whether they are in use, conflict or are broken."""
    registry = client().registry
    registry.contributed_definitions()
    rows = [
        {"kind": i.kind, "name": i.name, "version": i.version, "package": i.package, "status": i.status}
        for i in registry.listing()
    ]
    if as_json:
        say({"plugins": rows}, True)
        return
    shown = Table("kind", "name", "version", "package", "status")
    for row in rows:
        shown.add_row(*row.values(), style="red" if row["status"].startswith(("broken", "conflict")) else None)
    out.print(shown)


@app.command()
def demo(
    sample: Annotated[Path, typer.Option(help="Folder of the bundled sample.")] = Path(__file__).parents[1] / "sample",
    train: Annotated[bool, typer.Option(help="Train a small adapter on the CPU.")] = True,
    as_json: Json = False,
) -> None:
    """Import the bundled sample, make everything of it, train a small adapter, and report."""
    from memory_assets.operations.demo import run_demo

    with bar("demo", as_json) as step:
        report = run_demo(client().settings, sample, train, step)
    say(report.value, as_json, report.text)


@app.command()
def plan(
    run: Annotated[bool, typer.Option("--run", help="Make exactly that again.")] = False,
    measure: Annotated[bool, typer.Option(help="Measure the minutes on a sample of messages.")] = True,
    as_json: Json = False,
) -> None:
    """Show which assets and weeks are out of date after a change of plugin, prompt, model or key, and what making them would cost."""
    from memory_assets.operations.materialize import materialize_plan
    from memory_assets.operations.plan import out_of_date
    from memory_assets.operations.plan import plan as planned
    from memory_assets.operations.publishing import are_owed
    from memory_assets.tools import Tools
    from serving.keeping import RUN_WAIT_S

    settings = client().settings
    if run:
        Tools(settings).keeper.drain(wait_s=RUN_WAIT_S)
        stale, made = out_of_date(Tools(settings)), 0
        if stale or are_owed(Tools(settings)):
            with bar("making again", as_json) as step:
                made = materialize_plan(settings, stale, step)
        say(
            {"made": made},
            as_json,
            f"{made} partitions made again" if stale else "everything is up to date",
        )
        return
    entries = planned(Tools(settings), measure=measure)
    if as_json:
        say({"stale": [dataclasses.asdict(entry) for entry in entries]}, True)
        return
    if not entries:
        say({}, False, "everything is up to date")
        return
    shown = Table(box=None)
    for name in ("asset", "weeks", "texts", "tokens", "minutes"):
        shown.add_column(name, no_wrap=True, justify="left" if name in ("asset", "weeks") else "right")
    shown.add_column("why", overflow="fold")
    for entry in entries:
        weeks = entry.weeks[0] if len(entry.weeks) == 1 else f"{len(entry.weeks)} weeks"
        why = "; ".join(entry.why[:2]) + ("; …" if len(entry.why) > 2 else "")
        shown.add_row(entry.asset, weeks, str(entry.texts), str(entry.tokens), f"{entry.minutes:.1f}", why)
    out.print(shown)
    usd = f", {sum(entry.usd for entry in entries):.2f} USD" if any(entry.usd for entry in entries) else ""
    total = (
        f"{sum(entry.texts for entry in entries)} texts to embed, {sum(entry.tokens for entry in entries)} tokens{usd}"
    )
    say(
        {},
        False,
        f"{total}, {sum(entry.minutes for entry in entries):.1f} minutes · `memory plan --run` makes exactly that",
    )
