"""Which of very many messages say the words of a question: an index in memory, of messages that stand in no table yet.

It holds words and where they stand, no texts: what is shown is read from the store.
"""

import numpy as np
import polars as pl

from language.terms import asked_words, beginning, word_terms
from serving.recall.features import K1, MOST_TERMS, B

MILLISECONDS = 42
"""Bits of a place that hold the time, until the year 2109; the session's number stands above them."""


class WordIndex:
    """The words of messages, n of them in the order in which they were added.

    Attributes:
        seq: Number of arrival, int64 (n,), rising.
        asks: Rows in which a user asks to forget something.

    Memory: 4 bytes a word, 32 a message, and the different words. Cost of a search: linear in the words; 3 million take 5 ms.
    """

    def __init__(self) -> None:
        self.seq = np.zeros(0, np.int64)
        self.asks = np.zeros(0, np.int64)
        self._ends = np.zeros(0, np.int64)
        self._flat = np.zeros(0, np.uint32)
        self._places = np.zeros(0, np.int64)
        self._order = np.zeros(0, np.int64)
        self._sessions: dict[str, int] = {}
        self._numbers = 0
        self._words = pl.Series("word", [], pl.String)
        self._numbered = _numbered(self._words)
        self._folded = pl.Series("word", [], pl.String)

    def __len__(self) -> int:
        return len(self.seq)

    @property
    def size(self) -> int:
        """Return the bytes that it holds, roughly."""
        arrays = (self.seq, self._ends, self._flat, self._places, self._order)
        # Different words are held three times: as they are, without accents, and to find their numbers.
        return sum(a.nbytes for a in arrays) + 3 * int(self._words.estimated_size()) + 100 * len(self._sessions)

    def add(self, rows: pl.DataFrame, asks: np.ndarray) -> None:
        """Add messages that arrived later than those that are there.

        Args:
            rows: seq, session_id, occurred_at and said, which is empty where nothing is to be found; by seq.
            asks: Whether a user asks to forget something there, bool (n,).
        """
        before = len(self)
        words = rows["said"].str.to_lowercase().str.extract_all(r"\w+")
        numbers = words.explode(empty_as_null=False, keep_nulls=False).cast(self._numbered.dtype)
        self._learn(numbers)
        start = self._ends[-1] if before else 0
        self._flat = np.concatenate([self._flat, numbers.to_physical().to_numpy()])
        self._ends = np.concatenate([self._ends, start + words.list.len().cast(pl.Int64).cum_sum().to_numpy()])
        self.seq = np.concatenate([self.seq, rows["seq"].to_numpy()])
        self.asks = np.concatenate([self.asks, before + np.flatnonzero(asks)])
        places = self._placed(rows)
        self._places = np.concatenate([self._places, places])
        new = np.argsort(places, kind="stable")
        where = np.searchsorted(self._places[self._order], places[new], side="right")
        self._order = np.insert(self._order, where, before + new)

    def keep(self, kept: np.ndarray) -> None:
        """Drop all other messages, and every word that none of the rest says.

        Args:
            kept: bool (n,).
        """
        counts = np.diff(self._ends, prepend=0)
        flat = self._flat[np.repeat(kept, counts)]
        said = np.zeros(len(self._words), bool)
        said[flat] = True
        number = np.cumsum(said) - 1
        self._flat, self._ends = number[flat].astype(np.uint32), np.cumsum(counts[kept])
        row = np.cumsum(kept) - 1
        self.seq, self._places = self.seq[kept], self._places[kept]
        self.asks, self._order = row[self.asks[kept[self.asks]]], row[self._order[kept[self._order]]]
        there = set((self._places >> MILLISECONDS).tolist())
        self._sessions = {name: session for name, session in self._sessions.items() if session in there}
        self._words, self._folded = self._words.filter(pl.Series(said)), self._folded.filter(pl.Series(said))
        self._numbered = _numbered(self._words)

    def hits(self, question: str, limit: int) -> np.ndarray:
        """Return the rows that say most of what a question says by rare words (BM25), the best ``limit``; of equal ones the newest."""
        asked = asked_words(question)[:MOST_TERMS]
        of_word = np.zeros(len(self._words), np.uint8)
        for place, word in enumerate(asked, 1):
            of_word[self._numbers_of(word)] = place
        found = of_word[self._flat]
        spots = np.flatnonzero(found)
        rows, which = np.searchsorted(self._ends, spots, side="right"), found[spots]
        lengths = np.diff(self._ends, prepend=0)
        scores = np.zeros(len(self))
        mean = max(float(lengths.mean()) if len(self) else 0.0, 1.0)
        for place in range(1, len(asked) + 1):
            each = rows[which == place]
            first = np.flatnonzero(np.diff(each, prepend=-1))  # rows rise
            said, times = each[first], np.diff(first, append=len(each))
            rare = np.log(1 + (len(self) - len(said) + 0.5) / (len(said) + 0.5))
            scores[said] += rare * times * (K1 + 1) / (times + K1 * (1 - B + B * lengths[said] / mean))
        some = np.flatnonzero(scores)
        return some[np.lexsort((self.seq[some], scores[some]))[-limit:]]

    def around(self, rows: np.ndarray, before: int, after: int) -> np.ndarray:
        """Return the rows and those at most so many places before and after them in their sessions, each once."""
        if not len(rows):
            return np.zeros(0, np.int64)
        place = np.empty(len(self), np.int64)
        place[self._order] = np.arange(len(self))
        wide = place[rows][:, None] + np.arange(-before, after + 1)[None, :]
        near = self._order[np.clip(wide, 0, len(self) - 1)]
        session = self._places >> MILLISECONDS
        inside = (wide >= 0) & (wide < len(self)) & (session[near] == session[rows][:, None])
        return np.unique(near[inside])

    def _numbers_of(self, word: str) -> list[int]:
        """Return the numbers of the words that have a stem in common with this one."""
        wanted = set(word_terms(word))
        alike = self._folded.str.starts_with(beginning(word)).arg_true()
        return [
            number
            for number, said in zip(alike, self._words.gather(alike), strict=True)
            if not wanted.isdisjoint(word_terms(said))
        ]

    def _learn(self, numbers: pl.Series) -> None:
        """Keep words that are new."""
        known = len(self._words)
        each = numbers.unique()
        new = pl.DataFrame({"word": each.cast(pl.String), "number": each.to_physical()}).filter(
            pl.col("number") >= known
        )
        words = new.sort("number").get_column("word")
        ascii_only = pl.col("word").str.len_bytes() == pl.col("word").str.len_chars()
        plain = pl.col("word").str.normalize("NFKD").str.replace_all(r"\p{Mn}", "")
        folded = words.to_frame().select(pl.when(ascii_only).then("word").otherwise(plain)).to_series()
        self._words = pl.concat([self._words, words], rechunk=True)
        self._folded = pl.concat([self._folded, folded], rechunk=True)

    def _placed(self, rows: pl.DataFrame) -> np.ndarray:
        """Return what sorts messages by session and time."""
        for name in rows["session_id"].unique().to_list():
            if name not in self._sessions:
                self._sessions[name] = self._numbers
                self._numbers += 1
        session = rows["session_id"].replace_strict(self._sessions, return_dtype=pl.Int64).to_numpy()
        ms = np.clip(rows["occurred_at"].dt.epoch("ms").to_numpy(), 0, (1 << MILLISECONDS) - 1)
        return (session << MILLISECONDS) | ms


def _numbered(words: pl.Series) -> pl.Series:
    """Return words with numbers of their own, from 0 in their order. Polars knows the numbers as long as this series is there."""
    return words.cast(pl.Categorical(pl.Categories.random()))
