"""What makes a text searchable by meaning: its vector and, where there is a token embedder, the vectors of its word pieces.

Texts of any length are taken: a long one is embedded passage by passage, see `plugins.embedders.passages`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plugins.contracts import Embedder, TokenEmbedder
from plugins.embedders.passages import LONGEST, passages

if TYPE_CHECKING:
    import numpy as np

BATCH = 256
"""Texts and passages that a model is given at once: those of a week are too many for a model that holds a batch in memory."""


@dataclass(frozen=True)
class Encoder:
    """An embedder with its token embedder, or without."""

    embedder: Embedder
    tokens: TokenEmbedder | None = None

    @property
    def late(self) -> TokenEmbedder | None:
        """Return the token embedder, None when it makes nothing."""
        return self.tokens if self.tokens is not None and self.tokens.dim else None

    @property
    def fingerprint(self) -> str:
        """Return both fingerprints in one; a table of vectors belongs to it."""
        late = self.late
        return self.embedder.fingerprint if late is None else f"{self.embedder.fingerprint}+{late.fingerprint}"

    def vectors(self, texts: Sequence[str], longest: int = LONGEST) -> "np.ndarray":
        """Return float32 (len(texts), dim): of a text of one passage what the embedder makes of it, of a longer one a mean.

        The mean of its passages' vectors, by their lengths, is not brought to length one again: its similarity to a question is the
        mean of theirs. Vectors of one model point more or less the same way, so that a mean of many at length one was nearer to
        *every* question than any short text (among the first ten of 301 for each of 90 questions that it did not answer).

        Args:
            longest: Of one text that are read, in the unit of `plugins.embedders.passages.units`.
        """
        import numpy as np

        made = np.zeros((len(texts), self.embedder.dim), dtype=np.float32)
        parts = [passages(text, self.embedder.passage, longest) for text in texts]
        rows = _in_batches(parts, self.embedder.embed)
        start = 0
        for place, cut in enumerate(parts):
            of_it = np.asarray(rows[start : start + len(cut)], dtype=np.float32)
            start += len(cut)
            made[place] = of_it[0] if len(cut) == 1 else np.average(of_it, axis=0, weights=[len(part) for part in cut])
        return made

    def token_vectors(self, texts: Sequence[str], longest: int = LONGEST) -> "list[np.ndarray]":
        """Return per text int8 (pieces, dim), those of its passages one after the other; (0, 0) without a token embedder."""
        import numpy as np

        late = self.late
        if late is None:
            return [np.zeros((0, 0), dtype=np.int8) for _ in texts]
        parts = [passages(text, late.passage, longest) for text in texts]
        rows = iter(_in_batches(parts, late.embed))
        made = [[next(rows) for _ in cut] for cut in parts]
        return [of_it[0] if len(of_it) == 1 else np.concatenate(of_it) for of_it in made]


def _in_batches(parts: list[list[str]], embed: Callable[[list[str]], Any]) -> list[Any]:
    """Return what a model makes of each passage, in their order; it is given them by length, so that none is padded to a long one."""
    flat = [part for cut in parts for part in cut]
    order = sorted(range(len(flat)), key=lambda place: len(flat[place]))
    found: list[Any] = [None] * len(flat)
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        for place, row in zip(places, embed([flat[place] for place in places]), strict=True):
            found[place] = row
    return found
