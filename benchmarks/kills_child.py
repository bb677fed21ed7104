"""One `memory` command in a process of its own, as `benchmarks.kills` starts it: it says when it begins, and dies where it is told to.

Environment: ``KILLS_ENTERED`` is a file descriptor that is closed when imports are done and the command begins. ``KILLS_STEP`` is
``<asset>:<seconds>``: the whole process group is killed that long after the step of the asset began to commit. ``KILLS_KEY`` is the
byte of which a new key is made, so that what two rotations make can be compared.
"""

import os
import signal
import threading
from types import SimpleNamespace
from typing import Any


def _rotate_to(letter: str) -> None:
    import secrets

    from resources import keys

    fixed = SimpleNamespace(token_bytes=lambda size: letter.encode() * size, token_hex=secrets.token_hex)
    # A namespace in place of a module: keys that two tries make are the same, so that their bytes can be compared.
    keys.secrets = fixed  # type: ignore[assignment]


def _die_in(asset: str, seconds: float) -> None:
    from memory_assets.assets import embeddings

    inner = embeddings.embed_weeks

    def embed_weeks(weeks: Any, tools: Any, kind: str, *rest: Any) -> Any:
        if kind == asset:
            threading.Timer(seconds, lambda: os.killpg(0, signal.SIGKILL)).start()
        return inner(weeks, tools, kind, *rest)

    embeddings.embed_weeks = embed_weeks


def main() -> None:
    """Run the command that stands among the arguments."""
    import cli

    if letter := os.environ.get("KILLS_KEY"):
        _rotate_to(letter)
    if step := os.environ.get("KILLS_STEP"):
        asset, _, seconds = step.partition(":")
        _die_in(asset, float(seconds))
    if entered := os.environ.get("KILLS_ENTERED"):
        os.close(int(entered))
    cli.main()


if __name__ == "__main__":
    main()
