"""Some users' requests are answered by the candidate: is it no worse than what answers the others?"""

from __future__ import annotations

import threading

from edge_autoglm.learn.gate.exposure import Exposure
from edge_autoglm.learn.gate.guardrails import Guardrail, GuardrailReading, GuardrailWatch, Standing
from edge_autoglm.swap.baseline import Means
from edge_autoglm.swap.policy import CanaryPolicy
from edge_autoglm.swap.traffic import Served

_SLOWEST = 4.0
"""Times the usual latency, beyond which one counts as that."""


class CanaryTrial:
    """Watches requests that were drawn between the active generation and a candidate.

    Each guardrail is an anytime-valid test of the difference of two means (``learn/gate``): a candidate that is within
    all margins is found worse with probability at most ``policy.alpha``, however long the canary runs. Of a session,
    all of whose requests are on one side, the first one is tested: they are alike, and to count them all would be to
    count one user's luck many times.

    Args:
        before: What the active generation did until now: the unit of latency.
        policy: Share, requests and margins.
        wake: Set when there is a verdict.
    """

    def __init__(self, before: Means, policy: CanaryPolicy, wake: threading.Event) -> None:
        self._policy, self._wake = policy, wake
        self._usual = before.seconds if before.known and before.seconds > 0.0 else None
        names = ("errors", "garbage", "reward", *(() if self._usual is None else ("latency",)))
        self._watches = {name: self._watch(name, policy.alpha / len(names)) for name in names}
        self.answered = 0
        """Requests that the candidate answered."""
        self.fault: str | None = None
        """What it is worse at, if anything."""

    @property
    def passed(self) -> bool:
        """Whether it has answered enough, and is neither shown to be worse nor looks so."""
        return self.fault is None and self.answered >= self._policy.requests and not any(map(_beyond, self._readings()))

    def metrics(self) -> dict[str, float]:
        """What was measured: for each guardrail the candidate's mean minus that of the active generation."""
        found = {f"canary_{reading.guardrail.name}": reading.change.estimate for reading in self._readings()}
        return {"canary_requests": float(self.answered), **found}

    def served(self, request: Served) -> None:
        """As ``Watcher.served``."""
        if request.canary is None:
            return
        self.answered += request.canary
        self._observe("errors", request, float(request.failed))
        if not request.failed:
            self._observe("garbage", request, float(request.garbage))
            if self._usual is not None:
                self._observe("latency", request, request.seconds / self._usual)
        self._judge()

    def rewarded(self, request: Served, reward: float) -> None:
        """As ``Watcher.rewarded``: of requests that were drawn while this canary ran."""
        if request.canary is not None:
            self._observe("reward", request, 1.0 - reward)
            self._judge()

    def _observe(self, name: str, request: Served, reading: float) -> None:
        if not request.first:
            return
        exposure = Exposure.served(bool(request.canary), self._policy.share)
        self._watches[name].observe(exposure, reading)

    def _judge(self) -> None:
        worse = [watch for watch in self._watches.values() if watch.standing is Standing.WORSE]
        if worse and self.fault is None:
            self.fault = f"canary: {worse[0].reading()}"
        if self.fault is not None or self.passed:
            self._wake.set()

    def _readings(self) -> list[GuardrailReading]:
        return [watch.reading() for watch in self._watches.values()]

    def _watch(self, name: str, alpha: float) -> GuardrailWatch:
        limit = _SLOWEST if name == "latency" else 1.0
        return GuardrailWatch(Guardrail(name, getattr(self._policy, name), limit), self._policy.share, alpha, alpha)


def _beyond(reading: GuardrailReading) -> bool:
    return reading.change.estimate > reading.guardrail.margin
