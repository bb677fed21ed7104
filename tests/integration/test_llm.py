"""Extraction by a language model: grounded in quotes, bounded, remembered, counted; against a scripted and a real server."""

import contextlib
import json
import threading
from pathlib import Path

import httpx
import pytest

from plugins.extractors.llm import LLMEpisodes, LLMFacts
from plugins.registry import PluginRegistry
from records.errors import PluginError
from resources.llm import LLMClient
from resources.memo import Memo
from resources.settings import LLMSettings
from tests.conftest import message_rows
from tests.unit.test_judgement import raw_of
from transforms.scoring import score_week


def client(url: str, folder: Path, **settings: object) -> LLMClient:
    given = {"base_url": url, "model": "m", "usd_per_million_prompt": 10.0, **settings}
    return LLMClient(LLMSettings.model_validate(given), Memo(folder / "memo.sqlite"))


def fact(**changes: object) -> dict[str, object]:
    given = {"message": 0, "category": "home", "key": "City", "value": "Bilbao", "negated": False, "confidence": 3.0}
    return given | {"quote": "moved to Bilbao"} | changes


def test_facts_are_grounded_and_bounded_and_never_asked_twice(openai_server, tmp_path: Path) -> None:
    bad = [
        fact(quote="moved to Paris"),
        fact(message=99),
        fact(category="gossip"),
        fact(value=""),
        fact(confidence="sure"),
        {"message": 0},
    ]
    openai_server.answer = lambda messages: json.dumps({"facts": [fact(), *bad]})
    openai_server.fail_next = 1
    raw = raw_of(message_rows(4))
    extractor = LLMFacts(llm=client(openai_server.url, tmp_path))
    found = extractor.extract(raw)
    assert found.select("key", "value", "confidence", "quote").rows() == [("city", "Bilbao", 1.0, "moved to Bilbao")]
    assert (extractor.spent.calls, extractor.spent.rejected, extractor.spent.prompt_tokens) == (1, 6, 100)
    assert extractor.spent.cost_usd == pytest.approx(0.001)
    again = LLMFacts(llm=client(openai_server.url, tmp_path))
    assert again.extract(raw).equals(found)
    assert (again.spent.calls, again.spent.remembered, len(openai_server.requests)) == (0, 1, 1)
    assert openai_server.requests[0]["response_format"]["json_schema"]["strict"] is True


def test_a_spent_budget_stops_cleanly_and_the_next_run_goes_on(openai_server, tmp_path: Path) -> None:
    openai_server.answer = lambda messages: json.dumps({"facts": [fact()]})
    raw = raw_of(message_rows(6))
    config = LLMFacts.Config(messages_per_request=2, tokens_per_run=100)
    left = []
    for _ in range(4):
        extractor = LLMFacts(config, llm=client(openai_server.url, tmp_path))
        found = extractor.extract(raw)
        left.append(extractor.spent.left_for_later)
    assert left == [2, 1, 0, 0]
    assert len(openai_server.requests) == 3
    assert found.equals(
        LLMFacts(LLMFacts.Config(messages_per_request=2), llm=client(openai_server.url, tmp_path)).extract(raw)
    )


def test_episodes_take_title_and_importance_from_the_model_within_bounds(openai_server, tmp_path: Path) -> None:
    openai_server.answer = lambda messages: json.dumps(
        {"title": "A loss", "summary": "Somebody died.", "type": "support", "importance": 9}
    )
    rows = message_rows(4)
    rows[0]["text"] = "My grandmother passed away, I cried all night, I'm so sad and alone"
    rows[2]["text"] = "I decided to tell you my secret, I never told anybody, I feel terrible"
    registry = PluginRegistry()
    scored = score_week(raw_of(rows), *(registry.create(kind) for kind in ("scorer", "emotion", "topics")))
    found = LLMEpisodes(llm=client(openai_server.url, tmp_path)).extract(scored)
    assert found.select("title", "type", "importance").rows() == [("A loss", "support", 1.0)]


def test_a_server_that_fails_or_talks_nonsense_is_one_sentence_without_the_text(openai_server, tmp_path: Path) -> None:
    openai_server.answer = lambda messages: "not json"
    with pytest.raises(PluginError, match="no valid JSON in 3 attempts"):
        LLMFacts(llm=client(openai_server.url, tmp_path)).extract(raw_of(message_rows(2)))
    openai_server.fail_next = 99
    with pytest.raises(PluginError, match="InternalServerError") as caught:
        LLMFacts(llm=client(openai_server.url, tmp_path, max_retries=0)).extract(raw_of(message_rows(2)))
    assert "Bilbao" not in str(caught.value)
    with pytest.raises(PluginError, match="need a language model"):
        LLMFacts().extract(raw_of(message_rows(2)))


@pytest.mark.slow
def test_a_real_small_model_keeps_to_the_schema(tmp_path: Path) -> None:
    import xllamacpp as xlc

    from plugins.training.packaged import packaged_gguf

    params = xlc.CommonParams()
    params.model.path = str(packaged_gguf())
    params.n_ctx, params.n_parallel, params.port = 2048, 1, 0
    params.warmup = False
    server = xlc.Server(params)
    url = f"{server.listening_address}"
    ready = threading.Event()
    for _ in range(600):
        if httpx.get(f"{url}/health").status_code == 200:
            ready.set()
            break
        ready.wait(0.1)
    assert ready.is_set()
    extractor = LLMFacts(llm=client(f"{url}/v1", tmp_path, max_tokens=300))
    # A model of 135M parameters says little that is grounded; what it must do is answer in the schema, and lies are rejected.
    raw = raw_of(message_rows(2))
    with contextlib.suppress(PluginError):  # an answer longer than it may be is cut, and refused as no JSON
        found = extractor.extract(raw)
        assert all(any(quote in text for text in raw["text"]) for quote in found["quote"])
    assert extractor.llm.spent.calls >= 1
    assert extractor.llm.spent.completion_tokens > 0
