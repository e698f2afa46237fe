"""``Runtime.learner``: what the device has learnt, and putting it live."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from edge_autoglm.facade.standby import GenerationBuilder
from edge_autoglm.learn.learner import Learner
from edge_autoglm.learn.status import LearnerStatus
from edge_autoglm.swap.buffer import DoubleBuffer
from edge_autoglm.swap.outcome import RolledBack, SwapOutcome, Swapped
from edge_autoglm.swap.store.store import GenerationStore
from edge_autoglm.swap.swapper import Swapper
from edge_autoglm.swap.ticket import SwapTicket

_log = logging.getLogger("edge_autoglm")


class LearnerHandle:
    """Learning and promotion of one runtime. Thread-safe."""

    def __init__(
        self,
        learner: Learner,
        builder: GenerationBuilder,
        buffer: DoubleBuffer,
        swapper: Swapper,
        promote_every: int | None,
        store: GenerationStore | None = None,
    ) -> None:
        self._learner = learner
        self._builder = builder
        self._buffer = buffer
        self._swapper = swapper
        self._promote_every = promote_every
        self._store = store
        self._lock = threading.Lock()
        # Rewards of before a restart count: a device that is seldom on for long would never promote else.
        self._rewards_since = max(0, learner.status().feedbacks - buffer.active.policy.feedbacks)
        self._in_flight: SwapTicket | None = None

    def status(self) -> LearnerStatus:
        """Pulls, rewards and shares of every task and variant."""
        return self._learner.status()

    def promote(self) -> SwapOutcome:
        """Freeze what has been learnt, check it in the standby buffer and swap it in; returns when that is decided."""
        return self._submit().result()

    def rollback(self) -> RolledBack:
        """Return to the generation before the active one: model, prompts, KV and policy together.

        At once, where that has been active since the start; else it is first built from what is kept on the disk.

        Raises:
            SwapError: There is none.
            EdgeAutoGLMError: What is kept cannot be used.
        """
        if self._buffer.previous is None and self._store is not None:
            self._revive(self._store)
        return self._swapper.rollback("asked for by the app")

    def _revive(self, store: GenerationStore) -> None:
        record = store.previous_good()
        if record is not None:
            with self._buffer.lease() as active:
                previous = self._builder.kept(active, record, store)
                previous.join(active)
                self._buffer.revive(previous)

    def export_statistics(self, path: str | Path) -> None:
        """Write what was learnt here for `merge` on other devices: sums, without any request, id or text.

        Raises:
            StateNotWritable: The file cannot be written.
            PolicyError: This policy cannot be written down.
        """
        self._learner.export_statistics(path)

    def merge(self, path: str | Path) -> bool:
        """Add what other devices learnt, as if their rewards had come here; False where that file was merged before.

        Raises:
            StateError: The file cannot be read, or is damaged.
            PolicyError: It is of another policy.
            StateNotWritable: The state folder cannot be written to; nothing was added.
        """
        return self._learner.merge(path)

    def count_reward(self) -> None:
        """Promote in the background after every ``promote_every`` rewards; one promotion at a time."""
        if self._promote_every is None:
            return
        with self._lock:
            self._rewards_since += 1
            running = self._in_flight is not None and not self._in_flight.done()
            if self._rewards_since < self._promote_every or running:
                return
            self._rewards_since = 0
            self._in_flight = self._submit()

    def _submit(self) -> SwapTicket:
        ticket = self._swapper.submit(lambda active: self._builder.with_policy(active, self._buffer.next_number()))
        ticket.add_done_callback(log_outcome)
        return ticket


def log_outcome(ticket: SwapTicket) -> None:
    """Say in the log how a swap in the background ended, since its caller may not look."""
    if ticket.future.exception() is not None:
        return
    outcome = ticket.result()
    _log.log(logging.INFO if isinstance(outcome, Swapped) else logging.WARNING, "%s", outcome)
