"""A language model behind any OpenAI-compatible server: JSON by schema, retried, counted, and never asked twice."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from records.errors import PluginError
from records.ids import text_hash
from resources.memo import Memo
from resources.settings import LLMSettings

JSON_ATTEMPTS = 3


@dataclass
class LLMSpent:
    """What was spent since the client was made."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    remembered: int = 0


class LLMClient:
    """Answers as JSON objects of a schema; the same question to the same model is answered from the memo."""

    def __init__(self, settings: LLMSettings, memo: Memo) -> None:
        self.settings = settings
        self.memo = memo
        self.spent = LLMSpent()

    @cached_property
    def client(self) -> Any:
        """Return the client of the openai package, which retries with growing pauses on 408, 409, 429 and 5xx."""
        from openai import OpenAI

        return OpenAI(
            base_url=self.settings.base_url,
            api_key=os.environ.get("MEMORY_LLM_API_KEY", "none"),
            timeout=self.settings.timeout_s,
            max_retries=self.settings.max_retries,
        )

    def complete_json(self, system: str, user: str, schema: Mapping[str, Any]) -> Any:
        """Return the answer as an object of the schema.

        Raises:
            PluginError: the server does not answer, or gave no valid JSON in three attempts. The message holds nothing of the text.
        """
        asked = json.dumps([system, user, schema], sort_keys=True, ensure_ascii=False)
        fingerprint = f"llm/{self.settings.model}/{self.settings.max_tokens}"
        key = text_hash(asked)
        known = self.memo.get(fingerprint, [key])
        if key in known:
            self.spent.remembered += 1
            return json.loads(known[key])
        answer = self._ask(system, user, schema)
        self.memo.put(fingerprint, {key: json.dumps(answer, ensure_ascii=False).encode()})
        return answer

    def _ask(self, system: str, user: str, schema: Mapping[str, Any]) -> Any:
        import openai

        for _ in range(JSON_ATTEMPTS):
            try:
                answer = self.client.chat.completions.create(
                    model=self.settings.model,
                    temperature=0,
                    max_tokens=self.settings.max_tokens,
                    seed=7,
                    messages=[{"role": "system", "content": system}, {"role": "user", "content": user}],
                    response_format={
                        "type": "json_schema",
                        "json_schema": {"name": "answer", "strict": True, "schema": dict(schema)},
                    },
                )
            except openai.OpenAIError as error:
                # A server's message may quote the request: the class says enough and exposes nobody.
                raise PluginError(
                    f"the language model at {self.settings.base_url} failed: {type(error).__name__}"
                ) from None
            self._count(answer.usage)
            try:
                return json.loads(answer.choices[0].message.content or "")
            except json.JSONDecodeError:
                continue
        raise PluginError(
            f"the language model {self.settings.model!r} gave no valid JSON in {JSON_ATTEMPTS} attempts; "
            "raise llm.max_tokens, or use a server that supports JSON schemas"
        )

    def _count(self, usage: Any) -> None:
        self.spent.calls += 1
        if usage is not None:
            self.spent.prompt_tokens += usage.prompt_tokens or 0
            self.spent.completion_tokens += usage.completion_tokens or 0
            self.spent.cost_usd += (
                (usage.prompt_tokens or 0) * self.settings.usd_per_million_prompt
                + (usage.completion_tokens or 0) * self.settings.usd_per_million_completion
            ) / 1e6
