"""Whatever a talk comes from, a question keeps its own answer: a whole export, a longer one, one with another name, pieces of it."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.pairs import client_in, counted, imported, remembered, talks_of
from benchmarks.pairs_formats import WRITERS, Talk
from plugins.contracts import SourceOptions
from serving.client import MemoryClient

TALKS = talks_of(24)
"""Several people at once, several exchanges a minute, two languages, some that say the same."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryClient]:
    """Yield a client for all of them, each in a world of its own."""
    client = client_in(tmp_path_factory.mktemp("pairs"))
    yield client
    client.close()


@pytest.mark.parametrize("name", WRITERS)
def test_every_answer_stays_with_its_question(name: str, client: MemoryClient, tmp_path: Path) -> None:
    found = imported(client, WRITERS[name], TALKS, tmp_path)
    assert (found.right, found.doubled) == (found.pairs, 0)


@pytest.mark.parametrize("exchanges", [True, False])
def test_what_a_bot_keeps_itself_stays_in_pairs(client: MemoryClient, exchanges: bool) -> None:
    found = remembered(client, TALKS, exchanges=exchanges)
    assert (found.right, found.doubled) == (found.pairs, 0)


def test_the_measure_sees_answers_that_were_swapped(client: MemoryClient, tmp_path: Path) -> None:
    """Given a file with the answers in the wrong places, no pair is right: the measure is none that always says yes."""
    swapped = [
        Talk(talk.user, talk.number, [(q, a, w) for (q, _, w), (_, a, _) in pairwise(talk.exchanges)]) for talk in TALKS
    ]
    for target, options in WRITERS["jsonl_exchanges"](tmp_path, swapped, "swapped"):
        client.import_file(target, SourceOptions(**options, world="swapped"))
    assert counted(client, TALKS, "swapped").right == 0
