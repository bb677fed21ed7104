"""Vectors of messages that stand in no table: of what was just said at once, of the others in a thread behind, the newest first."""

import contextlib
import itertools
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from plugins.embedders.encoder import Encoder
from plugins.embedders.one_thread import one_thread
from serving.recall.fresh import Told
from serving.recall.matrix import Image

AT_ONCE = 400
"""Characters of the newest messages that a question embeds; with the packaged models some 100 ms of computing."""

OF_ONE = 4_000
"""Characters of one long message that are embedded, from all over it; the whole is when a run takes it in."""

BEHIND = 1_000
"""Newest messages of a scope that are embedded behind: a minute of computing. Older ones are found by words until the next run."""

HELD = 4_000
"""Messages whose vectors are kept in memory: with those of their word pieces 5 KB each."""

TOGETHER = 1
"""Messages that are embedded at a time behind: who asks meanwhile shares the processor with one, some 40 ms."""

QUIET = 0.25
"""Seconds without a question after which the thread behind goes on: between those of one conversation it would be in their way."""

PATIENCE = 5.0
"""Seconds that it waits for that, before it embeds the next message all the same."""

ENDING = 2.0
"""Seconds that closing waits for the thread behind; an embedder on a server may take longer, and is left alone."""

Vectors = tuple[np.ndarray, np.ndarray]


class FreshVectors:
    """Makes and keeps the vectors of messages, by their numbers of arrival.

    The thread behind ends when nothing is left to do, with `close`, with the process, and when nobody holds this object any more.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: OrderedDict[int, tuple[str, Vectors]] = OrderedDict()
        self._waiting: OrderedDict[int, str] = OrderedDict()
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()
        self._asking, self._answered = 0, 0.0
        self._epoch = 0
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.close = weakref.finalize(self, _end, self._stop, self._threads)

    def dressed(self, told: Told, dim: int, pieces: int) -> Image:
        """Return the image of messages with their vectors; rows of zeros stand for those that have none yet.

        Args:
            dim: Dimensions of vectors, 0 for none.
            pieces: Dimensions of token vectors, 0 for none.
        """
        if not dim or not len(told):
            return told.image
        vectors = np.zeros((len(told), dim), np.float32)
        none = np.zeros((0, pieces), np.int8)
        tokens = [none] * len(told)
        for place, made in enumerate(self._of(told)):
            if made is not None:
                vectors[place] = made[0]
                tokens[place] = made[1] if pieces else none
        ends = np.cumsum([len(part) for part in tokens])
        return replace(
            told.image,
            vectors=vectors,
            pieces=np.concatenate(tokens) if pieces else None,
            piece_ends=ends if pieces else None,
        )

    def drop(self, seqs: Iterable[int]) -> None:
        """Keep nothing of messages that are gone."""
        with self._lock:
            self._epoch += 1
            for seq in seqs:
                self._known.pop(seq, None)
                self._waiting.pop(seq, None)

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._epoch += 1
            self._known.clear()
            self._waiting.clear()

    def clear_waiting(self) -> None:
        """Embed nothing more until the next question."""
        with self._lock:
            self._waiting.clear()

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Let the thread behind wait while a question is answered."""
        with self._lock:
            self._asking += 1
            self._idle.clear()
        try:
            yield
        finally:
            with self._lock:
                self._asking -= 1
                self._answered = time.monotonic()
                if not self._asking:
                    self._idle.set()

    def _of(self, told: Told) -> list[Vectors | None]:
        seqs, said = told.seq.tolist(), told.said.to_list()
        newest = np.argsort(-told.seq)
        with self._lock:
            known = [self._known.get(seq) for seq in seqs]
            found = [held[1] if held and held[0] == text else None for held, text in zip(known, said, strict=True)]
            unknown = [place for place in newest.tolist() if found[place] is None]
            new = [place for place in unknown if self._waiting.get(seqs[place]) != said[place]]
            epoch = self._epoch
        left, now = AT_ONCE, []
        for place in new:
            left -= len(said[place])
            if left < 0:
                break
            now.append(place)
        if now:
            made = self._tried([said[place] for place in now])
            for place, vectors in zip(now, made, strict=True):
                found[place] = vectors
            new_ones = [
                (seqs[place], said[place], one) for place, one in zip(now, made, strict=True) if one is not None
            ]
            if epoch != self._epoch:  # something was dropped meanwhile, which may be one of these
                return found
            self._keep(new_ones)
        rest = [place for place in newest.tolist()[:BEHIND] if found[place] is None]
        self._later([(seqs[place], said[place]) for place in rest])
        return found

    def _tried(self, said: list[str]) -> list[Vectors] | list[None]:
        """Return the vectors of messages; none where the embedder fails: they are found by words, and the next question tries again."""
        try:
            return self._made(said)
        except Exception:  # noqa: BLE001  (an embedder may raise anything)
            return [None] * len(said)

    def _made(self, said: list[str]) -> list[Vectors]:
        with one_thread():
            tokens = self._encoder.token_vectors(said, OF_ONE)
            return list(zip(self._encoder.vectors(said, OF_ONE), tokens, strict=True))

    def _keep(self, made: Iterable[tuple[int, str, Vectors]]) -> None:
        with self._lock:
            for seq, said, vectors in made:
                self._known[seq] = (said, vectors)
                self._known.move_to_end(seq)
            while len(self._known) > HELD:
                self._known.popitem(last=False)

    def _later(self, messages: list[tuple[int, str]]) -> None:
        """Let messages be embedded behind, the first ones first, and before those that are waiting."""
        if not messages or self._stop.is_set():
            return
        with self._lock:
            for seq, said in reversed(messages):
                self._waiting[seq] = said
                self._waiting.move_to_end(seq, last=False)
            while len(self._waiting) > HELD:
                self._waiting.popitem()
            self._threads[:] = [thread for thread in self._threads if thread.is_alive()]
            if not self._threads:
                # A daemon: it is ended with the process by `_end`, and never the one that the process waits for.
                thread = threading.Thread(
                    target=_work, args=(weakref.ref(self), self._stop), name="memory-fresh", daemon=True
                )
                self._threads.append(thread)
                thread.start()

    def _wait_for_quiet(self) -> None:
        """Wait until nobody has asked for a while, or long enough."""
        end = time.monotonic() + PATIENCE
        while not self._stop.is_set() and (now := time.monotonic()) < end:
            if not self._idle.wait(end - now):
                return
            left = self._answered + QUIET - time.monotonic()
            if left <= 0:
                return
            self._stop.wait(left)

    def _step(self) -> bool:
        """Embed the next few that are waiting; return whether there are more."""
        with self._lock:
            batch = list(itertools.islice(self._waiting.items(), TOGETHER))
            if not batch:
                self._threads.clear()  # what is added from now on starts another one
                return False
        made = self._made([said for _, said in batch])
        with self._lock:
            # What was dropped meanwhile is erased.
            there = [self._waiting.get(seq) == said for seq, said in batch]
            for seq, _ in batch:
                self._waiting.pop(seq, None)
        self._keep((seq, said, vectors) for (seq, said), vectors, kept in zip(batch, made, there, strict=True) if kept)
        return True


def _work(of: "weakref.ref[FreshVectors]", stop: threading.Event) -> None:
    """Embed what is waiting until nothing is, or nobody wants it."""
    while not stop.is_set():
        vectors = of()
        if vectors is None:
            return
        vectors._wait_for_quiet()
        try:
            if not vectors._step():
                return
        except Exception:  # noqa: BLE001  (an embedder may raise anything: who asks is told by the question's own vector)
            vectors.clear_waiting()
            return
        del vectors


def _end(stop: threading.Event, threads: list[threading.Thread]) -> None:
    stop.set()
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(ENDING)
