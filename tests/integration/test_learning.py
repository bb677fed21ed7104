"""What trains by itself: a week that has ended and holds enough, a persona that said something new; nothing twice."""

from datetime import UTC, datetime

import dagster as dg

from memory_assets.schedules import changed_personas
from memory_assets.sensors import episodic
from memory_assets.tools import Tools
from tests.conftest import weekly_run
from tests.integration.test_adapter_book import registered
from tests.integration.test_pipeline import WEEKS
from tests.integration.test_training import installed

AFTER = datetime(2030, 1, 1, tzinfo=UTC)


def asked(tools: Tools, now: datetime = AFTER, known: tuple[str, ...] = ("lumi",)) -> dict[str, str]:
    """Return week to run key of what the sensor asks for."""
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("persona", list(known))
        found = episodic(instance, tools, now)
    if isinstance(found, dg.SkipReason):
        return {}
    return {
        request.partition_key.keys_by_dimension["week"]: request.run_key
        for request in found.run_requests
        if isinstance(request.partition_key, dg.MultiPartitionKey)
    }


def test_a_week_is_trained_once_it_has_ended_and_holds_enough(make_settings) -> None:
    settings = installed(make_settings, adapters={"min_samples": 5})
    tools = Tools(settings)
    assert asked(tools) == {}  # there is no layer 1 to build upon
    registered(tools, "p1")
    first = asked(tools)
    assert tuple(first) == WEEKS[:3]
    assert asked(tools) == first  # Dagster starts nothing twice under one key
    assert asked(tools, known=()) == {}
    assert list(asked(tools, datetime.fromisoformat(f"{WEEKS[1]}T12:00:00+00:00"))) == list(WEEKS[:1])
    tools.store.set_opt_out(session_id="s0")
    changed = asked(tools)
    assert changed[WEEKS[0]] != first[WEEKS[0]]
    assert changed[WEEKS[1]] == first[WEEKS[1]]
    many = Tools(settings.model_copy(update={"adapters": settings.adapters.model_copy(update={"min_samples": 10_000})}))
    assert asked(many) == {}


def test_the_schedule_asks_again_only_for_personas_that_said_something_new(make_settings) -> None:
    settings = installed(make_settings)
    tools = Tools(settings)

    def keys() -> list[str]:
        found = changed_personas({"lumi", "nobody"}, tools)
        return [] if isinstance(found, dg.SkipReason) else [request.run_key or "" for request in found]

    before = keys()
    assert len(before) == 1
    assert weekly_run(settings, WEEKS[0], WEEKS[-1]).success
    assert keys() == before
    tools.store.set_opt_out(speaker_id="user-1")
    assert keys() != before
    assert isinstance(changed_personas(set(), tools), dg.SkipReason)
    text = "".join(before)
    assert "user" not in text
