"""Questions with their own answers: the same talks in every format, through the real import, and as a bot keeps them itself.

    python -m benchmarks.pairs --exchanges 60

Several people talk with one agent at the same time, several exchanges a minute, in two languages, and some say the same. Each format is
imported as a whole; then, into another world, first the beginning of it, then all, then all again under other names; then,
where a piece of it can be exported, its end before its beginning, both overlapping, before all. A pair is
right when the interaction of a question holds its own answer, at its place in its conversation. What is kept beyond the messages that
were said counts as doubled.
"""

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from benchmarks.pairs_formats import AGENT, IN_PIECES, WRITERS, Talk, Writer, together
from plugins.contracts import SourceOptions
from resources.settings import load_settings
from resources.snapshot import read_week_messages
from serving.client import MemoryClient
from transforms.interactions import interactions, snapshot

USERS = ("Nora", "José", "Ana María")
START = datetime(2025, 6, 3, 9, 0, tzinfo=UTC)
A_MINUTE = 4
"""Exchanges of a talk in one minute; some of them in the same second."""

EQUAL = (("ok", "vale"), ("¿Sí?", "Sí."), ("thanks!", "you're welcome"), ("ok", "bien"))
QUESTIONS = ("Where is number {n} of {who}?", "¿Dónde está el número {n} de {who}?")
ANSWERS = ("Number {n} is here, {who}.", "El número {n} está aquí, {who}.")


class Counted(NamedTuple):
    """Pairs that there are, those that are right, and messages too many."""

    pairs: int
    right: int
    doubled: int

    def __add__(self, other: tuple[object, ...]) -> "Counted":
        """Return the sum of both."""
        return Counted(*(int(a) + int(str(b)) for a, b in zip(self, other, strict=True)))


def talks_of(exchanges: int) -> list[Talk]:
    """Return as many exchanges as asked for, of three people; every fourth one says what was said before."""
    talks = []
    for number, user in enumerate(USERS):
        said = []
        for place in range(exchanges // len(USERS) + (number < exchanges % len(USERS))):
            language = (place + number) % 2
            pair = (QUESTIONS[language].format(n=place, who=user), ANSWERS[language].format(n=place, who=user))
            if place % 4 == 3:
                pair = EQUAL[place // 4 % len(EQUAL)]
            minute, second = place // A_MINUTE, 15 * (place % A_MINUTE // 2)
            said.append((*pair, START + timedelta(minutes=minute, seconds=second)))
        talks.append(Talk(user, number, said))
    return talks


def shortened(talks: list[Talk]) -> list[Talk]:
    """Return the first half of each talk."""
    return [Talk(talk.user, talk.number, talk.exchanges[: (len(talk.exchanges) + 1) // 2]) for talk in talks]


def latter(talks: list[Talk]) -> list[Talk]:
    """Return the talks without their first third."""
    cuts = [(talk, len(talk.exchanges) // 3) for talk in talks]
    return [Talk(talk.user, talk.number, talk.exchanges[cut:], cut) for talk, cut in cuts]


def client_in(folder: Path) -> MemoryClient:
    """Return a client on an installation of its own."""
    return MemoryClient(load_settings(home=folder), embedder=False)


def counted(client: MemoryClient, talks: list[Talk], world: str) -> Counted:
    """Return what the interactions of a world hold of the talks."""
    messages = read_week_messages(client.store, "0000-00-00", "9999-99-99").filter(pl.col("world_id") == world)
    raw = snapshot(messages, lambda kind, value: f"{kind} {value}")
    made = [interactions(week) for week in raw.partition_by("week")] if raw.height else []
    found: dict[tuple[str | None, str], list[tuple[str, str]]] = defaultdict(list)
    for row in pl.concat(made).sort("position").iter_rows(named=True) if made else ():
        # A conversation of one person may be cut into sessions, but two people's never are one.
        found[row["user_id"], "" if row["user_id"] else row["session_id"]].append(
            (row["input_text"], row["output_text"])
        )
    right = 0
    for talk in talks:
        expected = [(question, answer) for question, answer, _ in talk.exchanges]
        right += max((_matching(expected, pairs) for pairs in found.values()), default=0)
    said = sum(len(talk.exchanges) for talk in talks)
    return Counted(said, right, max(0, messages.height - 2 * said))


def _matching(expected: list[tuple[str, str]], found: list[tuple[str, str]]) -> int:
    matcher = SequenceMatcher(None, expected, found, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks())


def imported(client: MemoryClient, writer: Writer, talks: list[Talk], folder: Path) -> Counted:
    """Return the count of a format imported whole, of one imported again longer and under other names, and of one in pieces."""
    total = Counted(0, 0, 0)
    ways = {
        "whole": (("export", talks),),
        "again": (("first", shortened(talks)), ("second", talks), ("renamed", talks)),
        "pieces": (("end", latter(talks)), ("begin", shortened(talks)), ("all", talks)),
    }
    for way, exports in ways.items():
        if way == "pieces" and writer.__name__ not in IN_PIECES:
            continue
        world, files = f"{writer.__name__}, {way}", folder / writer.__name__ / way
        files.mkdir(parents=True)
        for name, some in exports:
            for target, options in writer(files, some, name):
                client.import_file(target, SourceOptions(**options, world=world))
        total += counted(client, talks, world)
    return total


def remembered(client: MemoryClient, talks: list[Talk], *, exchanges: bool) -> Counted:
    """Return the count of what a bot keeps itself: message by message, or as exchanges of one moment."""
    world = "exchanges" if exchanges else "messages"
    for talk, _, (question, answer, _) in together(talks):
        about: dict[str, Any] = {"agent": AGENT, "user": talk.user, "session": f"s{talk.number}", "world": world}
        if exchanges:
            client.remember_exchange(question, answer, **about, occurred_at=START)
        else:
            client.remember(question, **about)
            client.remember(answer, **about, role="agent")
    return counted(client, talks, world)


def measured(exchanges: int) -> Iterator[tuple[str, Counted]]:
    """Yield the count of each way in which talks come into a memory."""
    talks = talks_of(exchanges)
    with tempfile.TemporaryDirectory(prefix="memory-pairs-") as home:
        client = client_in(Path(home))
        for name, writer in WRITERS.items():
            yield name, imported(client, writer, talks, Path(home) / "files")
        yield "remember", remembered(client, talks, exchanges=False)
        yield "remember_exchange", remembered(client, talks, exchanges=True)
        client.close()


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exchanges", type=int, default=60, help="questions with answers in each format")
    total, formats = Counted(0, 0, 0), {}
    for name, one in measured(parser.parse_args().exchanges):
        formats[name] = f"{one.right}/{one.pairs}" + (f", {one.doubled} doubled" if one.doubled else "")
        total += one
    print(json.dumps({"benchmark": "pairs", **total._asdict(), "formats": formats}))


if __name__ == "__main__":
    main()
