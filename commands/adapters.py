"""Adapters: train, list, promote, roll back, quarantine."""

from typing import Annotated, Any

import typer
from rich.table import Table

from commands.base import Json, app, bar, client, out, say
from records.errors import SettingsError

train = typer.Typer(no_args_is_help=True, help="Train an adapter, judge it, and serve it if it passes the gate.")
app.add_typer(train, name="train")

Persona = Annotated[str, typer.Argument(help="Whose adapter: an agent that has spoken.")]
AdapterId = Annotated[str, typer.Argument(help="An adapter's id, see `memory adapters`.")]


@train.command("personality")
def personality(persona: Persona, as_json: Json = False) -> None:
    """Layer 1: from everything the persona said that may be learned."""
    from memory_assets.layers import Slot

    _trained(Slot("personality", persona), None, as_json)


@train.command("episodic")
def episodic(
    persona: Persona,
    week: Annotated[str, typer.Argument(help="Monday of the week, YYYY-MM-DD.")],
    as_json: Json = False,
) -> None:
    """Layer 2: from one week, upon the persona's layer 1."""
    from memory_assets.layers import Slot
    from records.weeks import parse_week

    _trained(Slot("episodic", persona, week=parse_week(week).isoformat()), None, as_json)


@train.command("skill")
def skill(
    persona: Persona,
    name: Annotated[str, typer.Argument(help="Name of the skill.")],
    topic: Annotated[list[str] | None, typer.Option("--topic", help="A topic; may be repeated.")] = None,
    word: Annotated[list[str] | None, typer.Option("--word", help="A word that is said; may be repeated.")] = None,
    emotion: Annotated[list[str] | None, typer.Option("--emotion", help="An emotion; may be repeated.")] = None,
    as_json: Json = False,
) -> None:
    """Layer 3: from what fits a topic, word or emotion; without any, from what the settings say under skills."""
    from memory_assets.layers import Slot

    if not name.replace("-", "").replace("_", "").isalnum():
        raise SettingsError(f"skill {name!r}: a name of letters, digits, - and _ is needed")
    chosen = {key: values for key, values in (("topics", topic), ("words", word), ("emotions", emotion)) if values}
    if not chosen and name not in client().settings.skills:
        raise SettingsError(
            f"skill {name!r}: name a --topic, --word or --emotion, or write [skills.{name}] in memory.toml"
        )
    _trained(Slot("skill", persona, skill=name), chosen or None, as_json)


def _trained(slot: Any, chosen: dict[str, list[str]] | None, as_json: bool) -> None:
    from memory_assets.operations.materialize import train_slot

    with bar(f"training {slot.persona}", as_json) as step:
        made = train_slot(client().settings, slot, step, chosen)
    lines = [f"{key.replace('_', ' ')}: {value}" for key, value in made.items() if key != "gate"]
    lines += [
        f"gate, {name}: {'not measured' if value is None else round(value, 3)}" for name, value in made["gate"].items()
    ]
    say(made, as_json, "\n".join(lines))


@app.command("adapters")
def adapters(
    persona: Annotated[str | None, typer.Option("--persona", "-p", help="Only this persona's.")] = None,
    as_json: Json = False,
) -> None:
    """List adapters: version, layer, status, what the gate found, and where they are served."""
    from memory_assets.operations.evaluation import summary
    from memory_assets.tools import Tools

    tools = Tools(client().settings)
    served = {row["adapter_id"]: f"{row['target']}: {row['place']}" for row in tools.adapter_book.served(persona)}
    rows = [
        {
            "adapter_id": row["adapter_id"],
            "tag": tools.adapter_book.deployment(row, serving=False).tag,
            "layer": row["layer"],
            "status": row["status"],
            "gate": summary(row["evaluation"]),
            "dataset": row["dataset_id"],
            "base": row["base_model"],
            "served": served.get(row["adapter_id"], ""),
            "created_at": row["created_at"].isoformat(timespec="minutes"),
        }
        for row in sorted(tools.store.rows("adapters"), key=lambda row: row["created_at"])
        if persona in (None, row["persona_id"])
    ]
    if as_json:
        say({"adapters": rows}, True)
    elif not rows:
        say({}, False, "there is no adapter yet: `memory train personality AGENT` makes one")
    else:
        shown = Table(box=None)
        for name in ("adapter", "tag", "status", "gate", "served"):
            shown.add_column(name, no_wrap=name in ("adapter", "tag"), overflow="fold")
        for row in rows:
            shown.add_row(row["adapter_id"], row["tag"], row["status"], row["gate"], row["served"])
        out.print(shown)


@app.command("promote")
def promote(adapter: AdapterId, as_json: Json = False) -> None:
    """Serve an adapter that passed the gate; where a person is to approve, this is the approval."""
    from memory_assets.operations.evaluation import probe
    from memory_assets.tools import Tools

    tools = Tools(client().settings)
    row = tools.adapter_book.promote(adapter, probe(tools) if tools.settings.adapters.probe else None)
    say({"adapter_id": adapter, "target": row["target"], "place": row["place"]}, as_json, f"served: {row['place']}")


@app.command("rollback")
def rollback(
    persona: Persona,
    layer: Annotated[str, typer.Option(help="personality, episodic or skill.")] = "personality",
    skill_name: Annotated[str | None, typer.Option("--skill", help="Name of the skill, for that layer.")] = None,
    as_json: Json = False,
) -> None:
    """Serve again what was served before."""
    from memory_assets.layers import LAYERS
    from memory_assets.tools import Tools

    if layer not in LAYERS:
        raise SettingsError(f"--layer {layer}: write {', '.join(LAYERS)}")
    row = Tools(client().settings).adapter_book.rollback(persona, layer, skill_name)
    shown = f"{row['adapter_id']} is served again: {row['place']}"
    say({"adapter_id": row["adapter_id"], "place": row["place"]}, as_json, shown)


@app.command("quarantine")
def quarantine(adapter: AdapterId, as_json: Json = False) -> None:
    """Take an adapter away from where servers find it, for good; those that continue it go with it."""
    from memory_assets.tools import Tools
    from model_registry.files import descendants

    tools = Tools(client().settings)
    gone = tools.adapter_book.quarantine(descendants(tools.store, [tools.adapter_book.get(adapter)]), erase=False)
    say({"quarantined": gone}, as_json, f"quarantined: {', '.join(gone)}")


@app.command("serve")
def serve(persona: Persona, port: Annotated[int, typer.Option(help="Port on this machine.")] = 8080) -> None:
    """Run llama.cpp's OpenAI-compatible server with the adapters of a persona that the deployer llamacpp has written."""
    import threading

    from memory_assets.tools import Tools
    from plugins.deployers.llamacpp import run
    from plugins.deployers.servers import GGUF, LlamaCppDeployer

    tools = Tools(client().settings)
    deployer = tools.registry.create("deployer", name="llamacpp")
    assert isinstance(deployer, LlamaCppDeployer)
    found, names = [], []
    for row in tools.adapter_book.served(persona):
        if row["target"] == "llamacpp":
            it = tools.adapter_book.deployment(tools.adapter_book.get(row["adapter_id"]), serving=False)
            folder = deployer.shelf(it) / it.adapter_id
            for path in (*sorted(folder.glob("under-*.gguf")), folder / GGUF):
                found.append(path)
                names.append(it.tag if path.name == GGUF else f"below {it.tag}")
    if not found:
        raise SettingsError(
            f'nothing of {persona} is served by llamacpp: set [plugins.deployer] use = "llamacpp" and train or promote an adapter'
        )
    server = run(deployer.base_gguf(), found, port)
    for number, tag in enumerate(names):
        out.print(f'"lora": [{{"id": {number}, "scale": 1.0}}]  is {tag}', markup=False, highlight=False)
    out.print(f"{server.listening_address}/v1  (Ctrl-C ends it)", markup=False, highlight=False)
    threading.Event().wait()
