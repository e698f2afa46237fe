"""How far a build is: TensorRT's nested phases as one bar that never goes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event, Lock
from typing import Any

from edge_autoglm.device.tensorrt_import import TensorRT

WHOLE = 1000
"""Units of the bar."""
_LONGEST = "Computing profile costs"
_BEFORE = 0.1
"""Share of the bar for all that comes before `_LONGEST`, which has few of the steps and nearly all of the time."""


@dataclass(slots=True)
class _Phase:
    name: str
    steps: int
    done: int = 0


class BuildBar:
    """Folds phases into one share of the whole; safe to use from several threads.

    A phase has steps, and a phase that starts within another is a part of the other's current step. How many such parts
    a step will have is not known beforehand, so the bar may run ahead; it never goes back.
    """

    def __init__(self) -> None:
        self._open: list[_Phase] = []
        self._reached = 0.0
        self._lock = Lock()
        self._cancelled = Event()

    @property
    def reached(self) -> int:
        """Of `WHOLE`."""
        return round(self._reached * WHOLE)

    @property
    def cancelled(self) -> bool:
        """Whether the build is to end."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Let the build end at its next step."""
        self._cancelled.set()

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase begins, within its parent if it has one that is open."""
        with self._lock:
            self._close_behind(parent)
            self._open.append(_Phase(name, max(steps, 1)))

    def step(self, name: str, index: int) -> None:
        """Step ``index`` of a phase, from 0, is done, and all phases within it."""
        with self._lock:
            self._close_behind(name)
            if self._open and self._open[-1].name == name:
                self._open[-1].done = index + 1
            self._advance()

    def finish(self, name: str) -> None:
        """A phase is over, whether or not all its steps were heard of."""
        with self._lock:
            if any(phase.name == name for phase in self._open):
                self._close_behind(name)
                self._open.pop()

    def _close_behind(self, name: str | None) -> None:
        """Forget the phases within a phase; TensorRT does not always finish them."""
        names = [phase.name for phase in self._open]
        if name in names:
            del self._open[names.index(name) + 1 :]

    def _advance(self) -> None:
        names = [phase.name for phase in self._open]
        if _LONGEST in names:
            reached = _BEFORE + (1 - _BEFORE) * _share(self._open[names.index(_LONGEST) :])
        else:
            reached = _BEFORE * _share(self._open)
        self._reached = max(self._reached, reached)


def _share(phases: Sequence[_Phase]) -> float:
    """How much of the first phase is done, each of the others being within the one before it; 1 at most."""
    unit, done = 1.0, 0.0
    for phase in phases:
        unit /= phase.steps
        done += unit * min(phase.done, phase.steps)
    return min(done, 1.0)


def progress_monitor(library: TensorRT, bar: BuildBar) -> Any:
    """An ``IProgressMonitor`` that moves the bar and ends the build when that is cancelled; keep it until the end."""
    base: Any = library.module.IProgressMonitor

    class Monitor(base):  # type: ignore[misc]  # known when the library is imported
        def __init__(self) -> None:
            base.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            bar.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            bar.step(phase_name, step)
            return not bar.cancelled

        def phase_finish(self, phase_name: str) -> None:
            bar.finish(phase_name)

    return Monitor()
