"""Evidence of the recall benchmark: malformed ids are mended, metrics are what they are called, three formats are one shape."""

import json
from pathlib import Path

import pytest

from benchmarks.evidence import averaged, beam, locomo, metrics, normalised, realtalk


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        (["D1:3"], ["D1:3"]),
        (["D8:6; D9:17"], ["D8:6", "D9:17"]),
        (["D30:05"], ["D30:5"]),
        (["D12:3-D12:5"], ["D12:3", "D12:4", "D12:5"]),
        (["D1:3", "D1:3", "D"], ["D1:3"]),
        ([], []),
    ],
)
def test_evidence_ids_are_normalised(raw: list[str], clean: list[str]) -> None:
    assert normalised(raw) == clean


def test_metrics() -> None:
    found = metrics(["a", "x", "b", *"cdefghijkl"], ["a", "b", "z", "l"])
    assert found["recall@5"] == 0.5
    assert found["recall@10"] == 0.5
    assert found["recall@25"] == 0.75
    assert found["hit@10"] == 1.0
    assert found["ndcg@10"] == pytest.approx((1 + 1 / 2) / (1 + 0.63093 + 0.5 + 0.43068), abs=1e-4)
    assert averaged([("one", found), ("two", metrics([], ["a"]))])["overall"]["recall@5"] == 25.0


def test_locomo_and_realtalk_become_one_shape(tmp_path: Path) -> None:
    session = [
        {"speaker": "Ann", "dia_id": "D1:1", "text": "I moved"},
        {"speaker": "Bo", "dia_id": "D1:2", "clean_text": "Oh", "text": "Oh"},
    ]
    asked = [
        {"question": "Who moved?", "evidence": ["D1:01"], "category": 4},
        {"question": "?", "evidence": ["D9:9"], "category": 5},
    ]
    talk = {"session_1_date_time": "1:56 pm on 8 May, 2023", "session_1": session}
    file = tmp_path / "locomo.json"
    file.write_text(json.dumps([{"sample_id": "c", "qa": asked, "conversation": {"speaker_a": "Ann", **talk}}]))
    (tmp_path / "Chat_1.json").write_text(json.dumps({**talk, "qa": asked}))
    for conversation in (*locomo(file), *realtalk(tmp_path)):
        assert [turn.ref for turn in conversation.turns] == ["D1:1", "D1:2"]
        assert conversation.questions[0].evidence == ["D1:1"]
        assert (conversation.malformed, conversation.unknown, conversation.without_evidence) == (1, 1, 1)


def test_beam_drops_its_marks_and_flattens_evidence(tmp_path: Path) -> None:
    folder = tmp_path / "1"
    folder.mkdir()
    turns = [[{"role": "user", "id": 0, "content": "hi ->-> 1,1"}, {"role": "assistant", "id": 1, "content": "hello"}]]
    (folder / "chat.json").write_text(json.dumps([{"batch_number": 1, "turns": turns}]))
    asked = {
        "contradiction": [{"question": "?", "source_chat_ids": {"first": [0], "second": [1]}}],
        "abstention": [{"question": "?"}],
    }
    (folder / "probing_questions.json").write_text(json.dumps(asked))
    (conversation,) = beam(tmp_path)
    assert conversation.turns[0].text == "hi"
    assert conversation.questions[0].evidence == ["0", "1"]
    assert conversation.without_evidence == 1
