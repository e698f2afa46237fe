"""What a drafted token costs on this machine, learnt from the times of real steps."""

from __future__ import annotations

import statistics
import threading
from collections import deque

_WINDOW = 32
"""Steps of each kind whose median counts: an interrupted step does not move it, another load on the machine does."""

_INITIAL = 0.3
"""Measured on two AVX2 cores, SmolLM2-135M: 0.27 (int8), 0.15 (w8a8), 0.3 (int4); nearly linear up to 16 tokens."""

_INITIAL_WEIGHT = 3
"""Measurements that the initial value stands for."""

_HIGHEST = 0.6
"""Even at this cost sure copies are still drafted, and so go on to be measured; above, it could never be corrected."""


class StepCost:
    """Cost of a step that verifies ``k`` drafted tokens, in units of a plain decode step: ``1 + c k``.

    One for each engine, shared by its requests; hand it to `LookupDrafter` as ``step_cost``. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plain: deque[float] = deque(maxlen=_WINDOW)
        self._per_token: deque[float] = deque([_INITIAL] * _INITIAL_WEIGHT, maxlen=_WINDOW)

    def __call__(self, drafted: int) -> float:
        """Cost of verifying so many tokens."""
        return 1.0 + self.per_token * drafted

    @property
    def per_token(self) -> float:
        """``c``: what one drafted token adds."""
        with self._lock:
            return min(max(statistics.median(self._per_token), 0.0), _HIGHEST)

    def observe(self, drafted: int, seconds: float) -> None:
        """Take note of a step that one request had to itself: of several, one's share of the time is unknown.

        Args:
            drafted: Tokens that it verified besides the last one; 0 for a plain step.
            seconds: Wall-clock time of the forward pass.
        """
        with self._lock:
            if drafted == 0:
                self._plain.append(seconds)
            elif self._plain:
                self._per_token.append((seconds / statistics.median(self._plain) - 1.0) / drafted)
