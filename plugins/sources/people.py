"""Who is who in a file: which speaker is the agent, and whom a conversation belongs to."""

from collections.abc import Iterable

from plugins.contracts import SourceOptions
from records.errors import AgentNeeded
from records.names import same_name

LISTED = 8
"""Names of speakers that an error lists."""

LONGEST_LISTED = 60
"""Characters of such a name that it shows."""


def is_agent(name: str | None, options: SourceOptions) -> bool:
    """Return whether a speaker is the agent that the options name, whatever case or accents."""
    return same_name(name, options.agent)


def named_agent(options: SourceOptions, speakers: Iterable[str], file: str) -> str:
    """Return the agent that the options name; no file makes an agent by itself.

    Raises:
        AgentNeeded: there is none; the message lists the file's speakers.
    """
    if options.agent is None:
        speakers = sorted(set(speakers))
        raise AgentNeeded(f"{file}: whose memory is it? Name the agent with --agent{_listed(speakers)}", speakers)
    return options.agent


def nobody_is(options: SourceOptions, speakers: Iterable[str], file: str) -> str | None:
    """Return a note when an agent was named and none of the speakers is it, else None."""
    speakers = list(speakers)
    if options.agent is None or any(is_agent(name, options) for name in speakers):
        return None
    return f"{file}: nobody in it is called {options.agent}: all of it is kept as said by people{_listed(speakers)}"


def the_other(options: SourceOptions, speakers: Iterable[str]) -> str | None:
    """Return whom a conversation belongs to: the user that was named, else the only speaker who is not the agent."""
    if options.user is not None:
        return options.user
    others = sorted({name for name in speakers if not is_agent(name, options)})
    return others[0] if len(others) == 1 else None


def _listed(speakers: Iterable[str]) -> str:
    names = sorted(set(speakers))
    if not names:
        return ""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"; its speakers are {', '.join(name[:LONGEST_LISTED] for name in names[:LISTED])}{more}"
