"""Forgetting as the command does it: what is kept of no one in particular goes as well, and what was begun before is finished."""

import textwrap
from datetime import timedelta

import polars as pl
import pytest

from memory_assets.operations.forget import forget_everywhere
from memory_assets.operations.materialize import materialize_weeks
from memory_assets.tools import Tools
from model_registry.exports import write_export
from model_registry.files import OTHERS
from resources.settings import Settings
from tests.conftest import MONDAY, killed_run, message_rows, write_rows

SECRET = "the quetzal tattoo on my left shoulder"

PRINTING = """
import sys
from plugins.hookspecs import hookimpl
from plugins.scorers.heuristic import HeuristicScorer
class Printing(HeuristicScorer):
    name = "printing"
    def score(self, interactions):
        print("said:", *interactions["input_text"])
        print("said:", *interactions["input_text"], file=sys.stderr)
        return super().score(interactions)
@hookimpl
def register_plugins():
    return [Printing]
"""

KILLED = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    from resources.settings import load_settings
    from memory_assets.operations import forget as forgetting
    from privacy import erasure
    def die(*args):
        os.kill(os.getpid(), signal.SIGKILL)
    erasure.Erasure._from_lake = die
    chosen = {"embedder": {"use": "hashing"}, "tokens": {"use": "none"}, "anonymizer": {"use": "patterns"}}
    settings = load_settings(home=Path(sys.argv[1]), plugins_dir=Path(sys.argv[2]), plugins=chosen)
    forgetting.forget_everywhere(settings, "session", "zoe-private", lambda *_: None)
""")


def zoes_and_anas(settings: Settings) -> None:
    """Write two conversations of one week."""
    zoes = message_rows(6, session="zoe-private", user="user-zoe", start=MONDAY + timedelta(hours=4))
    for row in zoes:
        if row["role"] == "user":
            row.update(speaker_name="Zoraida Quintana", text=f"I showed {SECRET} to my sister, day {row['line']}")
    write_rows(Tools(settings).store, message_rows(6, session="a") + zoes)


def quiet(*_: object) -> None:
    """Show nothing."""


def test_what_steps_printed_and_a_killed_evaluation_left_is_gone(
    make_settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(plugins={"scorer": {"use": "printing"}})
    (settings.plugins_dir / "printing.py").write_text(PRINTING, encoding="utf-8")
    zoes_and_anas(settings)
    monkeypatch.setenv("DAGSTER_HOME", str(settings.home / "dagster"))
    (settings.home / "dagster").mkdir()
    materialize_weeks(settings, ["2025-01-06"], quiet)
    printed = [path for path in (settings.home / "dagster/storage").rglob("*") if path.suffix in (".out", ".err")]
    assert {path.suffix for path in printed if SECRET in path.read_text(encoding="utf-8")} == {".out", ".err"}
    left = settings.home / "adapters/a_of_mira" / OTHERS
    left.parent.mkdir(parents=True)
    left.write_text(SECRET, encoding="utf-8")
    (left.parent / "begun.json").write_text('{"datasets": ["d_of_mira"]}', encoding="utf-8")

    assert forget_everywhere(settings, "user", "user-zoe", quiet).leaks == 0

    assert not left.exists()
    assert left.parent.exists()
    told = [path.read_text(encoding="utf-8") for path in (settings.home / "dagster/storage").rglob("*.out")]
    assert any("number 0" in text for text in told)  # what is made again is of others
    assert not any(SECRET in text for text in told)


@pytest.mark.thorough
def test_an_erasure_that_was_killed_is_finished_by_one_of_another_subject(
    make_settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings()
    zoes_and_anas(settings)
    monkeypatch.setenv("DAGSTER_HOME", str(settings.home / "dagster"))
    (settings.home / "dagster").mkdir()
    tools = Tools(settings)
    said = tools.store.frame("SELECT message_id FROM messages WHERE user_id = 'user-zoe'")["message_id"].to_list()
    samples = pl.DataFrame({"sample_id": ["s"], "source_message_ids": [said[:2]], "content_hash": ["h"]})
    exported = settings.home.parent / "out.jsonl"
    what = {"agent_id": "lumi", "layer": "personality", "week": None, "skill": None, "format": "chatml"}
    write_export(settings.home, tools.store, exported, ["{}"], samples, **what)
    exported.rename(exported.with_name("moved.jsonl"))
    tools.store.close()
    killed_run(KILLED, str(settings.home), str(settings.plugins_dir))
    assert list((settings.home / "keys/erasing").glob("*.json"))
    assert [row["work"] is None for row in Tools(settings).store.rows("receipts")] == [False]

    done = forget_everywhere(settings, "user", "user-ana", quiet)

    assert done.leaks == 0
    tools = Tools(settings)
    assert tools.store.rows("messages") == []
    assert not list((settings.home / "keys/erasing").iterdir())
    receipts = {row["kind"]: row for row in tools.receipt_book.all()}
    assert {kind: (row["state"], row["leaks"]) for kind, row in receipts.items()} == {
        "session": ("done", 0),
        "user": ("done", 0),
    }
    # What a person has to do stays pending, whatever is made again.
    assert receipts["session"]["pending"] == [f"delete what was exported to {exported}"]
