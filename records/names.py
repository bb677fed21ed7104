"""Names as people write them: two are the same when they differ in case, accents, width, spaces or invisible marks only."""

import difflib
import unicodedata
from collections.abc import Iterable
from functools import lru_cache


@lru_cache(maxsize=65_536)
def fold(name: str) -> str:
    """Return what is compared of a name: ``" JOSÉ\\u200e  Luis"`` and ``"jose luis"`` are one.

    Letters that only an accent tells apart are one; letters of other scripts stay what they are. A name of marks and
    symbols alone keeps them, so that two emoji are two names.
    """
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    kept = "".join(c for c in decomposed if unicodedata.category(c) not in ("Mn", "Cf", "Cc"))
    return " ".join(kept.split()) or " ".join(name.split())


def same_name(one: str | None, other: str | None) -> bool:
    """Return whether both are names and say the same."""
    return one is not None and other is not None and fold(one) == fold(other)


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return the known names that look most like one, best first; at most ``count``."""
    by_fold: dict[str, str] = {}
    for candidate in known:
        by_fold.setdefault(fold(candidate), candidate)
    wanted = fold(name)
    close = difflib.get_close_matches(wanted, by_fold, n=count, cutoff=0.5)
    inside = [key for key in sorted(by_fold) if wanted and (wanted in key or key in wanted) and key not in close]
    return [by_fold[key] for key in (*close, *inside)][:count]


def in_world(name: str, world: str) -> str:
    """Return the id of an agent that lives in a world: agents of different worlds with one name are different.

    An id that is one already stays. A slash in the world's name is written ``%2F``, so that no two pairs have one id.
    """
    prefix = f"world:{world.replace('%', '%25').replace('/', '%2F')}/"
    return name if name.startswith(prefix) else prefix + name
