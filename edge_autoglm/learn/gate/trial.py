"""A comparison of two sides that ends in a verdict: what a gate and a holdback have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from edge_autoglm.learn.gate.comparison import Comparison
from edge_autoglm.learn.gate.decision import GateDecision, Verdict
from edge_autoglm.learn.gate.difference import shown_e_value
from edge_autoglm.learn.gate.exposure import Exposure
from edge_autoglm.learn.gate.settings import GateSettings
from edge_autoglm.learn.models.base import ModelState


class Trial(ABC):
    """Gathers evidence on a champion and a challenger until there is a verdict, which stays. Not thread-safe."""

    _comparison: Comparison

    def __init__(self, champion: str, challenger: str, settings: GateSettings | None) -> None:
        self.champion, self.challenger = champion, challenger
        self.settings = GateSettings() if settings is None else settings
        self._verdict, self._reason = Verdict.KEEP_GOING, "no feedback yet"

    def feedback(self, exposure: Exposure, reward: float) -> None:
        """Take in the reward of a request, in 0..1, in whatever order rewards arrive.

        Raises:
            InvalidReward: It is not a number in 0..1.
            PolicyError: The exposure is out of range.
        """
        if self._verdict is Verdict.KEEP_GOING:
            self._comparison.feedback(exposure, reward)
            self._verdict, self._reason = self._judge()

    def measured(self, exposure: Exposure, readings: Mapping[str, float]) -> None:
        """Take in what was measured of a request, with or without feedback: guardrail's name -> reading.

        Raises:
            PolicyError: There is no such guardrail, or a value is out of range.
        """
        if self._verdict is Verdict.KEEP_GOING:
            self._comparison.measured(exposure, readings)
            self._verdict, self._reason = self._judge()

    def decide(self) -> GateDecision:
        """What to do now, and why."""
        gain, alpha = self._comparison.gain, self._alpha_now()
        return GateDecision(
            self._verdict,
            self._reason,
            self.champion,
            self.challenger,
            shown_e_value(self._evidence()),
            1.0 / alpha,
            gain.count - gain.challenger,
            gain.challenger,
            gain.interval(alpha),
            self._comparison.readings(),
        )

    @abstractmethod
    def _alpha_now(self) -> float:
        """Probability of a wrong verdict that is being spent."""

    @abstractmethod
    def _evidence(self) -> float:
        """Logarithm of the e-value for what is being tested."""

    @abstractmethod
    def _judge(self) -> tuple[Verdict, str]:
        """The verdict on all that was taken in, and why."""

    def _state(self, facts: Mapping[str, Any]) -> ModelState:
        """What was observed and decided, beside ``facts``."""
        inner = self._comparison.state()
        decided = {"verdict": self._verdict.value, "reason": self._reason, "comparison": dict(inner.facts)}
        return ModelState({**facts, **decided}, inner.arrays)

    def _restore(self, state: ModelState) -> None:
        """Take over what ``_state`` gave."""
        facts = state.facts
        self._comparison.restore(ModelState(facts["comparison"], state.arrays))
        self._verdict, self._reason = Verdict(facts["verdict"]), str(facts["reason"])
