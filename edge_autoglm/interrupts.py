"""Ctrl-C at the worst moment: just after a lock was taken, before the block that gives it back.

Python raises KeyboardInterrupt between two steps of Python code on the main thread. The ``__enter__`` of a
``threading.Condition`` is Python, and has such a step behind the one that takes the lock: an interrupt there leaves it
held, and whoever wants it next waits for ever. The ``__enter__`` of a lock itself is one step of C.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class SafeFuture(Future[T]):
    """A future that Ctrl-C cannot leave locked: in ``result``, ``cancel``, ``add_done_callback`` or wherever else."""

    def __init__(self) -> None:
        super().__init__()
        self._condition = _Condition()


class _Condition(threading.Condition):
    """Enters its lock as the lock itself does: what ``with`` looks up is the lock's own method."""

    _lock: Any

    @property
    def __enter__(self) -> Any:
        return self._lock.__enter__

    @property
    def __exit__(self) -> Any:
        return self._lock.__exit__
