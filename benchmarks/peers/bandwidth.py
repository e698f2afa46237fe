"""How fast the memory can be read: the limit of decoding, which reads every weight once a token."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

_VALUES = 16 << 20
"""Of 8 bytes, a thread: 128 MiB, more than any cache holds."""
_REPEATS = 5


class MemoryReader:
    """Reads arrays of its own with several threads, as STREAM does (McCalpin 1995), without writing.

    Args:
        threads: As many as the contestants have.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        # Written to, or else all pages would be the kernel's one page of zeros.
        self._arrays = [np.arange(_VALUES, dtype=np.int64) for _ in range(threads)]

    def __call__(self) -> float:
        """Bytes a second, the best of some readings: other work on the machine only ever makes it less."""
        with ThreadPoolExecutor(self._threads) as pool:
            best = min(self._seconds(pool) for _ in range(_REPEATS))
        return sum(array.nbytes for array in self._arrays) / best

    def _seconds(self, pool: ThreadPoolExecutor) -> float:
        started = time.perf_counter()
        list(pool.map(_read, self._arrays))
        return time.perf_counter() - started


def _read(values: npt.NDArray[np.int64]) -> int:
    """NumPy's largest of integers is vectorised, and lets other threads run meanwhile."""
    return int(values.max())
