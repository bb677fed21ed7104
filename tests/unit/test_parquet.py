"""Parquet: given a table of messages with the types that programs write, this is remembered."""

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from plugins.sources.reading import head_of
from plugins.sources.tables.parquet import Parquet
from plugins.sources.tables.tabular import Csv
from records.errors import SourceError
from tests.unit.taken import Taken, holds, take

TEN = datetime(2025, 1, 6, 10, tzinfo=UTC)


def taken(tmp_path: Path, table: Any, **options: Any) -> Taken:
    file = tmp_path / "log.parquet"
    pq.write_table(table, file)
    assert Parquet().sniff(file, head_of(file))
    return take(Parquet(), file, **{"agent": "Lumi", **options})


def test_a_table_is_read_as_the_same_table_in_csv(tmp_path: Path) -> None:
    table = pa.table({"who": ["ana", "Lumi"], "body": ["hello, you", "yo"], "when": ["2025-01-06T10:00"] * 2})
    found = taken(tmp_path, table, timezone="Europe/Madrid")
    (tmp_path / "log.csv").write_text('who,body,when\nana,"hello, you",2025-01-06T10:00\nLumi,yo,2025-01-06T10:00\n')
    assert found.messages == [m | {"source": "parquet"} for m in
                              take(Csv(), tmp_path / "log.csv", agent="Lumi", timezone="Europe/Madrid").messages]  # fmt: skip
    assert "body as text" in found.notes[0]


def test_types_of_all_kinds_become_texts_times_and_lists(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": pa.array(["a", "b", None, "d"]).dictionary_encode(),
            "occurred_at": pa.array([TEN] * 4, pa.timestamp("ns", "Europe/Madrid")),
            "edited_at": pa.array([date(2025, 1, 7), None, None, None]),
            "speaker_id": pa.array([Decimal("15"), Decimal("16"), None, Decimal("17")]),
            "location": pa.array([b"caf\xc3\xa9", None, b"x", b"\xff"]),
            "participants": pa.array([["x", "y"], None, [], ["z"]]),
            "metadata": pa.array([{"a": 1}, None, {"a": 2}, None]),
            "turn": pa.array([1.0, float("nan"), 3.0, 4.0]),
            "unused": pa.array([timedelta(seconds=1)] * 4),
        }
    )
    found = taken(tmp_path, table)
    assert found.said == [("15", "a"), ("16", "b"), ("17", "d")]
    assert [m["occurred_at"] for m in found.messages] == [TEN] * 3
    assert [m["location"] for m in found.messages] == ["café", None, "\ufffd"]
    assert [m["turn"] for m in found.messages] == [1, None, 4]
    assert found.about("a") == {"a": 1}
    assert found.reasons == ["no text"]


def test_one_date_beyond_all_calendars_costs_one_row(tmp_path: Path) -> None:
    moments = pa.array([1_736_157_600_000, 9 * 10**15], pa.int64()).cast(pa.timestamp("ms"))
    found = taken(tmp_path, pa.table({"text": ["a", "b"], "occurred_at": moments, "speaker_id": ["ana", "ana"]}))
    assert found.texts == ["a"]
    assert "cannot be read" in found.reasons[0]


def test_exchanges_come_in_pairs_over_all_row_groups(tmp_path: Path) -> None:
    count = 6_000
    table = pa.table(
        {
            "prompt": [f"q{i}" for i in range(count)],
            "response": [f"a{i}" for i in range(count)],
            "created_at": [TEN] * count,
        }
    )
    file = tmp_path / "log.parquet"
    pq.write_table(table, file, row_group_size=999)
    found = take(Parquet(), file, agent="Lumi", user="ana")
    assert found.texts == [text for i in range(count) for text in (f"q{i}", f"a{i}")]
    ids = [m["message_id"] for m in found.messages]
    assert [m["follows"] for m in found.messages] == [None, *ids[:-1]]


def test_a_small_file_that_claims_more_than_a_chat_is_refused(tmp_path: Path) -> None:
    many = pa.DictionaryArray.from_arrays(pa.array(np.zeros(4_000_000, np.int32)), pa.array(["x"]))
    with pytest.raises(SourceError, match="4000000 rows in .* bytes: more than an export can hold"):
        taken(tmp_path, pa.table({"text": many}))
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(2_000, np.int32)), pa.array(["x" * 1_000_000]))
    with pytest.raises(SourceError, match="hold more text than an export can"):
        taken(tmp_path, pa.table({"text": long}))


def test_broken_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no rows"):
        taken(tmp_path, pa.table({"text": pa.array([], pa.string())}))
    with pytest.raises(SourceError, match="no column 'text'.*found a"):
        taken(tmp_path, pa.table({"a": [1]}))
    table = pa.table({"text": [f"t{i}" for i in range(300)], "occurred_at": [TEN] * 300, "speaker_id": ["ana"] * 300})
    taken(tmp_path, table)
    whole = (tmp_path / "log.parquet").read_bytes()
    dice, file = random.Random(5), tmp_path / "broken.parquet"
    for content in (b"PAR1 and no more", whole[:-20], whole[: len(whole) // 2], whole[:8] + whole[-8:]):
        file.write_bytes(content)
        with pytest.raises(SourceError, match="cannot be read"):
            take(Parquet(), file, agent="Lumi")
    for _ in range(150):
        place = dice.randrange(4, len(whole))
        file.write_bytes(whole[:place] + dice.randbytes(3) + whole[place + 3 :])
        holds(Parquet(), file, agent="Lumi")
    file.write_bytes(b"text,occurred_at\n")
    with pytest.raises(SourceError, match="not a Parquet file"):
        take(Parquet(), file)
