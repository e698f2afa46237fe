"""What users' requests show of the generations that answer them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

_REMEMBERED = 20_000
"""Decisions whose generation is known when their feedback comes."""


@dataclass(frozen=True, slots=True)
class Served:
    """One request that a generation answered, or failed to.

    Attributes:
        generation: Its number.
        seconds: Of work, without the wait for a slot.
        failed: Whether it ended with an error of the engine or the prompt.
        garbage: Whether the answer is none: empty, broken or endless.
        canary: Whether the draw between two generations put it on the candidate; ``None`` where there was no draw.
        first: Whether it is the first of its session in that draw.
    """

    generation: int
    seconds: float
    failed: bool = False
    garbage: bool = False
    canary: bool | None = None
    first: bool = True


class Watcher(Protocol):
    """Looks at requests while they end; called under the traffic's lock: quick, and without calls back."""

    def served(self, request: Served) -> None:
        """A request has ended."""

    def rewarded(self, request: Served, reward: float) -> None:
        """Explicit feedback came for a request that was served."""


class Traffic:
    """Passes on to watchers what requests show. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watchers: tuple[Watcher, ...] = ()
        self._by_decision: OrderedDict[str, Served] = OrderedDict()

    def watch(self, watcher: Watcher) -> None:
        """Let it see all requests that end from now on."""
        with self._lock:
            self._watchers = (*self._watchers, watcher)

    def unwatch(self, watcher: Watcher) -> None:
        """Let it go; a no-op where it does not watch."""
        with self._lock:
            self._watchers = tuple(each for each in self._watchers if each is not watcher)

    def served(self, request: Served, decision: str | None = None) -> None:
        """A request has ended.

        Args:
            request: What it shows.
            decision: Its id, by which feedback may come.
        """
        with self._lock:
            if decision is not None:
                self._by_decision[decision] = request
                if len(self._by_decision) > _REMEMBERED:
                    self._by_decision.popitem(last=False)
            for watcher in self._watchers:
                watcher.served(request)

    def rewarded(self, decision: str, reward: float) -> None:
        """Feedback came for a decision; passed over where its request is not known any more."""
        with self._lock:
            request = self._by_decision.pop(decision, None)
            if request is not None:
                for watcher in self._watchers:
                    watcher.rewarded(request, reward)
