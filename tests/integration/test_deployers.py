"""Deployers on real servers: llama.cpp itself, and servers with Ollama's and vLLM's REST shapes that answer through it."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import numpy as np
import pytest

from memory_assets.operations.evaluation import PROBE_TOKENS, PROBES, probe
from memory_assets.tools import Tools
from plugins.deployers.gguf_lora import convert
from plugins.deployers.servers import LlamaCppDeployer, OllamaDeployer, VllmDeployer
from plugins.training.contracts import Deployment
from plugins.training.packaged import packaged_gguf, unpack_packaged
from records.errors import TrainingError

SIZES = {
    "self_attn.q_proj": (576, 576),
    "self_attn.k_proj": (192, 576),
    "self_attn.v_proj": (192, 576),
    "self_attn.o_proj": (576, 576),
    "mlp.gate_proj": (1536, 576),
    "mlp.up_proj": (1536, 576),
    "mlp.down_proj": (576, 1536),
}
"""Rows and columns of SmolLM2-135M's projections, of which it has 30 layers."""


def lora(folder: Path, seed: int) -> Path:
    """Write a small random adapter for the packaged base, strong enough to change what it says."""
    from safetensors.numpy import save_file

    drawn, tensors = np.random.default_rng(seed), {}
    for layer in range(30):
        for name, (rows, columns) in SIZES.items():
            prefix = f"base_model.model.model.layers.{layer}.{name}"
            tensors[f"{prefix}.lora_A.weight"] = drawn.normal(0, columns**-0.5, (4, columns)).astype(np.float32)
            tensors[f"{prefix}.lora_B.weight"] = drawn.normal(0, 0.06, (rows, 4)).astype(np.float32)
    folder.mkdir(parents=True)
    save_file(tensors, str(folder / "adapter_model.safetensors"), metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": 4,
        "lora_alpha": 8,
        "target_modules": [name.partition(".")[2] for name in SIZES],
        "base_model_name_or_path": "smollm2",
        "inference_mode": True,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def it(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """Return a deployment of a random adapter."""
    home = tmp_path_factory.mktemp("home")
    return deployment(home, "a1", lora(home / "adapters/a1/adapter", 1))


def deployment(home: Path, key: str, adapter: Path, tag: str = "lumi:week05") -> Deployment:
    """Return a deployment of an adapter."""
    return Deployment(
        adapter_id=key,
        adapter=adapter,
        base=str(unpack_packaged()),
        home=home / "deployed",
        persona_id="lumi",
        layer="episodic",
        tag=tag,
        system="name: Lumi",
    )


def questions(it: Deployment) -> list[list[dict[str, str]]]:
    """Return what the probe asks."""
    return [[{"role": "system", "content": it.system}, {"role": "user", "content": text}] for text in PROBES]


@pytest.mark.slow
def test_llama_cpp_answers_with_the_converted_adapter_as_peft_does_here(make_settings, it: Deployment) -> None:
    tools = Tools(make_settings())
    deployer = LlamaCppDeployer()
    place = deployer.deploy(it)
    assert place == "deployed/lumi/episodic/current"
    found = probe(tools)(deployer, it)
    assert found["passed"], found
    assert found["like_adapter"] > found["like_base"] + 0.2, found
    # With the scale of a request at nothing it is the base that answers.
    base = probe(tools)(LlamaCppDeployer(LlamaCppDeployer.Config(scale=0.0)), it)
    assert base["like_base"] > base["like_adapter"] + 0.2, base
    assert not base["passed"]
    deployer.withdraw(it)
    assert not (it.home / "lumi/episodic/a1").exists()
    deployer.withdraw(it)


def test_an_adapter_of_another_family_is_one_sentence(it: Deployment, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gemma3"}')
    with pytest.raises(TrainingError, match="no model of the Llama family: set the deployer option converter"):
        convert(it.adapter, str(tmp_path), tmp_path / "x.gguf")
    script = tmp_path / "convert.py"
    script.write_text("import sys; print('no such architecture', file=sys.stderr); sys.exit(3)")
    with pytest.raises(TrainingError, match=r"convert\.py did not convert the adapter: no such architecture"):
        convert(it.adapter, str(tmp_path), tmp_path / "x.gguf", script)


class Shapes(BaseHTTPRequestHandler):
    """The REST shapes of Ollama and vLLM that the deployers use; what is asked is answered by llama.cpp."""

    folder: ClassVar[Path]
    models: ClassVar[dict[str, dict[str, Any]]] = {}
    running: ClassVar[dict[str, Any]] = {}
    calls: ClassVar[list[str]] = []

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, status: int, value: Any = None) -> None:
        data = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _answer(self, name: str, messages: list[dict[str, str]], tokens: int) -> str:
        from plugins.deployers.llamacpp import run

        if name not in self.running:
            self.running[name] = run(packaged_gguf(), [Path(self.models[name]["path"])], 0)
        url = self.running[name].listening_address
        while httpx.get(f"{url}/health").status_code != 200:
            threading.Event().wait(0.1)
        body = {"messages": messages, "max_tokens": tokens, "temperature": 0}
        return str(
            httpx.post(f"{url}/v1/chat/completions", json=body, timeout=120).json()["choices"][0]["message"]["content"]
        )

    def do_HEAD(self) -> None:
        self._send(200 if (self.folder / self.path.rpartition("/")[2].replace(":", "-")).exists() else 404)

    def do_GET(self) -> None:
        self._send(200, {"models": [{"name": name, "digest": model["digest"]} for name, model in self.models.items()]})

    def do_DELETE(self) -> None:
        name = json.loads(self._body())["model"]
        self._send(200 if self.models.pop(name, None) else 404)

    def do_POST(self) -> None:
        data = self._body()
        self.calls.append(self.path)
        if self.path.startswith("/api/blobs/"):
            digest = self.path.rpartition("/")[2]
            assert digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
            (self.folder / digest.replace(":", "-")).write_bytes(data)
            self._send(201)
            return
        body = json.loads(data)
        if self.path == "/api/create":
            digest = next(iter(body["adapters"].values()))
            self.models[body["model"]] = {"digest": digest, "path": str(self.folder / digest.replace(":", "-")), **body}
            self._send(200, {"status": "success"})
        elif self.path == "/api/copy":
            self.models[body["destination"]] = self.models[body["source"]]
            self._send(200)
        elif self.path == "/api/chat":
            text = self._answer(body["model"], body["messages"], body["options"]["num_predict"])
            self._send(200, {"message": {"role": "assistant", "content": text}})
        elif self.path == "/v1/load_lora_adapter":
            if body["lora_name"] in self.models:
                self._send(400, {"error": "already loaded"})
                return
            target = self.folder / f"{body['lora_name']}.gguf"
            convert(Path(body["lora_path"]), str(unpack_packaged()), target)
            self.models[body["lora_name"]] = {"digest": "", "path": str(target)}
            self._send(200)
        elif self.path == "/v1/unload_lora_adapter":
            self._send(200 if self.models.pop(body["lora_name"], None) else 404)
        elif self.path == "/v1/chat/completions":
            text = self._answer(body["model"], body["messages"], body["max_tokens"])
            self._send(200, {"choices": [{"message": {"role": "assistant", "content": text}}]})
        else:
            self._send(404)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Yield the address of a server with the shapes above."""
    Shapes.folder = tmp_path
    Shapes.models, Shapes.running, Shapes.calls = {}, {}, []
    made = ThreadingHTTPServer(("127.0.0.1", 0), Shapes)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_address[1]}"
    made.shutdown()


@pytest.mark.thorough
def test_ollama_gets_blobs_and_versions_answers_as_here_and_keeps_the_last_ones(
    make_settings, it: Deployment, server: str, tmp_path: Path
) -> None:
    deployer = OllamaDeployer(OllamaDeployer.Config(url=server, keep=2))
    assert deployer.deploy(it) == "lumi:week05"
    assert set(Shapes.models) == {"lumi:week05", "lumi:latest"}
    assert Shapes.models["lumi:week05"]["system"] == "name: Lumi"
    assert 'SYSTEM """name: Lumi"""' in (it.home / "lumi/episodic/a1/Modelfile").read_text()
    found = probe(Tools(make_settings()))(deployer, it)
    assert found["passed"], found
    assert found["like_adapter"] > found["like_base"] + 0.2, found
    deployer.deploy(it)
    assert sum(call.startswith("/api/blobs/") for call in Shapes.calls) == 1  # a blob that is there is not sent again
    for number in (2, 3):
        other = deployment(
            it.home.parent, f"a{number}", lora(tmp_path / f"l{number}", number), f"lumi:week0{number + 4}"
        )
        deployer.deploy(other)
    assert set(Shapes.models) == {"lumi:week06", "lumi:week07", "lumi:latest"}
    assert Shapes.models["lumi:latest"]["digest"] == Shapes.models["lumi:week07"]["digest"]
    deployer.withdraw(other)
    assert set(Shapes.models) == {"lumi:week06"}
    deployer.withdraw(other)


@pytest.mark.slow
def test_vllm_loads_the_adapter_under_its_tag_in_place_of_the_one_before(
    make_settings, it: Deployment, server: str
) -> None:
    deployer = VllmDeployer(VllmDeployer.Config(url=server))
    assert deployer.deploy(it) == "lumi:week05"
    assert deployer.deploy(it) == "lumi:week05"
    told = deployer.ask(it, questions(it)[0], PROBE_TOKENS)
    assert told
    deployer.withdraw(it)
    assert Shapes.models == {}


def test_a_server_that_is_not_there_is_one_sentence(it: Deployment) -> None:
    with pytest.raises(TrainingError, match="cannot be reached: ConnectError"):
        OllamaDeployer(OllamaDeployer.Config(url="http://127.0.0.1:9")).deploy(it)
    stacked = Deployment(**{**it.__dict__, "under": (it.adapter,)})
    with pytest.raises(TrainingError, match="takes one adapter"):
        VllmDeployer(VllmDeployer.Config(url="http://127.0.0.1:9")).deploy(stacked)
