"""Nothing of another agent, user, session or world is ever read: a short run of the measure, and the measure itself."""

from pathlib import Path

import pytest

from benchmarks.scopes import Trial, run


@pytest.mark.slow
@pytest.mark.parametrize("tries", [50, pytest.param(100, marks=pytest.mark.thorough)])
def test_no_scope_reads_another(tmp_path: Path, tries: int) -> None:
    found = run(tmp_path, tries=tries, seed=3, agents=5, forgotten=4)
    assert (found["crossings"], found["crashes"], found["missed"]) == (0, 0, 0)
    assert found["tries"] == tries
    assert found["seen"] > 2 * tries


def test_the_measure_sees_a_scope_that_reads_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a client that forgets whom it was asked for, it is told: the measure is none that always says yes."""
    trial = Trial(tmp_path, 3, agents=4)
    for client in trial.clients:
        whole = client.recent
        monkeypatch.setattr(client, "recent", lambda *, user=None, whole=whole, **how: whole(**how))
    for _ in range(40):
        trial.newest()
    assert trial.found["crossings"]
