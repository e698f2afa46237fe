"""Takes candidates through the stages of a swap on one background thread, and takes bad ones back."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from edge_autoglm.device.memory import give_back_freed_memory
from edge_autoglm.errors import EdgeAutoGLMError, SwapError
from edge_autoglm.swap.baseline import Baseline
from edge_autoglm.swap.buffer import DoubleBuffer
from edge_autoglm.swap.canary import CanaryTrial
from edge_autoglm.swap.checks.latency import Clock
from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.health import check
from edge_autoglm.swap.ledger import Ledger, NoLedger
from edge_autoglm.swap.outcome import Cancelled, DrainTimedOut, Rejected, RolledBack, SwapOutcome, Swapped, cause_of
from edge_autoglm.swap.policy import SwapPolicy
from edge_autoglm.swap.shadow import Shadow
from edge_autoglm.swap.ticket import SwapTicket
from edge_autoglm.swap.traffic import Traffic
from edge_autoglm.swap.tripwires import Tripwires

_log = logging.getLogger("edge_autoglm")

Build = Callable[[Generation], Generation]
"""Makes a candidate, which it then no longer owns, from the active generation, which is leased while it runs."""

_MAX_REASONS = 3
_KEPT = 100
"""Outcomes that are remembered."""
_LOOK_AGAIN = 0.01
"""Seconds between two looks at requests that end."""


@dataclass(slots=True)
class _Attempt:
    """A candidate on its way."""

    ticket: SwapTicket
    candidate: Generation
    active: Generation
    metrics: dict[str, float] = field(default_factory=dict)
    proposed: bool = False


class Swapper:
    """Takes candidates from build to live, one at a time, in the order of submission.

    The stages are build, check, shadow, canary and drain. A candidate that fails one is freed and reported; the active
    generation goes on answering. A rollback does not wait for a build or a canary: the candidate then belongs to a
    generation that was just given up, and is ``Rejected`` for it.

    Args:
        buffer: Its active generation is what a candidate is built from and compared with.
        policy: Exit criteria of the stages.
        traffic: What users' requests show.
        ledger: Where swaps are written down before they happen.
        clock: With which the check measures latency, in seconds.
    """

    def __init__(
        self,
        buffer: DoubleBuffer,
        policy: SwapPolicy | None = None,
        traffic: Traffic | None = None,
        ledger: Ledger | None = None,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._buffer = buffer
        self._policy = policy or SwapPolicy()
        self._traffic = traffic or Traffic()
        self._ledger = ledger or NoLedger()
        self._clock = clock
        self._baseline = Baseline(buffer.active.number)
        self._traffic.watch(self._baseline)
        self._tripwires: Tripwires | None = None
        self._moving = threading.Lock()  # the pointer and the ledger move together
        self._current: SwapTicket | None = None
        self._closed = threading.Event()
        self._standby = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edge-autoglm-standby")
        self._guard = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edge-autoglm-guard")
        self._outcomes: deque[SwapOutcome] = deque(maxlen=_KEPT)
        self.shadow: Shadow | None = None
        """Compares answers, while there is something to compare."""

    @property
    def outcomes(self) -> tuple[SwapOutcome, ...]:
        """What became of the newest hundred attempts, rollbacks by tripwire and by hand included; oldest first."""
        return tuple(self._outcomes)

    def submit(self, build: Build) -> SwapTicket:
        """Take a candidate through the stages in the background.

        Returns:
            Its result holds an exception only for what is not an ``Exception`` (``KeyboardInterrupt``, ``SystemExit``).

        Raises:
            SwapError: The swapper is closed.
        """
        ticket = SwapTicket()
        try:
            self._standby.submit(self._run, ticket, build)
        except RuntimeError as error:
            raise SwapError("the runtime is closed", "Open it again before swapping.") from error
        return ticket

    def rollback(self, reason: str) -> RolledBack:
        """Return to the previous generation at once, on the caller's thread.

        Raises:
            SwapError: There is none, or the buffer is closed.
        """
        with self._moving:
            return self._roll_back(reason)

    def close(self) -> None:
        """Cancel the swap that runs and those that wait; the threads are gone afterwards. Idempotent."""
        self._closed.set()
        current = self._current
        if current is not None:
            current.cancel()
        self._standby.shutdown(wait=True)
        self._guard.shutdown(wait=True)

    def _roll_back(self, reason: str) -> RolledBack:
        """With the pointer held still."""
        given_up = self._buffer.active.number
        outcome = self._buffer.rollback(reason)
        self._follow(outcome.generation, None)
        self._give_up(given_up, reason, outcome.generation)
        self._outcomes.append(outcome)
        current = self._current
        if current is not None:  # what is being built or tried out was built on what is given up
            current.wake.set()
        return outcome

    def _run(self, ticket: SwapTicket, build: Build) -> None:
        self._current = ticket
        try:
            outcome = self._outcome(ticket, build)
        except BaseException as error:
            ticket.future.set_exception(error)
            raise
        finally:
            self._current, ticket.stage = None, "ended"
        self._outcomes.append(outcome)
        ticket.future.set_result(outcome)

    def _outcome(self, ticket: SwapTicket, build: Build) -> SwapOutcome:
        if self._closed.is_set() or ticket.cancelled:
            return Cancelled(ticket.stage)
        try:
            with self._buffer.lease() as active:
                return self._replace(ticket, active, build)
        except SwapError as error:
            return Rejected(str(error))

    def _replace(self, ticket: SwapTicket, active: Generation, build: Build) -> SwapOutcome:
        ticket.stage = "build"
        try:
            candidate = build(active)
        except Exception as error:  # whatever a build does wrong must not reach the requests
            return Rejected(cause_of(error))
        if candidate.model is active.model:  # freeing the candidate would free the active generation's model
            return Rejected(f"generation {candidate.number} uses the model object of the active one; fork it")
        attempt = _Attempt(ticket, candidate, active)
        try:
            outcome = self._through_the_stages(attempt)
        except BaseException:
            self._drop(attempt, "the swap was interrupted")
            raise
        if isinstance(outcome, Swapped):
            return self._drained(ticket, outcome)
        self._drop(attempt, _reason(outcome))
        return outcome

    def _through_the_stages(self, attempt: _Attempt) -> SwapOutcome:
        for name, stage in (("check", self._check), ("shadow", self._compare), ("canary", self._try_out)):
            if attempt.ticket.cancelled:
                return Cancelled(attempt.ticket.stage)
            attempt.ticket.stage = name
            outcome = stage(attempt)
            if outcome is not None:
                return outcome
        return Cancelled(attempt.ticket.stage) if attempt.ticket.cancelled else self._activate(attempt)

    def _check(self, attempt: _Attempt) -> SwapOutcome | None:
        try:
            report = check(attempt.candidate, attempt.active, self._policy.check, self._clock)
        except Exception as error:  # a check that cannot finish has not passed
            return Rejected(cause_of(error))
        attempt.metrics |= report.figures
        return None if report.passed else Rejected(_summary(report.reasons))

    def _compare(self, attempt: _Attempt) -> SwapOutcome | None:
        if not self._policy.shadow.requests:
            return None
        self.shadow = shadow = Shadow(attempt.candidate, self._policy.shadow)
        try:
            fault = shadow.run(attempt.ticket.wake)
        finally:
            self.shadow = None
        attempt.metrics |= shadow.metrics()
        attempt.ticket.wake.clear()
        return None if fault is None else Rejected(fault)

    def _try_out(self, attempt: _Attempt) -> SwapOutcome | None:
        policy, ticket = self._policy.canary, attempt.ticket
        if not policy.requests:
            return None
        trial = CanaryTrial(self._baseline.means, policy, ticket.wake)
        self._traffic.watch(trial)
        try:
            self._propose(attempt)
            attempt.candidate.join(attempt.active)
            self._buffer.begin_canary(attempt.candidate, policy.share, attempt.active)
            ticket.wake.wait(policy.max_seconds)
            still_on = self._buffer.canary is attempt.candidate
        except EdgeAutoGLMError as error:
            return Rejected(str(error))
        finally:
            if not trial.passed or ticket.cancelled:
                self._buffer.end_canary()
            self._traffic.unwatch(trial)
        attempt.metrics |= trial.metrics()
        return self._verdict(attempt, trial, still_on)

    def _verdict(self, attempt: _Attempt, trial: CanaryTrial, still_on: bool) -> SwapOutcome | None:
        if attempt.ticket.cancelled:
            return Cancelled("canary")
        active = self._buffer.active.number
        if not still_on:
            return Rejected(f"generation {attempt.active.number} was given up while its canary ran")
        if trial.passed:
            return None
        return RolledBack(trial.fault or trial.undecided, active)

    def _activate(self, attempt: _Attempt) -> SwapOutcome:
        number = attempt.candidate.number
        with self._moving:
            try:
                self._propose(attempt)
                self._ledger.activate(number, attempt.metrics)
                attempt.candidate.join(attempt.active)
                before = self._baseline.means
                outcome = self._buffer.swap(attempt.candidate, expected=attempt.active)
            except EdgeAutoGLMError as error:  # raised before the pointer moves, so the candidate is still ours
                return Rejected(str(error))
            wires = self._policy.tripwires
            self._follow(number, Tripwires(number, before, wires, lambda why: self._trip(number, why)))
        return outcome

    def _drained(self, ticket: SwapTicket, outcome: Swapped) -> SwapOutcome:
        """Wait until what the swap displaced is freed."""
        ticket.stage = "drain"
        deadline = time.monotonic() + self._policy.drain.max_seconds
        while (draining := self._buffer.draining()) and not self._closed.is_set():
            if time.monotonic() > deadline:
                return DrainTimedOut(outcome.generation, draining[0].number, draining[0].leases)
            time.sleep(_LOOK_AGAIN)
        give_back_freed_memory()
        return outcome

    def _follow(self, number: int, tripwires: Tripwires | None) -> None:
        if self._tripwires is not None:
            self._traffic.unwatch(self._tripwires)
        self._tripwires = tripwires
        self._baseline.follow(number)
        if tripwires is not None:
            self._traffic.watch(tripwires)

    def _trip(self, number: int, reason: str) -> None:
        """On the thread of a request, which must not wait for the ledger."""
        try:
            self._guard.submit(self._take_back, number, reason)
        except RuntimeError:  # closed meanwhile
            return

    def _take_back(self, number: int, reason: str) -> None:
        try:
            with self._moving:
                if self._buffer.active.number == number:  # else somebody was faster
                    _log.warning("%s", self._roll_back(reason))
        except EdgeAutoGLMError as error:
            _log.warning("generation %d should be rolled back (%s), but %s", number, reason, error)

    def _propose(self, attempt: _Attempt) -> None:
        if not attempt.proposed:
            self._ledger.propose(attempt.candidate, attempt.active)
            attempt.proposed = True

    def _drop(self, attempt: _Attempt, reason: str) -> None:
        self._buffer.end_canary()  # one that has passed goes on until it is live, which this one will not be
        attempt.candidate.retire()
        if attempt.proposed:
            self._give_up(attempt.candidate.number, reason, self._buffer.active.number)

    def _give_up(self, number: int, reason: str, instead: int) -> None:
        """What answers has changed already: that it cannot be written down changes nothing of that."""
        try:
            self._ledger.give_up(number, reason, instead)
        except EdgeAutoGLMError as error:
            _log.warning("that generation %d was given up could not be written down: %s", number, error)


def _reason(outcome: SwapOutcome) -> str:
    return outcome.reason if isinstance(outcome, Rejected | RolledBack) else str(outcome)


def _summary(reasons: Sequence[str]) -> str:
    """The first few reasons: a broken model fails every probe, and all of them say the same."""
    more = len(reasons) - _MAX_REASONS
    return "; ".join(reasons[:_MAX_REASONS]) + (f"; and {more} more" if more > 0 else "")
