"""Whole conversations that stand in one text, as models are given them: ChatML, Llama, Vicuna, Alpaca and "Human: … Assistant: …".

A text is one only where it begins with such a mark and an answer is marked, too: somebody may write about a mark. Which text of a
record is looked at does not belong here (see `plugins.sources.conversations.conversation_records`).
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

NAMES = {
    "user": "user",
    "human": "user",
    "prompter": "user",
    "instruction": "user",
    "input": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "response": "assistant",
    "output": "assistant",
    "answer": "assistant",
    "system": "system",
    "tool": "tool",
    "observation": "tool",
    "ipython": "tool",
}
"""Who is meant by the names in marks."""

WHO = "|".join(NAMES)
FORMS = (
    re.compile(r"<\|im_start\|>\s*(\w{1,20})[^\n]{0,80}\n"),
    re.compile(r"<\|start_header_id\|>\s*(\w{1,20})\s*<\|end_header_id\|>\s*"),
    re.compile(rf"<\|(?:start_of_role\|>)?({WHO})(?:<\|end_of_role)?\|>\s?\n?", re.IGNORECASE),
    re.compile(r"<start_of_turn>\s*(\w{1,20})\n"),
    re.compile(rf"#{{2,4}} ?({WHO})(?:: ?\n?|\n)", re.IGNORECASE),
    re.compile(r"(?:^|\n\n?)(user|human|assistant|ai|bot|system):(?: |\n|$)", re.IGNORECASE),
)
"""Marks before what somebody says; the first group is who."""

INSTRUCTED = re.compile(r"\[INST\]|\[/INST\]")
SYSTEM = ("<<SYS>>", "<</SYS>>")
ENDS = re.compile(
    r"<\|(?:im_end|eot_id|end|endoftext|end_of_text|eom_id|begin_of_text)\|>|<end_of_turn>|<(?:bos|eos)>|</?s>"
)
"""Marks of where something ends or all begins."""

PREAMBLE = re.compile(r"Below is an instruction that describes a task.{0,200}?\n\n", re.DOTALL)
"""Alpaca's, before the first mark."""

BEGUN = re.compile(
    r'"(?:text|chosen|prompt|conversation|conversations)"\s*:\s*"(?:\\n|\s|<s>|<bos>|<\|begin_of_text\|>)*'
    r"(?:<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|\[INST\]|<\|(?:user|system|prompter)\|>"
    r"|#{2,4} ?(?:Human|User|Instruction|System)\b|(?:Human|User): |Below is an instruction that describes a task)"
)
"""A JSON text of a file's head that begins with a mark."""


def said_in_text(text: Any) -> list[dict[str, Any]] | None:
    """Return the messages (role, content) of a text that is a conversation, None where it is none."""
    if not isinstance(text, str):
        return None
    plain = PREAMBLE.sub("", ENDS.sub("", text).strip(), count=1).strip()
    if plain.startswith("[INST]"):
        found = list(_instructed(plain))
    else:
        form = next((form for form in FORMS if form.match(plain)), None)
        found = [] if form is None else list(_marked(plain, form))
    roles = {message["role"] for message in found}
    return [message for message in found if message["content"]] if {"user", "assistant"} <= roles else None


def _marked(text: str, form: re.Pattern[str]) -> Iterator[dict[str, Any]]:
    marks = [mark for mark in form.finditer(text) if mark[1].lower() in NAMES]
    ends = [*(after.start() for _, after in pairwise(marks)), len(text)]
    for mark, end in zip(marks, ends, strict=True):
        role = NAMES[mark[1].lower()]
        yield {"role": role, "content": text[mark.end() : end].strip()}


def _instructed(text: str) -> Iterator[dict[str, Any]]:
    marks = list(INSTRUCTED.finditer(text))
    ends = [*(after.start() for _, after in pairwise(marks)), len(text)]
    for mark, end in zip(marks, ends, strict=True):
        said = text[mark.end() : end].strip()
        system, closed, rest = said.removeprefix(SYSTEM[0]).partition(SYSTEM[1])
        if mark[0] == "[INST]" and said.startswith(SYSTEM[0]) and closed:
            yield {"role": "system", "content": system.strip()}
            said = rest.strip()
        yield {"role": "user" if mark[0] == "[INST]" else "assistant", "content": said}
