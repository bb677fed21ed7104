"""Who is who in a chat that a telephone's owner exported: the owner goes by "Me", everybody else by name or number."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from plugins.contracts import SourceOptions
from plugins.sources.batches import Days
from plugins.sources.people import is_agent, named_agent, nobody_is
from records.names import same_name

OWNER = "Me"


class Cast:
    """The speakers of one chat as pairs of an id and a shown name, and the columns of rows that follow from who they are."""

    def __init__(self, file: str, options: SourceOptions, speakers: Iterable[tuple[str, str]], source: str) -> None:
        self.names = dict(speakers)
        self.agent = named_agent(options, self.names.values(), file)
        self._options = options
        others = [speaker for speaker in self.names if speaker != OWNER]
        self.agents = {
            speaker for speaker, name in self.names.items() if is_agent(speaker, options) or is_agent(name, options)
        }
        named = any(same_name(options.user, name) for speaker in others for name in (speaker, self.names[speaker]))
        if not self.agents and named and OWNER in self.names:
            # The user is the other one: then it is the agent's telephone.
            self.agents = {OWNER}
        self._owner_is_user = options.user is not None and not named and OWNER not in self.agents
        people = [speaker for speaker in self.names if speaker not in self.agents]
        self.group = len(people) > 1
        self.user = None if self.group else options.user or next(iter(people), None)
        # Whoever is "Me" may have begun the day in the same second as somebody else who is.
        owner = f"-{options.user}" if self._owner_is_user else ""
        self._days = Days(source, f"{others[0] if len(others) == 1 else 'group'}{owner}")

    def row(self, speaker: str, moment: datetime) -> dict[str, Any]:
        """Return the columns of a message that this speaker wrote at this time; messages come in the order of the file."""
        agent, name = speaker in self.agents, self.names.get(speaker, speaker)
        if speaker == OWNER and self._owner_is_user:
            speaker = name = self._options.user or OWNER
        return {
            "session_id": self._days.session(moment),
            "agent_id": self.agent,
            "user_id": self.user,
            "speaker_id": self.agent if agent else speaker,
            "speaker_name": name if name != OWNER else None,
            "role": "agent" if agent else "user",
            "occurred_at": moment,
            "group": self.group,
        }


def notes(casts: Sequence[Cast], file: str, options: SourceOptions) -> list[str | None]:
    """Return what the person who imports should know: the agent is not there, or the owner has no name."""
    found: list[str | None] = []
    if not any(cast.agents for cast in casts):
        found.append(nobody_is(options, {name for cast in casts for name in cast.names.values()}, file))
    if any(OWNER in cast.names and OWNER not in cast.agents for cast in casts) and options.user is None:
        found.append(
            f"{file}: who exported it is only called {OWNER} in it: give their name with --user, "
            f"as others' exports say {OWNER}, too"
        )
    return found
