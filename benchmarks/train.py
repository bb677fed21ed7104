"""Training speed: the product's trainers beside a bare TRL loop on the same data, model and settings.

    python -m benchmarks.train                       # SmolLM2-135M, on this machine
    python -m benchmarks.train --base FOLDER --steps 50 --batch 8
    python -m benchmarks.train --random-llama 1b     # a random 1B-class Llama, for a GPU

Each runs in a process of its own, in turn, ``--rounds`` times; the median counts. Tokens are those of the batches, padding not counted.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

KINDS = ("bare", "peft", "unsloth")
PEAK_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
"""Dense bf16 of the GPUs that are lent, by their makers' data sheets."""
SHAPES = {"1b": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32}}


def data(folder: Path, samples: int) -> None:
    """Write ChatML conversations of 20 to 90 words."""
    drawn = random.Random(3)
    words = [f"{a}{b}" for a in ("sun", "moon", "tide", "lamp", "boat", "rope") for b in ("", "s", "ly", "ing", "er")]
    for name, count in (("train", samples), ("eval", 0)):
        lines = []
        for _ in range(count):
            said, told = (" ".join(drawn.choices(words, k=drawn.randint(10, 45))) for _ in range(2))
            talk = [{"role": "user", "content": said}, {"role": "assistant", "content": told}]
            lines.append(json.dumps({"messages": talk}) + "\n")
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


def llama(folder: Path, size: str) -> Path:
    """Write a random Llama with the packaged tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from plugins.training.packaged import unpack_packaged

    tokenizer = AutoTokenizer.from_pretrained(str(unpack_packaged()))
    config = LlamaConfig(vocab_size=len(tokenizer), num_key_value_heads=8, max_position_embeddings=2048, **SHAPES[size])
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    return folder


def one(kind: str, folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Train once in this process; return tokens, seconds and peak memory."""
    from plugins.training.contracts import TrainJob

    job = TrainJob(folder / "train.jsonl", folder / "eval.jsonl", folder / f"{kind}-{time.time_ns()}")
    if kind == "bare":
        return bare(job, config)
    if kind == "unsloth":
        from plugins.training.unsloth import UnslothTrainer as Trainer
    else:
        from plugins.training.peft import PeftTrainer as Trainer
    trainer = Trainer(Trainer.Config(**config))
    metrics = trainer.train(job, lambda row: None)
    return {
        "tokens_per_s": metrics["tokens_per_s"],
        "memory_mb": metrics["memory_mb"],
        "loss": metrics["train_loss_last"],
    }


def bare(job: Any, config: dict[str, Any]) -> dict[str, Any]:
    """Train as the first page of TRL's documentation does, with the same arguments."""
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import set_seed
    from trl import SFTConfig

    from plugins.training.language_model import load_base, load_tokenizer
    from plugins.training.peft import PeftTrainer, prompts, trainer_class
    from plugins.training.progress import memory_mb

    product = PeftTrainer(PeftTrainer.Config(**config))
    set_seed(product.config.seed)
    model = get_peft_model(
        load_base(product.base_folder()),
        LoraConfig(
            r=product.config.r, lora_alpha=product.config.alpha, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    )
    arguments = product._arguments(job, stops=False, evaluates=False)
    trainer = trainer_class()(
        model=model,
        args=SFTConfig(**arguments),
        train_dataset=Dataset.from_list(prompts(job.train)),
        processing_class=load_tokenizer(product.base_folder()),
    )
    start = time.perf_counter()
    result = trainer.train()
    spent = time.perf_counter() - start
    return {"tokens_per_s": trainer.seen_tokens / spent, "memory_mb": memory_mb(), "loss": result.training_loss}


def utilisation(tokens_per_s: float, base: str) -> float | None:
    """Return the model FLOPs utilisation on a GPU: 4 FLOPs a parameter and token, as LoRA computes no gradient of the base's weights."""
    import torch

    if not torch.cuda.is_available():
        return None
    from transformers import AutoModelForCausalLM

    count = sum(p.numel() for p in AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).parameters())
    peak = next((flops for name, flops in PEAK_FLOPS.items() if name in torch.cuda.get_device_name()), None)
    return None if peak is None else round(4 * count * tokens_per_s / peak, 4)


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="")
    parser.add_argument("--random-llama", choices=sorted(SHAPES), default=None)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--one", choices=KINDS, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    config = {
        "max_steps": options.steps,
        "batch_size": options.batch,
        "save_steps": 10_000,
        "patience": 0,
        "learning_rate": 1e-4,
    }
    if options.base:
        config["base"] = options.base
    if options.one:
        print(json.dumps(one(options.one, options.folder, config)))
        return
    line: dict[str, Any] = {"benchmark": "train", **config}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data(folder, max(options.steps * options.batch, 64))
        base = str(llama(folder / "base", options.random_llama)) if options.random_llama else options.base
        runs: dict[str, list[dict[str, Any]]] = {kind: [] for kind in options.kinds}
        for _ in range(options.rounds):
            for kind in options.kinds:
                command = [sys.executable, "-W", "ignore", "-m", "benchmarks.train", "--one", kind, "--folder", name]
                command += [
                    "--steps",
                    str(options.steps),
                    "--batch",
                    str(options.batch),
                    *(["--base", base] if base else []),
                ]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                runs[kind].append(json.loads(done.stdout.strip().splitlines()[-1]))
        for kind, made in runs.items():
            speed = statistics.median(run["tokens_per_s"] for run in made)
            line[kind] = {
                "tokens_per_s": round(speed, 1),
                "memory_mb": max(run["memory_mb"] for run in made),
                "loss": round(made[-1]["loss"], 3),
                "model_flops_utilisation": utilisation(speed, base) if base else None,
            }
        for kind in ("peft", "unsloth"):
            if kind in runs and "bare" in runs:
                line[f"{kind}_to_bare"] = round(line[kind]["tokens_per_s"] / line["bare"]["tokens_per_s"], 3)
    line["load"] = os.getloadavg()[0]
    print(json.dumps(line))


if __name__ == "__main__":
    main()
