"""What the leak test sees: every usual way of writing what was erased, in raw bytes and in packed columns."""

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy import leak_test as leaks
from privacy.leak_test import Wanted, needles_of

SAID = 'Íñigo Núñez told "Ana"\nabout Ålesund'
RAW = Wanted(needles_of([SAID], []), leaks._as_bytes)
PLAIN = Wanted(needles_of([SAID], []), str.lower)


def raw(path: Path, wanted: Wanted = RAW) -> int:
    return sum(len(wanted.within(chunk)) for chunk in leaks._chunks(path))


@pytest.mark.parametrize(
    "written",
    [SAID, SAID.lower(), SAID.upper(), SAID.swapcase(), json.dumps(SAID), json.dumps(SAID.upper(), ensure_ascii=False)],
    ids=["as said", "lower", "upper", "mixed", "escaped", "quoted"],
)
def test_a_text_is_found_in_bytes_however_it_is_written(written: str, tmp_path: Path) -> None:
    path = tmp_path / "some.log"
    path.write_bytes(b"\x00\xff\xc3" + written.encode() + b"\xfe\xc3")
    assert raw(path) == 1
    path.write_bytes(f"{written[:-4]}#{written[-4:]}".encode())
    assert raw(path) == 0


@given(before=st.integers(0, 200))
def test_a_text_is_found_wherever_chunks_of_a_file_meet(before: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("chunks") / "file"
    path.write_bytes(b"." * before + SAID.encode() + b"." * 100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaks, "CHUNK", 64)
        patch.setattr(leaks, "OVERLAP", len(SAID.encode()))
        assert raw(path) >= 1


@given(st.text(min_size=leaks.SHORTEST, max_size=40), st.sampled_from([str.lower, str.upper, str.title, json.dumps]))
def test_any_text_is_found_in_any_usual_form(text: str, form) -> None:
    for needle in needles_of([text], []):
        written = form(needle)
        assert Wanted([needle], leaks._as_bytes).within(pl.Series([leaks._as_bytes(f" {written} ")])) == {needle}
        assert Wanted([needle], str.lower).within(pl.Series([f" {written} ".lower()])) == {needle}


@pytest.mark.parametrize(
    "column",
    [
        [SAID.upper()],
        [["nothing", SAID]],
        [{"deep": [{"said": SAID}], "number": 1}],
        [json.dumps({"said": SAID})],
    ],
    ids=["text", "list", "struct", "json"],
)
def test_a_text_is_found_in_columns_of_any_shape(column: list) -> None:
    frame = pl.DataFrame({"number": [1], "it": column})
    assert sum(len(PLAIN.within(texts)) for texts in leaks._gathered(leaks._strings(frame))) == 1


def test_small_files_are_searched_together_and_keys_never(tmp_path: Path) -> None:
    for name in ("keys/secret", "logs/a", "logs/deep/b", "lake/c", "top"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "logs/link").symlink_to(tmp_path / "top")
    bundles = {place: [path.name for path in paths] for place, paths in leaks._bundles(tmp_path)}
    assert bundles == {"lake": ["c"], "logs": ["a", "b"], "top": ["top"]}


def test_a_file_that_others_remove_while_the_folder_is_listed_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "gone", "z"):
        (tmp_path / name).write_text("x")
    looked = Path.is_symlink

    def meanwhile(path: Path) -> bool:
        if path.name == "gone":
            path.unlink()
        return looked(path)

    monkeypatch.setattr(Path, "is_symlink", meanwhile)
    assert [path.name for _, paths in leaks._bundles(tmp_path) for path in paths] == ["a", "z"]
