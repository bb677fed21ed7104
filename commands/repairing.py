"""What is damaged: found, removed and made again."""

import dataclasses
from typing import Annotated

import typer

from commands.base import Json, app, bar, client, many, say


@app.command()
def repair(
    check: Annotated[bool, typer.Option("--check", help="Only say what is damaged.")] = False,
    make: Annotated[bool, typer.Option(help="Make again at once what was removed.")] = True,
    as_json: Json = False,
) -> None:
    """Look at every file of the installation; remove what is damaged, and make it again from the store."""
    from memory_assets.operations.repair import repair as repaired

    with bar("repair", as_json) as step:
        found = repaired(client().settings, step, check=check, make=make)
    shown = [one for one in found.damaged if one.kind != "memo"]
    lines = [f"{one.path}: {one.how}" for one in shown if one.kind != "lasting"] + found.left
    if not shown:
        lines = ["nothing is damaged"]
    elif check:
        lines.append("`memory repair` removes what is made from other things, and makes it again")
    elif found.removed:
        later = (
            "made again" if found.made or not (found.weeks or found.publish) else "`memory materialize` makes it again"
        )
        lines.append(f"{many(len(found.removed), 'damaged thing')} removed; {later}")
    value = {
        "damaged": [dataclasses.asdict(one) for one in shown],
        "weeks": found.weeks,
        "made": found.made,
        "left": found.left,
    }
    say(value, as_json, "\n".join(lines))
    if shown and (check or found.left):
        raise typer.Exit(1)
