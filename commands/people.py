"""Who there is: agents, users and conversations."""

from typing import Annotated, Any

import typer

from commands.base import Json, User, World, app, client, say

Whose = Annotated[str | None, typer.Option("--agent", "-a", help="Only of this agent.")]


@app.command()
def agents(as_json: Json = False) -> None:
    """List the agents that have a memory, speak, or are described."""
    found = client().people.agents()
    say({"agents": found}, as_json, "\n".join(found) or "there are no agents yet: memory import …")


@app.command()
def users(agent: Whose = None, world: World = None, as_json: Json = False) -> None:
    """List the persons that conversations belong to."""
    memory = client()
    whose = _agent(memory, agent, world)
    found = memory.people.users(whose)
    say({"users": found}, as_json, "\n".join(found) or "there are no users yet")


@app.command()
def sessions(
    agent: Whose = None,
    user: User = None,
    world: World = None,
    limit: Annotated[int, typer.Option(help="How many, the newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """List conversations, the newest first: when they began, whose memory they belong to, with whom."""
    memory = client()
    whose = _agent(memory, agent, world)
    if whose is not None and user is not None:
        user = memory.asked(whose, user).known().scope.user_id
    found = memory.people.sessions(whose, user)
    lines = [
        f"{row['started_at']:%Y-%m-%d %H:%M}  {row['agent_id']}  {row['user_id'] or '-'}  {row['session_id']}"
        for row in found[:limit]
    ]
    if len(found) > limit:
        lines.append(f"… and {len(found) - limit} older ones (--limit)")
    say({"count": len(found), "sessions": found[:limit]}, as_json, "\n".join(lines) or "there are no conversations yet")


def _agent(memory: Any, agent: str | None, world: str | None) -> str | None:
    """Return the id of the agent that was named, if one was."""
    return None if agent is None else memory.asked(agent, world=world).known().scope.agent_id
