"""Whether 3/4/25 is 3 April or 4 March: decided by the order of a whole chat, which runs forward under one reading only.

A line that was pasted into a message can contradict that; it is one among many, mostly by somebody who says nothing else and
with other zeros before its numbers, and decides nothing.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

from plugins.contracts import SourceOptions
from plugins.sources.whatsapp.headers import FIRST_YEAR, Shape, day_of

Written = tuple[str, str, str]
Zeros = tuple[bool | None, bool | None, bool | None]

CLEARLY = 4
"""Times that a chat must be longer under the other reading before its length alone decides."""
RARE = 0.25
"""Share of days below which a way of writing zeros is foreign to a chat."""


class Order(NamedTuple):
    """How the three numbers of a chat's dates are read, such as ``dmy``.

    Attributes:
        order: The letters of day, month and year.
        certain: False where nothing in the chat decides and a default was taken.
        forced: It was asked for, and another fits the chat better.
        wrong: Changes of date that cannot be read so.
        backwards: Changes of date that go back.
        changes: Changes of date that were looked at.
        zeros: For each number whether one below ten has a zero before it, None where there was none or both.
    """

    order: str
    certain: bool
    forced: bool
    wrong: int
    backwards: int
    changes: int
    zeros: Zeros


class Change(NamedTuple):
    """A date that differs from that of the message before: as written, and who wrote it."""

    written: Written
    speaker: str | None


def zeros_of(written: Written) -> Zeros:
    """Return for each number whether it has a zero in front, None for one that needs none."""
    return tuple(  # type: ignore[return-value]
        len(n) == 2 if len(n) <= 2 and n.isdecimal() and int(n) < 10 else None for n in written
    )


def order_of(
    shape: Shape, changes: Sequence[Change], counts: Counter[str], options: SourceOptions, *, american: bool
) -> Order:
    """Return how dates are read.

    Args:
        shape: Of the headers, which may leave no choice.
        changes: Of date, in the order of the file.
        counts: Messages of each speaker.
        options: ``day_first`` is obeyed whatever the file says.
        american: The clock is written as in the United States, which decides where nothing else does.
    """
    zeros = _zeros(changes)
    last = (options.now + timedelta(days=2)).date()
    usual = [change for change in changes if fits(change.written, zeros)] or changes
    heard = [change for change in usual if change.speaker is None or counts[change.speaker] > 1]
    asked, orders = _possible(shape, options)
    # Nothing was pasted before the first message: a reading under which it has no date is none.
    begun = [order for order in orders if changes and _read(changes[:1], order, last)[0] == 0]
    rivals = begun or orders
    # People who said one thing only may stand in pasted lines: they are asked where the others do not decide.
    for trusted in (heard, usual):
        read = {order: _read(trusted, order, last) for order in rivals}
        least = min((wrong + back, back) for wrong, back, _ in read.values())
        rivals = [order for order in rivals if (sum(read[order][:2]), read[order][1]) == least]
    best, certain = rivals[0], len(rivals) == 1
    if not certain:
        best, certain = _by_default(rivals, read, usual, american=american)
    forced = asked is not None and asked not in rivals
    if asked is not None:
        best, certain = asked, True
    wrong, backwards, _ = _read(changes, best, last)
    return Order(best, certain, forced, wrong, backwards, len(changes), zeros)


def _possible(shape: Shape, options: SourceOptions) -> tuple[str | None, list[str]]:
    """Return the reading that was asked for, if the shape leaves a choice, and all that are possible."""
    if shape.kind in ("day", "month"):
        return None, ["dmy"]
    if shape.year_first:
        return None, ["ymd"]
    asked = None if options.day_first is None else "dmy" if options.day_first else "mdy"
    return asked, ["dmy", "mdy"] if shape.long_year else ["dmy", "mdy", "ymd"]


def _zeros(changes: Sequence[Change]) -> Zeros:
    """Return how most of the dates write numbers below ten."""
    counted: list[Counter[bool]] = [Counter(), Counter(), Counter()]
    for change in changes:
        for place, zero in enumerate(zeros_of(change.written)):
            if zero is not None:
                counted[place][zero] += 1
    return tuple(  # type: ignore[return-value]
        count.most_common(1)[0][0] if count and min(count[True], count[False]) <= RARE * count.total() else None
        for count in counted
    )


def fits(written: Written, zeros: Zeros) -> bool:
    """Return whether a date writes its zeros as the chat does."""
    return all(
        own is None or usual is None or own == usual for own, usual in zip(zeros_of(written), zeros, strict=True)
    )


def _read(changes: Sequence[Change], order: str, last: date) -> tuple[int, int, int]:
    """Return how many dates there cannot be, how often time runs backwards, and all days that pass."""
    wrong = backwards = passed = 0
    before = None
    for change in changes:
        day = day_of(change.written, order)
        if day is None or day.year < FIRST_YEAR or day > last:
            wrong += 1
            continue
        if before is not None:
            step = (day - before).days
            backwards += step < 0
            passed += abs(step)
        before = day
    return wrong, backwards, passed


def _above_12(number: str) -> bool:
    return number.isdecimal() and len(number) <= 2 and int(number) > 12


def _by_default(
    rivals: list[str], read: dict[str, tuple[int, int, int]], changes: Sequence[Change], *, american: bool
) -> tuple[str, bool]:
    """Return the reading to take where none runs backwards more than another, and whether it is certain.

    Numbers above 12 are days; days that follow each other are likelier than the same day of every month; then the clock decides.
    """
    above = [any(_above_12(change.written[place]) for change in changes) for place in (0, 1)]
    for order, day, month in (("dmy", *above), ("mdy", *reversed(above))):
        if order in rivals and day and not month:
            return order, True
    lengths = sorted((read[order][2], order) for order in rivals)
    if len({change.written for change in changes}) > 2 and lengths[1][0] >= CLEARLY * max(lengths[0][0], 1):
        return lengths[0][1], False
    best = "mdy" if american and "mdy" in rivals else rivals[0]
    return best, all(day_of(c.written, best) == day_of(c.written, order) for c in changes for order in rivals)
