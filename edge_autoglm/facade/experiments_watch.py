"""Follows the file of experiments while the app runs, without a thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from edge_autoglm.errors import ExperimentError
from edge_autoglm.facade.experiments_file import load_experiments
from edge_autoglm.learn.experiments.experiment import Experiment

_log = logging.getLogger("edge_autoglm")

_EVERY = 1.0
"""Seconds between two looks at the file."""
_SETTLED = 2_000_000_000
"""Nanoseconds after which a second change has another time stamp, on coarse file systems too."""

_Signature = tuple[int, int, int]


class ExperimentsWatch:
    """Reads a file again when it has changed. Thread-safe: one caller looks, others go on.

    What cannot be read changes nothing and is logged once; so is a file that was deleted.

    Args:
        path: Of the file.
        apply: Called with what it says, whenever that may have changed; never by two threads at a time.
        clock: Seconds; for when to look.

    Raises:
        ExperimentError: The file is wrong as it is now.
    """

    def __init__(
        self,
        path: Path,
        apply: Callable[[tuple[Experiment, ...]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._apply = apply
        self._clock = clock
        self._lock = threading.Lock()
        self._due = 0.0
        self._seen: _Signature | None = None
        self._settled = False
        self._experiments: tuple[Experiment, ...] | None = None
        self._warned: tuple[_Signature | None, str] | None = None
        self.reload()

    def check(self) -> None:
        """Look at the file if it is time to; well under a microsecond otherwise."""
        if self._clock() < self._due or not self._lock.acquire(blocking=False):
            return
        try:
            self._due = self._clock() + _EVERY
            if not self._settled or self._signature() != self._seen:
                self._read()
        except ExperimentError as error:
            self._warn(error)
        finally:
            self._lock.release()

    def reload(self) -> None:
        """Read it now.

        Raises:
            ExperimentError: It is wrong; what it said before holds.
        """
        with self._lock:
            self._due = self._clock() + _EVERY
            self._read()

    def _read(self) -> None:
        # Before it is read, so that a change meanwhile is seen at the next look.
        self._seen = self._signature()
        # A young file may be written once more within the resolution of its time stamp: it is read again.
        self._settled = self._seen is None or not 0 <= time.time_ns() - self._seen[0] < _SETTLED
        experiments = load_experiments(self._path)
        if experiments != self._experiments:
            self._experiments = experiments
            self._apply(experiments)

    def _signature(self) -> _Signature | None:
        try:
            found = self._path.stat()
        except OSError:
            return None  # reading it says why
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _warn(self, error: ExperimentError) -> None:
        problem = (self._seen, str(error))
        if problem != self._warned:
            self._warned = problem
            _log.warning("the experiments stay as they were: %s", error)
