"""Which conversation a record is, and which of its messages were there before: a longer export adds only what is new.

A conversation that says its id is that. One that does not is known by whose it is and how it begins: its first user message with
the time, or where there are no times its first exchange. Two that begin alike and go on differently are two: the later one in
the file is known by where it leaves the earlier one. In logs that send the whole conversation with every request, what was sent
before is the same message. When something was said does not belong here (see `plugins.sources.conversations.conversation_times`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from plugins.sources.conversations.conversation_records import session_of
from plugins.sources.conversations.conversation_turns import Turn
from plugins.sources.fields import first, identity
from records.ids import content_id

HELD = 20_000
"""Conversations of one file whose messages are remembered while it is read."""

LONGEST_OVERLAP = 500
"""Messages of a conversation that a request may send again, where it does not send all of them."""

COUNTED_TO = 9
"""Digits up to which an id is only a number within its file: two files that count from one are not one conversation."""


class Said(NamedTuple):
    """A turn and what it is known by.

    Attributes:
        turn: The turn.
        own: Its own time, None where it has none.
        ref: Names it within everything where it has neither an id nor a time: its conversation, words, and which time they come.
        key: Names it within its conversation.
        is_new: Whether the file did not hold it before.
        earlier: The time that it was given then.
    """

    turn: Turn
    own: datetime | None
    ref: str
    key: str
    is_new: bool
    earlier: datetime | None


@dataclass
class _Told:
    """What a file told of a conversation so far: marks of what was said, in order and counted, and when each message was."""

    marks: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    times: dict[str, datetime | None] = field(default_factory=dict)


class Known:
    """The conversations of one file, as far as it was read."""

    def __init__(self) -> None:
        self.repeated = 0
        self._told: dict[str, _Told] = {}
        self._answers: dict[str, str] = {}

    def session(
        self,
        about: Mapping[str, Any],
        user: str | None,
        turns: Sequence[tuple[Turn, datetime | None]],
        start: datetime | None,
    ) -> str:
        """Return the id of the conversation that a record is, or goes on with.

        Args:
            about: What the record tells beside its messages; without its own id where that names a request only.
            user: Whose it is.
            turns: Its messages with their own times.
            start: When the conversation began, if the record says so.
        """
        given = session_of(about)
        previous = identity(about.get("previous_response_id"))
        if given is None and previous is not None:
            given = self._answers.get(previous, previous)
        begins = _beginning(user, turns, start)
        own = identity(first(about, "id", "uuid"))
        if given is None and own is not None:
            given = f"{own}/{begins}" if own.isdigit() and len(own) <= COUNTED_TO else own
        return (
            given if given is not None else self._branch(begins, [turn.mark for turn, _ in turns if _is_spoken(turn)])
        )

    def answered(self, responses: Iterable[str], session: str) -> None:
        """Remember which conversation a response belongs to: the next request may name only that."""
        self._answers.update((response, session) for response in responses)

    def said(self, session: str, turns: Sequence[tuple[Turn, datetime | None]]) -> tuple[list[Said], bool]:
        """Return the turns of a record, each with whether the file held it before; and whether they begin at the beginning."""
        told = self._told.pop(session, None) or _Told()
        self._told[session] = told  # the latest ones are kept
        if len(self._told) > HELD:
            del self._told[next(iter(self._told))]
        before, counts = _counted(told, [turn.mark for turn, _ in turns if _is_spoken(turn)])
        refs = Counter(turn.ref for turn, _ in turns)
        found = []
        for turn, own in turns:
            mark = turn.mark
            ref = turn.ref if turn.ref is not None and refs[turn.ref] == 1 else None
            when = f"{mark}/{own.isoformat()}" if own is not None else mark
            counts[when] += 1
            number = before.get(when, 0) + counts[when]
            key = ref or f"{when}/{number}"
            known = content_id("t", session, mark, number)
            found.append(Said(turn._replace(ref=ref), own, known, key, key not in told.times, told.times.get(key)))
        return found, not before

    def keep(self, session: str, said: Sequence[Said], times: Sequence[datetime | None]) -> None:
        """Remember a record's messages with the times they were given."""
        told = self._told[session]
        self.repeated += sum(not one.is_new for one in said)
        marks = [one.turn.mark for one in said if _is_spoken(one.turn)]
        if not _is_whole(told, marks):
            new = marks[_overlap(told.marks, marks) :]
            told.marks += new
            told.counts.update(new)
        elif len(marks) > len(told.marks) or _shared(told.marks, marks) < len(marks):
            told.marks, told.counts = marks, Counter(marks)
        for one, moment in zip(said, times, strict=True):
            told.times.setdefault(one.key, moment)

    def _branch(self, session: str, marks: list[str]) -> str:
        """Return the session of a conversation without id: another one for each way that conversations with this beginning go."""
        for _ in range(len(marks) + 1):
            told = self._told.get(session)
            if told is None:
                break
            shared = _shared(told.marks, marks)
            if shared == min(len(told.marks), len(marks)):
                break
            session = content_id("s", session, *marks[: shared + 1])
        return session


def _beginning(user: str | None, turns: Sequence[tuple[Turn, datetime | None]], start: datetime | None) -> str:
    """Return what a conversation without id is known by; what comes later does not change it."""
    spoken = [(turn, own) for turn, own in turns if _is_spoken(turn)]
    head, own = next(
        ((turn, own) for turn, own in spoken if turn.role == "user"), spoken[0] if spoken else (None, None)
    )
    if head is None:
        return content_id("s", user, *(turn.text for turn, _ in turns))
    begun = own or start
    if begun is not None:
        return content_id("s", user, head.mark, begun.isoformat())
    answer = next((place for place, (turn, _) in enumerate(spoken) if turn.role == "agent" and place), len(spoken))
    return content_id("s", user, *(turn.mark for turn, _ in spoken[: answer + 1]))


def _is_whole(told: _Told, marks: Sequence[str]) -> bool:
    """Return whether a record tells a conversation from its start, not only what came after what was told before."""
    shared = _shared(told.marks, marks)
    return shared == min(len(told.marks), len(marks)) or shared > 1


def _counted(told: _Told, marks: Sequence[str]) -> tuple[Mapping[str, int], Counter[str]]:
    """Return how often each thing had been said before a record began, as what was told and what to add to it.

    Nothing had been where the record tells all from the start.
    """
    if _is_whole(told, marks):
        return {}, Counter()
    again: Counter[str] = Counter()
    again.subtract(marks[: _overlap(told.marks, marks)])
    return told.counts, again


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many marks two conversations have in common from their start."""
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _overlap(before: Sequence[str], marks: Sequence[str]) -> int:
    """Return how many of the last messages a record tells again at its beginning."""
    longest = min(len(before), len(marks), LONGEST_OVERLAP)
    return next((k for k in range(longest, 0, -1) if list(before[-k:]) == list(marks[:k])), 0)


def _is_spoken(turn: Turn) -> bool:
    return turn.text is not None and turn.role != "system"
