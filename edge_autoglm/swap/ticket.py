"""A swap that was asked for: how far it is, what became of it, and a way to take it back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

from edge_autoglm.interrupts import SafeFuture
from edge_autoglm.swap.outcome import SwapOutcome


class SwapTicket:
    """Thread-safe.

    Attributes:
        stage: ``waiting``, ``build``, ``check``, ``shadow``, ``canary``, ``drain`` or ``ended``.
    """

    def __init__(self) -> None:
        self.stage = "waiting"
        self.wake = threading.Event()
        """Set when whoever runs the swap should look again: there is a verdict, or it is to stop."""
        self._cancelled = False
        self.future: Future[SwapOutcome] = SafeFuture()
        """Resolves to the outcome; it is never cancelled itself, since that is an outcome too."""

    @property
    def cancelled(self) -> bool:
        """Whether it is to end."""
        return self._cancelled

    def cancel(self) -> bool:
        """Ask for its end: as ``Cancelled`` at the next point at which it can, or not at all once it is live.

        Returns:
            False where it has ended already.
        """
        self._cancelled = True
        self.wake.set()
        return not self.future.done()

    def done(self) -> bool:
        """Whether there is an outcome."""
        return self.future.done()

    def result(self, timeout: float | None = None) -> SwapOutcome:
        """The outcome, waited for.

        Args:
            timeout: Seconds; ``None`` waits for ever.

        Raises:
            TimeoutError: There is none yet.
        """
        return self.future.result(timeout)

    def add_done_callback(self, called: Callable[[SwapTicket], None]) -> None:
        """Have something called with this ticket when there is an outcome."""
        self.future.add_done_callback(lambda _: called(self))
