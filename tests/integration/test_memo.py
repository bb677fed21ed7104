"""The memo: a file that does not keep the size of its largest run."""

import sqlite3
from pathlib import Path

from resources.memo import Memo


def test_what_was_dropped_is_given_back_and_nothing_else(tmp_path: Path) -> None:
    memo = Memo(tmp_path / "memo.sqlite")
    memo.put("answers", {f"a{number}": b"kept" for number in range(100)})
    made = {f"v{number}": bytes([number % 256]) * 8_000 for number in range(1_000)}
    memo.put("vectors", made)
    memo.drop("vectors", list(made)[:100])
    assert memo.path.stat().st_size > 4_000_000  # most of it is held: nothing is written anew
    reader = sqlite3.connect(memo.path)  # another process has it open
    assert reader.execute("SELECT count(*) FROM memo").fetchone() == (1_000,)
    memo.drop("vectors", list(made)[100:])
    reader.close()
    assert memo.path.stat().st_size < 200_000
    assert memo.get("answers", ["a7", "v7"]) == {"a7": b"kept"}
    memo.put("vectors", {"v7": b"again"})
    assert memo.get("vectors", ["v7"]) == {"v7": b"again"}
