"""After a promotion, a share of requests keeps getting the old champion, which comes back if it is better after all."""

from __future__ import annotations

import math

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.gate.comparison import Comparison
from edge_autoglm.learn.gate.decision import Verdict
from edge_autoglm.learn.gate.exposure import Exposure
from edge_autoglm.learn.gate.guardrails import Standing
from edge_autoglm.learn.gate.settings import GateSettings
from edge_autoglm.learn.gate.spending import spent_alpha
from edge_autoglm.learn.gate.trial import Trial
from edge_autoglm.learn.models.base import ModelState


class Holdback(Trial):
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
        super().__init__(champion, challenger, settings)
        self._number = 1
        self._comparison = self._fresh()

    @property
    def alpha(self) -> float:
        """Of the present window."""
        return spent_alpha(self.settings.alpha, self._number)

    def feedback(self, exposure: Exposure, reward: float) -> None:
        """As ``Trial.feedback``; a window that is full gives way to the next one."""
        if self._verdict is Verdict.KEEP_GOING and self._comparison.gain.count >= self.settings.window:
            self._number += 1
            self._comparison = self._fresh()
        super().feedback(exposure, reward)

    def _alpha_now(self) -> float:
        return self.alpha

    def _evidence(self) -> float:
        return self._comparison.gain.log_below

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
        named = {"champion": self.champion, "challenger": self.challenger, "alpha": self.settings.alpha}
        return self._state({**named, "window": self._number})

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
        self._restore(state)
