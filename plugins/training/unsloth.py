"""LoRA with Unsloth: the same training as the trainer peft, with its kernels on a GPU and its own backend on a CPU."""

from pathlib import Path
from typing import Any

from plugins.training.contracts import Log, TrainJob
from plugins.training.peft import PeftTrainer
from records.errors import TrainingError

PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class UnslothTrainer(PeftTrainer):
    """Trains as `PeftTrainer` does, on a model that Unsloth has patched. It must be alone in its process, which it is."""

    class Config(PeftTrainer.Config):
        """What is trained and how; see `PeftTrainer.Config`.

        Attributes:
            load_in_4bit: QLoRA; needs a GPU.
        """

        load_in_4bit: bool = False

    name = "unsloth"
    version = "1"
    extra = "unsloth"

    def train(self, job: TrainJob, log: Log) -> dict[str, Any]:
        """Train; see the contract. Unsloth is imported first: it patches what is imported after it."""
        try:
            import unsloth  # noqa: F401 - its import is what it does
        except ImportError as error:
            raise TrainingError(
                f"the trainer unsloth needs `pip install memory-assets[unsloth]`: {error.name} is missing"
            ) from None
        return super().train(job, log)

    def _loaded(self, job: TrainJob) -> tuple[Any, Any]:
        from peft import PeftModel
        from unsloth import FastLanguageModel

        from plugins.training.language_model import load_tokenizer

        load_tokenizer(str(self.folder))  # says what is wrong with a base in the same words as the other trainer
        try:
            model, tokenizer = FastLanguageModel.from_pretrained(
                str(self.folder),
                max_seq_length=self.config.max_length,
                load_in_4bit=self.config.load_in_4bit,
                local_files_only=isinstance(self.folder, Path),
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise TrainingError(
                f"the base {self.config.base!r} cannot be loaded by Unsloth: {str(error).splitlines()[0]}"
            ) from None
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        for below in job.under:
            model = PeftModel.from_pretrained(model, str(below)).merge_and_unload()
        if job.start_from is not None:
            model = PeftModel.from_pretrained(model, str(job.start_from), is_trainable=True)
            return FastLanguageModel.for_training(model), tokenizer
        model = FastLanguageModel.get_peft_model(
            model,
            r=self.config.r,
            lora_alpha=self.config.alpha,
            lora_dropout=self.config.dropout,
            target_modules=PROJECTIONS,
            use_gradient_checkpointing=False,
            random_state=self.config.seed,
        )
        return model, tokenizer
