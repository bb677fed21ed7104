"""What an erasure does with what cannot be read: it may hold what is to be erased, so that it goes as a whole, and is made again."""

import shutil
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import polars as pl

from records.base import Record
from records.errors import DamagedError
from resources.damage import is_foreign
from resources.lake import WHOLE
from resources.sqlite_damage import remove_database
from resources.vector_damage import damage_of
from resources.vector_erasure import erase, held

if TYPE_CHECKING:
    from serving.installation import Installation

EVERY_WEEK = ("message_embeddings",)
"""Vector tables that are made week by week; a run of any week makes the others whole."""


class Damaged:
    """The damaged files that one erasure came upon.

    Attributes:
        places: What they are called.
        weeks: What is to be made again because of them.
    """

    def __init__(self, installation: "Installation") -> None:
        self.of = installation
        self.places: set[str] = set()
        self.weeks: set[str] = set()

    def rows(
        self,
        asset: str,
        record: type[Record],
        partition: str,
        *,
        where: pl.Expr | None = None,
        columns: Sequence[str] | None = None,
        remove: bool = False,
    ) -> pl.DataFrame | None:
        """Return a partition of the lake as `Lake.collect` does, None for one that cannot be read.

        Args:
            remove: Whether that is removed; only once it is written down what is to be erased.
        """
        try:
            return self.of.lake.collect(asset, record, [partition], where=where, columns=columns)
        except DamagedError as error:
            self.places.add(error.path)
            if remove:
                self.weeks.update(again(self.of, asset, [partition]))
                self.of.lake.delete(asset, partition)
            return None

    def embedded(self, kind: str, key: str, messages: Sequence[str]) -> list[str]:
        """Return the keys of the rows of a vector table that lead to messages; of one that cannot be read none: it goes as a whole."""
        found: list[str] = []
        for name in self.of.vectors.names(kind):
            try:
                rows = self.of.vectors.columns(self.of.vectors.open_table(name), [key, "source_message_ids"])
            except DamagedError:
                continue
            gone = pl.Series(messages, dtype=pl.String).implode()
            led = pl.col("source_message_ids").list.eval(pl.element().is_in(gone)).list.any()
            found += rows.filter(led)[key].to_list()
        return found

    def held(self, kind: str, key: str, values: Sequence[str]) -> int:
        """Return how many rows the tables of a kind hold that `erase` would remove; 0 of what cannot be read."""
        try:
            return held(self.of.vectors, kind, key, values)
        except BaseException as error:
            if not (isinstance(error, DamagedError) or is_foreign(error)):
                raise
            return 0

    def erase(self, kind: str, key: str, values: Sequence[str]) -> int:
        """Erase rows from the tables of a kind; return how many. A table in which that cannot be done is dropped whole."""
        try:
            return erase(self.of.vectors, kind, key, values)
        except BaseException as error:
            if not (isinstance(error, DamagedError) or is_foreign(error)):
                raise
            if not any(damage_of(self.of.vectors.folder, name) for name in self.of.vectors.names(kind)):
                raise
        self.places.add(f"{self.of.vectors.folder.name}/{kind}")
        self.weeks.update(again(self.of, kind))
        drop(self.of, kind)
        return 0

    def from_vault(self, interactions: Sequence[str], *, known: bool) -> int:
        """Forget interactions in the vault, if there is one; return how many.

        Args:
            known: Whether these are all; otherwise, and if it cannot be read, the whole vault goes.
        """
        vault = self.of.vault
        if vault is None:
            return 0
        try:
            if known:
                return vault.drop(interactions)
        except DamagedError:
            pass
        self.places.add(vault.path.name)
        self.weeks.update(again(self.of, "anonymized_interactions"))
        remove_database(vault.path)
        return 0


def again(of: "Installation", asset: str, parts: Iterable[str] | None = None) -> list[str]:
    """Let partitions of an asset, by default all, count as never made, and their weeks as unsynced; return the weeks to be made.

    Done before anything is removed: killed in between, what is damaged is found again.
    """
    stored = of.store.weeks()
    chosen = list(of.versions.of(asset)) if parts is None else list(parts)
    weeks = sorted(set(chosen) & set(stored))
    if (WHOLE in chosen or not weeks) and stored and asset not in EVERY_WEEK:
        weeks = weeks or stored[-1:]  # what is made of all weeks is made with any
    elif asset in EVERY_WEEK and parts is None:
        weeks = stored
    of.versions.drop(asset, chosen)
    for week in weeks:
        of.sync.reopen(week)
    return weeks


def drop(of: "Installation", kind: str) -> None:
    """Remove the vector tables of a kind with all of their files, and what says which of them is read."""
    vectors = of.vectors
    with vectors.locked(kind):
        (vectors.folder / f"{kind}.json").unlink(missing_ok=True)
        for name in vectors.names(kind):
            shutil.rmtree(vectors.folder / f"{name}.lance", ignore_errors=True)
