"""What a gate says, in words and numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from edge_autoglm.learn.evaluation.interval import Interval
from edge_autoglm.learn.gate.guardrails import GuardrailReading


class Verdict(Enum):
    """What to do with the challenger."""

    PROMOTE = "promote"
    REJECT = "reject"
    KEEP_GOING = "keep-going"
    DEMOTE = "demote"
    """It was promoted, and the old champion should come back."""


@dataclass(frozen=True, slots=True)
class GateDecision:
    """The state of a trial or of a holdback, and what follows from it.

    Attributes:
        verdict: What to do.
        reason: Why, as the end of a sentence.
        champion: Name of the old side.
        challenger: Name of the new side.
        e_value: Highest evidence so far for what is being tested: during a trial that the challenger earns more, during
            a holdback that it earns less. Where there is none, it ever reaches x with probability at most 1 / x.
        threshold: What the e-value has to reach.
        champion_feedbacks: Rewards of the champion's requests.
        challenger_feedbacks: Of the challenger's.
        gain: Challenger's mean reward minus the champion's; each bound is wrong, at any look, with probability at most
            ``1 / threshold``.
        guardrails: As they stand.
    """

    verdict: Verdict
    reason: str
    champion: str
    challenger: str
    e_value: float
    threshold: float
    champion_feedbacks: float
    challenger_feedbacks: float
    gain: Interval
    guardrails: tuple[GuardrailReading, ...] = ()

    def explain(self) -> str:
        """The decision for people to read, one fact a line."""
        feedbacks = (
            f"{self.challenger_feedbacks:.0f} of {self.challenger}, {self.champion_feedbacks:.0f} of {self.champion}"
        )
        lines = [
            f"{self.verdict.value}: {self.reason}",
            f"evidence: e-value {_shown(self.e_value)}, needed {_shown(self.threshold)}",
            f"feedback: {feedbacks}",
            f"gain of {self.challenger} over {self.champion}: {self.gain}, at {1.0 - 1.0 / self.threshold:.1%} a bound",
        ]
        return "\n".join(lines + [f"guardrail: {reading}" for reading in self.guardrails])


def _shown(e_value: float) -> str:
    return f"{e_value:.1f}" if e_value < 1e4 else f"10^{math.log10(e_value):.0f}"
