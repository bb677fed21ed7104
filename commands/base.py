"""What every sub-command shares: the app, the options, and how results and progress are shown."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from records.errors import MemoryAssetsError
from records.names import nearest

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

World = Annotated[str | None, typer.Option("--world", "-w", help="The world that the agent lives in.")]

AsWritten = Annotated[
    bool, typer.Option("--as-written", help="The id is meant exactly as it is written, also when nobody has it yet.")
]


def person(memory: Any, name: str | None, as_written: bool) -> str | None:
    """Return the id of the person that a name means, whatever its case; one that nobody has stays what it is.

    Raises:
        MemoryAssetsError: nobody has it, but somebody has one that looks like it.
    """
    if name is None or as_written:
        return name
    known = memory.people.anybody(name)
    if known is not None:
        return str(known)
    close = nearest(name, memory.people.persons())
    if close:
        raise MemoryAssetsError(
            f"there is no user {name!r}; did you mean {' or '.join(map(repr, close))}? (--as-written takes it exactly)"
        )
    return name


def many(count: int, what: str) -> str:
    """Return ``"1 message"`` or ``"3 messages"``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


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


def damage_behind(error: BaseException) -> str | None:
    """Return what is damaged, where a library's error may come from that; None where nothing is, or it comes from elsewhere.

    Most files are looked at where they are read; this is for what is read by a library's own hands.
    """
    import sqlite3

    from resources.damage import is_foreign

    if not is_foreign(error) and not isinstance(getattr(error, "orig", error), sqlite3.Error):
        return None
    from memory_assets.operations.damage import first_damaged
    from memory_assets.tools import Tools

    try:
        return first_damaged(Tools(client().settings))
    except MemoryAssetsError as told:
        return str(told)


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
