"""Wall time and peak memory of a command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_SHOWN = 2000
_KIBIBYTE = 1024
"""Unit of ``ru_maxrss`` on Linux."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a command took.

    Attributes:
        seconds: From start to end, interpreter and imports included.
        peak_rss: Bytes; mapped files count as far as they were touched.
    """

    seconds: float
    peak_rss: int


def run_measured(command: Sequence[str], log: Path) -> Usage:
    """Run a command to its end; what it prints goes to ``log``.

    The kernel counts the caller's own footprint at the moment of the start for the child: keep the caller small.

    Raises:
        RuntimeError: It failed; with the end of what it printed.
    """
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = log.read_text(errors="replace")[-_SHOWN:]
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{tail}")
    return Usage(seconds, usage.ru_maxrss * _KIBIBYTE)
