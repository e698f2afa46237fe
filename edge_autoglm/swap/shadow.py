"""The candidate answers users' requests as well, unseen: does it agree with what they got?"""

from __future__ import annotations

import queue
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.outcome import cause_of
from edge_autoglm.swap.policy import ShadowPolicy

Offer = Callable[[Generation], "Future[float] | None"]
"""Puts a request that was answered to another generation: how far that agrees, 0..1; ``None`` where it cannot."""

_LOOK_AGAIN = 0.1
"""Seconds."""
_WORD = re.compile(r"\w+|[^\w\s]")


class Shadow:
    """Compares answers, one request at a time, so that users' requests wait for little.

    Args:
        candidate: Not live yet.
        policy: How many requests, and how much they must agree.
    """

    def __init__(self, candidate: Generation, policy: ShadowPolicy) -> None:
        self._candidate, self._policy = candidate, policy
        self._offers: queue.Queue[Offer] = queue.Queue(maxsize=1)
        self.compared, self._agreement = 0, 0.0

    def offer(self, request: Offer) -> None:
        """A request was answered; it is passed over while another one is being compared."""
        with suppress(queue.Full):
            self._offers.put_nowait(request)

    def run(self, stop: threading.Event) -> str | None:
        """Compare requests as they come; what speaks against the candidate, if anything does.

        Args:
            stop: Ends it early.
        """
        deadline = time.monotonic() + self._policy.max_seconds
        while self.compared < self._policy.requests and not stop.is_set():
            if time.monotonic() > deadline:
                return f"shadow: only {self.compared} of {self._policy.requests} requests came in time"
            try:
                fault = self._compare(self._offers.get(timeout=_LOOK_AGAIN))
            except queue.Empty:
                continue
            if fault is not None:
                return fault
        mean = self._agreement / max(self.compared, 1)
        enough = mean >= self._policy.min_agreement or stop.is_set()
        return None if enough else f"shadow: agreement {mean:.3g} is below min_agreement {self._policy.min_agreement:g}"

    def metrics(self) -> dict[str, float]:
        """What was measured."""
        return {"shadow_requests": float(self.compared), "shadow_agreement": self._agreement / max(self.compared, 1)}

    def _compare(self, request: Offer) -> str | None:
        try:
            agreement = request(self._candidate)
            if agreement is not None:
                self._agreement += agreement.result()
                self.compared += 1
        except Exception as error:  # what a user's request would fail with
            return f"shadow: {cause_of(error)}"
        return None


def text_agreement(one: str, other: str) -> float:
    """F1 of the words of two texts, 0..1: 1 where they have the same ones, however ordered.

    >>> text_agreement("a good film", "a good book")
    0.6666666666666666
    """
    first, second = Counter(_WORD.findall(one)), Counter(_WORD.findall(other))
    total = first.total() + second.total()
    return 2.0 * (first & second).total() / total if total else 1.0
