"""Formats that trainers read: ChatML, ShareGPT, Alpaca, prompt and completion. Samples come as ChatML messages in JSON."""

import json
from collections.abc import Iterator

import polars as pl

from plugins.contracts import Exporter


class ChatMLExporter(Exporter):
    """One object a line: {"messages": [{"role", "content"}, …]}."""

    name = "chatml"

    def lines(self, samples: pl.DataFrame) -> Iterator[str]:
        """Yield one line per sample."""
        for messages in samples["messages"]:
            yield json.dumps({"messages": json.loads(messages)}, ensure_ascii=False)


class ShareGPTExporter(Exporter):
    """One object a line: {"conversations": [{"from", "value"}, …]}."""

    name = "sharegpt"

    def lines(self, samples: pl.DataFrame) -> Iterator[str]:
        """Yield one line per sample."""
        names = {"system": "system", "user": "human", "assistant": "gpt"}
        for messages in samples["messages"]:
            turns = [{"from": names[m["role"]], "value": m["content"]} for m in json.loads(messages)]
            yield json.dumps({"conversations": turns}, ensure_ascii=False)


class AlpacaExporter(Exporter):
    """One object a line: {"instruction", "input", "output"}; the system prompt is the instruction, earlier turns the input."""

    name = "alpaca"

    def lines(self, samples: pl.DataFrame) -> Iterator[str]:
        """Yield one line per sample."""
        for raw in samples["messages"]:
            messages = json.loads(raw)
            system = next((m["content"] for m in messages if m["role"] == "system"), "")
            before = "\n".join(m["content"] for m in messages[:-1] if m["role"] != "system")
            yield json.dumps(
                {"instruction": system, "input": before, "output": messages[-1]["content"]}, ensure_ascii=False
            )


class PromptExporter(Exporter):
    """One object a line: {"prompt": [messages], "completion": [the persona's answer]}, as TRL takes it."""

    name = "prompt"

    def lines(self, samples: pl.DataFrame) -> Iterator[str]:
        """Yield one line per sample."""
        for raw in samples["messages"]:
            messages = json.loads(raw)
            yield json.dumps({"prompt": messages[:-1], "completion": messages[-1:]}, ensure_ascii=False)


class PreferenceExporter(Exporter):
    """One object a line: {"prompt": [messages], "chosen": [the better answer], "rejected": [the corrected one]}, as TRL's DPO takes it.

    Samples that nobody corrected are no pairs and are left out.
    """

    name = "preference"

    def lines(self, samples: pl.DataFrame) -> Iterator[str]:
        """Yield one line per corrected sample."""
        for raw, worse in samples.drop_nulls("rejected").select("messages", "rejected").iter_rows():
            messages = json.loads(raw)
            rejected = [{**messages[-1], "content": worse}]
            yield json.dumps(
                {"prompt": messages[:-1], "chosen": messages[-1:], "rejected": rejected}, ensure_ascii=False
            )
