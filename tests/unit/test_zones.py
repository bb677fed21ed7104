"""Times without time zone, and the machine's zone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from records import zones
from records.errors import SettingsError, SourceError
from records.zones import in_utc, local_zone
from resources.settings import load_settings

ZONES = ("Europe/Madrid", "America/Bogota", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC")


@pytest.mark.parametrize(
    ("local", "name", "utc"),
    [
        ("2025-07-01T18:00", "Europe/Madrid", "2025-07-01T16:00"),
        ("2025-01-01T18:00", "America/Bogota", "2025-01-01T23:00"),
        ("2025-10-26T02:30", "Europe/Madrid", "2025-10-26T00:30"),  # comes twice: the first
        ("2025-03-30T02:30", "Europe/Madrid", "2025-03-30T01:30"),  # is left out: 03:30
        ("2025-03-30T03:30", "Europe/Madrid", "2025-03-30T01:30"),
        ("2025-03-09T02:15", "America/New_York", "2025-03-09T07:15"),
    ],
)
def test_a_naive_time_is_of_the_zone(local: str, name: str, utc: str) -> None:
    assert in_utc(datetime.fromisoformat(local), name) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


def test_the_second_hour_is_meant_where_the_time_says_so_and_is_no_reason_to_go_back_in_spring() -> None:
    assert in_utc(datetime(2025, 10, 26, 2, 30, fold=1), "Europe/Madrid") == datetime(2025, 10, 26, 1, 30, tzinfo=UTC)
    assert in_utc(datetime(2025, 3, 30, 2, 30, fold=1), "Europe/Madrid") == datetime(2025, 3, 30, 1, 30, tzinfo=UTC)


@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)), st.sampled_from(ZONES))
def test_a_moment_written_down_in_a_zone_is_read_as_itself(naive: datetime, name: str) -> None:
    moment = naive.replace(tzinfo=UTC)
    assert in_utc(moment.astimezone(ZoneInfo(name)).replace(tzinfo=None), name) == moment
    assert in_utc(moment.astimezone(ZoneInfo(name)), "Asia/Tokyo") == moment  # an offset wins


@given(st.datetimes(datetime(2025, 1, 1), datetime(2026, 1, 1)), st.sampled_from(ZONES))
def test_later_on_the_clock_is_never_more_than_a_change_of_it_earlier(naive: datetime, name: str) -> None:
    assert in_utc(naive + timedelta(hours=1), name) - in_utc(naive, name) >= timedelta(0)


@pytest.mark.parametrize(("edge", "name"), [(datetime.min, "Asia/Tokyo"), (datetime.max, "America/Bogota")])
def test_the_ends_of_time_are_a_sentence(edge: datetime, name: str) -> None:
    with pytest.raises(ValueError, match="a date that does not exist"):
        in_utc(edge, name)


@pytest.mark.parametrize("name", ["Madrid", "../etc/passwd", "Europe/", "", "GMT+25"])
def test_an_unknown_zone_is_one_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="is no time zone; write an IANA name such as Europe/Madrid"):
        zones.zone(name)
    monkeypatch.setenv("MEMORY_TIMEZONE", name)
    with pytest.raises(SettingsError, match="timezone: .*is no time zone; write an IANA name"):
        load_settings()


@pytest.mark.parametrize(
    ("variable", "linked", "found"),
    [
        ("Europe/Madrid", "Asia/Tokyo", "Europe/Madrid"),
        (":America/Lima", "Asia/Tokyo", "America/Lima"),
        ("/usr/share/zoneinfo/America/Lima", "Asia/Tokyo", "America/Lima"),
        (None, "Asia/Tokyo", "Asia/Tokyo"),
        (None, "posix/Asia/Tokyo", "Asia/Tokyo"),
        (None, None, "UTC"),
        ("<+03>-3", "Asia/Tokyo", "Etc/GMT-3"),
        ("<+0530>-5:30", "Asia/Tokyo", "UTC"),
    ],
)
def test_the_machine_says_its_zone(
    variable: str | None, linked: str | None, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    monkeypatch.setattr(zones, "LOCALTIME", tmp_path / "localtime")
    if linked is not None:
        target = tmp_path / "zoneinfo" / linked
        target.parent.mkdir(parents=True)
        target.touch()
        (tmp_path / "localtime").symlink_to(target)
    monkeypatch.delenv("TZ") if variable is None else monkeypatch.setenv("TZ", variable)
    time.tzset()
    try:
        assert local_zone() == found
        assert load_settings().timezone == found
        monkeypatch.setenv("MEMORY_TIMEZONE", "America/Bogota")
        assert load_settings().timezone == "America/Bogota"
    finally:
        monkeypatch.setenv("TZ", "UTC")
        time.tzset()
