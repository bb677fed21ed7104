"""Settings: unknown keys are errors that name the nearest one; variables win over the file."""

from pathlib import Path

import pytest

from records.errors import SettingsError
from resources.settings import load_settings


def test_defaults_live_under_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MEMORY_HOME")
    settings = load_settings()
    assert settings.home == tmp_path / ".memory"
    assert settings.store_url == f"sqlite:///{tmp_path / '.memory' / 'store.sqlite'}"


def test_variables_win_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "memory.toml"
    file.write_text(
        'unsynced_threshold = 10\nfirst_week = "2021-01-04"\n[plugins.embedder]\nuse = "openai"\nmodel = "m"\n'
    )
    monkeypatch.setenv("MEMORY_UNSYNCED_THRESHOLD", "7")
    settings = load_settings(file)
    assert (settings.unsynced_threshold, settings.first_week) == (7, "2021-01-04")
    assert settings.plugins["embedder"].options == {"model": "m"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("unsynced_treshold = 3", "did you mean unsynced_threshold"),
        ("[dataset]\nmin_qualty = 0.5", "did you mean min_quality"),
        ('first_week = "2021-01-05"', "Tuesday"),
        ("unsynced_threshold = 0", "greater than or equal to 1"),
        ("home = [", "not valid TOML"),
    ],
)
def test_a_typo_is_named_with_what_was_meant(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "memory.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_settings(file)


def test_a_list_in_a_variable_and_an_unreadable_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_PLUGINS_ALLOW", "memory-assets-shout, mine.py")
    assert load_settings().plugins_allow == ["memory-assets-shout", "mine.py"]
    monkeypatch.setenv("MEMORY_PLUGINS", "{not json")
    with pytest.raises(SettingsError, match="plugins"):
        load_settings()


def test_an_unknown_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_TRESHOLD", "3")
    with pytest.raises(SettingsError, match="MEMORY_TRESHOLD is no setting"):
        load_settings()
