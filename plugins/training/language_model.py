"""A causal language model with an adapter on top of it, for comparing both on the same text: losses and greedy answers."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from records.errors import TrainingError

Message = dict[str, str]
TOGETHER = 8
"""Texts that are read in one batch: more does not run faster on a CPU."""
ANSWERED = 32
"""Texts that are answered in one batch: a step reads all weights whatever the number of texts, and most of its time goes there."""


def read_talks(path: Path | None) -> list[list[Message]]:
    """Return the conversations of a ChatML JSONL file; none where there is no file."""
    if path is None or not path.exists():
        return []
    return [json.loads(line)["messages"] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def quiet_libraries(*, offline: bool) -> None:
    """Keep progress bars of libraries out of a step's log, and the hub out of work whose base lies on disk."""
    import transformers

    if offline:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()


def load_tokenizer(base: str) -> Any:
    """Return the base's tokenizer.

    Raises:
        TrainingError: there is none, or it knows no chat template.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(base)
    except (OSError, ValueError) as error:
        raise TrainingError(f"the base {Path(base).name!r} cannot be loaded: {str(error).splitlines()[0]}") from None
    if tokenizer.chat_template is None:
        raise TrainingError(f"the base {Path(base).name!r} has no chat template: choose an instruct model")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_base(base: str, under: Sequence[Path] = ()) -> Any:
    """Return the base, with the adapters below merged into it, lowest first.

    Raises:
        TrainingError: it cannot be loaded.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
        for adapter in under:
            model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    except (OSError, ValueError) as error:
        raise TrainingError(f"the base {Path(base).name!r} cannot be loaded: {str(error).splitlines()[0]}") from None
    return model.to("cuda") if torch.cuda.is_available() else model


class Adapted:
    """A base with an adapter that can be switched off.

    Raises:
        TrainingError: base or adapter cannot be loaded.
    """

    def __init__(self, base: str, adapter: Path, under: Sequence[Path] = ()) -> None:
        from peft import PeftModel

        quiet_libraries(offline=Path(base).is_dir())
        self.tokenizer = load_tokenizer(base)
        try:
            self.model = PeftModel.from_pretrained(load_base(base, under), str(adapter))
        except (OSError, ValueError, RuntimeError) as error:
            raise TrainingError(f"the adapter cannot be loaded: {str(error).splitlines()[0]}") from None
        self.model.eval()

    @contextmanager
    def without(self) -> Iterator[None]:
        """Answer as the base meanwhile."""
        with self.model.disable_adapter():
            yield

    def losses(self, conversations: Sequence[Sequence[Message]]) -> np.ndarray:
        """Return the mean negative log likelihood (nats a token) of the last message of each conversation."""
        pairs = []
        for messages in conversations:
            asked = self._asked(messages[:-1])
            pairs.append((asked, self._ids(messages[-1]["content"]) + self._end()))
        return self._scored(pairs)

    def perplexity(self, conversations: Sequence[Sequence[Message]]) -> float | None:
        """Return the perplexity of all that is said in the conversations but the system prompts, a token weighing as any other.

        What a template puts between the turns is context and is not counted. None where nothing is said.
        """
        pairs = [
            (self._ids(text[:start]), self._ids(text[start:end]))
            for messages in conversations
            for place, message in enumerate(messages)
            if message["role"] != "system"
            for text, start, end in self._turn(messages[: place + 1])
        ]
        counts = np.array([len(after) for _, after in pairs])
        return float(np.exp((self._scored(pairs) * counts).sum() / counts.sum())) if counts.sum() else None

    def _turn(self, messages: Sequence[Message]) -> Iterator[tuple[str, int, int]]:
        """Yield the text as the template writes it, and where the last message stands in it; nothing where it changes the message."""
        text = self.tokenizer.apply_chat_template(list(messages), tokenize=False)
        said = messages[-1]["content"].strip()
        start = text.rfind(said) if said else -1
        if start >= 0:
            yield text, start, start + len(said)

    def text_losses(self, texts: Sequence[str]) -> np.ndarray:
        """Return the mean negative log likelihood (nats a token) of plain texts, from their second token on."""
        ids = [self._ids(text) for text in texts]
        return self._scored([(row[:1], row[1:]) for row in ids])

    def likelihoods(
        self, messages: Sequence[Message], begun: str, ends: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the log likelihood (nats, whole) of each way an answer may end that has begun with these words, and its tokens.

        What stands before is read once, whatever the number of ends.
        """
        import torch

        before = self._asked(messages) + (self._ids(begun) if begun else [])
        rows = [self._ids(end) for end in ends]
        width, device = max(map(len, rows)), self.model.device
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=device)
        with torch.inference_mode():
            head = self.model(input_ids=torch.tensor([before], device=device), use_cache=True)
            first = torch.log_softmax(head.logits[0, -1].float(), dim=-1)
            total = first[ids[:, 0]].double()
            if width > 1:
                past = head.past_key_values
                past.batch_repeat_interleave(len(rows))
                seen = torch.ones((len(rows), len(before) + width - 1), dtype=torch.long, device=device)
                logits = self.model(input_ids=ids[:, :-1], attention_mask=seen, past_key_values=past).logits
                rest = torch.log_softmax(logits.float(), dim=-1).gather(2, ids[:, 1:, None])[..., 0]
                counts = torch.tensor([len(row) for row in rows], device=device)
                real = torch.arange(1, width, device=device)[None] < counts[:, None]
                total += (rest * real).sum(dim=1)
        return total.cpu().numpy(), np.array([len(row) for row in rows])

    def answers(self, conversations: Sequence[Sequence[Message]], tokens: int, begun: Sequence[str] = ()) -> list[str]:
        """Return the greedy answer to each conversation, without what it was begun with."""
        import torch

        out = []
        heads = list(begun) or [""] * len(conversations)
        for start in range(0, len(conversations), ANSWERED):
            rows = [
                self._asked(messages) + (self._ids(head) if head else [])
                for messages, head in zip(
                    conversations[start : start + ANSWERED], heads[start : start + ANSWERED], strict=True
                )
            ]
            width = max(map(len, rows))
            pad = self.tokenizer.pad_token_id
            ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows], device=self.model.device)
            seen = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=self.model.device)
            with torch.inference_mode():
                made = self.model.generate(
                    input_ids=ids,
                    attention_mask=seen,
                    max_new_tokens=tokens,
                    do_sample=False,
                    pad_token_id=pad,
                    temperature=None,
                    top_p=None,
                    top_k=None,
                )
            out += self.tokenizer.batch_decode(made[:, width:], skip_special_tokens=True)
        return [text.strip() for text in out]

    def _asked(self, messages: Sequence[Message]) -> list[int]:
        text = self.tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        return self._ids(text)

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _end(self) -> list[int]:
        return [self.tokenizer.eos_token_id]

    def _scored(self, pairs: Sequence[tuple[list[int], list[int]]]) -> np.ndarray:
        """Return the mean negative log likelihood of the second part of each pair after the first; long first parts lose their start."""
        import torch

        longest = min(int(getattr(self.model.config, "max_position_embeddings", 2048)), 1024)
        out = np.zeros(len(pairs))
        order = sorted(range(len(pairs)), key=lambda place: len(pairs[place][0]) + len(pairs[place][1]))
        for start in range(0, len(order), TOGETHER):
            places = order[start : start + TOGETHER]
            rows = []
            for place in places:
                before, after = pairs[place]
                after = after[: longest - 1]
                rows.append((before[-(longest - len(after)) :], after))
            width = max(len(before) + len(after) for before, after in rows)
            ids = torch.zeros((len(rows), width), dtype=torch.long)
            seen = torch.zeros((len(rows), width), dtype=torch.long)
            for number, (before, after) in enumerate(rows):
                ids[number, : len(before) + len(after)] = torch.tensor(before + after)
                seen[number, : len(before) + len(after)] = 1
            device = self.model.device
            with torch.inference_mode():
                logits = self.model(input_ids=ids.to(device), attention_mask=seen.to(device)).logits
            for number, (place, (before, after)) in enumerate(zip(places, rows, strict=True)):
                if not after:
                    continue
                here = logits[number, len(before) - 1 : len(before) + len(after) - 1].float()
                wanted = torch.tensor(after, device=here.device)
                out[place] = float(torch.nn.functional.cross_entropy(here, wanted))
        return out


def answers(job: Any, questions: Sequence[Sequence[Message]], tokens: int) -> dict[str, list[str]]:
    """Return what the adapter of an `EvaluationJob` and its base answer to the questions."""
    model = Adapted(job.base, job.adapter, job.under)
    own = model.answers(questions, tokens)
    with model.without():
        return {"adapter": own, "base": model.answers(questions, tokens)}
