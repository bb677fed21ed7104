"""Sources: every format becomes the same messages; what cannot be taken is a reject or one clear sentence."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from plugins.contracts import SourceOptions
from plugins.registry import PluginRegistry
from plugins.sources.normalise import normalise, parse_time
from records.errors import SourceError
from serving.capture import choose_source


def read(path: Path | str, name: str | None = None, **options: Any) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return messages, sessions and rejects of a file."""
    given = SourceOptions(**options)
    source = choose_source(PluginRegistry(), str(path), name)
    frames = []
    rejects = []
    for batch in source.read(str(path), given):
        found = normalise(batch.rows, given, source.name, Path(str(path)).name)
        frames.append((found.messages, found.sessions))
        refused = [*batch.rejects, *found.rejects.to_dicts()]
        rejects.append(pl.DataFrame(refused, schema=found.rejects.schema, orient="row"))
    return pl.concat([f[0] for f in frames]), pl.concat([f[1] for f in frames]), pl.concat(rejects)


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "a.jsonl", "empty"),
        (b"\x00\x01\x02binary", "a.jsonl", "binary"),
        ("año".encode("latin-1"), "a.jsonl", "not utf-8.*line 1"),
        (b'[{"messages": [', "a.json", "truncated|not valid JSON|no format"),
        (b"PAR1 and no more", "a.parquet", "cannot be read"),
        (b"hello\n", "a.txt", "no format recognises"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path, content: bytes, name: str, message: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read(file)
    with pytest.raises(SourceError, match="no such file"):
        read(tmp_path / "nothing.jsonl")


def test_times_of_all_kinds() -> None:
    moment = datetime(2025, 3, 1, 18, 30, tzinfo=UTC)
    for value in (
        moment.timestamp(),
        moment.timestamp() * 1e3,
        moment.timestamp() * 1e6,
        "2025-03-01T18:30:00Z",
        "2025-03-01 19:30+01:00",
        str(int(moment.timestamp())),
    ):
        assert parse_time(value, SourceOptions()) == moment
    with pytest.raises(SourceError, match="no time zone"):
        parse_time("2025-03-01", SourceOptions(timezone="Mars/Olympus"))
