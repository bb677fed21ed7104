"""A scripted OpenAI-compatible server that keeps what it was asked, and a base model that trains in a second."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


class OpenAIServer:
    """Embeddings by length of text; chat answers by ``answer(messages)``."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.fail_next = 0
        self.answer: Callable[[list[dict[str, str]]], str] = lambda messages: "{}"
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if outer.fail_next:
                    outer.fail_next -= 1
                    self.send_response(500)
                    self.end_headers()
                    return
                outer.requests.append(body)
                if self.path.endswith("/embeddings"):
                    data = [
                        {"object": "embedding", "index": n, "embedding": [len(text), 1.0, 0.0, 2.0]}
                        for n, text in enumerate(body["input"])
                    ]
                    reply = {
                        "object": "list",
                        "data": data,
                        "model": "m",
                        "usage": {"prompt_tokens": 1, "total_tokens": 1},
                    }
                else:
                    content = outer.answer(body["messages"])
                    reply = {
                        "id": "x",
                        "object": "chat.completion",
                        "created": 1,
                        "model": "m",
                        "choices": [
                            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
                        ],
                        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
                    }
                payload = json.dumps(reply).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_: Any) -> None:
                """Stay quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def openai_server() -> Iterator[OpenAIServer]:
    """Yield a server of its own."""
    server = OpenAIServer()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a random two-layer Llama with the packaged model's tokenizer: training is real, and takes a second."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from plugins.training.packaged import unpack_packaged

    folder = tmp_path_factory.mktemp("base")
    tokenizer = AutoTokenizer.from_pretrained(str(unpack_packaged()))
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=len(tokenizer),
        max_position_embeddings=512,
    )
    LlamaForCausalLM(config).save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    return folder
