"""What is there and what is asked: rejects, status, recall, sql, core memory."""

import dataclasses
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from commands.base import Agent, Json, User, World, app, client, err, out, say
from records.errors import MemoryAssetsError, SettingsError, SourceError, StoreUnreachable

FORMATS = [
    "%Y-%m-%d",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S%z",
]
IN_ZONE = "Without offset: in the time zone of the settings."


@app.command()
def rejects(limit: Annotated[int, typer.Option(help="How many.")] = 20, as_json: Json = False) -> None:
    """Show input that could not be taken, with file, line and reason."""
    rows = sorted(client().store.rows("rejects"), key=lambda row: (row["file"], row["line"], row["reason"]))
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
    tools.keeper.drain()
    value = {
        "home": str(tools.settings.home),
        **_in_store(tools),
        "waiting": tools.spool.count(),
        "threshold": tools.settings.unsynced_threshold,
        "weeks_made": {
            asset: len(tools.lake.partitions(asset))
            for asset in ("raw_interactions", "scored_interactions", "anonymized_interactions", "facts", "episodes")
        },
        "message_vectors": _vectors(tools, "message_embeddings"),
        "episode_vectors": _vectors(tools, "episode_embeddings"),
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


def _in_store(tools: Any) -> dict[str, Any]:
    """Return what the store holds; while it is away, why."""
    try:
        store = tools.store
        counts = {
            name: store.scalar(count_of(store, name))
            for name in ("messages", "sessions", "speakers", "rejects", "datasets", "adapters")
        }
        weeks = store.weeks()
        return {
            "store": store.url.get_backend_name(),
            **counts,
            "weeks": len(weeks),
            "first_week": weeks[0] if weeks else None,
            "last_week": weeks[-1] if weeks else None,
            "unsynced": tools.sync.unsynced(),
            "largest_pair": tools.sync.largest_pair(),
        }
    except StoreUnreachable as error:
        return {"store": str(error)}


def _vectors(tools: Any, kind: str) -> int | str:
    """Return how many rows a table has, or that it cannot be read."""
    from serving.recall.candidates import is_damage

    try:
        return int(tools.vectors.count(kind))
    except Exception as error:  # LanceDB raises RuntimeError, OSError and ValueError alike for a damaged file
        if not is_damage(error):
            raise
        return "cannot be read: make it again with `memory repair`"


def count_of(store: Any, name: str) -> Any:
    """Return the statement that counts a table."""
    import sqlalchemy as sa

    return sa.select(sa.func.count()).select_from(store.meta.tables[name])


@app.command()
def recall(
    question: Annotated[str, typer.Argument(help="What to remember.")],
    agent: Agent,
    user: User = None,
    world: World = None,
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="How many.")] = 5,
    since: Annotated[datetime | None, typer.Option(formats=FORMATS, help=f"Said from then on. {IN_ZONE}")] = None,
    until: Annotated[datetime | None, typer.Option(formats=FORMATS, help=f"Said before then. {IN_ZONE}")] = None,
    keywords: Annotated[bool, typer.Option("--keywords", help="By words alone, without an embedder.")] = False,
    as_json: Json = False,
) -> None:
    """Ask the memory of an agent; each answer has its score, the shares of it, and the reason."""
    from serving.client import MemoryClient

    memory = MemoryClient(embedder=False if keywords else None)
    memory.asked(agent, user, world=world).known()
    answer = memory.recall(question, agent=agent, user=user, world=world, k=k, since=since, until=until)
    if as_json:
        say({"memories": [dataclasses.asdict(found) for found in answer.memories], "notes": answer.notes}, True)
        return
    for found in answer.memories:
        who = f"{found.speaker}: " if found.speaker else ""
        where = f" · {found.location}" if found.location else ""
        out.print(
            f"[bold]{found.score:6.2f}[/bold]  "
            f"[dim]{found.occurred_at:%Y-%m-%d} turn {found.turn} · {found.kind} · {found.emotion}{where}[/dim]"
        )
        out.print(f"        {who}{found.text[:400]}", markup=False, highlight=False)
        shares = "  ".join(f"{name} {value:+.2f}" for name, value in found.shares.items() if abs(value) >= 0.005)
        out.print(f"        [dim]{found.reason} ({shares})[/dim]")
    for note in answer.notes:
        err.print(f"note: {note}", markup=False, highlight=False)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="A select on the published analytics; `show tables` lists them.")],
    as_json: Json = False,
) -> None:
    """Query the published DuckDB file: it reads that file and nothing else."""
    import duckdb

    from resources.warehouse import Warehouse

    settings = client().settings
    try:
        with Warehouse(settings.warehouse_path).reading() as connection:
            result = connection.execute(query)
            columns = [column[0] for column in result.description or []]
            rows = result.fetchall()
    except duckdb.Error as error:
        raise MemoryAssetsError(str(error).splitlines()[0]) from None
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
    agent = memory.agent_id(agent)
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
def stats(agent: Agent, user: User = None, world: World = None, as_json: Json = False) -> None:
    """Count an agent's messages, facts and vectors."""
    memory = client()
    memory.asked(agent, user, world=world).known()
    value = memory.stats(agent=agent, user=user, world=world)
    say(value, as_json, "\n".join(f"{key}: {count}" for key, count in value.items()))
    for note in memory.notes:
        err.print(f"note: {note}", markup=False, highlight=False)
