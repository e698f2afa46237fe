"""What can be said of an experiment, in figures and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_autoglm.learn.evaluation.interval import Interval

ALPHA = 0.05
"""Probability that a mean's interval is ever wrong; likewise that any of an experiment's differences is."""
RATIO_ALPHA = 0.01
"""Probability of a false alarm of a ratio check."""

Course = tuple[tuple[int, Interval], ...]
"""Outcomes seen so far, and what could be said then."""


@dataclass(frozen=True, slots=True)
class VariantResult:
    """One variant. A unit is a session, or a request without one.

    Attributes:
        variant: Its name.
        share: Probability with which a unit got it.
        units: That got it.
        decisions: Requests of them.
        feedbacks: That came for these.
        mean_reward: Of all that came, each by its weight; ``None`` before the first.
        counted: Units of which the interval is made.
        interval: Of the mean reward of a unit: 95 % at any time.
        course: The interval as it became so.
    """

    variant: str
    share: float
    units: int
    decisions: int
    feedbacks: int
    mean_reward: float | None
    counted: int
    interval: Interval
    course: Course


@dataclass(frozen=True, slots=True)
class DifferenceResult:
    """A variant's mean reward minus that of the control.

    Attributes:
        variant: Its name.
        control: Name of the experiment's first one.
        counted: Units of both of which the interval is made.
        interval: All differences of an experiment hold together: 95 % at any time.
        course: The interval as it became so.
    """

    variant: str
    control: str
    counted: int
    interval: Interval
    course: Course


@dataclass(frozen=True, slots=True)
class RatioCheck:
    """Whether variants have as many units as their shares say.

    Attributes:
        what: Is counted: ``units``, or ``units with feedback``.
        counts: Variant -> how many.
        e_value: Evidence for a mismatch; without one it ever reaches x with probability at most 1 / x.
        mismatch: Whether it reached 100.
    """

    what: str
    counts: Mapping[str, int]
    e_value: float
    mismatch: bool

    def explain(self) -> str:
        """The check for people to read."""
        counts = ", ".join(f"{variant} {count}" for variant, count in self.counts.items())
        return f"{self.what} do not fit the shares ({counts}; e-value {self.e_value:.3g})"


@dataclass(frozen=True, slots=True)
class ExperimentResult:
    """An experiment as it stands. Where its variants or weights changed, each period is one of its own.

    Attributes:
        name: Of the experiment.
        version: Of it.
        task: Of the requests.
        variants: The control first.
        differences: Of the others, in order.
        checks: That the figures can be trusted.
        verdict: All of it in words.
    """

    name: str
    version: int
    task: str
    variants: tuple[VariantResult, ...]
    differences: tuple[DifferenceResult, ...]
    checks: tuple[RatioCheck, ...]
    verdict: str


def verdict_of(differences: Sequence[DifferenceResult], checks: Sequence[RatioCheck]) -> str:
    """What to make of the figures."""
    wrong = [check.explain() for check in checks if check.mismatch]
    if wrong:
        return f"not to be trusted: {'; '.join(wrong)}"
    return "; ".join(map(_compared, differences))


def _compared(difference: DifferenceResult) -> str:
    variant, control, interval = difference.variant, difference.control, difference.interval
    if interval.low > 0.0:
        return f"{variant} is better than {control}: {interval}"
    if interval.high < 0.0:
        return f"{variant} is worse than {control}: {interval}"
    if not difference.counted:
        return f"{variant}: too little feedback to compare it with {control}"
    return f"{variant} may be better or worse than {control}: {interval}"
