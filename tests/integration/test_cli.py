"""The command: it teaches, its mistakes are one sentence, machines get JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SAMPLE

ROOT = Path(__file__).parents[2]


@pytest.fixture
def memory(make_settings, tmp_path: Path):
    """Return a function that runs the command on an installation with the fast embedder."""
    settings = make_settings("cli")
    config = tmp_path / "memory.toml"
    config.write_text(
        f'home = "{settings.home}"\nplugins_dir = "{settings.plugins_dir}"\n[plugins.embedder]\nuse = "hashing"\n'
    )

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("MEMORY_", "DAGSTER_"))}
        done = subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
            env={**environment, "MEMORY_CONFIG": str(config)},
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


def test_from_import_to_export(memory, tmp_path: Path) -> None:
    first = json.loads(memory("import", str(SAMPLE / "companion.jsonl"), "--json").stdout)
    assert (first["format"], first["new"], first["rejected"]) == ("jsonl", 360, 0)
    assert json.loads(memory("import", str(SAMPLE / "companion.jsonl"), "--json").stdout)["known"] == 360
    made = json.loads(memory("materialize", "--all", "--json").stdout)
    assert made["message_vectors"] == 360
    assert made["unsynced"] == 0
    assert "nothing to do" in memory("materialize").stdout
    status = json.loads(memory("status", "--json").stdout)
    told = b"".join(path.read_bytes() for path in Path(status["home"], "dagster").rglob("*") if path.is_file())
    assert b"anonymized_interactions" in told
    for private in (b"Biscuit", b"Whitlock", b"tom.hale", b"user-grace", b"user-walt", b"kidney", b"Mister Thursday"):
        assert private not in told, private
    assert (status["messages"], status["unsynced"], status["weeks"]) == (360, 0, 9)
    recalled = json.loads(memory("recall", "kidney problem of the dog Biscuit", "--agent", "sage", "--json").stdout)
    assert "Biscuit" in recalled["memories"][0]["text"]
    traced = json.loads(memory("trace", recalled["memories"][0]["source_ids"][0], "--json").stdout)
    assert {"messages", "raw_interactions", "message_embeddings"} <= set(traced["rows"])
    rows = json.loads(memory("sql", "select count(*) n from stg_messages", "--json").stdout)
    assert rows == {"columns": ["n"], "rows": [[360]]}
    exported = json.loads(
        memory("export", str(tmp_path / "out.jsonl"), "--agent", "sage", "--format", "sharegpt", "--json").stdout
    )
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(lines) == exported["samples"] > 20
    text = (tmp_path / "out.jsonl").read_text()
    for private in ("Biscuit's owner", "Grace", "tom.hale@", "Whitlock"):
        assert private not in text, private
    assert "forgotten" in memory("forget", "--user", "user-tom").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "/nowhere/log.jsonl"], "no such file"),
        (["import", str(ROOT / "LICENSE")], "no format recognises"),
        (["import", str(SAMPLE / "world.jsonl"), "--format", "wordperfect"], "no source plugin named 'wordperfect'"),
        (["import", str(SAMPLE / "world.jsonl"), "--map", "text"], "write COLUMN=THEIRS"),
        (["materialize", "--week", "2025-09-02"], "Tuesday"),
        (["materialize", "--week", "2019-01-07"], "before the first week"),
        (["materialize", "--week", "2025-09-01", "--all"], "exclude each other"),
        (["train", "personality", "nobody"], "no agent 'nobody'"),
        (["sql", "select 1"], "does not exist yet"),
        (["export", "/tmp/x.jsonl", "--agent", "nobody"], "nothing to export"),
        (["trace", "m_none"], "no such message"),
        (["forget"], "exactly one"),
    ],
)
def test_a_mistake_is_one_sentence(memory, arguments: list[str], message: str) -> None:
    assert message in " ".join(memory(*arguments, code=2).stderr.split())


def test_help_teaches(memory) -> None:
    shown = memory("--help").stdout
    for command in ("import", "status", "materialize", "recall", "sql", "plugins", "export"):
        assert command in shown
    assert "whatsapp" in memory("import", "--help").stdout


def test_plugins_and_core_memory(memory) -> None:
    listed = json.loads(memory("plugins", "--json").stdout)["plugins"]
    assert {
        "kind": "embedder",
        "name": "hashing",
        "version": "1",
        "package": "hashing.py",
        "status": "in use",
    } in listed
    memory("core", "--agent", "lumi", "--set", "identity/name=Lumi", "--immutable")
    assert memory("core", "--agent", "lumi").stdout.strip() == "name: Lumi"
    assert "immutable" in memory("core", "--agent", "lumi", "--set", "identity/name=X", code=2).stderr


def test_the_demo_finds_the_bundled_sample() -> None:
    from inspect import signature

    from commands.making import demo

    assert (signature(demo).parameters["sample"].default / "sample.json").exists()
