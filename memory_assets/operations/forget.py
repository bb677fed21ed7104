"""The whole of forgetting: erase, make again what others said in the same weeks, and search for what may be left."""

from collections.abc import Callable, Sequence

from memory_assets.instances import forget_output, instance
from memory_assets.operations.publishing import are_owed
from memory_assets.operations.repair import making, repair
from memory_assets.tools import Tools
from model_registry.files import OTHERS
from privacy.erasure import Erasure, Forgotten
from privacy.receipts import ANALYTICS_AGAIN, SCRUB_AGAIN, week_again, weeks_again, without_rebuilding
from resources.settings import Settings

Step = Callable[..., None]


def forget_everywhere(
    settings: Settings, kind: str, value: str, step: Step, *, rebuild: bool = True, verify: bool = True
) -> Forgotten:
    """Erase a subject, materialize the weeks it spoke in and the analytics, and run the leak test; return what was done.

    Killed anywhere, asking again, or `resume`, does the rest: what is looked for is kept until the leak test has looked.

    Args:
        rebuild: Without it the weeks are left to the sensors.
        verify: Without it nothing is searched.
    """
    tools = Tools(settings)
    erasure = Erasure(tools)
    # What was begun for one of a person's sessions names it until it is done, and keeps what it is to look for.
    others = sorted(_begun(erasure) - {(kind, value)})
    for begun in others:
        _forget(tools, erasure, *begun, step, rebuild=False, verify=verify)
    more = erasure.receipts.weeks_pending() if others else []
    return _forget(tools, erasure, kind, value, step, rebuild=rebuild, verify=verify, more=more)


def _begun(erasure: Erasure) -> set[tuple[str, str]]:
    """Return kind and subject of the erasures that were begun and killed before their leak test had looked."""
    begun = {(kind, value) for kind, value in erasure.receipts.unfinished()}
    return begun | {(one.kind, one.value) for one in erasure.sought.all()}


def _forget(
    tools: Tools,
    erasure: Erasure,
    kind: str,
    value: str,
    step: Step,
    *,
    rebuild: bool,
    verify: bool,
    more: Sequence[str] = (),
) -> Forgotten:
    """Do what `forget_everywhere` says for one subject; ``more`` are weeks that are to be made again as well."""
    settings = tools.settings
    needles = erasure.seek(kind, value)
    step(0.05, "erasing")
    done = erasure.forget(kind, value)
    if done.receipt:
        _forget_what_nobody_owns(settings)
    pending = done.pending
    weeks = sorted({*done.weeks, *weeks_again(pending), *more})
    # The analytics are published last: an erasure that was killed before has no week left to make, and no analytics.
    if rebuild and (weeks or ANALYTICS_AGAIN in pending or (done.receipt and are_owed(tools))):
        making(settings, weeks, lambda share, note="": step(0.3 + 0.5 * share, note))
        pending = without_rebuilding(pending)
    if SCRUB_AGAIN in pending and (done.receipt not in erasure.receipts.scrub_pending() or erasure.scrub()):
        pending = [entry for entry in pending if entry != SCRUB_AGAIN]
    if done.receipt and verify:
        step(0.85, "searching for what may be left")
        if erasure.verify(done, needles, pending).unsearchable:
            # Nobody can say that nothing of it stands in a file that cannot be read: it goes, wherever it comes from.
            mended = repair(settings, lambda *_: None, make=rebuild)
            if not rebuild:
                pending = erasure.receipts.add(done.receipt, map(week_again, mended.weeks))
            erasure.verify(done, needles, pending)
    elif done.receipt:
        erasure.receipts.note(done.receipt, pending=pending, leaks=None)
    erasure.seek_no_more(kind, value)
    done.pending = pending
    step(1.0)
    return done


def resume(settings: Settings, step: Step, *, rebuild: bool = True, verify: bool = True) -> list[Forgotten]:
    """Finish what was begun and killed: erasures, the weeks that were to be made again, leak tests; return what was done."""
    tools = Tools(settings)
    erasure = Erasure(tools)
    done = [
        _forget(tools, erasure, kind, value, step, rebuild=rebuild, verify=verify)
        for kind, value in sorted(_begun(erasure))
    ]
    if erasure.receipts.scrub_pending():
        erasure.scrub()
    weeks = erasure.receipts.weeks_pending()
    if rebuild and (weeks or (done and are_owed(tools))):
        making(settings, weeks, step)
    return done


def _forget_what_nobody_owns(settings: Settings) -> None:
    """Remove what is kept of no one in particular and may hold anybody's words: output of steps, what killed evaluations compared with."""
    with instance(settings) as dagster:
        forget_output(dagster)
    for path in settings.home.glob(f"adapters/*/{OTHERS}"):
        path.unlink(missing_ok=True)
