"""The pipeline: whatever the order, the pieces, the kills, the bytes are the same, and nothing private is told to Dagster."""

import textwrap
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory_assets.jobs import MEMORY
from memory_assets.tools import Tools
from resources.settings import Settings
from tests.conftest import (
    MONDAY,
    fast_settings,
    killed_run,
    lake_bytes,
    lance_rows,
    message_rows,
    weekly_run,
    write_rows,
)

WEEKS = ("2025-01-06", "2025-01-13", "2025-01-20")


def three_weeks() -> list[dict]:
    """Return messages of three weeks and two users, with things worth remembering."""
    rows = []
    for number in range(3):
        start = MONDAY + timedelta(weeks=number)
        rows += message_rows(8, start=start, session=f"a{number}")
        sad = message_rows(4, start=start + timedelta(hours=3), session=f"b{number}", user="user-ben")
        sad[0]["text"] = f"My grandmother Rose passed away, I cried all night, I'm so sad and alone {number}"
        sad[2]["text"] = f"I decided to tell you my secret: I never told anybody, I feel terrible {number}"
        rows += sad
    return rows


def fill(settings: Settings, rows: list[dict]) -> Settings:
    """Write rows; the key behind pseudonyms is the same everywhere, so that bytes can be compared."""
    tools = Tools(settings)
    tools.keys.path.parent.mkdir(parents=True, exist_ok=True)
    tools.keys.path.write_bytes(b"k" * 32)
    write_rows(tools.store, rows)
    return settings


def same(one: Settings, other: Settings) -> None:
    """Assert equal bytes in the lake and equal rows and vectors in Lance."""
    left, right = lake_bytes(one), lake_bytes(other)
    assert left.keys() == right.keys()
    assert [name for name in left if left[name] != right[name]] == []
    for kind in ("message_embeddings", "episode_embeddings", "fact_embeddings"):
        assert lance_rows(one, kind).equals(lance_rows(other, kind)), kind


def test_every_table_is_made_and_everything_is_synced(settings: Settings) -> None:
    fill(settings, three_weeks())
    assert weekly_run(settings, WEEKS[0], WEEKS[-1], analytics=True).success
    tools = Tools(settings)
    counts = {
        asset: pl.scan_parquet(f"{settings.home}/lake/{asset}/*.parquet").select(pl.len()).collect().item()
        for asset in (
            "raw_interactions",
            "scored_interactions",
            "anonymized_interactions",
            "facts",
            "episodes",
            "consolidated_episodes",
        )
    }
    assert all(counts.values()), counts
    assert counts["raw_interactions"] == tools.vectors.count("message_embeddings") == 36
    assert tools.sync.unsynced() == 0
    with tools.warehouse.connect() as connection:
        assert connection.execute(
            "SELECT sum(not_embedded), sum(unsynced), sum(held_back) FROM pipeline_health"
        ).fetchone() == (0, 0, 0)


@settings(max_examples=3, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_weeks_and_imports_in_any_order_and_pieces_are_the_same_bytes(
    make_settings: Callable[..., Settings], data: st.DataObject
) -> None:
    name = uuid4().hex[:8]
    rows = three_weeks()
    whole = fill(make_settings(f"whole-{name}"), rows)
    assert weekly_run(whole, WEEKS[0], WEEKS[-1]).success
    parts = make_settings(f"parts-{name}")
    order = data.draw(st.permutations(range(3)))
    for place in order:  # one week at a time, imported in two pieces, the later one first, with repeats
        first, last = (MONDAY + timedelta(weeks=place + n) for n in (0, 1))
        week = [row for row in rows if first.isoformat() <= row["occurred_at"] < last.isoformat()]
        cut = data.draw(st.integers(1, len(week) - 1))
        fill(parts, data.draw(st.permutations(week[cut:])))
        assert weekly_run(parts, WEEKS[place]).success
        fill(parts, week[: cut + 1])
        assert weekly_run(parts, WEEKS[place]).success
    assert weekly_run(parts, WEEKS[order[0]]).success  # unchanged: nothing moves
    same(whole, parts)


def test_unchanged_weeks_embed_nothing_and_commit_nothing(settings: Settings) -> None:
    fill(settings, three_weeks())
    weekly_run(settings, WEEKS[0], WEEKS[-1])
    version = Tools(settings).vectors.open("message_embeddings").version
    result = weekly_run(settings, WEEKS[0], WEEKS[-1])
    embedded = {
        e.asset_key.to_user_string(): e.materialization.metadata["embedded"].value
        for e in result.get_asset_materialization_events()
        if "embedded" in e.materialization.metadata
    }
    assert embedded == {"message_embeddings": 0, "episode_embeddings": 0, "fact_embeddings": 0}
    assert Tools(settings).vectors.open("message_embeddings").version == version
    late = [
        row | {"text": "something new"} for row in message_rows(1, start=MONDAY + timedelta(days=2), session="late")
    ]
    write_rows(Tools(settings).store, late)
    result = weekly_run(settings, WEEKS[0])
    assert (
        next(
            e.materialization.metadata["embedded"].value
            for e in result.get_asset_materialization_events()
            if e.asset_key.to_user_string() == "message_embeddings"
        )
        == 1
    )


KILLED_RUN = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    from resources import files
    from resources import lake
    from resources import vectors
    from resources import sync
    step, moment, home, plugins = sys.argv[1:5]
    from resources.settings import load_settings
    chosen = {"embedder": {"use": "hashing"}, "tokens": {"use": "none"}, "anonymizer": {"use": "patterns"}}
    settings = load_settings(home=Path(home), plugins_dir=Path(plugins), plugins=chosen)

    def dying(inner, before):
        def wrapped(*args, **kwargs):
            if before:
                os.kill(os.getpid(), signal.SIGKILL)
            inner(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)
        return wrapped

    before = moment == "before"
    write = lake.Lake.write
    def lake_write(self, asset, partition, frame):
        if asset == step:
            return dying(lambda: write(self, asset, partition, frame), before)()
        return write(self, asset, partition, frame)
    lake.Lake.write = lake_write
    replace = vectors.VectorStore.replace_week
    def replace_week(self, kind, *args):
        if kind == step:
            return dying(lambda: replace(self, kind, *args), before)()
        return replace(self, kind, *args)
    vectors.VectorStore.replace_week = replace_week
    if step == "synced_messages":
        sync.SyncState.mark_unchanged = dying(sync.SyncState.mark_unchanged, before)
    from tests.conftest import weekly_run
    weekly_run(settings, "2025-01-06", "2025-01-20")
""")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return an installation of three weeks whose run nobody killed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    whole = fill(fast_settings(folder, "whole"), three_weeks())
    assert weekly_run(whole, WEEKS[0], WEEKS[-1]).success
    return whole


def test_runs_killed_around_the_write_of_every_other_step_are_as_if_undisturbed(
    make_settings: Callable[..., Settings], undisturbed: Settings
) -> None:
    """Each run does what the one before left, and dies before the write of its step, or after it."""
    kills = [(step, ("before", "after")[place % 2]) for place, step in enumerate(MEMORY[::2])]
    as_if_undisturbed(make_settings, undisturbed, kills)


@pytest.mark.thorough
@pytest.mark.parametrize("step", MEMORY)
def test_a_run_killed_around_a_write_and_run_again_is_as_if_undisturbed(
    make_settings: Callable[..., Settings], undisturbed: Settings, step: str
) -> None:
    """The first run dies before the write of a step; the second does the rest up to the moment after it, and dies there."""
    as_if_undisturbed(make_settings, undisturbed, [(step, "before"), (step, "after")])


def as_if_undisturbed(
    make_settings: Callable[..., Settings], undisturbed: Settings, kills: list[tuple[str, str]]
) -> None:
    """Kill runs of an installation one after the other, and compare it after one that is not killed."""
    killed = fill(make_settings("killed"), three_weeks())
    Tools(killed).store.close()
    for step, moment in kills:
        killed_run(KILLED_RUN, step, moment, str(killed.home), str(killed.plugins_dir))
    assert weekly_run(killed, WEEKS[0], WEEKS[-1]).success
    same(undisturbed, killed)
    assert Tools(killed).sync.unsynced() == 0
    assert not [path for path in (killed.home / "lake").rglob("*.parquet") if path.name.startswith(".")]


FAILING = """
from plugins.extractors.facts_rules import RuleFacts
from plugins.hookspecs import hookimpl
class Failing(RuleFacts):
    name = "failing"
    def extract(self, messages):
        raise RuntimeError("the extractor is down")
@hookimpl
def register_plugins():
    return [Failing]
"""


SPEAKING = """
from plugins.extractors.facts_rules import RuleFacts
from plugins.hookspecs import hookimpl
class Speaking(RuleFacts):
    name = "speaking"
    def extract(self, messages):
        try:
            int(messages["text"][0])
        except ValueError as error:
            raise KeyError(f"cannot read {messages['text'].to_list()}") from error
@hookimpl
def register_plugins():
    return [Speaking]
"""


def test_what_an_error_says_goes_to_a_file_and_never_to_dagster(make_settings: Callable[..., Settings], tmp_path: Path) -> None:  # fmt: skip
    import dagster as dg

    from memory_assets.code_location import build_defs

    good = fill(make_settings(), three_weeks())
    assert good.plugins_dir is not None
    (good.plugins_dir / "speaking.py").write_text(SPEAKING, encoding="utf-8")
    bad = make_settings(plugins={"embedder": {"use": "hashing"}, "facts": {"use": "speaking"}})
    home = tmp_path / "dagster"
    home.mkdir()
    with dg.DagsterInstance.from_ref(dg.DagsterInstance.local_temp(str(home)).get_ref()) as instance:
        job = build_defs(bad).resolve_job_def("weekly_build")
        result = job.execute_in_process(instance=instance, partition_key=WEEKS[0], raise_on_error=False)
    [failure] = [event for event in result.all_events if event.is_step_failure]
    error = failure.step_failure_data.error
    assert error is not None
    assert error.cause is not None
    assert error.cause.message.startswith("KeyError at speaking.py:10 in extract (its words: errors/")
    told = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert b"KeyError" in told
    for private in (b"moved to Bilbao", b"Bilbao", b"grandmother", b"cannot read"):
        assert private not in told, private
    [kept] = (bad.home / "errors").glob("*.txt")
    assert "moved to Bilbao" in kept.read_text(encoding="utf-8")
    assert kept.stat().st_mode & 0o077 == 0


def test_a_failing_extractor_leaves_messages_unsynced_and_the_next_run_does_the_rest(
    make_settings: Callable[..., Settings],
) -> None:
    good = fill(make_settings(), three_weeks())
    assert good.plugins_dir is not None
    (good.plugins_dir / "failing.py").write_text(FAILING, encoding="utf-8")
    bad = make_settings(plugins={"embedder": {"use": "hashing"}, "facts": {"use": "failing"}})
    assert not weekly_run(bad, WEEKS[0], WEEKS[-1]).success
    assert Tools(bad).sync.unsynced() == 36
    assert weekly_run(good, WEEKS[0], WEEKS[-1]).success
    assert Tools(good).sync.unsynced() == 0


def test_residual_personal_data_blocks_everything_downstream(make_settings: Callable[..., Settings]) -> None:
    leaky = """
from plugins.anonymizers.surrogates import PatternAnonymizer
from plugins.hookspecs import hookimpl
class Leaky(PatternAnonymizer):
    name = "leaky"
    def anonymize(self, texts, keep, pseudonym):
        import polars as pl
        return texts.select("id", "text", n_replaced=pl.lit(0, pl.Int64))
@hookimpl
def register_plugins():
    return [Leaky]
"""
    settings = make_settings()
    assert settings.plugins_dir is not None
    (settings.plugins_dir / "leaky.py").write_text(leaky, encoding="utf-8")
    settings = fill(
        make_settings(plugins={"embedder": {"use": "hashing"}, "anonymizer": {"use": "leaky"}}),
        [row | {"text": f"write to ana{n}@gmail.com, says Ana"} for n, row in enumerate(message_rows(8))],
    )
    result = weekly_run(settings, WEEKS[0])
    assert not result.success
    failed = [c.check_name for c in result.get_asset_check_evaluations() if not c.passed]
    assert failed == ["no_residual_pii"]
    assert Tools(settings).sync.unsynced() == 8


def test_memory_can_be_anonymized_too(make_settings: Callable[..., Settings]) -> None:
    settings = fill(make_settings(anonymize_memory=True), three_weeks())
    assert weekly_run(settings, WEEKS[0], WEEKS[-1]).success
    texts = lance_rows(settings)["text"].str.join("\n").item()
    assert "Bilbao" not in texts
    assert "Rose" not in pl.read_parquet(f"{settings.home}/lake/episodes/*.parquet").write_json()


def test_a_change_of_the_embedder_builds_a_new_table_and_switches_when_it_is_complete(
    make_settings: Callable[..., Settings],
) -> None:
    old = fill(make_settings(), three_weeks())
    weekly_run(old, WEEKS[0], WEEKS[-1])
    before = Tools(old).vectors.current("message_embeddings")
    new = make_settings(plugins={"embedder": {"use": "hashing", "dims": 32}})
    weekly_run(new, WEEKS[0])
    assert Tools(new).vectors.current("message_embeddings") == before
    weekly_run(new, WEEKS[1], WEEKS[2])
    now = Tools(new).vectors.current("message_embeddings")
    assert before is not None
    assert now is not None
    assert (before["dim"], now["dim"]) == (64, 32)
    assert lance_rows(new).height == 36
    assert not (new.vectors_dir / f"{before['table']}.lance").exists()


def test_dagster_knows_nothing_private(
    make_settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dagster as dg

    from memory_assets.code_location import build_defs

    settings = fill(make_settings(), three_weeks())
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with dg.DagsterInstance.from_ref(dg.DagsterInstance.local_temp(str(home)).get_ref()) as instance:
        job = build_defs(settings).resolve_job_def("weekly_build")
        assert job.execute_in_process(instance=instance, partition_key=WEEKS[0]).success
    told = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert b"anonymized_interactions" in told
    for private in ("user-ana", "user-ben", "Ana", "grandmother", "Rose passed", "moved to Bilbao", "a0/"):
        assert private.encode() not in told.replace(b"Analy", b"").replace(b"Anal", b""), private
