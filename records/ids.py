"""Ids are content: the same thing said at the same place always has the same id, whoever imports it and when."""

from collections.abc import Iterable
from hashlib import blake2b

DIGEST_BYTES = 12  # 96 bits: a billion rows collide with probability below 1e-11


def content_id(kind: str, *parts: object) -> str:
    """Return ``<kind>_<24 hex>`` for the parts; parts are length-prefixed, so ``("a", "bc")`` differs from ``("ab", "c")``."""
    return f"{kind}_{blake2b(_joined(parts), digest_size=DIGEST_BYTES).hexdigest()}"


class ContentIds:
    """Makes the same ids as `content_id` for many things whose first parts are the same, in half of the time."""

    def __init__(self, kind: str, *first: object) -> None:
        self._kind = kind
        self._begun = blake2b(_joined(first), digest_size=DIGEST_BYTES)

    def of(self, *rest: object) -> str:
        """Return ``content_id(kind, *first, *rest)``."""
        digest = self._begun.copy()
        digest.update(_joined(rest))
        return f"{self._kind}_{digest.hexdigest()}"


def _joined(parts: Iterable[object]) -> bytes:
    pieces: list[bytes] = []
    for part in parts:
        text = part if isinstance(part, str) else "\x00" if part is None else str(part)
        data = text.encode("utf-8", "surrogatepass")
        pieces += (len(data).to_bytes(4, "big"), data)
    return b"".join(pieces)


def text_hash(text: str) -> str:
    """Return the 24 hex characters under which a text is known to embedders and caches."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).hexdigest()


def set_hash(ids: Iterable[str]) -> str:
    """Return one hash for a set of ids; order and repeats do not matter."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    for item in sorted(set(ids)):
        digest.update(item.encode())
        digest.update(b"\n")
    return digest.hexdigest()
