"""One installation: its stores, plugins and settings, opened when first used.

Imports stand inside the properties: every step of a run imports the code location, and needs few of them.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from records.errors import MemoryAssetsError

if TYPE_CHECKING:
    from datetime import datetime

    from model_registry.adapters import AdapterBook
    from plugins.registry import PluginRegistry
    from privacy.receipts import Receipts
    from privacy.replaced_store import Replaced
    from resources.fence import Fence
    from resources.keys import Keys
    from resources.lake import Lake
    from resources.llm import LLMClient
    from resources.memo import Memo
    from resources.settings import Settings
    from resources.store import InteractionStore
    from resources.sync import SyncState
    from resources.vault import Vault
    from resources.vectors import VectorStore
    from resources.versions import Versions
    from resources.warehouse import Warehouse
    from serving.keeping import Keeper
    from serving.reach import Reach
    from serving.spool import Spool


class Installation:
    """What the client and the assets work with."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def moment(self, given: datetime, name: str | None = None) -> datetime:
        """Return a moment in UTC; one without time zone is of the named one, default: that of the settings.

        Raises:
            MemoryAssetsError: it lies outside of the years 1 to 9999, or there is no such zone.
        """
        from records.zones import in_utc

        try:
            return in_utc(given, name or self.settings.timezone)
        except ValueError as error:
            raise MemoryAssetsError(f"{given.isoformat()}: {error}") from None

    @cached_property
    def unopened_store(self) -> InteractionStore:
        """Return the interaction store, be it there or not."""
        from resources.store import InteractionStore

        return InteractionStore(self.settings.store_url)

    @cached_property
    def store(self) -> InteractionStore:
        """Return the interaction store, migrated; one restored from a backup, without whom was erased since.

        Raises:
            StoreUnreachable: it cannot be used now; asked again, it is tried again.
        """
        from plugins.sources.scratch import FOLDER as SCRATCH
        from plugins.sources.scratch import sweep
        from privacy.tombstones import Tombstones
        from serving.known import opened

        sweep(self.settings.home / SCRATCH)  # what an import that was killed unpacked, perhaps after an erasure
        home, store = self.settings.home, self.unopened_store
        if store.is_emptied() and (home / "keys").is_dir():
            raise store.damaged()  # keys are made by a store that was opened: this is none that was just begun
        opened(store, home)
        if Tombstones(home, store).lost():
            self.erase_again()
        return store

    def erase_again(self) -> None:
        """Erase with an installation of its own: until it is done nobody else is given the store."""
        from privacy.erasure import Erasure
        from resources.reaching import PATIENCE_S, at_most

        other = Installation(self.settings)
        other.__dict__["store"] = other.unopened_store
        try:
            with at_most(PATIENCE_S):
                Erasure(other).again()
        finally:
            other.unopened_store.close()

    @cached_property
    def replaced(self) -> Replaced:
        """Return what notices that another store was put in the place of the one that was opened."""
        from privacy.replaced_store import Replaced

        return Replaced(self)

    @cached_property
    def fence(self) -> Fence:
        """Return what keeps erasures and commits apart."""
        from resources.fence import Fence

        return Fence(self.settings.home, lambda: self.store)

    @cached_property
    def reach(self) -> Reach:
        """Return the way to the store during a chat, which is never waited for long."""
        from serving.reach import Reach

        return Reach(self)

    @cached_property
    def spool(self) -> Spool:
        """Return what waits for the store."""
        from serving.spool import Spool

        return Spool(self.settings.home)

    @cached_property
    def keeper(self) -> Keeper:
        """Return what keeps what is said, whether the store is there or not."""
        from serving.keeping import Keeper

        return Keeper(self)

    @cached_property
    def sync(self) -> SyncState:
        """Return the sync state of the store's messages."""
        from resources.sync import SyncState

        return SyncState(self.store)

    @cached_property
    def versions(self) -> Versions:
        """Return how every partition was made."""
        from resources.versions import Versions

        return Versions(self.store)

    @cached_property
    def lake(self) -> Lake:
        """Return the Parquet lake."""
        from resources.lake import Lake

        return Lake(self.settings.lake_url)

    @cached_property
    def vectors(self) -> VectorStore:
        """Return the LanceDB tables."""
        from resources.vector_upkeep import Upkeep
        from resources.vectors import VectorStore

        bounds = self.settings.vectors
        return VectorStore(self.settings.vectors_dir, Upkeep(bounds.parts, bounds.grace_s))

    @cached_property
    def warehouse(self) -> Warehouse:
        """Return the DuckDB file."""
        from resources.warehouse import Warehouse

        return Warehouse(self.settings.warehouse_path, self.settings.keep_versions)

    @cached_property
    def memo(self) -> Memo:
        """Return what was expensive to compute."""
        from resources.memo import Memo

        return Memo(self.settings.home / "memo.sqlite", self.fence.committing)

    @cached_property
    def keys(self) -> Keys:
        """Return the keys behind pseudonyms and receipts."""
        from resources.keys import Keys

        return Keys(self.settings.home, self.store)

    @cached_property
    def receipt_book(self) -> Receipts:
        """Return the receipts of erasures."""
        from privacy.receipts import Receipts

        return Receipts(self.store, self.keys)

    @cached_property
    def adapter_book(self) -> AdapterBook:
        """Return the registry of adapters and of what is served."""
        from model_registry.adapters import AdapterBook

        return AdapterBook(self)

    @cached_property
    def vault(self) -> Vault | None:
        """Return what surrogates stand for, None where nothing is to be reversible."""
        from resources.vault import Vault

        return Vault(self.settings.vault, self.keys.vault()) if self.settings.vault is not None else None

    @cached_property
    def registry(self) -> PluginRegistry:
        """Return the plugins."""
        from plugins.registry import PluginRegistry
        from plugins.sources.scratch import FOLDER as SCRATCH

        choices = {kind: (choice.use, choice.options) for kind, choice in self.settings.plugins.items()}
        scratch = self.settings.home / SCRATCH
        return PluginRegistry(choices, self.settings.plugins_dir, self.settings.plugins_allow, scratch)

    @cached_property
    def llm(self) -> LLMClient | None:
        """Return the language model's client, None when none is configured."""
        from resources.llm import LLMClient

        return LLMClient(self.settings.llm, self.memo) if self.settings.llm.base_url else None

    def plugin(self, kind: str) -> Any:
        """Return the chosen plugin of a kind, made once per process so that a model loads once."""
        made: dict[str, Any] = self.__dict__.setdefault("_made", {})
        if kind not in made:
            made[kind] = self.registry.create(kind, llm=self.llm)
            made[kind].memo = self.memo
        return made[kind]
