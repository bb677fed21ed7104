"""The key behind pseudonyms: created on first use, readable by its owner only, never logged."""

import hmac
import os
import secrets
from hashlib import sha256
from pathlib import Path

from records.errors import StoreError


class Keys:
    """Keyed pseudonyms of one installation: the same id always gives the same pseudonym, and no table of names exists."""

    def __init__(self, home: Path) -> None:
        self.path = home / "keys" / "pseudonym.key"
        self._key: bytes | None = None

    def key(self) -> bytes:
        """Return the 32-byte key, made on first use with mode 0600.

        Raises:
            StoreError: the file exists and is not such a key. It is never replaced silently: other
                pseudonyms than before would come out.
        """
        if self._key is None:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            aside = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}")
            if not self.path.exists():
                descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as handle:
                    handle.write(secrets.token_bytes(32))
                    handle.flush()
                    os.fsync(handle.fileno())
                try:
                    os.link(aside, self.path)  # of two processes that start together one wins
                except FileExistsError:
                    pass
                finally:
                    aside.unlink()
            key = self.path.read_bytes()
            if len(key) != 32:
                raise StoreError(f"{self.path} is not a 32-byte key: restore it from a backup, pseudonyms depend on it")
            self._key = key
        return self._key

    def pseudonym(self, kind: str, value: str) -> str:
        """Return ``<kind>_<12 hex>`` for a value."""
        return f"{kind}_{hmac.new(self.key(), f'{kind}:{value}'.encode(), sha256).hexdigest()[:12]}"
