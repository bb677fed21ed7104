"""The whole of forgetting: erase, make again what others said in the same weeks, and search for what may be left."""

from collections.abc import Callable

from memory_assets.running import materialize_weeks
from memory_assets.tools import Tools
from resources.settings import Settings
from serving.erasure import Erasure, Forgotten

Step = Callable[..., None]


def forget_everywhere(
    settings: Settings, kind: str, value: str, step: Step, *, rebuild: bool = True, verify: bool = True
) -> Forgotten:
    """Erase a subject, materialize the weeks it spoke in and the analytics, and run the leak test; return what was done.

    Args:
        rebuild: Without it the weeks are left to the sensors.
        verify: Without it nothing is searched.
    """
    erasure = Erasure(Tools(settings))
    needles = erasure.needles(kind, value)
    step(0.05, "erasing")
    done = erasure.forget(kind, value)
    return finished(settings, erasure, done, needles, step, rebuild=rebuild, verify=verify)


def finished(
    settings: Settings,
    erasure: Erasure,
    done: Forgotten,
    needles: list[str],
    step: Step,
    *,
    rebuild: bool = True,
    verify: bool = True,
) -> Forgotten:
    """Make again what an erasure took away of others, and search for what may be left."""
    pending = done.pending
    if rebuild and done.weeks:
        materialize_weeks(settings, done.weeks, lambda share, note="": step(0.3 + 0.5 * share, note))
        pending = [entry for entry in done.pending if entry.startswith("train ")]
    if done.receipt and not verify:
        erasure.receipts.note(done.receipt, pending=pending, leaks=None)
    if verify and done.receipt:
        step(0.85, "searching for what may be left")
        erasure.verify(done, needles, pending)
    done.pending = pending
    step(1.0)
    return done
