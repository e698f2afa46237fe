"""Waiting for what another thread does, and holding up what it would do, without ever sleeping and hoping."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from edge_autoglm.errors import EngineError
from edge_autoglm.runtime.engine import Chunk, Logits
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine

WAIT = 30.0
"""Seconds after which a test that hangs fails."""


def wait_until(holds: Callable[[], bool]) -> None:
    """Return as soon as a condition holds; fail if it does not come about."""
    end = time.monotonic() + WAIT
    while not holds():
        if time.monotonic() > end:
            raise AssertionError("what the test waits for did not come about")
        time.sleep(0.001)


def wait_past(seconds: float) -> None:
    """Return when a deadline that begins now, or began before, has passed."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end)


class GatedEngine(ScriptedEngine):
    """Each forward pass waits until the test lets it through, so that requests stay where they are until then.

    Forks are not gated.
    """

    def __init__(
        self,
        vocab_size: int,
        slots: int = 4,
        capacity: int = 512,
        seed: int = 0,
        script: Mapping[tuple[int, ...], int] | None = None,
    ) -> None:
        super().__init__(vocab_size, slots, capacity, seed, script)
        self._gate = threading.Semaphore(0)
        self.passes: list[list[Chunk]] = []
        """Those that have come to the gate."""

    def forward(self, chunks: Sequence[Chunk]) -> list[Logits]:
        """Wait at the gate, then run."""
        self.passes.append(list(chunks))
        if not self._gate.acquire(timeout=WAIT):
            raise EngineError("the gate was not opened", "Let the pass through.")
        return super().forward(chunks)

    def let(self, passes: int) -> None:
        """Let so many passes through, those that come later included."""
        self._gate.release(passes)

    def open_gate(self) -> None:
        """Hold nothing up any more."""
        self._gate.release(10_000)

    def hold(self) -> None:
        """Let no more through."""
        while self._gate.acquire(blocking=False):
            pass

    def wait_for_pass(self, number: int) -> list[Chunk]:
        """The chunks of a pass, counted from 1, once it has come to the gate."""
        wait_until(lambda: len(self.passes) >= number)
        return self.passes[number - 1]
