"""The `memory` command: a person's door. Every sub-command has --help and --json."""

import dataclasses
import json
import warnings
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from records.errors import MemoryAssetsError, SettingsError, SourceError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Long-term memory of agents: import conversations, make memory of them, ask it.\n\n"
    "Start with [bold]memory import sample/streamer.jsonl[/bold], then [bold]memory materialize --all[/bold], "
    'then [bold]memory recall "…" --agent A[/bold].',
)
out, err = Console(), Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for machines.")]
Agent = Annotated[str, typer.Option("--agent", "-a", help="Whose memory.")]
User = Annotated[str | None, typer.Option("--user", "-u", help="Only what belongs to this person.")]


def client() -> Any:
    """Return the client of the installation that settings name."""
    from serving.client import MemoryClient

    return MemoryClient()


def say(value: dict[str, Any], as_json: bool, shown: str | None = None) -> None:
    """Print a result as JSON or as text."""
    if as_json:
        print(json.dumps(value, ensure_ascii=False, default=str))
    elif shown is not None:
        out.print(shown, markup=False, highlight=False, soft_wrap=True)


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
def materialize(
    week: Annotated[
        list[str] | None, typer.Option("--week", "-w", help="Monday of a week, YYYY-MM-DD; may be repeated.")
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Every week that holds messages.")] = False,
    train: Annotated[
        list[str] | None,
        typer.Option("--train", help="Also train the personality adapter of this agent; may be repeated."),
    ] = None,
    train_week: Annotated[
        str | None, typer.Option("--train-week", help="With --train: the episodic adapter of this week instead.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make memory: snapshot, scores, anonymization, embeddings, facts, episodes, analytics. Without options: the unsynced weeks."""
    from memory_assets.running import materialize_weeks, train_persona
    from records.weeks import parse_week

    memory = client()
    if week and all:
        raise SettingsError("--week and --all exclude each other")
    from resources.sync import SyncState

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
    if chosen:
        with bar("materializing", as_json) as step:
            summary.update(materialize_weeks(memory.settings, chosen, step))
    elif not train:
        say(
            {"weeks": 0},
            as_json,
            "nothing to do: every message is synced (--all makes every week again)"
            if stored
            else "nothing to do: the store holds no messages; import some first",
        )
        return
    for persona in train or []:
        with bar(f"training {persona}", as_json) as step:
            summary.setdefault("trained", []).append(train_persona(memory.settings, persona, train_week, step))
    say(summary, as_json, "\n".join(f"{key.replace('_', ' ')}: {value}" for key, value in summary.items()))


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
def export(
    target: Annotated[Path, typer.Argument(help="File to write.")],
    agent: Agent,
    format: Annotated[str, typer.Option("--format", "-f", help="chatml, sharegpt, alpaca, or a plugin's.")] = "chatml",
    split: Annotated[str, typer.Option(help="train, eval or all.")] = "train",
    as_json: Json = False,
) -> None:
    """Export an agent's anonymized conversations for training: opt-outs, junk and low quality are left out."""
    from memory_assets.tools import Tools
    from plugins.datasets import build_samples
    from plugins.persona import system_prompt
    from records.interactions import AnonymizedInteractions
    from resources.files import write_text
    from resources.training_files import opted_out_messages

    if split not in ("train", "eval", "all"):
        raise SettingsError(f"--split {split}: write train, eval or all")
    import polars as pl

    tools = Tools(client().settings)
    exporter = tools.registry.create("exporter", name=format)
    forbidden = opted_out_messages(tools.store)
    rows = (
        tools.lake.read("anonymized_interactions", AnonymizedInteractions)
        .collect()
        .filter(~pl.col("source_message_ids").list.eval(pl.element().is_in(forbidden.implode())).list.any())
    )
    limits = tools.settings.dataset
    samples = build_samples(
        rows,
        agent,
        system_prompt(tools.store.rows("core_memory", agent_id=agent)),
        min_quality=limits.min_quality,
        eval_share=limits.eval_share,
        history=limits.history,
    )
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
def forget(
    user: Annotated[str | None, typer.Option(help="A person, in every session.")] = None,
    session: Annotated[str | None, typer.Option(help="A conversation.")] = None,
    message: Annotated[str | None, typer.Option(help="An utterance.")] = None,
    resume: Annotated[bool, typer.Option(help="Finish what was begun and killed.")] = False,
    rebuild: Annotated[bool, typer.Option(help="Make again what others said in the same weeks.")] = True,
    verify: Annotated[bool, typer.Option(help="Search every file and table for what was erased.")] = True,
    as_json: Json = False,
) -> None:
    """Forget a user, a session or a message everywhere, down to the weights of adapters, and search for what may be left."""
    from memory_assets.forgetting import finished, forget_everywhere
    from serving.erasure import Erasure

    memory = client()
    named = [(k, v) for k, v in (("user", user), ("session", session), ("message", message)) if v]
    if len(named) != 1 - resume:
        raise MemoryAssetsError("name exactly one of --user, --session, --message to forget, or --resume alone")
    with bar("forget", as_json) as step:
        if resume:
            erasure = Erasure(memory)
            begun = memory.unfinished_erasures()
            all_done = [
                finished(
                    memory.settings,
                    erasure,
                    erasure.forget(kind, value),
                    [value.lower()],
                    step,
                    rebuild=rebuild,
                    verify=verify,
                )
                for kind, value in begun
            ]
        else:
            all_done = [forget_everywhere(memory.settings, *named[0], step, rebuild=rebuild, verify=verify)]
    for done in all_done:
        found = "" if done.leaks is None else f"; leak test found {done.leaks}"
        found += f" in {', '.join(done.leaked_to)}" if done.leaks else ""
        say(
            dataclasses.asdict(done),
            as_json,
            f"{done.messages} messages forgotten, receipt {done.receipt}{found}; pending: {'; '.join(done.pending) or 'nothing'}"
            if done.receipt
            else "nothing of it was known; it will not be taken in",
        )
    if not all_done:
        say({}, as_json, "nothing was begun and left unfinished")
    if any(done.leaks for done in all_done):
        raise typer.Exit(1)


@app.command("opt-out")
def opt_out(
    user: Annotated[str | None, typer.Option(help="A person, in every session.")] = None,
    session: Annotated[str | None, typer.Option(help="A conversation.")] = None,
    undo: Annotated[bool, typer.Option(help="Take it back: it may be trained on again.")] = False,
    as_json: Json = False,
) -> None:
    """Let nothing a person or a conversation said be trained on; adapters that were trained on it are quarantined."""
    if (user is None) == (session is None):
        raise MemoryAssetsError("name exactly one of --user, --session")
    memory = client()
    changed = memory.opt_out(user=user, session=session, value=not undo)
    if not changed:
        raise MemoryAssetsError("there is no such user or session")
    marked = [row["adapter_id"] for row in memory.store.rows("adapters", status="quarantined")]
    text = "may be trained on again" if undo else f"opted out; quarantined adapters: {', '.join(marked) or 'none'}"
    say({"changed": changed, "quarantined": marked}, as_json, text)


@app.command()
def receipts(as_json: Json = False) -> None:
    """Show what was erased when: signed receipts, without what it was."""
    rows = client().receipts()
    lines = [
        f"{row['receipt_id']}  {row['kind']:8}{row['state']:6}{row['asked_at']:%Y-%m-%d %H:%M}  "
        f"rows {sum(row['removed'].values())}, leaks {'not tested' if row['leaks'] is None else row['leaks']}, "
        f"pending {len(row['pending'])}, signature {'valid' if row['valid'] else 'INVALID' if row['state'] == 'done' else 'none yet'}"
        for row in rows
    ]
    say(rows, as_json, "\n".join(lines) or "nothing was erased")


@app.command()
def trace(
    message: Annotated[str | None, typer.Argument(help="Message id, as recall --json gives it in source_ids.")] = None,
    adapter: Annotated[str | None, typer.Option(help="An adapter's id instead.")] = None,
    as_json: Json = False,
) -> None:
    """Show every row, dataset and adapter made from a message, or every message behind an adapter."""
    if (message is None) == (adapter is None):
        raise MemoryAssetsError("name a message, or an adapter with --adapter")
    if adapter is not None:
        behind = client().trace_adapter(adapter)
        lines = [
            f"{behind.layer} adapter of {behind.persona_id}, {behind.status}, on {behind.base_model}",
            f"continues: {', '.join(behind.continues) or 'none'}",
            f"datasets: {', '.join(behind.datasets)} ({behind.samples} samples)",
            *(f"files of {name} are gone" for name in behind.incomplete),
            f"{len(behind.messages)} messages:",
            *behind.messages,
        ]
        say(dataclasses.asdict(behind), as_json, "\n".join(lines))
        return
    found = client().trace(str(message))
    if not found.rows:
        raise MemoryAssetsError("there is no such message, and nothing was made from one of this id")
    lines = [f"{table}: {', '.join(ids)}" for table, ids in found.rows.items()]
    lines += [f"datasets: {', '.join(found.datasets) or 'none'}", f"adapters: {', '.join(found.adapters) or 'none'}"]
    say(dataclasses.asdict(found), as_json, "\n".join(lines))


@app.command()
def stats(agent: Agent, user: User = None, as_json: Json = False) -> None:
    """Count an agent's messages, facts and vectors."""
    value = client().stats(agent=agent, user=user)
    say(value, as_json, "\n".join(f"{key}: {count}" for key, count in value.items()))


@app.command()
def demo(
    sample: Annotated[Path, typer.Option(help="Folder of the bundled sample.")] = Path(__file__).parent / "sample",
    train: Annotated[bool, typer.Option(help="Train a small adapter on the CPU.")] = True,
    as_json: Json = False,
) -> None:
    """Import the bundled sample, make everything of it, train a small adapter, and report."""
    from memory_assets.demo import run_demo

    with bar("demo", as_json) as step:
        report = run_demo(client().settings, sample, train, step)
    say(report.value, as_json, report.text)


class bar:
    """A progress bar on standard error; silent for machines. Entering gives a function of (share done, what)."""

    def __init__(self, what: str, quiet: bool) -> None:
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=err,
            disable=quiet or not err.is_terminal,
            transient=True,
        )
        self.what = what

    def __enter__(self) -> Any:
        self.progress.start()
        self.task = self.progress.add_task(self.what, total=1.0)
        return self.step

    def step(self, done: float, note: str = "") -> None:
        """Show how far it is."""
        self.progress.update(self.task, completed=done, description=f"{self.what} {note}".strip())

    def __exit__(self, *_: object) -> None:
        self.progress.stop()


def main() -> None:
    """Run the command; a mistake of the user is one sentence and exit code 2, never a stack trace."""
    # Dagster says at every definition that single-run backfills are beta: that is for its developers, not for who imports a chat.
    warnings.filterwarnings("ignore", module=r"dagster\.")
    try:
        app()
    except MemoryAssetsError as error:
        err.print(f"error: {error}", style="red", markup=False, highlight=False)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        err.print("stopped; what was finished is kept, the next run does the rest")
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
