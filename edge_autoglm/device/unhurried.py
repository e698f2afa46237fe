"""Work that gives way to requests: on a thread of its own, of low priority."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from edge_autoglm.interrupts import SafeFuture

T = TypeVar("T")

_NICENESS = 15


def run_unhurried(work: Callable[[], T]) -> T:
    """The result of ``work``, which runs when the processor has nothing better to do.

    It is for work that leaves the interpreter to others, such as hashing a large file: whoever waited for a thread of
    low priority that holds the interpreter would wait long. Only Linux knows priorities of threads; elsewhere nothing
    is lowered. A thread cannot take its priority back without a privilege, so each work gets a new one.
    """
    future: SafeFuture[T] = SafeFuture()

    def run() -> None:
        if sys.platform == "linux":
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="edge-autoglm-unhurried", daemon=True).start()
    return future.result()
