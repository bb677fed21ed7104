"""Passages of long texts: a model is given a bounded part at once, and a bounded number of parts.

What a text costs to embed is linear in its length up to `LONGEST`, and constant from there on: of a longer one passages are read
that lie evenly over the whole of it, its beginning and its end among them.
"""

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

VERSION = "passages/1"
"""Part of the fingerprint of every embedder: raise it when other passages or other vectors are made."""

PASSAGE = 1_000
"""Of a passage that a model is given, in the unit of `units`: 250 word pieces, what small models were trained on."""

LONGEST = 48_000
"""Of a text that are embedded, in the unit of `units`: some 45,000 characters of prose, half a minute on one core with the built-in
models. Its token vectors are 1.5 MB, and recall holds those of a scope in memory."""

ENDS = (
    re.compile(r"\n\s*\n"),
    re.compile(r"\n"),
    re.compile(r"[.!?…؟।][\"'”’»)\]]*\s|[。！？]"),
    re.compile(r"\s"),
)
"""Where a passage may end, the best first."""

JOINERS = "\u200d\ufe0e\ufe0f"
"""They hold what is seen as one sign together: a hard cut does not stand beside them."""


def units(text: str) -> "np.ndarray":
    """Return int64 (characters,): a quarter of the word pieces that a model usually makes of each character.

    A thousand characters of English make some 250 pieces, of numbers and signs 600 and of Chinese 1,000 (measured with the
    tokenizers of all-MiniLM-L6-v2 and multilingual-e5-small).
    """
    import numpy as np

    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    return _of_points()[np.minimum(points, _CJK)].astype(np.int64)


_IPA, _CJK = 0x250, 0x2E80


@lru_cache(maxsize=1)
def _of_points() -> "np.ndarray":
    """Return the units of the characters up to the first one of the far East, which stands for all that follow."""
    import numpy as np

    table = np.full(_CJK + 1, 2, dtype=np.uint8)
    table[:_IPA] = [1 if chr(point).isalpha() or chr(point).isspace() else 2 for point in range(_IPA)]
    table[_CJK] = 4
    return table


def is_long(text: str, size: int) -> bool:
    """Return whether a text is cut."""
    # No character has more than four units, and none less than one.
    return 4 * len(text) > size and (len(text) > size or int(units(text).sum()) > size)


def passages(text: str, size: int, longest: int = LONGEST) -> list[str]:
    """Return a text in passages; one that is not longer than a passage is returned as it is.

    They end at a paragraph, a line, a sentence or a word where one ends in their last quarter, and anywhere where none does.

    Args:
        size: Of a passage, in the unit of `units`: about as many characters of prose.
        longest: Of all passages together; of a longer text they are taken evenly over the whole of it.
    """
    if not is_long(text, size):
        return [text]
    most = max(1, longest // size)
    found = _sampled(text, size, most) if len(text) > 2 * longest else _cut(text, size)
    found = [part for part in (part.strip() for part in found) if part] or [text[:size]]
    if len(found) > most:
        found = [found[round((len(found) - 1) * place / max(most - 1, 1))] for place in range(most)]
    return found


def _sampled(text: str, size: int, most: int) -> list[str]:
    """Return passages that lie evenly over a text, without looking at what is between them."""
    wide = size + size // 4  # what begins at a sentence within the first quarter has its full length
    starts = [(len(text) - size) * place // max(most - 1, 1) for place in range(most)]
    found = [_cut(_from_a_start(text[start : start + wide]) if start else text[:wide], size)[0] for start in starts]
    if most > 1:
        end = text[-size:]
        fits = int(units(end)[::-1].cumsum().searchsorted(size, side="right"))
        found[-1] = _from_a_start(end[len(end) - fits :])
    return found


def _cut(text: str, size: int) -> list[str]:
    """Return a text in pieces of at most ``size`` units."""
    ends = units(text).cumsum()
    found, start = [], 0
    while start < len(text):
        before = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(ends.searchsorted(before + size, side="right")))
        if end < len(text):
            end = _end(text, start, end)
        found.append(text[start:end])
        start = end
    return found


def _end(text: str, start: int, end: int) -> int:
    """Return where a passage ends that would be cut hard at ``end``."""
    low = end - (end - start) // 4
    tail = text[low:end]
    for pattern in ENDS:
        last = None
        for last in pattern.finditer(tail):  # noqa: B007  (the last one is wanted)
            pass
        if last is not None:
            return low + last.end()
    cut = end
    while cut > low and _holds(text, cut):
        cut -= 1
    return cut if cut > start and not _holds(text, cut) else end


def _holds(text: str, cut: int) -> bool:
    """Return whether a cut would part what is one sign: a letter and its accents, a picture and what changes it."""
    import unicodedata

    return bool(unicodedata.combining(text[cut])) or text[cut] in JOINERS or text[cut - 1] == JOINERS[0]


def _from_a_start(text: str) -> str:
    """Return a part of a text from the first paragraph, line, sentence or word that begins in its first quarter."""
    head = text[: len(text) // 4]
    for pattern in ENDS:
        found = pattern.search(head)
        if found is not None:
            return text[found.end() :]
    return text
