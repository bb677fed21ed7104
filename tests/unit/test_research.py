"""Published conversations: LoCoMo and MemoryBank are read as their papers describe them, however broken a copy is."""

import json
from pathlib import Path
from typing import Any

import pytest

from plugins.sources.reading import head_of
from plugins.sources.research import LoCoMo, MemoryBank
from records.errors import SourceError
from tests.unit.taken import Taken, holds, mutants, take

LOCOMO = [
    {
        "qa": [],
        "sample_id": "conv-1",
        "conversation": {
            "speaker_a": "Ann",
            "session_2": [{"speaker": "Ann", "dia_id": "D2:1", "text": "late"}],
            "session_1_date_time": "1:56 pm on 8 May, 2023",
            "session_1": [
                {"speaker": "Ann", "dia_id": "D1:1", "text": "Look", "blip_caption": "a sunset"},
                {"text": "who?"},
            ],
        },
    }
]
BANK = {"Emily": {"name": "Emily", "history": {"2023-04-27": [{"query": "Hi", "response": "Hello"}, 7], "soon": []}}}


def taken(tmp_path: Path, source: Any, data: Any, **options: Any) -> Taken:
    file = tmp_path / "data.json"
    file.write_text(json.dumps(data))
    return take(source, file, **options)


def test_locomo(tmp_path: Path) -> None:
    found = taken(tmp_path, LoCoMo(), LOCOMO)
    [message] = found.messages
    assert (message["agent_id"], message["text"], message["source_ref"]) == ("conv-1", "Look [image: a sunset]", "D1:1")
    assert message["user_id"] is None
    assert found.reasons == ["no speaker", "session_2 has no time"]
    assert LoCoMo().sniff(tmp_path / "data.json", head_of(tmp_path / "data.json"))


def test_memorybank(tmp_path: Path) -> None:
    found = taken(tmp_path, MemoryBank(), BANK)
    assert [(m["user_id"], m["role"], m["text"]) for m in found.messages] == [
        ("Emily", "user", "Hi"),
        ("Emily", "agent", "Hello"),
    ]
    assert sorted(found.reasons) == ["a day that is no date", "not an exchange"]
    assert MemoryBank().sniff(tmp_path / "data.json", head_of(tmp_path / "data.json"))


def test_any_broken_copy_is_read_or_refused_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    for source, whole in ((LoCoMo(), LOCOMO), (MemoryBank(), BANK)):
        for broken in mutants(whole, 150):
            file.write_text(json.dumps(broken))
            holds(source, file)
        for nothing in ({}, [], [[]], 7, {"conversation": []}, {"a": {"history": 3}}):
            with pytest.raises(SourceError):
                taken(tmp_path, source, nothing)
    late = {"Emily": {"history": {"9999-12-31": [{"query": "Hi", "response": "x"}] * 2_000}}}
    assert taken(tmp_path, MemoryBank(), late).messages == []
