"""Does feedback come as often for one arm as for the others? Where it does not, rewards mislead.

A variant whose answers annoy may lose the feedback of those it annoyed; a broken one may lose all. The mean of the
rewards that did come then says nothing about the variant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.evaluation.betting import Stakes, growth, log_evidence
from edge_autoglm.learn.gate.difference import FRACTIONS, SHARES, next_mean, shown_e_value
from edge_autoglm.learn.models.base import ModelState

_STAKES = Stakes.against(1.0, FRACTIONS, SHARES)


@dataclass(frozen=True, slots=True)
class RatioAlarm:
    """One arm gets feedback more often, or less, than the policy's choices explain.

    Attributes:
        arm: Its name.
        decided: Ripe decisions for it.
        rewarded: Those of them that got feedback.
        rate: ``rewarded / decided``.
        others_rate: The same over all other arms; 0 where there was none.
        e_value: The evidence: without a difference it ever reaches x with probability at most 1 / x.
        threshold: What it had to reach.
    """

    arm: str
    decided: int
    rewarded: int
    rate: float
    others_rate: float
    e_value: float
    threshold: float

    def explain(self) -> str:
        """The alarm for people to read."""
        return (
            f"feedback came for {self.rate:.1%} of {self.decided} decisions for {self.arm}, for {self.others_rate:.1%} "
            f"of the others (e-value {self.e_value:.3g}, alarm at {self.threshold:.3g}): its rewards are not comparable"
        )


@dataclass(slots=True)
class _Arm:
    """What is known of an arm: its place, ripe decisions, those with feedback, the highest evidence."""

    place: int
    decided: int = 0
    rewarded: int = 0
    evidence: float = 0.0


@dataclass(slots=True)
class _Waiting:
    arm: str
    propensities: Mapping[str, float]
    rewarded: bool = False


class FeedbackRates:
    """A sequential sample-ratio test of every arm. Not thread-safe.

    A decision is *ripe* once ``delay`` newer ones were made: feedback that came until then counts, later feedback does
    not. For arm ``a``, offered with propensity ``p_a``, a ripe decision gives ``y = (chosen - p_a) * (fed_back - m)``
    with the running rate ``m`` of all. If feedback does not depend on the arm, the mean of ``y`` is 0, whatever the
    request and the policy made of it: that a policy gives an arm the requests on which users keep silent, or that users
    get tired while it learns, raises no alarm. Lindon & Malek 2022, "Anytime-valid inference for multinomial count
    data", is the test for shares that stay as they are.

    Over all arms and looks, a false alarm has probability at most ``alpha``, of which the j-th arm that was seen gets
    ``alpha / (j (j + 1))``.

    Args:
        alpha: Probability of a false alarm.
        delay: Newer decisions after which a decision is ripe, 0 or more.

    Raises:
        PolicyError: A setting is out of range.

    >>> rates = FeedbackRates(delay=10)
    >>> for number in range(400):
    ...     arm = ("plain", "polite")[number % 2]
    ...     rates.decided(f"d{number}", arm, {"plain": 0.5, "polite": 0.5})
    ...     if arm == "plain" or number % 10 == 1:
    ...         rates.rewarded(f"d{number}")
    >>> rates.alarm().explain()[:68]
    'feedback came for 100.0% of 195 decisions for plain, for 20.0% of th'
    """

    def __init__(self, alpha: float = 0.05, delay: int = 200) -> None:
        if not 0.0 < alpha < 1.0:
            raise PolicyError(f"alpha is {alpha!r}", "Give a number between 0 and 1, such as 0.05.")
        if delay < 0:
            raise PolicyError(f"the delay is {delay!r} decisions", "Give 0 or more.")
        self.alpha, self.delay = alpha, delay
        self._arms: dict[str, _Arm] = {}
        self._gains = np.zeros((0, 2, len(FRACTIONS)))  # of the bets on each arm: more often, less often
        # Dicts keep the order of insertion: the first key is the oldest.
        self._waiting: dict[str, _Waiting] = {}
        self._mean, self._ripe = 0.5, 0

    def decided(self, decision_id: str, arm: str, propensities: Mapping[str, float]) -> None:
        """Take in a decision.

        Args:
            decision_id: Names it for ``rewarded``.
            arm: That was chosen.
            propensities: Of every arm that was offered, before the draw. An arm that the caller chose has 1.

        Raises:
            PolicyError: They lack the arm or are no distribution.
        """
        values = propensities.values()
        if arm not in propensities or not all(0.0 <= value <= 1.0 for value in values) or abs(sum(values) - 1.0) > 1e-6:
            raise PolicyError(
                f"the propensities {dict(propensities)} are no distribution over arms with {arm!r}",
                "Give the probability of every arm that was offered, as it was drawn from.",
            )
        self._waiting[decision_id] = _Waiting(arm, dict(propensities))
        if len(self._waiting) > self.delay:
            self._ripen(self._waiting.pop(next(iter(self._waiting))))

    def rewarded(self, decision_id: str) -> None:
        """Note that a decision got feedback; of a ripe or unknown one, or again, it changes nothing."""
        if decision_id in self._waiting:
            self._waiting[decision_id].rewarded = True

    def alarm(self) -> RatioAlarm | None:
        """The arm with the strongest evidence above its threshold, if any; an alarm once raised stays."""
        thresholds = {arm: place * (place + 1) / self.alpha for place, arm in enumerate(self._arms, 1)}
        excess = {arm: known.evidence - math.log(thresholds[arm]) for arm, known in self._arms.items()}
        loudest = max(excess, key=lambda arm: excess[arm], default=None)
        if loudest is None or excess[loudest] < 0.0:
            return None
        return self._describe(loudest, thresholds[loudest])

    def _describe(self, arm: str, threshold: float) -> RatioAlarm:
        known = self._arms[arm]
        others = [other for name, other in self._arms.items() if name != arm]
        decided = sum(other.decided for other in others)
        return RatioAlarm(
            arm,
            known.decided,
            known.rewarded,
            known.rewarded / max(known.decided, 1),
            sum(other.rewarded for other in others) / max(decided, 1),
            shown_e_value(known.evidence),
            threshold,
        )

    def _ripen(self, decision: _Waiting) -> None:
        arms = [self._arms.get(arm) or self._join(arm) for arm in decision.propensities]
        chosen = self._arms[decision.arm]
        chosen.decided += 1
        chosen.rewarded += decision.rewarded
        places = np.array([arm.place for arm in arms])
        surplus = (places == chosen.place) - np.array(list(decision.propensities.values()))
        values = surplus * (float(decision.rewarded) - self._mean)
        self._gains[places] += growth(_STAKES, np.stack([values, -values], axis=-1))
        directions = log_evidence(_STAKES, self._gains[places], np.zeros((len(arms), 2)))
        # An e-value is the average over both directions.
        for arm, evidence in zip(arms, np.logaddexp(*directions.T) - math.log(2.0), strict=True):
            arm.evidence = max(arm.evidence, float(evidence))
        self._mean = float(next_mean(self._mean, decision.rewarded, self._ripe))
        self._ripe += 1

    def _join(self, arm: str) -> _Arm:
        self._arms[arm] = _Arm(len(self._arms))
        self._gains = np.concatenate([self._gains, np.zeros((1, *self._gains.shape[1:]))])
        return self._arms[arm]

    def state(self) -> ModelState:
        """All that was seen."""
        facts = {
            "alpha": self.alpha,
            "delay": self.delay,
            "mean": self._mean,
            "ripe": self._ripe,
            "arms": [[arm, known.decided, known.rewarded, known.evidence] for arm, known in self._arms.items()],
            "waiting": [
                [name, waiting.arm, dict(waiting.propensities), waiting.rewarded]
                for name, waiting in self._waiting.items()
            ],
        }
        return ModelState(facts, {"gains": self._gains.copy()})

    def restore(self, state: ModelState) -> None:
        """Take over what ``state`` gave.

        Raises:
            PolicyError: It is of other settings.
        """
        facts = state.facts
        if (facts.get("alpha"), facts.get("delay")) != (self.alpha, self.delay):
            raise PolicyError(
                "the state is of feedback rates with another alpha or delay",
                "Restore it with the settings it was made with.",
            )
        self._mean, self._ripe = float(facts["mean"]), int(facts["ripe"])
        self._gains = np.array(state.arrays["gains"], np.float64)
        self._arms = {arm: _Arm(place, *counts) for place, (arm, *counts) in enumerate(facts["arms"])}
        self._waiting = {name: _Waiting(*fields) for name, *fields in facts["waiting"]}
