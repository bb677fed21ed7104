"""Whose conversation a row of a table belongs to, where the row itself does not say it: an answer is part of the talk it answers.

What becomes of rows does not belong here (see `plugins.sources.normalise`).
"""

from typing import Any

from plugins.contracts import SourceOptions
from plugins.sources.people import is_agent
from plugins.sources.values import ROLE_NAMES
from records.names import same_name

HELD = 100_000
"""Sessions whose user is remembered while a table is read."""


class Owners:
    """Gives rows that the agent (or the platform) said the user of the rows around them.

    In a session that the table names, that is the first user in it; where it names none, the one who spoke last. Somebody who
    speaks as the user of a session, and whom nothing names, goes by that session.

    Attributes:
        nobody: Whether a user spoke who has neither a name nor a session.
        known: Whether any row has a user.
    """

    def __init__(self, options: SourceOptions) -> None:
        self.options = options
        self._users: dict[str, str] = {}
        self.nobody = self.known = False

    def filled(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows of a batch, in their order, each with its user where one is known."""
        if self.options.user is not None:
            self.known = True
            return rows
        waiting: dict[str, list[dict[str, Any]]] = {}
        people = self._people(rows)
        for row in rows:
            session = str(row.get("session_id") or "")
            if people.get(session) and _role(row) == "agent" and _id(row) not in people[session]:
                row.pop("user_id", None)  # the answerer's own
            user = self._user(row)
            if user is not None:
                for earlier in waiting.pop(session, ()):
                    earlier["user_id"] = user
                if not session or session not in self._users:
                    self._users[session] = user
                    if len(self._users) > HELD:
                        del self._users[next(iter(self._users))]
            elif session in self._users:
                row["user_id"] = self._users[session]
            else:
                waiting.setdefault(session, []).append(row)
        self.known |= bool(self._users)
        for session, unowned in waiting.items():
            spoke = any(_role(row) == "user" for row in unowned)
            if spoke and session:
                self._users[session] = f"user of {session}"
                self.known = True
                for row in unowned:
                    row["user_id"] = self._users[session]
            self.nobody |= spoke and not session
        return rows

    def _people(self, rows: list[dict[str, Any]]) -> dict[str, set[str | None]]:
        """Return the users who speak in each session that the table names, where rows say both."""
        found: dict[str, set[str | None]] = {}
        for row in rows:
            if row.get("session_id") and _role(row) == "user" and _id(row) is not None:
                found.setdefault(str(row["session_id"]), set()).add(_id(row))
        return found

    def _user(self, row: dict[str, Any]) -> str | None:
        """Return the user of a row that says it, or that a person said."""
        if row.get("user_id") not in (None, ""):
            return str(row["user_id"]).strip()
        role = ROLE_NAMES.get(str(row.get("role") or "user").strip().lower())
        speaker = row.get("speaker_id") or row.get("speaker_name")
        if role != "user" or speaker is None or isinstance(speaker, list | dict):
            return None
        speaker = str(speaker).strip()
        is_answer = is_agent(speaker, self.options) or same_name(speaker, _text(row.get("agent_id")))
        return speaker if speaker and not (is_answer and not row.get("role")) else None


def _role(row: dict[str, Any]) -> str | None:
    return ROLE_NAMES.get(str(row.get("role")).strip().lower())


def _id(row: dict[str, Any]) -> str | None:
    return str(row["user_id"]).strip() if row.get("user_id") not in (None, "") else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
