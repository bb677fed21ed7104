"""llama.cpp's own OpenAI-compatible server in a process of its own, with a base and the adapters of a persona.

python -m plugins.deployers.llamacpp BASE.gguf ADAPTER.gguf … --port 8080
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from records.errors import TrainingError

ROOT = Path(__file__).resolve().parent.parent
START_S = 120.0
CONTEXT = 4096


def run(base: Path, adapters: Sequence[Path], port: int) -> Any:
    """Start the server in this process and return it; its address is ``listening_address``."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(base)
    params.n_ctx, params.n_parallel, params.port, params.warmup = CONTEXT, 1, port, False
    if adapters:
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(path), 1.0) for path in adapters]
    return xllamacpp.Server(params)


@contextmanager
def served(base: Path, adapters: Sequence[Path]) -> Iterator[str]:
    """Yield the address of a server that stands meanwhile.

    Raises:
        TrainingError: xllamacpp is not installed, or the server did not start.
    """
    import importlib.util

    if importlib.util.find_spec("xllamacpp") is None:
        raise TrainingError("the deployer llamacpp needs `pip install memory-assets[llamacpp]`, or its option url")
    command = [sys.executable, "-m", "plugins.deployers.llamacpp", str(base), *map(str, adapters), "--port", "0"]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert child.stdout is not None
        address = next((line.strip() for line in child.stdout if line.startswith("http")), "")
        if not address:
            raise TrainingError(f"llama.cpp's server did not start (exit {child.wait()})")
        wait_for(address, child)
        yield address
    finally:
        child.kill()
        child.wait()


def wait_for(address: str, child: "subprocess.Popen[str]") -> None:
    """Return when the server says that it is ready.

    Raises:
        TrainingError: it ended, or was not ready in two minutes.
    """
    import httpx

    until = time.monotonic() + START_S
    while time.monotonic() < until and child.poll() is None:
        try:
            if httpx.get(f"{address}/health", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass  # it does not listen yet
        time.sleep(0.1)  # it tells nobody when it is ready: it has to be asked
    raise TrainingError("llama.cpp's server was not ready in two minutes")


def main() -> None:
    """Serve until the end of stdin, which is when the parent is gone, or until stopped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("adapters", type=Path, nargs="*")
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args()
    server = run(options.base, options.adapters, options.port)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
