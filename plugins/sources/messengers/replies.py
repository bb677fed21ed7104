"""Where an answer belongs that says what it answers: behind that, not behind what others said meanwhile.

In a channel several people ask at once, and a bot answers each of them by a reply. What an answer follows decides what it is
learned as an answer to; the times of messages stay as they are.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def beside(
    messages: Sequence[T],
    own: Callable[[T], str | None],
    answers: Callable[[T], str | None],
    speaker: Callable[[T], object],
    place: Callable[[T], object],
) -> list[T]:
    """Return messages in their order, each answer moved behind what it answers and the answers that came before it.

    What somebody said in several messages one after the other is answered as a whole.

    Args:
        messages: In the order in which they were said.
        own: Id of a message.
        answers: Id of the message that one answers, None for one that stays where it is.
        speaker: Who says a message.
        place: Answers stay within one place: a day, say.
    """
    by_id = {known: number for number, item in enumerate(messages) if (known := own(item)) is not None}
    behind: dict[int, list[int]] = {}
    moved: set[int] = set()
    for number, item in enumerate(messages):
        target = by_id.get(answers(item) or "")
        if target is None or target >= number or place(messages[target]) != place(item):
            continue
        who = speaker(messages[target])
        while target not in moved and target + 1 < number and speaker(messages[target + 1]) == who:
            target += 1
        behind.setdefault(target, []).append(number)
        moved.add(number)
    if not moved:
        return list(messages)
    found: list[T] = []
    for number in range(len(messages)):
        waiting = [number] if number not in moved else []
        while waiting:
            each = waiting.pop()
            found.append(messages[each])
            waiting += reversed(behind.get(each, ()))
    return found
