"""Lineage: from a message to what was made of it and back, complete in both directions; opt-out marks what was trained before."""

from uuid import uuid4

import dagster as dg
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory_assets.sensors import retraining
from memory_assets.tools import Tools
from model_registry.files import adapter_row, adapters_of, write_dataset
from plugins.training.exporters import ChatMLExporter
from records.errors import StoreError
from serving.client import MemoryClient
from tests.conftest import message_rows, weekly_run, write_rows


def sample(number: int, messages: list[str]) -> dict:
    """Return a sample made of these messages."""
    return {
        "sample_id": f"t{number}",
        "split": "train",
        "session_key": "s",
        "week": "2025-01-06",
        "interaction_ids": ["i"],
        "source_message_ids": messages,
        "quality": 0.9,
        "content_hash": f"h{number}-{'-'.join(messages)}",
        "n_tokens": 3,
        "messages": "[]",
    }


def train(client: MemoryClient, persona: str, samples: list[list[str]], start_from: str | None) -> str:
    """Register a dataset of these samples, and an adapter trained on it; return the adapter's id."""
    home, store = client.settings.home, client.store
    frame = pl.DataFrame([sample(n, messages) for n, messages in enumerate(samples)])
    dataset = write_dataset(
        home, store, frame, ChatMLExporter(), kind="personality", persona_id=persona, week=None, card={}
    )
    adapter = f"ad-{len(store.rows('adapters'))}"
    store.register(
        "adapters",
        adapter_row(adapter, layer="personality", persona_id=persona, week=None, base_model="b", dataset_id=dataset["dataset_id"],
                    path=f"adapters/{adapter}", config={"start_from": start_from}, metrics={}, status="deployed"),
    )  # fmt: skip
    weights = home / f"adapters/{adapter}/adapter"
    weights.mkdir(parents=True)
    (weights / "w").write_text("weights")
    client.adapter_book.evaluated(adapter, {"passed": True, "reasons": []}, passed=True)
    client.adapter_book.promote(adapter)
    return adapter


MESSAGES = [f"m{number}" for number in range(8)]
SAMPLES = st.lists(st.lists(st.sampled_from(MESSAGES), min_size=1, max_size=3, unique=True), min_size=1, max_size=4)


def test_traces_are_complete_in_both_directions(make_settings) -> None:
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(SAMPLES, st.booleans()), min_size=1, max_size=4))
    def holds(trained: list[tuple[list[list[str]], bool]]) -> None:
        client = MemoryClient(make_settings(uuid4().hex))
        adapters: list[str] = []
        manifest: dict[str, set[str]] = {}
        for samples, continued in trained:
            start = adapters[-1] if continued and adapters else None
            adapter = train(client, "lumi", samples, start)
            adapters.append(adapter)
            own = {message for messages in samples for message in messages}
            manifest[adapter] = own | (manifest[start] if start else set())
        for adapter in adapters:
            assert set(client.trace_adapter(adapter).messages) == manifest[adapter]
        for message in MESSAGES:
            behind = {adapter for adapter, messages in manifest.items() if message in messages}
            assert set(client.trace(message).adapters) == behind
        client.close()

    holds()


def test_an_opt_out_quarantines_what_was_trained_before_and_what_continues_it(make_settings) -> None:
    client = MemoryClient(make_settings())
    write_rows(client.store, [*message_rows(2, session="a"), *message_rows(2, session="b", user="user-ben")])
    said = client.store.frame("SELECT message_id, session_id FROM messages")
    of = {key: part["message_id"].to_list() for (key,), part in said.group_by("session_id")}
    first = train(client, "lumi", [of["a"]], None)
    second = train(client, "lumi", [of["b"]], first)
    other = train(client, "sage", [of["b"]], None)
    assert client.opt_out(session="a") == 1
    statuses = {row["adapter_id"]: row["status"] for row in client.store.rows("adapters")}
    assert statuses == {first: "quarantined", second: "quarantined", other: "deployed"}
    deployed = client.settings.home / "deployed"
    assert not (deployed / "lumi/personality/current").exists()
    assert (deployed / "sage/personality/current/w").read_text() == "weights"
    assert (client.settings.home / f"adapters/{first}/adapter/w").exists()  # kept, but served nowhere
    assert client.opt_out(user="nobody") == 0
    with pytest.raises(StoreError, match="no adapter 'ad-9'"):
        client.trace_adapter("ad-9")


def test_an_erasure_takes_the_weights_of_every_adapter_that_continues_one(make_settings) -> None:
    client = MemoryClient(make_settings())
    write_rows(client.store, [*message_rows(2, session="a"), *message_rows(2, session="b", user="user-ben")])
    said = client.store.frame("SELECT message_id, session_id FROM messages")
    of = {key: part["message_id"].to_list() for (key,), part in said.group_by("session_id")}
    first = train(client, "lumi", [of["a"]], None)
    second = train(client, "lumi", [of["b"]], first)
    third = train(client, "lumi", [of["b"]], None)
    done = client.forget(session="a")
    assert done.quarantined == [first, second]
    adapters = client.settings.home / "adapters"
    assert [(adapters / name).exists() for name in (first, second, third)] == [False, False, True]
    assert client.trace_adapter(second).incomplete
    assert adapters_of(Tools(client.settings).store, []) == []


def test_an_erasure_asks_for_a_training_and_the_sensor_for_a_run(make_settings) -> None:
    settings = make_settings("retrain")
    client = MemoryClient(settings)
    write_rows(client.store, message_rows(6, session="a") + message_rows(6, session="b"))
    tools = Tools(settings)
    assert weekly_run(settings, "2025-01-06", analytics=True).success
    ids = tools.store.frame("SELECT message_id FROM messages WHERE session_id = 'a'")["message_id"].to_list()
    train(client, "lumi", [ids], None)
    client.forget(session="a")
    with dg.DagsterInstance.ephemeral() as instance:
        assert isinstance(retraining(instance, tools), dg.SkipReason), "the week is not made again yet"
        assert weekly_run(settings, "2025-01-06", analytics=True).success
        assert client.receipts()[0]["pending"] == ["train lumi again"]
        assert isinstance(retraining(instance, tools), dg.SkipReason), "no partition of this name"
        instance.add_dynamic_partitions("persona", ["lumi"])
        asked = retraining(instance, tools)
        assert isinstance(asked, dg.SensorResult)
        assert [(run.partition_key, run.run_key.split(":")[0]) for run in asked.run_requests] == [("lumi", "lumi")]
        assert tools.receipt_book.fulfil(persona="lumi") == 1
        assert isinstance(retraining(instance, tools), dg.SkipReason)
    assert client.receipts()[0]["pending"] == []
    assert client.receipts()[0]["valid"]
    client.close()
