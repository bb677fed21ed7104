"""Names as people write them: two are the same when they differ in case, accents, width, spaces or invisible marks only.

And ids: as stores take them, of agents in worlds, and as files, folders and partitions are called after them.
"""

import difflib
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import TypeVar
from urllib.parse import quote, unquote

T = TypeVar("T")

LONGEST_NAME = 1_000
"""Characters of a name; what is longer was never one, and would fill the memory of names that were compared."""

LONGEST_FILE = 180
"""Bytes that the name of a file after somebody has at most, each odd one written as ``%XX``; file systems take 255."""


def cleaned(text: str) -> str:
    """Return a text that every store takes: without zeros, lone surrogates replaced by U+FFFD."""
    if "\x00" in text:
        text = text.replace("\x00", "")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def as_id(name: str) -> str:
    """Return a name as the stores hold it as an id: cleaned, without spaces around it."""
    return cleaned(name).strip()


def fold(name: str) -> str:
    """Return what is compared of a name: ``" JOSÉ\\u200e  Luis"`` and ``"jose luis"`` are one.

    Letters that only an accent tells apart are one; letters of other scripts stay what they are. A name of marks and
    symbols alone keeps them, so that two emoji are two names. What is longer than names are is compared as it stands.
    """
    return _folded(name) if len(name) <= LONGEST_NAME else name


@lru_cache(maxsize=65_536)
def _folded(name: str) -> str:
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


def like(name: str, known: Mapping[str, T]) -> T | None:
    """Return what is known under a name: under exactly this one, else under the only one that says the same."""
    if name in known:
        return known[name]
    alike = [value for other, value in known.items() if fold(other) == fold(name)]
    return alike[0] if len(alike) == 1 else None


def in_world(name: str, world: str) -> str:
    """Return the id of an agent that lives in a world: agents of different worlds with one name are different.

    An id that is one already stays. A slash in the world's name is written ``%2F``, so that no two pairs have one id.
    """
    prefix = f"world:{as_id(world).replace('%', '%25').replace('/', '%2F')}/"
    named = as_id(name)
    return named if named.startswith(prefix) and named != prefix else prefix + named


def world_and_name(agent: str) -> tuple[str | None, str]:
    """Return the world that an agent's id names, None for one outside of worlds, and the agent's name there."""
    head, slash, name = agent.partition("/")
    world = unquote(head.removeprefix("world:"))
    if not (slash and name and world and head.startswith("world:")) or in_world(name, world) != agent:
        return None, agent
    return world, name


def file_name(name: str) -> str:
    """Return what a file, a folder or a partition is called after somebody: no two ids have the same.

    Most are called as they are. What means something else in a path or in a partition's key is written as ``%XX``; of a long
    one only the beginning stands there, and a hash of it all.
    """
    odd = any(c in "/\\|%" or unicodedata.category(c) in ("Cc", "Cs") for c in name) or "..." in name
    if not odd and name and name[0] != "." and len(quote(name, safe="")) <= LONGEST_FILE:
        return name
    written = quote(name, safe="", errors="surrogatepass").replace(".", "%2E")
    # Whoever quotes this name once more makes three bytes of each percent sign.
    if written and len(quote(written, safe="")) <= LONGEST_FILE:
        return written
    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    return f"{written[:40]}%~{digest}"


def named_by_file(called: str, known: Iterable[str]) -> str:
    """Return who a file, a folder or a partition is called after (see `file_name`), of those who are known."""
    return next((name for name in known if file_name(name) == called), called)
