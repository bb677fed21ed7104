"""Moving in from another system as a whole: `memory migrate`."""

import dataclasses
from typing import Annotated

import typer

from commands.base import Json, app, client, err, say


@app.command()
def migrate(
    path: Annotated[
        str, typer.Argument(help="conversations.db, a session_*.json, or a folder of them, of LuminoraCore 1.x.")
    ],
    agent: Annotated[
        str | None, typer.Option("--agent", "-a", help="Whose memory it is, where the files do not name one persona.")
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", "-u", help="The person it belongs to, where the files do not name one.")
    ] = None,
    timezone: Annotated[str, typer.Option(help="Of times without offset, e.g. Europe/Madrid.")] = "UTC",
    as_json: Json = False,
) -> None:
    """Move in from LuminoraCore: messages, facts, episodes, affinity and moods. Its files are not touched; again changes nothing."""
    from serving.migration import migrate as run

    done = run(client(), path, agent=agent, user=user, timezone=timezone)
    imported = done.imported
    lines = [
        f"messages: {imported.new} new, {imported.known} known already, {imported.rejected} rejected, in {len(imported.weeks)} weeks",
        *(f"  {count} × {why}" for why, count in sorted(imported.reasons.items(), key=lambda item: -item[1])),
        f"affinity: {done.affinity} set; moods: {done.moods} set; {done.kept} states were here already and stayed",
    ]
    if imported.erased or done.erased:
        lines.append(f"  {imported.erased + done.erased} left out: their subject was erased")
    if imported.rejected:
        lines.append("  see them with: memory rejects")
    value = dataclasses.asdict(done)
    value["imported"]["weeks"] = len(imported.weeks)
    say(value, as_json, "\n".join(lines))
    for note in [] if as_json else done.notes:
        err.print(f"note: {note}", markup=False, highlight=False)
