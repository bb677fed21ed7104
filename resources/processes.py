"""Whether a process that left something behind is still there: pids are given again, so that its start counts, too."""

import os
import socket
from datetime import UTC, datetime
from pathlib import Path


def this_process() -> str:
    """Return how this process is known: ``host/start of the machine/pid/start of the process``."""
    pid = os.getpid()
    return f"{socket.gethostname()}/{boot()}/{pid}/{begun(pid)}"


def is_gone(process: str) -> bool:
    """Return whether a process of this machine, as `this_process` named it, has ended; of other machines nobody here knows."""
    host, started, pid, ticks = process.rsplit("/", 3)
    if host != socket.gethostname():
        return False
    return started != boot() or not pid.isdigit() or begun(int(pid)) != ticks


def is_here(process: str) -> bool:
    """Return whether a process, as `this_process` named it, is one of this machine."""
    return process.rsplit("/", 3)[0] == socket.gethostname()


def boot() -> str:
    """Return what tells one start of this machine from the next, "-" where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "-"


def begun(pid: int) -> str:
    """Return when a process began, in ticks since the machine did; "" if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def begun_at(pid: int) -> float | None:
    """Return when a process began, in seconds since 1970; None if there is none."""
    try:
        up = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    except (OSError, IndexError):
        return None
    ticks = begun(pid)
    return datetime.now(UTC).timestamp() - up + int(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None
