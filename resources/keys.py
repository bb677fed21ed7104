"""The keys of an installation: created on first use, readable by their owner only, never logged.

``pseudonym.key`` stands behind every pseudonym and surrogate, and can be rotated. ``lasting.key`` stands behind what must outlive
that: the hashes of who was erased, and the signatures of receipts. ``vault.key`` seals the vault, where one is configured. The
store remembers a hash of each, so that a lost or exchanged key is an error and never quietly another one.
"""

import hmac
import os
import secrets
from hashlib import sha256
from pathlib import Path

from records.errors import StoreError
from resources.store import InteractionStore

PSEUDONYMS, LASTING, VAULT = "pseudonym", "lasting", "vault"
BYTES = 32


class Keys:
    """Keyed pseudonyms of one installation: the same id always gives the same pseudonym, and no table of names exists."""

    def __init__(self, home: Path, store: InteractionStore) -> None:
        self.folder = home / "keys"
        self.store = store
        self._keys: dict[str, bytes] = {}

    @property
    def path(self) -> Path:
        """Return the file of the key behind pseudonyms."""
        return self._path(PSEUDONYMS)

    def pseudonym(self, kind: str, value: str) -> str:
        """Return ``<kind>_<12 hex>`` for a value."""
        return f"{kind}_{_digest(self._key(PSEUDONYMS), f'{kind}:{value}')[:12]}"

    def erased(self, kind: str, value: str) -> str:
        """Return the hash under which an erased subject is known; it outlives a rotation."""
        return f"erased-{kind}_{_digest(self._key(LASTING), f'erased-{kind}:{value}')[:12]}"

    def signature(self, text: str) -> str:
        """Return the signature of a text; it outlives a rotation."""
        return _digest(self._key(LASTING), text)

    def identity(self) -> str:
        """Return which key makes the pseudonyms: 8 hex characters of a hash."""
        return _identity(self._key(PSEUDONYMS))

    def vault(self) -> bytes:
        """Return the key that seals the vault."""
        return self._key(VAULT)

    def verify(self) -> None:
        """Look at every key that there is, or was.

        Raises:
            StoreError: one is gone, is not such a key, or is another one than before.
        """
        for name in (PSEUDONYMS, LASTING, VAULT):
            if self._path(name).exists() or self._remembered(f"{name}_key") is not None:
                self._key(name)

    def rotate(self) -> str:
        """Make a new key for pseudonyms and return its identity; what was made with the old one is out of date.

        Killed anywhere, either key is whole and known. The old one is gone: nothing made with it can be recomputed.
        """
        self._key(LASTING)
        new = secrets.token_bytes(BYTES)
        self._remember("pseudonym_key_next", _identity(new))
        aside = self._written_aside(PSEUDONYMS, new)
        aside.replace(self._path(PSEUDONYMS))
        self._remember("pseudonym_key", _identity(new))
        self._keys[PSEUDONYMS] = new
        return _identity(new)

    def _key(self, name: str) -> bytes:
        """Return a key, made on first use with mode 0600.

        Raises:
            StoreError: the file is gone, is not such a key, or is another one than before.
        """
        if name not in self._keys:
            path, known = self._path(name), self._remembered(f"{name}_key")
            if not path.exists():
                if known is not None:
                    raise StoreError(f"{self._shown(name)} is missing: restore it from a backup{_way_out(name)}")
                self._create(name)
            key = path.read_bytes()
            if len(key) != BYTES:
                raise StoreError(
                    f"{self._shown(name)} is not a {BYTES}-byte key: restore it from a backup{_way_out(name)}"
                )
            if _identity(key) != known:
                if known is not None and _identity(key) != self._remembered(f"{name}_key_next"):
                    raise StoreError(
                        f"{self._shown(name)} is another key than before: restore it from a backup{_way_out(name)}"
                    )
                self._remember(f"{name}_key", _identity(key))
            self._keys[name] = key
        return self._keys[name]

    def _create(self, name: str) -> None:
        """Make a key; of two processes that start together one wins."""
        pseudonyms = self._path(PSEUDONYMS)
        # Installations from before the two keys were told apart have hashes and signatures made with the one they had.
        key = pseudonyms.read_bytes() if name == LASTING and pseudonyms.exists() else secrets.token_bytes(BYTES)
        if name == PSEUDONYMS:
            self._key(LASTING)
        aside = self._written_aside(name, key)
        try:
            os.link(aside, self._path(name))
        except FileExistsError:
            pass
        finally:
            aside.unlink()

    def _written_aside(self, name: str, key: bytes) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = self.folder / f"{name}.key.{secrets.token_hex(4)}"
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
            handle.write(key)
            handle.flush()
            os.fsync(handle.fileno())
        return aside

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def _shown(self, name: str) -> str:
        return f"{self.folder.name}/{name}.key"

    def _remembered(self, name: str) -> str | None:
        rows = self.store.rows("installation_state", name=name)
        return rows[0]["value"] if rows else None

    def _remember(self, name: str, value: str) -> None:
        self.store.register("installation_state", {"name": name, "value": value})


def _digest(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), sha256).hexdigest()


def _identity(key: bytes) -> str:
    return _digest(key, "identity")[:8]


def _way_out(name: str) -> str:
    if name == PSEUDONYMS:
        return ", or make a new one and everything that depends on it again: `memory rotate-key`"
    if name == VAULT:
        return "; without it nothing in the vault can be read"
    return "; without it nothing tells who was erased and must not come back"
