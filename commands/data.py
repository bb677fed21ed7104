"""What comes in and what is asked: import, rejects, status, recall, sql, core memory, export."""

import dataclasses
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from commands.base import Agent, Json, User, app, bar, client, err, out, say
from records.errors import MemoryAssetsError, SettingsError, SourceError


@app.command("import")
def import_(
    path: Annotated[str, typer.Argument(help="File, or SQLAlchemy URL of a database.")],
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            help="jsonl, csv, parquet, chatml, sharegpt, whatsapp, discord, locomo, "
            "memorybank, sql, or a plugin's; recognised when left out.",
        ),
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option(help="Whose memory it goes to, where the format does not say; also the speaker of that name."),
    ] = None,
    user: Annotated[str | None, typer.Option(help="The person it belongs to, where the format does not say.")] = None,
    timezone: Annotated[str, typer.Option(help="Of times without offset, e.g. Europe/Madrid.")] = "UTC",
    at: Annotated[datetime | None, typer.Option(help="Time of the first message, for formats without times.")] = None,
    map: Annotated[
        list[str] | None, typer.Option("--map", help="COLUMN=THEIRS, e.g. text=body; may be repeated.")
    ] = None,
    table: Annotated[str | None, typer.Option(help="Table to read from a database.")] = None,
    opt_out: Annotated[bool, typer.Option(help="Mark all of it as not to be trained on.")] = False,
    encoding: Annotated[str, typer.Option(help="Of text files.")] = "utf-8",
    day_first: Annotated[
        bool | None, typer.Option("--day-first/--month-first", help="How WhatsApp dates are meant.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Import conversations; doing it again changes nothing. Rows that cannot be taken are kept as rejects with their reason."""
    from datetime import UTC

    from plugins.contracts import SourceOptions

    memory = client()
    columns = {}
    for pair in map or []:
        ours, equals, theirs = pair.partition("=")
        if not equals or not ours or not theirs:
            raise SourceError(f"--map {pair}: write COLUMN=THEIRS, e.g. --map text=body")
        columns[ours] = theirs
    options = SourceOptions(
        agent=agent,
        user=user,
        timezone=timezone,
        at=at.replace(tzinfo=UTC) if at else None,
        columns=columns,
        table=table,
        opt_out=opt_out,
        encoding=encoding,
        day_first=day_first,
        first_week=memory.settings.first_week,
    )
    from serving.capture import import_target

    with bar("importing", as_json) as step:
        summary = import_target(memory.store, memory.registry, memory.keys, path, options, name=format, progress=step)
    value = {**dataclasses.asdict(summary), "weeks": len(summary.weeks)}
    lines = [
        f"{summary.format}: {summary.new} new, {summary.known} known already, {summary.rejected} rejected, in {len(summary.weeks)} weeks"
    ]
    lines += [f"  {count} × {reason}" for reason, count in sorted(summary.reasons.items(), key=lambda item: -item[1])]
    if summary.erased:
        lines.append(f"  {summary.erased} left out: their subject was erased")
    if summary.rejected:
        lines.append("  see them with: memory rejects")
    say(value, as_json, "\n".join(lines))


@app.command()
def rejects(limit: Annotated[int, typer.Option(help="How many.")] = 20, as_json: Json = False) -> None:
    """Show input that could not be taken, with file, line and reason."""
    rows = client().store.rows("rejects")
    if as_json:
        say({"count": len(rows), "rejects": rows[:limit]}, True)
        return
    shown = Table("file", "line", "reason", title=f"{len(rows)} rejects")
    for row in rows[:limit]:
        shown.add_row(row["file"], str(row["line"]), row["reason"])
    out.print(shown)


@app.command()
def status(as_json: Json = False) -> None:
    """Show what the store holds, what is unsynced, and what has been made."""
    from memory_assets.tools import Tools

    tools = Tools(client().settings)
    store = tools.store
    counts = {
        name: store.scalar(count_of(store, name))
        for name in ("messages", "sessions", "speakers", "rejects", "datasets", "adapters")
    }
    weeks = store.weeks()
    made = {
        asset: len(tools.lake.partitions(asset))
        for asset in ("raw_interactions", "scored_interactions", "anonymized_interactions", "facts", "episodes")
    }
    value = {
        "home": str(tools.settings.home),
        "store": tools.store.url.get_backend_name(),
        **counts,
        "weeks": len(weeks),
        "first_week": weeks[0] if weeks else None,
        "last_week": weeks[-1] if weeks else None,
        "unsynced": tools.sync.unsynced(),
        "largest_pair": tools.sync.largest_pair(),
        "threshold": tools.settings.unsynced_threshold,
        "weeks_made": made,
        "message_vectors": tools.vectors.count("message_embeddings"),
        "episode_vectors": tools.vectors.count("episode_embeddings"),
        "analytics": str(tools.settings.warehouse_path) if tools.settings.warehouse_path.exists() else None,
    }
    if as_json:
        say(value, True)
        return
    shown = Table(show_header=False, box=None)
    for key, item in value.items():
        shown.add_row(
            key.replace("_", " "),
            ", ".join(f"{k} {v}" for k, v in item.items()) if isinstance(item, dict) else str(item),
        )
    out.print(shown)


def count_of(store: Any, name: str) -> Any:
    """Return the statement that counts a table."""
    import sqlalchemy as sa

    return sa.select(sa.func.count()).select_from(store.meta.tables[name])


@app.command()
def recall(
    question: Annotated[str, typer.Argument(help="What to remember.")],
    agent: Agent,
    user: User = None,
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="How many.")] = 5,
    keywords: Annotated[bool, typer.Option("--keywords", help="By words alone, without an embedder.")] = False,
    as_json: Json = False,
) -> None:
    """Ask the memory of an agent; each answer has its score, the shares of it, and the reason."""
    from serving.client import MemoryClient

    answer = MemoryClient(embedder=False if keywords else None).recall(question, agent=agent, user=user, k=k)
    if as_json:
        say({"memories": [dataclasses.asdict(memory) for memory in answer.memories], "notes": answer.notes}, True)
        return
    for memory in answer.memories:
        who = f"{memory.speaker}: " if memory.speaker else ""
        out.print(
            f"[bold]{memory.score:6.2f}[/bold]  [dim]{memory.occurred_at:%Y-%m-%d} turn {memory.turn} · {memory.kind} · {memory.emotion}[/dim]"
        )
        out.print(f"        {who}{memory.text[:400]}", markup=False, highlight=False)
        shares = "  ".join(f"{name} {value:+.2f}" for name, value in memory.shares.items() if abs(value) >= 0.005)
        out.print(f"        [dim]{memory.reason} ({shares})[/dim]")
    for note in answer.notes:
        err.print(f"note: {note}", markup=False, highlight=False)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="A select on the published analytics; `show tables` lists them.")],
    as_json: Json = False,
) -> None:
    """Query the published DuckDB file, read-only."""
    import duckdb

    from resources.warehouse import Warehouse

    settings = client().settings
    connection = Warehouse(settings.warehouse_path).connect()
    try:
        result = connection.execute(query)
        columns = [column[0] for column in result.description or []]
        rows = result.fetchall()
    except duckdb.Error as error:
        raise MemoryAssetsError(str(error).splitlines()[0]) from None
    finally:
        connection.close()
    if as_json:
        say({"columns": columns, "rows": [list(row) for row in rows]}, True)
        return
    shown = Table(*columns)
    for row in rows[:200]:
        shown.add_row(
            *("" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value) for value in row)
        )
    out.print(shown)
    if len(rows) > 200:
        err.print(f"note: {len(rows) - 200} more rows; add a limit, or use --json")


@app.command()
def export(
    target: Annotated[Path, typer.Argument(help="File to write.")],
    agent: Agent,
    format: Annotated[str, typer.Option("--format", "-f", help="chatml, sharegpt, alpaca, or a plugin's.")] = "chatml",
    split: Annotated[str, typer.Option(help="train, eval or all.")] = "train",
    as_json: Json = False,
) -> None:
    """Export an agent's anonymized conversations for training: opt-outs, junk and low quality are left out."""
    from memory_assets.datasets import learnable
    from memory_assets.tools import Tools
    from records.interactions import AnonymizedInteractions
    from resources.files import write_text

    if split not in ("train", "eval", "all"):
        raise SettingsError(f"--split {split}: write train, eval or all")
    import polars as pl

    tools = Tools(client().settings)
    exporter = tools.registry.create("exporter", name=format)
    _, samples, _ = learnable(tools, tools.lake.read("anonymized_interactions", AnonymizedInteractions), agent)
    part = samples if split == "all" else samples.filter(pl.col("split") == split)
    if part.is_empty():
        raise MemoryAssetsError(
            f"nothing to export: no {split} sample of agent {agent}; agents that answered are "
            f"{', '.join(tools.store.personas()) or 'none'} (materialize first)"
        )
    write_text(target, "".join(f"{line}\n" for line in exporter.lines(part)))
    say(
        {"samples": part.height, "path": str(target), "format": format},
        as_json,
        f"{part.height} samples written to {target}",
    )


@app.command("core")
def core(
    agent: Agent,
    set: Annotated[str | None, typer.Option("--set", help="CATEGORY/KEY=VALUE, e.g. identity/name=Lumi")] = None,
    immutable: Annotated[bool, typer.Option("--immutable", help="With --set: no path can ever change it.")] = False,
    file: Annotated[
        Path | None, typer.Option("--file", help="JSON list of {category, key, value, is_mutable}.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show or set an agent's core memory, and the system prompt made from it."""
    memory = client()
    if file is not None:
        from plugins.sources.reading import read_json

        for number, entry in enumerate(read_json(file), start=1):
            try:
                memory.store.set_core_memory(
                    agent,
                    entry["category"],
                    entry["key"],
                    entry["value"],
                    is_mutable=bool(entry.get("is_mutable", True)),
                )
            except (KeyError, TypeError):
                raise SourceError(f"{file.name}: entry {number} needs category, key and value") from None
    if set is not None:
        where, equals, value = set.partition("=")
        category, slash, key = where.partition("/")
        if not equals or not slash:
            raise SettingsError(f"--set {set}: write CATEGORY/KEY=VALUE")
        memory.store.set_core_memory(agent, category, key, value, is_mutable=not immutable)
    entries = memory.store.rows("core_memory", agent_id=agent)
    say(
        {"agent": agent, "entries": entries, "system_prompt": memory.system_prompt(agent)},
        as_json,
        memory.system_prompt(agent) or "(empty)",
    )


@app.command()
def stats(agent: Agent, user: User = None, as_json: Json = False) -> None:
    """Count an agent's messages, facts and vectors."""
    value = client().stats(agent=agent, user=user)
    say(value, as_json, "\n".join(f"{key}: {count}" for key, count in value.items()))
