"""Order: what a source shows first was said first; pieces, order of imports and order of rows change nothing."""

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.contracts import SourceOptions
from plugins.sources.normalise import Normaliser
from transforms.order import ordered

START = datetime(2025, 6, 2, 10, tzinfo=UTC)
OPTIONS = SourceOptions(agent="lumi", user="ana")


def row(text: str, minute: float, **more: Any) -> dict[str, Any]:
    """Return a row of one conversation."""
    return {"text": text, "session_id": "s", "occurred_at": START + timedelta(minutes=minute), **more}


def stored(*imports: list[dict[str, Any]], in_order: bool = True) -> pl.DataFrame:
    """Return the messages of several imports, merged as a store merges them."""
    known: dict[str, dict[str, Any]] = {}
    for rows in imports:
        for message in Normaliser(OPTIONS, "test", "f", in_order=in_order).frames(rows).messages.to_dicts():
            old = known.setdefault(message["message_id"], message)
            links = {link for m in (old, message) for link in (m["follows"] or "").split()}
            old["follows"] = " ".join(sorted(links)) or None
    frame = Normaliser(OPTIONS, "test", "f").frames([]).messages
    return pl.DataFrame(list(known.values()), schema=frame.schema, orient="row")


def texts(*imports: list[dict[str, Any]], in_order: bool = True) -> list[str]:
    """Return what was said, in order."""
    return ordered(stored(*imports, in_order=in_order))["text"].to_list()


def test_messages_of_one_minute_stay_as_the_chat_shows_them() -> None:
    said = [row(text, n // 4) for n, text in enumerate("kbadzcyxw")]
    assert "".join(texts(said)) == "kbadzcyxw"


def test_a_chat_holds_against_its_clocks_and_a_table_does_not() -> None:
    said = [row("a", 0), row("b", 10), row("sent offline, shown here", 7), row("c", 11)]
    assert texts(said) == ["a", "b", "sent offline, shown here", "c"]
    assert texts(said, in_order=False) == ["a", "sent offline, shown here", "b", "c"]


def test_position_never_runs_backwards_and_sorts_across_weeks() -> None:
    said = [row("a", 0), row("b", -3), row("c", 60 * 24 * 9)]
    found = ordered(stored(said))
    assert found["text"].to_list() == ["a", "b", "c"]
    assert found["position"].is_sorted()
    assert found["position"][0] // 1_000_000 == int(START.timestamp() * 1000)


def test_a_longer_export_and_one_that_begins_later_are_the_same_conversation_once() -> None:
    whole = [row(text, n // 5) for n, text in enumerate("qpwoeirutyalskdjfhg")]
    assert (
        texts(whole[:7], whole) == texts(whole, whole[:7]) == texts(whole[6:], whole[:9]) == [r["text"] for r in whole]
    )


def test_a_message_that_is_gone_in_a_later_export_leaves_the_others_in_order() -> None:
    whole = [row(text, 0) for text in "dcba"]
    without = [whole[0], whole[1], whole[3]]
    for imports in ((whole, without), (without, whole)):
        assert "".join(texts(*imports)) == "dcba"


def test_two_sources_that_contradict_each_other_still_give_an_order() -> None:
    one, other = [row("a", 0), row("b", 0)], [row("b", 0), row("a", 0)]
    assert sorted(texts(one, other)) == ["a", "b"]
    assert texts(one, other) == texts(other, one)


def test_turn_numbers_decide_unless_they_begin_again() -> None:
    late = [row("second", 0, turn=2), row("first", 5, turn=1), row("third", 6, turn=3)]
    assert texts(late, in_order=False) == ["first", "second", "third"]
    again = [row("a", 0, turn=1), row("b", 1, turn=2), row("c", 9, turn=1), row("d", 10, turn=2)]
    assert texts(again, in_order=False) == ["a", "b", "c", "d"]


def test_two_agents_with_one_session_id_have_two_conversations() -> None:
    mine, theirs = [row("a", 0, agent_id="x"), row("b", 0, agent_id="x")], [row("c", 0, agent_id="y")]
    found = ordered(stored([mine[0], theirs[0], mine[1]]))
    assert found.select("agent_id", "text").rows() == [("x", "a"), ("x", "b"), ("y", "c")]


@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=25),
    st.data(),
)
@settings(max_examples=150, deadline=None)
def test_numbered_pieces_in_any_order_give_the_same_as_the_whole(steps: list[int], data: st.DataObject) -> None:
    minute, whole = 0, []
    for number, step in enumerate(steps):
        minute += step
        whole.append(row(f"text {number % 7}", minute, turn=number, source_ref=str(number)))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=5)) | {0, len(whole)})
    pieces = [whole[a:b] for a, b in itertools.pairwise(cuts)]
    random.Random(data.draw(st.integers(0, 99))).shuffle(pieces)
    assert ordered(stored(*pieces)).drop("follows").equals(ordered(stored(whole)).drop("follows"))


@given(st.lists(st.integers(0, 1), min_size=2, max_size=25), st.data())
@settings(max_examples=150, deadline=None)
def test_overlapping_exports_without_numbers_in_any_order_give_the_same_as_the_whole(
    steps: list[int], data: st.DataObject
) -> None:
    minute, whole = 0, []
    for number, step in enumerate(steps):
        minute += step
        whole.append(row(f"text {number}", minute))
    middle = data.draw(st.integers(1, len(whole) - 1))
    pieces = [whole[: middle + 1], whole[max(0, middle - data.draw(st.integers(0, 4))) :]]
    if data.draw(st.booleans()):
        pieces.reverse()
    assert texts(*pieces) == [r["text"] for r in whole]


def test_any_order_of_rows_gives_the_same_order() -> None:
    frame = stored([row(f"text {n}", n // 3) for n in range(60)])
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=7)
    assert ordered(frame).equals(ordered(shuffled))
