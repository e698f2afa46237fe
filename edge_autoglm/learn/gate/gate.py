"""The trial of a challenger against the champion."""

from __future__ import annotations

import math

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.gate.comparison import Comparison
from edge_autoglm.learn.gate.decision import Verdict
from edge_autoglm.learn.gate.difference import shown_e_value
from edge_autoglm.learn.gate.guardrails import Standing
from edge_autoglm.learn.gate.settings import GateSettings
from edge_autoglm.learn.gate.spending import spent_alpha
from edge_autoglm.learn.gate.trial import Trial
from edge_autoglm.learn.models.base import ModelState

_NAMED = ("champion", "challenger", "number", "alpha")


class Gate(Trial):
    """Decides on one challenger, at every look. Not thread-safe.

    Requests are served by one of the two with a known probability, and their feedback comes in any order. Look as
    often as you like: a challenger that has at no time been better on average is ever promoted with probability at most
    ``spent_alpha(settings.alpha, number)``. It is promoted once its gain *and* every guardrail are shown; it is
    rejected once it is shown to earn less, to break a guardrail, or to need more feedback than ``max_feedbacks``. What
    has been decided stays: later feedback changes nothing.

    That holds if feedback is as likely on either side (``FeedbackRates`` watches that); the running mean that rewards
    are compared with keeps the damage small where it is not.

    Args:
        champion: Name of what serves now.
        challenger: Name of what might.
        settings: The app's.
        number: Which challenger of this app it is, counted from 1: alpha is spent over all of them.

    Raises:
        PolicyError: The number is below 1.

    >>> from edge_autoglm.learn.gate.exposure import Exposure
    >>> gate = Gate("plain", "polite")
    >>> for request in range(600):
    ...     polite = request % 2 == 0
    ...     gate.feedback(Exposure.served(polite, share=0.5), 0.9 if polite else 0.5)
    >>> print(gate.decide().explain())
    promote: polite earns more than plain
    evidence: e-value 34.3, needed 32.9
    feedback: 34 of polite, 34 of plain
    gain of polite over plain: +0.416 (+0.004 to +0.830), at 97.0% a bound
    """

    def __init__(self, champion: str, challenger: str, settings: GateSettings | None = None, number: int = 1) -> None:
        super().__init__(champion, challenger, settings)
        self.number = number
        self.alpha = spent_alpha(self.settings.alpha, number)
        self._comparison = Comparison(self.settings.share, self.settings.guardrails, self.alpha, self.settings.alpha)

    def _alpha_now(self) -> float:
        return self.alpha

    def _evidence(self) -> float:
        return self._comparison.gain.log_above

    def _judge(self) -> tuple[Verdict, str]:
        gain = self._comparison.gain
        if worse := self._comparison.standing(Standing.WORSE):
            return Verdict.REJECT, f"{self.challenger} is worse than the margin in {', '.join(worse)}"
        if gain.log_below >= -math.log(self.settings.alpha):
            evidence = f"e-value {shown_e_value(gain.log_below):.1f}, needed {1.0 / self.settings.alpha:.1f}"
            return Verdict.REJECT, f"{self.challenger} earns less than {self.champion} ({evidence})"
        waits = self._comparison.standing(Standing.OPEN)
        if gain.log_above >= -math.log(self.alpha):
            if not waits:
                return Verdict.PROMOTE, f"{self.challenger} earns more than {self.champion}"
            pending = f"{self.challenger} earns more, but is not yet shown to keep to {', '.join(waits)}"
        else:
            pending = f"no difference is shown after {gain.count} feedbacks"
        if gain.count >= self.settings.max_feedbacks:
            return Verdict.REJECT, f"{pending}, and {self.settings.max_feedbacks} feedbacks are the most for a trial"
        return Verdict.KEEP_GOING, pending

    def state(self) -> ModelState:
        """All that was observed and decided."""
        return self._state({name: getattr(self, name) for name in _NAMED})

    def restore(self, state: ModelState) -> None:
        """Take over what ``state`` gave: both decide alike from here, bit for bit.

        Raises:
            PolicyError: It is of another gate, or of other settings.
        """
        facts = state.facts
        for name in _NAMED:
            if facts.get(name) != getattr(self, name):
                raise PolicyError(
                    f"the state is of a gate whose {name} is {facts.get(name)!r}, not {getattr(self, name)!r}",
                    "Restore it with the names and settings it was made with.",
                )
        self._restore(state)
