"""NumPy on one thread, for as long as anybody in the process wants it so."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any


class OneThread:
    """Lets NumPy multiply on one thread: the matrices are small, and threads that wait for each other made the slowest questions three
    times slower. The number of threads is one of the whole process: whoever is the last to leave gives the others back."""

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._limited: Any = None

    @cached_property
    def _blas(self) -> Any:
        from threadpoolctl import ThreadpoolController

        return ThreadpoolController()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Return a context in which it does."""
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._limited = self._blas.limit(limits=1, user_api="blas")
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    self._limited.restore_original_limits()


one_thread = OneThread()
"""That of this process."""


def threads_are_passive() -> None:
    """Keep OpenMP threads from spinning: a query on a busy machine took 258 ms with spinning threads, 20 ms without."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
