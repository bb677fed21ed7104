"""Records: ids are content, weeks are Mondays, frames that do not fit are refused without showing a value."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from records.errors import RecordError, SettingsError
from records.ids import content_id, set_hash
from records.interactions import AnonymizedInteractions
from records.memory import Facts
from records.store import STORE_TABLES, Messages
from records.weeks import parse_week, week_expr, week_of, weeks_between


@given(st.lists(st.text(), min_size=1, max_size=5), st.lists(st.text(), min_size=1, max_size=5))
def test_ids_differ_when_their_parts_do(one: list[str], other: list[str]) -> None:
    assert (content_id("m", *one) == content_id("m", *other)) == (one == other)


@given(st.lists(st.text(alphabet="abc", min_size=1), max_size=6))
def test_a_set_has_one_hash_in_any_order_with_repeats(ids: list[str]) -> None:
    assert set_hash(ids) == set_hash(list(reversed(ids)) + ids)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1)))
def test_week_of_a_moment_is_its_monday_in_python_and_in_polars(naive: datetime) -> None:
    moment = naive.replace(tzinfo=UTC)
    monday = parse_week(week_of(moment))
    assert monday.weekday() == 0
    assert timedelta(0) <= moment - datetime(monday.year, monday.month, monday.day, tzinfo=UTC) < timedelta(weeks=1)
    frame = pl.DataFrame({"t": [moment]}, schema={"t": pl.Datetime("us", "UTC")})
    assert frame.select(week_expr("t")).item() == week_of(moment)


def test_a_week_that_is_no_monday_is_named_with_its_monday() -> None:
    with pytest.raises(SettingsError, match="Tuesday.*2025-01-06"):
        parse_week("2025-01-07")
    with pytest.raises(SettingsError, match="no date"):
        parse_week("last week")
    assert weeks_between("2025-01-06", "2025-01-20") == ["2025-01-06", "2025-01-13", "2025-01-20"]


def test_a_frame_that_breaks_a_rule_is_refused_without_its_values() -> None:
    row = dict.fromkeys(Facts.column_names()) | {
        "fact_id": "f_1",
        "agent_id": "a",
        "subject": "secret-person",
        "category": "no-such-category",
        "key": "k",
        "value": "secret-value",
        "polarity": True,
        "confidence": 7.0,
        "quote": "secret-quote",
        "first_mentioned": datetime(2025, 1, 6, tzinfo=UTC),
        "week": "2025-01-06",
        "source_message_ids": ["m"],
        "extracted_by": "x",
    }
    with pytest.raises(RecordError, match="facts: rules failed") as caught:
        Facts.shaped(pl.DataFrame([row], schema=Facts.polars_schema(), orient="row"))
    assert "secret" not in str(caught.value)
    with pytest.raises(RecordError, match="missing columns"):
        Facts.shaped(pl.DataFrame({"fact_id": ["f"]}))


@pytest.mark.parametrize("record", [*STORE_TABLES, Facts, AnonymizedInteractions])
def test_every_column_is_explained_and_has_an_arrow_type(record: type) -> None:
    assert all(record.docs().values()), record
    assert record.arrow_schema().names == record.column_names()


def test_the_api_shape_of_a_message_comes_from_its_record() -> None:
    with pytest.warns(UserWarning, match="time zone"):
        model = Messages.to_pydantic_model()
    assert "text" in model.model_fields
