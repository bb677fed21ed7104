"""Ids are content: the same thing said at the same place always has the same id, whoever imports it and when."""

from collections.abc import Iterable
from hashlib import blake2b

DIGEST_BYTES = 12  # 96 bits: a billion rows collide with probability below 1e-11


def content_id(kind: str, *parts: object) -> str:
    """Return ``<kind>_<24 hex>`` for the parts; parts are length-prefixed, so ``("a", "bc")`` differs from ``("ab", "c")``."""
    pieces: list[bytes] = []
    for part in parts:
        data = ("\x00" if part is None else str(part)).encode("utf-8", "surrogatepass")
        pieces += (len(data).to_bytes(4, "big"), data)
    return f"{kind}_{blake2b(b''.join(pieces), digest_size=DIGEST_BYTES).hexdigest()}"


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
