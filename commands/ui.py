"""Dagster's UI, opened on databases that are whole."""

import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from commands.base import app, out
from records.errors import SettingsError

ROOT = Path(__file__).resolve().parent.parent


@app.command()
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets the network in.")] = "127.0.0.1",
) -> None:
    """Open Dagster's UI, with the daemon that runs sensors and schedules (`dagster dev`); Ctrl-C ends both."""
    from memory_assets.instances import instance
    from resources.settings import load_settings

    settings = load_settings()
    _refuse_taken(host, port)
    # Made here, under the lock: the webserver, the daemon and a first `memory materialize` that make them at once leave them half made.
    # Runs whose process is gone are ended by it, too.
    with instance(settings):
        pass
    shown = f"[{host}]" if ":" in host else host
    out.print(f"http://{shown}:{port}  (Ctrl-C ends it)", markup=False, highlight=False)
    sys.stdout.flush()
    listening = ["--host", host, "--port", str(port)]
    os.execv(sys.executable, [sys.executable, "-m", "dagster", "dev", *listening, *_location()])


def _location() -> list[str]:
    """Return how Dagster finds the code location from whatever folder this is called in."""
    workspace = ROOT / "workspace.yaml"
    return ["-w", str(workspace)] if workspace.is_file() else ["-m", "definitions"]


def _refuse_taken(host: str, port: int) -> None:
    """Say now what `dagster dev` would say in the middle of its log.

    Raises:
        SettingsError: nothing can listen there.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError):
        raise SettingsError(f"--host {host}: no such address; write e.g. 127.0.0.1") from None
    with socket.socket(family, kind, protocol) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that has just ended is in nobody's way
        try:
            tried.bind(address)
        except PermissionError:
            raise SettingsError(f"--port {port}: this user may not listen there; choose one from 1024 on") from None
        except OSError as error:
            raise SettingsError(
                f"nothing can listen on {host}, port {port} ({error.strerror}): choose another --port or --host"
            ) from None
