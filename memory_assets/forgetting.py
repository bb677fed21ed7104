"""The whole of forgetting: erase, make again what others said in the same weeks, and search for what may be left."""

from collections.abc import Callable

from memory_assets.repair import making, repair
from memory_assets.tools import Tools
from resources.settings import Settings
from serving.erasure import Erasure, Forgotten
from serving.receipts import week_again, weeks_again, without_rebuilding

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
    erasure = Erasure(Tools(settings))
    needles = erasure.seek(kind, value)
    step(0.05, "erasing")
    done = erasure.forget(kind, value)
    pending = done.pending
    if rebuild and (weeks := sorted({*done.weeks, *weeks_again(pending)})):
        making(settings, weeks, lambda share, note="": step(0.3 + 0.5 * share, note))
        pending = without_rebuilding(done.pending)
    if done.receipt and verify:
        step(0.85, "searching for what may be left")
        if erasure.verify(done, needles, pending).unsearchable:
            # Nobody can say that nothing of it stands in a file that cannot be read: it goes, wherever it comes from.
            mended = repair(settings, lambda *_: None, make=rebuild)
            pending += [] if rebuild else map(week_again, mended.weeks)
            erasure.verify(done, needles, pending)
    elif done.receipt:
        erasure.receipts.note(done.receipt, pending=pending, leaks=None)
    erasure.seek_no_more(kind, value)
    done.pending = pending
    step(1.0)
    return done


def resume(settings: Settings, step: Step, *, rebuild: bool = True, verify: bool = True) -> list[Forgotten]:
    """Finish what was begun and killed: erasures, the weeks that were to be made again, leak tests; return what was done."""
    erasure = Erasure(Tools(settings))
    begun = {(kind, value) for kind, value in erasure.receipts.unfinished()}
    begun |= {(one.kind, one.value) for one in erasure.sought.all()}
    done = [
        forget_everywhere(settings, kind, value, step, rebuild=rebuild, verify=verify) for kind, value in sorted(begun)
    ]
    if erasure.receipts.scrub_pending():
        erasure.scrub()
    weeks = erasure.receipts.weeks_pending()
    if rebuild and weeks:
        making(settings, weeks, step)
    return done
