"""When the messages of a conversation were said, where only some of them say it, or none."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

SECOND = timedelta(seconds=1)


def placed(
    own: Sequence[datetime | None], start: datetime | None, now: datetime, continues: datetime | None = None
) -> list[datetime | None]:
    """Return a time for each message: its own, else one that keeps the order.

    Without any own time message i is i seconds after the start. Messages between two times lie between them, at most a second
    after the one before; what comes after the last time follows by a second each. None lies after ``now`` that need not.

    Args:
        own: The messages' own times.
        start: Time of the first message, as the conversation tells it.
        now: The present.
        continues: Time at which what follows the last own time began, for a log that sends what was said earlier again.
    """
    known = [place for place, moment in enumerate(own) if moment is not None]
    times = list(own)
    if not known:
        return list(_from(start, len(own), now)) if start is not None else times
    head = own[known[0]]
    if known[0] and head is not None:
        first = start if start is not None and start < head else head - known[0] * SECOND
        times[: known[0]] = _between(first, head, known[0])
    for here, there in pairwise(known):
        before, after = own[here], own[there]
        if before is not None and after is not None and there - here > 1:
            step = min(SECOND, max(after - before, timedelta()) / (there - here))
            times[here + 1 : there] = [before + place * step for place in range(1, there - here)]
    last, rest = own[known[-1]], len(own) - known[-1] - 1
    if rest and last is not None:
        begin = last + SECOND if continues is None else max(last + SECOND, continues)
        times[known[-1] + 1 :] = _from(begin, rest, now)
    return times


def _from(start: datetime, count: int, now: datetime) -> list[datetime]:
    """Return times a second apart; closer, where they would lie in the future."""
    step = min(SECOND, max(now - start, timedelta()) / max(count, 1))
    return [start + place * step for place in range(count)]


def _between(first: datetime, end: datetime, count: int) -> list[datetime]:
    step = min(SECOND, (end - first) / count)
    return [first + place * step for place in range(count)]
