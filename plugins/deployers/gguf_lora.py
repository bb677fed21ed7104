"""A PEFT adapter as GGUF, for llama.cpp and Ollama.

Of the Llama family (Llama, Mistral, SmolLM: one layout of weights) it is written here with the library gguf; for others the deployer's
option ``converter`` names llama.cpp's own convert_lora_to_gguf.py.
"""

import json
import subprocess
import sys
from pathlib import Path

from records.errors import TrainingError

LLAMA = ("llama", "mistral")
"""Values of a base's ``model_type`` whose weights lie as Llama's do."""
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def convert(adapter: Path, base: str, target: Path, converter: Path | None = None) -> None:
    """Write an adapter as GGUF.

    Args:
        base: Folder of the base model; its configuration is read, its weights are not.

    Raises:
        TrainingError: the base is of another family and there is no converter, or the converter failed.
    """
    if converter is not None:
        _by_llama_cpp(adapter, base, target, converter)
        return
    path = Path(base) / "config.json"
    model = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if model.get("model_type") not in LLAMA:
        raise TrainingError(
            f"{Path(base).name} is no model of the Llama family: set the deployer option converter to llama.cpp's "
            "convert_lora_to_gguf.py"
        )
    _write(adapter, model, target)


def _write(adapter: Path, model: dict[str, int], target: Path) -> None:
    """Write the tensors; the rows of queries and keys are reordered as llama.cpp turns them (its conversion/llama.py, permute)."""
    import numpy as np
    from gguf import GGUFWriter
    from safetensors.numpy import load_file

    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    heads = int(model["num_attention_heads"])
    turned = {"attn_q": heads, "attn_k": int(model.get("num_key_value_heads") or heads)}
    writer = GGUFWriter(str(target), "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(config["lora_alpha"]))
    for name, tensor in sorted(load_file(str(adapter / "adapter_model.safetensors")).items()):
        layer, _, rest = name.partition(".layers.")[2].partition(".")
        part, _, side = rest.partition(".lora_")
        if part not in NAMES or not layer.isdigit():
            raise TrainingError(f"the adapter has weights llama.cpp has no place for: {name}")
        values = np.ascontiguousarray(tensor, dtype=np.float32)
        if side.startswith("B") and NAMES[part] in turned:
            n = turned[NAMES[part]]
            values = (
                values.reshape(n, 2, values.shape[0] // n // 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
            )
        writer.add_tensor(f"blk.{layer}.{NAMES[part]}.weight.lora_{side[0].lower()}", np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _by_llama_cpp(adapter: Path, base: str, target: Path, converter: Path) -> None:
    command = [
        sys.executable,
        str(converter),
        str(adapter),
        "--base",
        base,
        "--outfile",
        str(target),
        "--outtype",
        "f32",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not target.exists():
        last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), f"exit {done.returncode}")
        raise TrainingError(f"{converter.name} did not convert the adapter: {last[:200]}")
