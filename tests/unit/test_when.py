"""Time expressions: given a question in English or Spanish, this is when it is about."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from language.time_expressions import moments

NOW = datetime(2024, 5, 15, 12, tzinfo=UTC)  # a Wednesday


@pytest.mark.parametrize(
    ("question", "start", "end"),
    [
        ("What did Jon find on 1 February, 2023?", "2023-02-01", "2023-02-02"),
        ("where was she on May 24, 2023", "2023-05-24", "2023-05-25"),
        ("the puppy she got two weeks before August 11, 2023", "2023-07-27", "2023-07-30"),
        ("what happened the day after 3 July 2023", "2023-07-04", "2023-07-05"),
        ("what did we do last summer", "2023-06-01", "2023-09-01"),
        ("the summer of 2022? in the summer of 2022", "2022-06-01", "2022-09-01"),
        ("what did I say last week", "2024-05-06", "2024-05-13"),
        ("what did I say yesterday", "2024-05-14", "2024-05-15"),
        ("on Friday", "2024-05-10", "2024-05-11"),
        ("in 2021", "2021-01-01", "2022-01-01"),
        ("first half of September 2022", "2022-09-01", "2022-09-16"),
        ("¿qué hicimos hace dos semanas?", "2024-04-28", "2024-05-05"),
        ("¿qué pasó el verano pasado?", "2023-06-01", "2023-09-01"),
        ("¿y a finales de marzo de 2023?", "2023-03-21", "2023-04-01"),
        ("¿qué dije ayer?", "2024-05-14", "2024-05-15"),
        ("el lunes", "2024-05-13", "2024-05-14"),
        ("el mes pasado", "2024-04-01", "2024-05-01"),
    ],
)
def test_an_expression_is_a_span(question: str, start: str, end: str) -> None:
    found = moments(question, NOW)
    assert found is not None
    assert tuple(str(edge)[:10] for edge in found.spans[0]) == (start, end)


def test_a_month_without_year_is_that_month_of_any_year() -> None:
    for question in ("what did she do in May", "¿qué hizo en mayo?"):
        found = moments(question, NOW)
        assert found is not None
        assert {span[0].month for span in found.spans} == {5}
        assert {2023, 2024} <= {span[0].year for span in found.spans}


@pytest.mark.parametrize(
    "question", ["What may I do?", "who is she", "31 June 2020", "2023-13-99", "a marching band", "", "¿quién es?"]
)
def test_what_is_no_time_is_none(question: str) -> None:
    assert moments(question, NOW) is None


def test_nearness_is_one_inside_and_falls_slower_after_than_before() -> None:
    found = moments("on 10 May 2024", NOW)
    assert found is not None
    days = [datetime(2024, 5, day, 12) for day in (3, 8, 10, 12, 17)]
    near = found.nearness(np.array(days, dtype="datetime64[us]"))
    assert near[2] == 1.0
    assert near[0] < near[1] < near[3] < 1.0
    assert near[1] < near[3]
    assert near[4] < near[3]


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    found = moments(text, NOW)
    assert found is None or all(start < end for start, end in found.spans)


def test_spans_end_exclusively() -> None:
    found = moments("on 10 May 2024", NOW)
    assert found is not None
    assert found.spans[0][1] - found.spans[0][0] == timedelta(days=1)


@pytest.mark.parametrize(
    ("zone", "question", "start", "end"),
    [
        # NOW is noon in UTC on Wednesday, 15 May 2024: 02:00 of the 16th on Kiritimati.
        ("Pacific/Kiritimati", "what did I say yesterday", "2024-05-14T10:00", "2024-05-15T10:00"),
        ("America/Los_Angeles", "what did I say yesterday", "2024-05-14T07:00", "2024-05-15T07:00"),
        ("Pacific/Kiritimati", "¿qué dije el miércoles?", "2024-05-14T10:00", "2024-05-15T10:00"),
        ("Europe/Madrid", "in May 2023", "2023-04-30T22:00", "2023-05-31T22:00"),
        ("Europe/Madrid", "on 31 March 2024", "2024-03-30T23:00", "2024-03-31T22:00"),  # a day of 23 hours
        ("Europe/Madrid", "on 29 October 2023", "2023-10-28T22:00", "2023-10-29T23:00"),  # and one of 25
    ],
)
def test_days_are_those_of_the_zone_of_now(zone: str, question: str, start: str, end: str) -> None:
    found = moments(question, NOW.astimezone(ZoneInfo(zone)))
    assert found is not None
    assert tuple(edge.isoformat()[:16] for edge in found.spans[0]) == (start, end)
