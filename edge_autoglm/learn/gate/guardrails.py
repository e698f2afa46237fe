"""What a challenger must not spoil while it earns more: latency, errors, length of the answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.evaluation.interval import Interval
from edge_autoglm.learn.gate.difference import Difference
from edge_autoglm.learn.gate.exposure import Exposure
from edge_autoglm.learn.models.base import ModelState


@dataclass(frozen=True, slots=True)
class Guardrail:
    """How much higher than the champion's mean the challenger's may be. Everything is in the app's own unit.

    Attributes:
        name: Such as ``latency``.
        margin: What may be added to the champion's mean, above 0.
        limit: Readings above it count as the limit, so that one outlier decides nothing. A few times the usual value
            is right: evidence grows with ``margin / limit``. For errors (0 or 1) it is 1.

    Raises:
        PolicyError: Margin or limit is out of range.
    """

    name: str
    margin: float
    limit: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.margin < self.limit < math.inf:
            raise PolicyError(
                f"the guardrail {self.name!r} has margin {self.margin!r} and limit {self.limit!r}",
                "Give a margin above 0 and a finite limit above the margin, in the same unit.",
            )

    def scaled(self, reading: float) -> float:
        """A reading as a part of the limit, 0..1.

        Raises:
            PolicyError: It is negative, infinite or no number.
        """
        if not 0.0 <= reading < math.inf:
            raise PolicyError(f"a reading of {self.name!r} is {reading!r}", "Give a finite number, 0 or above.")
        return min(reading / self.limit, 1.0)


class Standing(Enum):
    """What is known of a guardrail."""

    WITHIN = "within the margin"
    WORSE = "worse than the margin"
    OPEN = "not yet known"


@dataclass(frozen=True, slots=True)
class GuardrailReading:
    """A guardrail at the time of a decision.

    Attributes:
        guardrail: Its settings.
        standing: What the evidence shows.
        change: Challenger's mean minus the champion's, in the guardrail's unit.
        readings: Taken so far.
    """

    guardrail: Guardrail
    standing: Standing
    change: Interval
    readings: int

    def __str__(self) -> str:
        return (
            f"{self.guardrail.name} {self.change} over {self.readings} readings, margin {self.guardrail.margin:g}: "
            f"{self.standing.value}"
        )


class GuardrailWatch:
    """Two sequential tests of one guardrail: is the challenger shown to be within the margin, or beyond it?

    Args:
        guardrail: What to watch.
        share: The smallest probability with which either side is served.
        alpha_within: Probability of ever calling a challenger fit that is worse than the margin.
        alpha_worse: Probability of ever calling one worse that is within.
    """

    def __init__(self, guardrail: Guardrail, share: float, alpha_within: float, alpha_worse: float) -> None:
        self.guardrail = guardrail
        self._alpha_within, self._alpha_worse = alpha_within, alpha_worse
        self._difference = Difference(share, guardrail.margin / guardrail.limit)

    def observe(self, exposure: Exposure, reading: float) -> None:
        """Take in a reading, in the guardrail's unit.

        Raises:
            PolicyError: The reading or the exposure is out of range.
        """
        self._difference.observe(exposure, self.guardrail.scaled(reading))

    @property
    def standing(self) -> Standing:
        """What the evidence shows; beyond the margin comes first."""
        if self._difference.log_above >= -math.log(self._alpha_worse):
            return Standing.WORSE
        return Standing.WITHIN if self._difference.log_below >= -math.log(self._alpha_within) else Standing.OPEN

    def reading(self) -> GuardrailReading:
        """The guardrail as it stands."""
        change, unit = self._difference.interval(self._alpha_within), self.guardrail.limit
        scaled = Interval(change.estimate * unit, change.low * unit, change.high * unit)
        return GuardrailReading(self.guardrail, self.standing, scaled, self._difference.count)

    def state(self) -> ModelState:
        """All that was observed."""
        return self._difference.state()

    def restore(self, state: ModelState) -> None:
        """Take over what ``state`` gave.

        Raises:
            PolicyError: It is of other settings.
        """
        self._difference.restore(state)
