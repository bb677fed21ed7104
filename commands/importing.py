"""What comes in: import, and what it would take."""

import dataclasses
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from commands.base import Json, app, bar, client, err, many, out, say
from records.errors import AgentNeeded, SettingsError
from records.weeks import week_of


@app.command("import")
def import_(
    path: Annotated[str, typer.Argument(help="File, folder, zip archive, or SQLAlchemy URL of a database.")],
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            help="A format's name, e.g. whatsapp, discord or csv (`memory plugins` lists all); recognised when left out.",
        ),
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option(help="Whose memory it goes to, where the format does not say; also the speaker of that name."),
    ] = None,
    user: Annotated[str | None, typer.Option(help="The person it belongs to, where the format does not say.")] = None,
    session: Annotated[
        str | None, typer.Option(help="One conversation for all of it; else as the format says, or a day each.")
    ] = None,
    world: Annotated[str | None, typer.Option(help="The world that its agents live in.")] = None,
    metadata: Annotated[
        list[str] | None, typer.Option("--metadata", help="KEY=VALUE, kept with every message; may be repeated.")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(help="Of times without offset, e.g. Europe/Madrid; default: that of the settings.")
    ] = None,
    at: Annotated[datetime | None, typer.Option(help="Time of the first message, for formats without times.")] = None,
    map: Annotated[
        list[str] | None, typer.Option("--map", help="COLUMN=THEIRS, e.g. text=body; may be repeated.")
    ] = None,
    table: Annotated[str | None, typer.Option(help="Table to read from a database.")] = None,
    opt_out: Annotated[bool, typer.Option(help="Mark all of it as not to be trained on.")] = False,
    encoding: Annotated[str | None, typer.Option(help="Of text files; else UTF-8, or as the file's mark says.")] = None,
    day_first: Annotated[
        bool | None,
        typer.Option("--day-first/--month-first", help="How dates such as 3/4/25 are meant; else from their order."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show format, people, first messages and rejects; keep nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Import conversations; doing it again changes nothing. Rows that cannot be taken are kept as rejects with their reason."""
    from plugins.contracts import SourceOptions

    memory = client()
    options = SourceOptions(
        agent=agent,
        user=user,
        session=session,
        world=world,
        metadata=pairs("--metadata", metadata, "KEY=VALUE", "mood=calm"),
        timezone=timezone,
        at=at,
        columns=pairs("--map", map, "COLUMN=THEIRS", "text=body"),
        table=table,
        opt_out=opt_out,
        encoding=encoding,
        day_first=day_first,
        first_week=memory.settings.first_week,
    )
    try:
        done = _run(memory, path, options, format, dry_run, as_json)
    except AgentNeeded as needed:
        if as_json or not needed.speakers or not (sys.stdin.isatty() and err.is_terminal):
            raise
        err.print(f"{path} does not say which of its speakers is the agent.", markup=False)
        named = typer.prompt(f"Whose memory is it? ({', '.join(needed.speakers[:8])})", err=True)
        done = _run(memory, path, dataclasses.replace(options, agent=named), format, dry_run, as_json)
    if not done:
        raise typer.Exit(2)


def pairs(option: str, given: list[str] | None, form: str, example: str) -> dict[str, str]:
    """Return options of the form ``KEY=VALUE`` as a mapping.

    Raises:
        SettingsError: one has another form.
    """
    found = {}
    for pair in given or []:
        key, equals, value = pair.partition("=")
        if not equals or not key or not value:
            raise SettingsError(f"{option} {pair}: write {form}, e.g. {option} {example}")
        found[key] = value
    return found


def _run(memory: Any, path: str, options: Any, name: str | None, dry_run: bool, as_json: bool) -> bool:
    """Import or preview, and say what was done; return whether anything could be taken."""
    if dry_run:
        shown = memory.preview_import(path, options, format=name)
        _say_preview(shown, as_json)
        return bool(shown.summary.read)
    from serving.capture import import_target

    memory.keeper.drained()  # what waits for the store was said before
    with bar("importing", as_json) as step:
        summary = import_target(
            memory.store, memory.registry, memory.keys, path, memory.import_options(options), name=name, progress=step
        )
    _say_summary(summary, as_json)
    return bool(summary.read)


def _say_summary(summary: Any, as_json: bool) -> None:
    lines = [
        f"{summary.format}: {summary.new} new, {summary.known} known already, {summary.rejected} rejected, "
        f"in {many(len(summary.weeks), 'week')}",
        *_refused(summary),
    ]
    if summary.erased:
        lines.append(f"  {summary.erased} left out: their subject was erased")
    if summary.rejected:
        lines.append("  see them with: memory rejects")
    say({**dataclasses.asdict(summary), "weeks": len(summary.weeks)}, as_json, "\n".join(lines))
    if summary.oldest is not None:
        monday = week_of(datetime.fromisoformat(summary.oldest).replace(tzinfo=UTC))
        summary.notes.append(
            f'to keep the older ones, write first_week = "{monday}" into memory.toml (or set MEMORY_FIRST_WEEK) and import again'
        )
    for note in [] if as_json else summary.notes:
        err.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    if not summary.read:
        err.print("nothing was taken: every row was rejected", markup=False, highlight=False)


def _refused(summary: Any) -> list[str]:
    return [f"  {count} × {reason}" for reason, count in sorted(summary.reasons.items(), key=lambda item: -item[1])]


def _say_preview(shown: Any, as_json: bool) -> None:
    summary = shown.summary
    if as_json:
        value = dataclasses.asdict(shown)
        value["summary"]["weeks"] = len(summary.weeks)
        say(value, True)
        return
    say(
        {},
        False,
        "\n".join(
            [
                f"{summary.format}: {many(summary.read, 'message')} in {many(shown.sessions, 'conversation')} and "
                f"{many(len(summary.weeks), 'week')} would be kept; this is a preview, nothing was.",
                f"into the memory of {_counted(shown.agents)}",
                f"said by {_counted(shown.speakers)}",
                *([f"not taken: {summary.rejected}"] if summary.rejected else []),
                *_refused(summary),
            ]
        ),
    )
    first = Table("time (UTC)", "conversation", "speaker", "role", "text", title="first messages")
    for row in shown.first:
        moment = f"{row['occurred_at']:%Y-%m-%d %H:%M:%S}"
        first.add_row(moment, *(row[name] for name in ("session_id", "speaker_name", "role")), row["text"][:80])
    out.print(first, markup=False)
    for row in shown.rejects:
        shown_line = f"not taken: {row['file']}, line {row['line']}: {row['reason']}"
        err.print(shown_line, markup=False, highlight=False, soft_wrap=True)
    for note in summary.notes:
        err.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)


def _counted(counts: dict[str, int], most: int = 12) -> str:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    more = f", and {len(ranked) - most} more" if len(ranked) > most else ""
    return ", ".join(f"{name}: {count}" for name, count in ranked[:most]) + more or "nobody"
