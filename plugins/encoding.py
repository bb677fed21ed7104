"""What makes a text searchable by meaning: its vector and, where there is a token embedder, the vectors of its word pieces."""

from dataclasses import dataclass

from plugins.contracts import Embedder, TokenEmbedder


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
