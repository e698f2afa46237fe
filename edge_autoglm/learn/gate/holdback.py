"""After a promotion, a share of requests keeps getting the old champion, which comes back if it is better after all."""

from __future__ import annotations

import math
from collections.abc import Mapping

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.gate.comparison import Comparison
from edge_autoglm.learn.gate.decision import GateDecision, Verdict
from edge_autoglm.learn.gate.difference import shown_e_value
from edge_autoglm.learn.gate.exposure import Exposure
from edge_autoglm.learn.gate.guardrails import Standing
from edge_autoglm.learn.gate.settings import GateSettings
from edge_autoglm.learn.gate.spending import spent_alpha
from edge_autoglm.learn.models.base import ModelState


class Holdback:
    """Watches a promoted challenger for as long as it is held against the old champion. Not thread-safe.

    A challenger that is at no time worse is ever demoted for its rewards with probability at most ``settings.alpha``.
    Every ``settings.window`` feedbacks the test begins afresh, with the next part of that alpha: a challenger that was
    better for long and no longer is would otherwise be protected by its past.

    Args:
        champion: Name of the old side.
        challenger: Name of the promoted one; exposures are still the challenger's.
        settings: The app's.

    >>> holdback = Holdback("plain", "polite")
    >>> for request in range(600):
    ...     polite = request % 10 != 0
    ...     holdback.feedback(Exposure.served(polite, share=0.9), 0.5 if polite else 0.9)
    >>> holdback.decide().verdict.value
    'demote'
    """

    def __init__(self, champion: str, challenger: str, settings: GateSettings | None = None) -> None:
        self.champion, self.challenger = champion, challenger
        self.settings = GateSettings() if settings is None else settings
        self._number = 1
        self._comparison = self._fresh()
        self._verdict, self._reason = Verdict.KEEP_GOING, "no feedback yet"

    @property
    def alpha(self) -> float:
        """Of the present window."""
        return spent_alpha(self.settings.alpha, self._number)

    def feedback(self, exposure: Exposure, reward: float) -> None:
        """Take in the reward of a request, in 0..1.

        Raises:
            InvalidReward: It is not a number in 0..1.
            PolicyError: The exposure is out of range.
        """
        if self._verdict is Verdict.KEEP_GOING:
            if self._comparison.gain.count >= self.settings.window:
                self._number += 1
                self._comparison = self._fresh()
            self._comparison.feedback(exposure, reward)
            self._verdict, self._reason = self._judge()

    def measured(self, exposure: Exposure, readings: Mapping[str, float]) -> None:
        """Take in what was measured of a request: guardrail's name -> reading.

        Raises:
            PolicyError: There is no such guardrail, or a value is out of range.
        """
        if self._verdict is Verdict.KEEP_GOING:
            self._comparison.measured(exposure, readings)
            self._verdict, self._reason = self._judge()

    def decide(self) -> GateDecision:
        """Whether to demote now, and why; figures are those of the present window."""
        gain = self._comparison.gain
        return GateDecision(
            self._verdict,
            self._reason,
            self.champion,
            self.challenger,
            shown_e_value(gain.log_below),
            1.0 / self.alpha,
            gain.count - gain.challenger,
            gain.challenger,
            gain.interval(self.alpha),
            self._comparison.readings(),
        )

    def _fresh(self) -> Comparison:
        return Comparison(self.settings.holdback, self.settings.guardrails, self.alpha, self.alpha)

    def _judge(self) -> tuple[Verdict, str]:
        if worse := self._comparison.standing(Standing.WORSE):
            return Verdict.DEMOTE, f"{self.challenger} is worse than the margin in {', '.join(worse)}"
        if self._comparison.gain.log_below >= -math.log(self.alpha):
            return Verdict.DEMOTE, f"{self.challenger} earns less than {self.champion}"
        return Verdict.KEEP_GOING, f"{self.challenger} is not shown to earn less than {self.champion}"

    def state(self) -> ModelState:
        """All that was observed and decided."""
        inner = self._comparison.state()
        facts = {
            "champion": self.champion, "challenger": self.challenger, "alpha": self.settings.alpha,
            "window": self._number, "verdict": self._verdict.value, "reason": self._reason,
            "comparison": dict(inner.facts),
        }  # fmt: skip
        return ModelState(facts, inner.arrays)

    def restore(self, state: ModelState) -> None:
        """Take over what ``state`` gave: both decide alike from here, bit for bit.

        Raises:
            PolicyError: It is of another holdback, or of other settings.
        """
        facts = state.facts
        theirs = tuple(facts.get(name) for name in ("champion", "challenger", "alpha"))
        if theirs != (self.champion, self.challenger, self.settings.alpha):
            raise PolicyError(
                f"the state is of a holdback of {theirs[0]!r} against {theirs[1]!r} at alpha {theirs[2]!r}",
                "Restore it with the names and settings it was made with.",
            )
        self._number = int(facts["window"])
        self._comparison = self._fresh()
        self._comparison.restore(ModelState(facts["comparison"], state.arrays))
        self._verdict, self._reason = Verdict(facts["verdict"]), str(facts["reason"])
