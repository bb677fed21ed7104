"""What people may ask for: forget, opt-out, receipts, trace, and the keys behind pseudonyms."""

import dataclasses
import sys
from typing import Annotated, Any

import typer

from commands.base import AsWritten, Json, World, app, bar, client, err, many, person, say
from records.errors import MemoryAssetsError

Whose = Annotated[
    str | None,
    typer.Option(
        "--agent", "-a", help="With --session: only this agent's; without, that of every agent that uses the id."
    ),
]


@app.command()
def forget(
    user: Annotated[str | None, typer.Option(help="A person, in every session.")] = None,
    session: Annotated[str | None, typer.Option(help="A conversation.")] = None,
    agent: Whose = None,
    world: World = None,
    message: Annotated[str | None, typer.Option(help="An utterance.")] = None,
    resume: Annotated[bool, typer.Option(help="Finish what was begun and killed.")] = False,
    rebuild: Annotated[bool, typer.Option(help="Make again what others said in the same weeks.")] = True,
    verify: Annotated[bool, typer.Option(help="Search every file and table for what was erased.")] = True,
    as_written: AsWritten = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, in a terminal.")] = False,
    as_json: Json = False,
) -> None:
    """Forget a user, a session or a message everywhere, down to the weights of adapters, and search for what may be left."""
    from memory_assets.operations import forget as forgetting

    memory = client()
    user = person(memory, user, as_written)
    named = [(k, v) for k, v in (("user", user), ("session", session), ("message", message)) if v]
    if len(named) != 1 - resume:
        raise MemoryAssetsError("name exactly one of --user, --session, --message to forget, or --resume alone")
    if not resume:
        kind, value = memory.subject(user=user, session=session, message=message, agent=agent, world=world)
        goes = what_goes(memory, kind, value, as_written=as_written)
        if not (yes or as_json or as_written) and sys.stdin.isatty() and err.is_terminal:
            typer.confirm(f"This forgets {goes}, for good. Go on?", abort=True, err=True)
    with bar("forget", as_json) as step:
        if resume:
            left = memory.receipt_book.weeks_pending() if rebuild else []
            all_done = forgetting.resume(memory.settings, step, rebuild=rebuild, verify=verify)
        else:
            left = []
            all_done = [
                forgetting.forget_everywhere(memory.settings, kind, value, step, rebuild=rebuild, verify=verify)
            ]
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
        say(
            {"weeks": left},
            as_json,
            f"made again: {', '.join(left)}" if left else "nothing was begun and left unfinished",
        )
    if any(done.leaks for done in all_done):
        raise typer.Exit(1)


def what_goes(memory: Any, kind: str, value: str, *, as_written: bool) -> str:
    """Return what an erasure of a subject removes, for the person who asked for it.

    Raises:
        MemoryAssetsError: there is no such subject, and it is not meant to be kept out for ever all the same.
    """
    from privacy.erasure import Erasure

    erasure = Erasure(memory)
    goes = erasure.extent(kind, value)
    if not goes.messages and not as_written and not erasure.is_known(kind, value):
        what = {"user": "user", "message": "message"}.get(kind, "conversation")
        raise MemoryAssetsError(
            f"there is no such {what}: nothing was forgotten (--as-written keeps out whatever comes under this id, for ever)"
        )
    told = [f"{many(goes.messages, 'message')} in {many(goes.conversations, 'conversation')}"]
    if goes.core_memory:
        told.append(f"{'an entry' if goes.core_memory == 1 else f'{goes.core_memory} entries'} of core memory")
    if goes.adapters:
        told.append(f"the weights of {many(goes.adapters, 'adapter')}")
    return " and ".join(told) if len(told) < 3 else f"{told[0]}, {told[1]} and {told[2]}"


@app.command("opt-out")
def opt_out(
    user: Annotated[str | None, typer.Option(help="A person, in every session.")] = None,
    session: Annotated[str | None, typer.Option(help="A conversation.")] = None,
    agent: Whose = None,
    world: World = None,
    undo: Annotated[bool, typer.Option(help="Take it back: it may be trained on again.")] = False,
    as_written: AsWritten = False,
    as_json: Json = False,
) -> None:
    """Let nothing a person or a conversation said be trained on; adapters that were trained on it are quarantined."""
    if (user is None) == (session is None):
        raise MemoryAssetsError("name exactly one of --user, --session")
    memory = client()
    user = person(memory, user, as_written)
    changed = memory.opt_out(user=user, session=session, agent=agent, world=world, value=not undo)
    if not changed and user is None:
        raise MemoryAssetsError("there is no such session")
    marked = [row["adapter_id"] for row in memory.store.rows("adapters", status="quarantined")]
    text = "may be trained on again" if undo else f"opted out; quarantined adapters: {', '.join(marked) or 'none'}"
    if not changed:
        text = "nobody who is known has this id; it is kept, and holds from the first message on"
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
    for name in ("datasets", "adapters", "exports"):
        lines.append(f"{name}: {', '.join(getattr(found, name)) or 'none'}")
    say(dataclasses.asdict(found), as_json, "\n".join(lines))


@app.command()
def reveal(
    interaction: Annotated[str, typer.Argument(help="Interaction id, as manifests and analytics give it.")],
    as_json: Json = False,
) -> None:
    """Show what the surrogates of an interaction stand for; only where a vault is configured."""
    memory = client()
    if memory.vault is None:
        raise MemoryAssetsError("there is no vault: nothing is reversible (set `vault` in memory.toml to keep one)")
    found = memory.vault.reveal(interaction)
    lines = [f"{surrogate}  ←  {original}  ({kind})" for kind, original, surrogate in found]
    value = [{"kind": kind, "original": original, "surrogate": surrogate} for kind, original, surrogate in found]
    say({"replaced": value}, as_json, "\n".join(lines) or "nothing was replaced in it, or there is no such interaction")


@app.command("rotate-key")
def rotate_key(
    rebuild: Annotated[bool, typer.Option(help="Make everything that holds pseudonyms again, now.")] = True,
    as_json: Json = False,
) -> None:
    """Make a new key for pseudonyms and surrogates, and anonymize everything again with it. The old key is gone."""
    from memory_assets.operations.materialize import materialize_plan
    from memory_assets.operations.plan import out_of_date
    from memory_assets.tools import Tools

    settings = client().settings
    identity = Tools(settings).keys.rotate()
    made = 0
    if rebuild:
        with bar("anonymizing again", as_json) as step:
            made = materialize_plan(settings, out_of_date(Tools(settings)), step)
    later = "" if rebuild else "; `memory plan --run` makes again what holds the old pseudonyms"
    say(
        {"key": identity, "made": made},
        as_json,
        f"new key {identity}, {made} partitions made again{later}. Datasets and adapters keep theirs until they are made again.",
    )
