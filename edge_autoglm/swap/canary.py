"""Some users' requests are answered by the candidate: is it no worse than what answers the others?"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from edge_autoglm.learn.gate.comparison import Comparison
from edge_autoglm.learn.gate.exposure import Exposure
from edge_autoglm.learn.gate.guardrails import Guardrail, Standing
from edge_autoglm.swap.baseline import Means
from edge_autoglm.swap.policy import SLOWEST, CanaryPolicy
from edge_autoglm.swap.traffic import Served

_LIMITS = {"latency": SLOWEST}
"""Of readings, where that is not 1."""


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
        self._margins = {name: getattr(policy, name) for name in ("errors", "garbage", "reward")}
        if self._usual is not None:
            self._margins["latency"] = policy.latency
        guardrails = tuple(Guardrail(name, margin, _LIMITS.get(name, 1.0)) for name, margin in self._margins.items())
        self._comparison = Comparison(policy.share, guardrails, policy.alpha, policy.alpha)
        self._sides = {name: (_Mean(), _Mean()) for name in self._margins}
        """Guardrail's name -> means of the active generation and of the candidate."""
        self.answered = 0
        """Requests that the candidate answered."""
        self.passed = False
        """Whether it had answered enough, and was neither shown to be worse nor looked so: from then on."""
        self.fault: str | None = None
        """What it is worse at, if anything."""

    def metrics(self) -> dict[str, float]:
        """What was measured: for each guardrail the candidate's mean minus that of the active generation."""
        found = {f"canary_{name}": self._added(name) for name in self._sides}
        return {"canary_requests": float(self.answered), **found}

    def served(self, request: Served) -> None:
        """As ``Watcher.served``."""
        if request.canary is None or self._ended:
            return
        self.answered += request.canary
        readings = {"errors": float(request.failed)}
        if not request.failed:
            readings["garbage"] = float(request.garbage)
            if self._usual is not None:
                readings["latency"] = request.seconds / self._usual
        self._take_in(request, readings)

    def rewarded(self, request: Served, reward: float) -> None:
        """As ``Watcher.rewarded``: of requests that were drawn while this canary ran."""
        if request.canary is not None and not self._ended:
            self._take_in(request, {"reward": 1.0 - reward})

    @property
    def undecided(self) -> str:
        """Why there is no verdict, where there is none."""
        if self.answered < self._policy.requests:
            return f"canary: it answered {self.answered} of {self._policy.requests} requests in time"
        return f"canary: {', '.join(self._beyond())} beyond the margin, though that was not shown in time"

    @property
    def _ended(self) -> bool:
        return self.passed or self.fault is not None

    def _take_in(self, request: Served, readings: Mapping[str, float]) -> None:
        if request.first:
            self._comparison.measured(Exposure.served(bool(request.canary), self._policy.share), readings)
            for name, value in readings.items():
                self._sides[name][bool(request.canary)].add(min(value, _LIMITS.get(name, 1.0)))
        if worse := self._comparison.standing(Standing.WORSE):
            reading = next(each for each in self._comparison.readings() if each.guardrail.name == worse[0])
            self.fault = f"canary: {reading}"
        else:
            self.passed = self.answered >= self._policy.requests and not self._beyond()
        if self._ended:
            self._wake.set()

    def _beyond(self) -> list[str]:
        """Guardrails at which it looks worse than the margin allows."""
        return [name for name, margin in self._margins.items() if self._added(name) > margin]

    def _added(self, name: str) -> float:
        # The plain difference: what the tests weight by the shares is far noisier at the few requests of a canary.
        active, candidate = self._sides[name]
        return candidate.value - active.value if active.count and candidate.count else 0.0


class _Mean:
    """Of readings so far; 0 before the first."""

    def __init__(self) -> None:
        self.count, self.value = 0, 0.0

    def add(self, reading: float) -> None:
        """Take in one more."""
        self.count += 1
        self.value += (reading - self.value) / self.count
