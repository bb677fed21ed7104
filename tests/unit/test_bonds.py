"""What time does to memories and between people; and consolidation's laws."""

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.consolidation import episodes
from plugins.extractors.consolidator import SimilarConsolidator
from transforms.decay import strengths
from transforms.relationships import relationships

TODAY = datetime(2026, 1, 5, tzinfo=UTC)


def test_a_bond_grows_with_what_is_shared_and_fades_without() -> None:
    made = episodes(4, agents=1).with_columns(
        week=pl.Series(["2025-01-06", "2025-01-13", "2025-06-02", "2025-06-02"]),
        importance=pl.lit(0.8),
        valence=pl.Series([0.9, 0.9, -0.5, -0.5]),
        participants=pl.Series([["agent-000", "bo"]] * 3 + [["agent-000", "cy"]]),
    )
    got = relationships(made, {("bo", "agent-000"): 12.0})
    bo = got.filter(pl.col("other_id") == "bo").sort("week")
    assert bo["strength"].to_list()[1] > bo["strength"].to_list()[0]
    assert bo["strength"].to_list()[2] < 2 * bo["strength"].to_list()[0]
    assert bo["valence"].to_list()[0] > bo["valence"].to_list()[2]
    assert bo["affinity"].to_list() == [None, None, 12.0]
    assert got.filter(pl.col("other_id") == "cy")["strength"].item() == bo["strength"].to_list()[0]


def test_what_was_recalled_lately_is_as_strong_as_new() -> None:
    made = SimilarConsolidator().consolidate(episodes(50), TODAY)
    oldest = made.sort("ended_at").row(0, named=True)
    recalled = pl.DataFrame(
        {
            "memory_id": [oldest["episode_id"]],
            "agent_id": [oldest["agent_id"]],
            "times": [4],
            "last_recalled": [made["ended_at"].max()],
        },
        schema_overrides={"last_recalled": pl.Datetime("us", "UTC")},
    )
    none = recalled.clear()
    before, after = strengths(made, none), strengths(made, recalled)
    row = pl.col("memory_id") == oldest["episode_id"]
    assert after.filter(row)["strength"].item() == 1.0
    assert before.filter(row)["strength"].item() < 1.0
    assert after.filter(~row).equals(before.filter(~row))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 300), st.integers(1, 5))
def test_consolidation_loses_no_episode_never_merges_critical_ones_and_is_the_same_again(
    count: int, agents: int
) -> None:
    made = episodes(count, agents)
    consolidator = SimilarConsolidator(SimilarConsolidator.Config(prune_after_days=10_000))
    once = consolidator.consolidate(made, TODAY)
    assert consolidator.consolidate(made.sample(fraction=1.0, shuffle=True, seed=1), TODAY).equals(once)
    stands_for = [key for keys in once["consolidated_from"] for key in keys]
    alone = once.filter(~pl.col("is_consolidated"))["episode_id"].to_list()
    assert sorted(stands_for + alone) == sorted(made["episode_id"])
    critical = set(made.filter(pl.col("importance") >= 0.6)["episode_id"])
    assert not critical & set(stands_for)
    for row in once.filter(pl.col("is_consolidated")).iter_rows(named=True):
        parts = made.filter(pl.col("episode_id").is_in(row["consolidated_from"]))
        assert parts["agent_id"].n_unique() == 1
        assert parts["started_at"].max() - parts["started_at"].min() <= timedelta(weeks=4)
        assert row["turn_first"] == parts["turn_first"].min()
        assert row["turn_last"] == parts["turn_last"].max()
