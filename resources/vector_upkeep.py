"""Keeping a LanceDB table small: its files are merged and its old versions removed as part of the commits that make them.

Every commit leaves a file, a version and what the version before held. A hundred syncs of 25 messages left 331 files of 26 MB for
0.8 MB of text and vectors, nearly all of it rows that were written again and versions that nobody would ever read.
"""

import time
import warnings
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resources.vectors import VectorStore

ROWS_PER_PART = 10_000
"""A table of n rows may have n / 10,000 parts: merging writes all of it anew (30,000 messages in 0.5 s), so that a sync writes
some 10,000 rows in the mean, however large the table is."""

PASSES = 3
"""LanceDB merges what its indexes cover and what they do not cover apart: a second pass merges the two."""

SLACK_S = 2.0

NEVER = timedelta(days=36_500)


@dataclass(frozen=True)
class Upkeep:
    """When a table is merged, and how long a replaced version stays.

    Attributes:
        parts: Files of rows from which on they are merged; more in tables of more than ``parts`` times `ROWS_PER_PART` rows.
        grace_s: Seconds for which a version that was replaced stays readable: longer than a recall takes.
    """

    parts: int = 20
    grace_s: float = 5.0


def parts_of(lance: Any) -> int:
    """Return how many files the rows of a table lie in."""
    return int(lance.stats()["fragment_stats"]["num_fragments"])


def before_commit(vectors: "VectorStore", lance: Any) -> None:
    """Remove old versions of a table that was merged by an earlier commit: whoever read them then is done.

    Only where one file is left: LanceDB removes no version without merging, and then there is nothing to merge.
    """
    if parts_of(lance) <= 1:
        prune(vectors, lance)


def after_commit(vectors: "VectorStore", lance: Any) -> None:
    """Merge the files of a table when they have become many, and remove the versions nobody reads any more."""
    parts, rows = parts_of(lance), lance.count_rows()
    if parts > max(vectors.upkeep.parts, rows // ROWS_PER_PART):
        merge(vectors, lance)


def merge(vectors: "VectorStore", lance: Any) -> None:
    """Merge the files of a table and take all rows into its indexes. Killed at any moment no row is lost: each commit is whole."""
    for _ in range(PASSES):
        before = parts_of(lance)
        vectors.retried(lance.optimize, cleanup_older_than=NEVER)
        if parts_of(lance) in (1, before):
            break
    prune(vectors, lance)


def prune(vectors: "VectorStore", lance: Any) -> None:
    """Remove the versions that were replaced more than the grace ago, with the files that only they hold.

    What counts is when a version was replaced, not when it was made: the newest one may be a month old, and a recall that has
    just begun to read it goes on for a moment after the commit that replaces it. Files of killed writers go, too: whoever
    commits holds the table's lock.
    """
    grace, now = vectors.upkeep.grace_s, time.time()
    made = sorted(path.stat().st_mtime for path in vectors.manifests(lance.name))
    old = [moment for moment in made if moment <= now - grace]
    if len(old) < 2:
        return
    # The last of them was the newest when the grace began, and stays. LanceDB removes what is older than an age, and looks at
    # the clock a little later than this does.
    age = timedelta(seconds=now - old[-1] + SLACK_S) if grace else timedelta(0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="optimize.cleanup_older_than=0")
        vectors.retried(lance.optimize, cleanup_older_than=age, delete_unverified=True)
