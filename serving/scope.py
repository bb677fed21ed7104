"""The wall around a memory: what of the stores belongs to an agent, and to one of its users."""

from dataclasses import dataclass

from resources.vectors import quoted


@dataclass(frozen=True)
class Scope:
    """Whose memory is read.

    Attributes:
        agent_id: Always given: nothing is read across agents.
        user_id: If given, only what belongs to this person.
    """

    agent_id: str
    user_id: str | None = None

    def where(self) -> str:
        """Return the filter of Lance tables."""
        mine = f"agent_id = {quoted(self.agent_id)}"
        return mine if self.user_id is None else f"{mine} AND user_id = {quoted(self.user_id)}"
