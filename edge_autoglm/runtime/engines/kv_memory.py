"""Memory for the KV state of an engine, which the system commits as tokens arrive."""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def empty_kv(shape: Sequence[int], dtype: np.dtype[Any]) -> npt.NDArray[np.generic]:
    """An array of zeros of which an untouched page takes no memory.

    A slot's tokens are spread over the whole array, a stretch for each layer and head. In huge pages, for which NumPy
    asks, the first tokens of one slot would commit nearly all of it.
    """
    count = math.prod(shape)
    if not count:
        return np.zeros(shape, dtype)
    memory = mmap.mmap(-1, count * dtype.itemsize)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, dtype, count).reshape(shape)
