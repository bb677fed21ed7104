"""A base with an adapter: losses, perplexity and answers, against the model asked directly."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugins.training.language_model import ANSWERED, Adapted

TALKS = [
    [
        {"role": "system", "content": "You are a lighthouse keeper."},
        {"role": "user", "content": "Is the lamp lit tonight?"},
        {"role": "assistant", "content": "It is, and the fog is thick."},
    ],
    [{"role": "user", "content": "¿Y el mar?"}, {"role": "assistant", "content": "  En calma. "}],
]


@pytest.fixture(scope="module")
def model(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Adapted:
    """Return the tiny base with an adapter of noise."""
    import torch
    from peft import LoraConfig, get_peft_model

    from plugins.training.language_model import load_base

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("noise")
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    get_peft_model(load_base(str(tiny_base)), lora).save_pretrained(str(folder))
    return Adapted(str(tiny_base), folder)


def directly(model: Adapted, before: str, said: str) -> np.ndarray:
    """Return the loss of each token of what is said after other text."""
    import torch

    ids = [model.tokenizer(text, add_special_tokens=False)["input_ids"] for text in (before, said)]
    with torch.inference_mode():
        odds = torch.log_softmax(model.model(input_ids=torch.tensor([ids[0] + ids[1]])).logits[0].float(), dim=-1)
    return np.array([-float(odds[len(ids[0]) - 1 + n, token]) for n, token in enumerate(ids[1])])


def rendered(model: Adapted, messages: list[dict[str, str]], **more: Any) -> str:
    """Return the messages as the base's template writes them."""
    return str(model.tokenizer.apply_chat_template(messages, tokenize=False, **more))


def test_perplexity_counts_each_token_both_sides_say_and_nothing_of_prompt_and_template(model: Adapted) -> None:
    each = []
    for talk in TALKS:
        for place, message in enumerate(talk):
            if message["role"] != "system":
                text, said = rendered(model, talk[: place + 1]), message["content"].strip()
                each.append(directly(model, text[: text.rindex(said)], said))
    wanted = np.exp(np.concatenate(each).mean())
    assert model.perplexity(TALKS) == pytest.approx(wanted, rel=1e-4)
    assert model.perplexity(TALKS[::-1] * 5) == pytest.approx(wanted, rel=1e-4)
    assert model.perplexity([]) is None
    with model.without():
        assert model.perplexity(TALKS) != pytest.approx(wanted, rel=1e-4)


def test_the_loss_of_a_conversation_is_that_of_its_last_message(model: Adapted) -> None:
    talk = TALKS[0]
    end = model.tokenizer.eos_token
    wanted = directly(model, rendered(model, talk[:-1], add_generation_prompt=True), talk[-1]["content"] + end).mean()
    assert model.losses([talk, *TALKS])[0] == pytest.approx(wanted, rel=1e-4)


def test_many_are_answered_as_each_alone_and_in_their_order(model: Adapted) -> None:
    asked = [[{"role": "user", "content": f"What is {'a ' * (n % 7)}number {n}?"}] for n in range(ANSWERED + 5)]
    together = model.answers(asked, 6)
    alone = [model.answers([talk], 6)[0] for talk in asked[:3] + asked[-3:]]
    assert len(together) == len(asked)
    assert together[:3] + together[-3:] == alone
