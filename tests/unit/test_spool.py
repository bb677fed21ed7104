"""The file in which lines wait: whole, in order, and never mistaken for another."""

import json
from pathlib import Path

from serving.spool import Spool, as_line, read_lines


def line(number: int, text: str = "hola") -> dict[str, object]:
    return {"kind": "messages", "at": f"2025-01-06T10:00:{number:02}+00:00", "messages": [{"text": text, "n": number}]}


def said(spool: Spool) -> list[object]:
    return [message["n"] for message in spool.messages()]


def test_lines_are_read_as_they_are_written_and_a_file_that_came_after_is_another(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert spool.is_empty()
    for number in range(3):
        spool.append(line(number))
        assert said(spool) == list(range(number + 1))
    assert spool.claim() == spool.claimed
    spool.append(line(3))
    assert said(spool) == [0, 1, 2, 3]
    assert spool.claim() == spool.claimed  # what was claimed comes first
    spool.done()
    assert said(spool) == [3]
    assert spool.claim() is not None
    spool.done()
    assert spool.is_empty()
    assert said(spool) == []
    for number in range(4, 9):  # longer than the one before, and perhaps of the same inode
        spool.append(line(number))
    assert said(spool) == [4, 5, 6, 7, 8]


def test_the_part_of_a_line_that_a_kill_left_is_no_line_and_spoils_none(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(line(0, "ñandú 🦊"))
    with spool.waiting.open("ab") as handle:
        handle.write(json.dumps(line(1)).encode()[:30])
    assert said(spool) == [0]
    spool.append(line(2))
    assert said(spool) == [0, 2]
    assert [as_line(text) is not None for text in read_lines(spool.waiting)] == [True, True]


def test_what_cannot_be_written_waits_in_memory_and_is_written_first(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be")
    spool = Spool(tmp_path)
    spool.append(line(0))
    assert not spool.is_empty()
    assert said(spool) == [0]
    (tmp_path / "spool").unlink()
    spool.append(line(1))
    assert spool.held == []
    assert said(spool) == [0, 1]
