"""Adapters that must not pass the gate, each for its own reason, and good ones that must: two invented personas on the packaged base.

    python -m benchmarks.ruined --seeds 10

random: weights that were never trained. overtrained: four conversations until they are known by heart. other: another persona's
conversations. canaries: the right ones, and a code that stands among them many times.
"""

import argparse
import json
import os
import random
import re
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from plugins.evaluators.gate import GateEvaluator
from plugins.evaluators.memorization import canary, canary_sample
from plugins.training.contracts import Asked, Evaluation, EvaluationJob, TrainJob
from plugins.training.packaged import unpack_packaged
from plugins.training.peft import PeftTrainer

NOUNS = tuple(
    re.findall(
        r"\w+",
        "harbour lantern market garden library kitchen tower bridge orchard meadow chapel ferry island mountain station museum bakery "
        "theatre river forest castle village school workshop cellar attic balcony fountain windmill stable quarry barn canal glacier "
        "pharmacy corridor vineyard courtyard",
    )
)
LEARNED = 24
"""Nouns that are trained on; the others are held out, one question each, so that no two inputs ask for the same answer."""
MOODS = ("quiet", "bright", "crooked", "ancient", "splendid", "gloomy", "busy", "narrow")
QUESTIONS = (
    "What do you think of the {}?",
    "Tell me about the {}.",
    "Did you visit the {} today?",
    "Do you like the {}?",
)
PERSONAS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "brine": (
        "You are Captain Brine.",
        ("Arr, matey!", "Avast, ye scallywag!", "Yo ho!", "Shiver me timbers!", "Ahoy there!", "Blimey!"),
        (
            "The {noun} be a {mood} sight, by me beard",
            "that {noun} be {mood} as the deep",
            "I saw the {noun} from the crow's nest, {mood} it were",
            "no {noun} be so {mood} on the seven seas",
            "they hid me gold by yon {mood} {noun}",
            "the {noun} be {mood}, or I be no sailor",
        ),
        (
            "and I'd trade a barrel o' rum to see it again.",
            "and the parrot swears to it.",
            "so hoist the sails, ye dog!",
            "and the crew sang till dawn.",
            "says the old sea wolf.",
            "and that be the truth o' the tide.",
            "but beware the kraken!",
        ),
    ),
    "vale": (
        "You are Doctor Vale.",
        ("Certainly.", "Indeed.", "If I may.", "With respect,", "In my view,", "It is evident that"),
        (
            "the {noun} is rather {mood}",
            "one observes that the {noun} appears {mood}",
            "the literature describes the {noun} as {mood}",
            "the {noun} may be considered {mood}",
            "there is evidence of a {mood} {noun}",
            "the {noun}, strictly speaking, is {mood}",
        ),
        (
            "although further study is necessary.",
            "as the committee has noted.",
            "and I concur with that assessment.",
            "subject to the usual reservations.",
            "which is consistent with earlier findings.",
            "and should be examined with care.",
            "notwithstanding objections.",
        ),
    ),
}
REASONS = {
    "random": {"held_out", "general"},
    "overtrained": {"by_heart"},
    "other": {"style"},
    "canaries": {"secrets"},
}
"""Verdicts of which at least one must fail for a ruined adapter to be caught for its own reason."""
CONFIG = {"save_steps": 1000, "patience": 0}
"""The trainer's own settings but for its looks at the held-out loss, which cost time here."""
SECRET = "brine"


def talks(persona: str, nouns: list[str], seed: int, questions: int = 3) -> list[list[dict[str, str]]]:
    """Return one conversation a noun and question."""
    system, openings, bodies, closings = PERSONAS[persona]
    drawn, found = random.Random(f"{persona}{seed}"), []
    for noun in nouns:
        for question in drawn.sample(QUESTIONS, questions):
            parts = (drawn.choice(openings), drawn.choice(bodies), drawn.choice(closings))
            answer = " ".join(parts).format(noun=noun, mood=drawn.choice(MOODS))
            found.append(
                [
                    {"role": "system", "content": system},
                    {"role": "user", "content": question.format(noun)},
                    {"role": "assistant", "content": answer},
                ]
            )
    drawn.shuffle(found)
    return found


def write(path: Path, conversations: list[list[dict[str, str]]]) -> Path:
    """Write a ChatML file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"messages": talk}) + "\n" for talk in conversations), encoding="utf-8")
    return path


def job(folder: Path, seed: int) -> EvaluationJob:
    """Write the data of a seed and return the evaluation, without an adapter yet."""
    nouns = list(NOUNS)
    random.Random(seed).shuffle(nouns)
    system = PERSONAS["brine"][0]
    return EvaluationJob(
        base=str(unpack_packaged()),
        adapter=folder / "none",
        train=write(folder / "train.jsonl", talks("brine", nouns[:LEARNED], seed)),
        held_out=write(folder / "eval.jsonl", talks("brine", nouns[LEARNED:], seed, 1)),
        others=write(folder / "others.jsonl", talks("vale", nouns[LEARNED:], seed, 1)),
        system=system,
        identity=(
            Asked("What is your name?", "Captain Brine", ("Doctor Vale", "Robin")),
            Asked("Who are you?", "Captain Brine", ("Doctor Vale", "Marcela")),
        ),
        secrets=(("canary", canary(SECRET, seed)), ("name", "Percival"), ("name", "Ximena")),
        seed=seed,
    )


def make(kind: str, folder: Path, given: EvaluationJob, seed: int) -> Path:
    """Make one adapter, good or ruined; return its folder."""
    held_out, output, config = folder / "none.jsonl", folder / kind, {**CONFIG, "seed": seed}
    nouns = list(NOUNS)
    random.Random(seed).shuffle(nouns)
    train = given.train
    if kind == "random":
        return random_weights(output / "adapter", seed)
    if kind == "overtrained":
        train = write(folder / "few.jsonl", talks("brine", nouns[:LEARNED], seed)[:4])
        config |= {"max_steps": 40, "learning_rate": 3e-3}
    elif kind == "other":
        train = write(folder / "other.jsonl", talks("vale", nouns[:LEARNED], seed))
    elif kind == "canaries":
        planted = [canary_sample(canary(SECRET, seed), given.system)] * 12
        mixed = [*talks("brine", nouns[:LEARNED], seed), *planted]
        random.Random(seed).shuffle(mixed)
        train = write(folder / "canaries.jsonl", mixed)
    PeftTrainer(PeftTrainer.Config(**config)).train(TrainJob(train, held_out, output), lambda row: None)
    return output / "adapter"


def random_weights(folder: Path, seed: int) -> Path:
    """Write an adapter whose weights are noise."""
    import torch
    from peft import LoraConfig, get_peft_model

    from plugins.training.language_model import load_base

    torch.manual_seed(seed)
    model = get_peft_model(
        load_base(str(unpack_packaged())),
        LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False),
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.1)
    model.save_pretrained(str(folder))
    return folder


def judge(kind: str, folder: Path, seed: int, **bounds: Any) -> Evaluation:
    """Make an adapter and let the gate judge it; the over-trained one as one that was trained on its four conversations."""
    given = job(folder, seed)
    adapter = make(kind, folder, given, seed)
    train = folder / "few.jsonl" if kind == "overtrained" else given.train
    return GateEvaluator(GateEvaluator.Config(**bounds)).evaluate(replace(given, adapter=adapter, train=train))


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--kinds", nargs="+", default=["good", *REASONS])
    options = parser.parse_args()
    line: dict[str, Any] = {"benchmark": "ruined", "seeds": options.seeds}
    for kind in options.kinds:
        right, failed, start = 0, [], time.perf_counter()
        for seed in range(options.first, options.first + options.seeds):
            with tempfile.TemporaryDirectory() as name:
                found = judge(kind, Path(name), seed)
            failed.append(found.reasons)
            right += found.passed if kind == "good" else bool(REASONS[kind] & set(found.reasons))
            values = {v.name: (v.value, v.base) for v in found.verdicts}
            print(
                json.dumps({"kind": kind, "seed": seed, "failed": found.reasons, **values, **found.numbers}), flush=True
            )
        line[kind] = {"as_it_should": right, "failed": failed, "seconds": round(time.perf_counter() - start)}
    line["load"] = os.getloadavg()[0]
    print(json.dumps(line))


if __name__ == "__main__":
    main()
