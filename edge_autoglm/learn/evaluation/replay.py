"""Runs a policy over a log, decision by decision: what it would have chosen, and what a model expected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.evaluation.logged import LoggedDecision
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.models.base import RewardModel

FloatArray = npt.NDArray[np.float64]


class EvaluatedPolicy(Protocol):
    """What chooses by known chances."""

    def propensities(self, arms: Sequence[str], context: Features) -> FloatArray:
        """Probability with which it would choose each arm, ``[arms]``."""


@runtime_checkable
class LearningPolicy(Protocol):
    """One that also learns."""

    def learn(self, features: Features, arm: str, reward: float, weight: float = 1.0) -> object:
        """Learn from the reward that an arm earned; ``weight`` in 0..1 is how much it counts."""


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """The log beside the policy: one row for each decision with a reward, arms padded with zeros.

    Any array may have further axes in front, for many logs at once.

    Attributes:
        chosen: Place of the logged arm, ``[n]``.
        rewards: In 0..1, ``[n]``.
        weights: Probability of the logged arm under the policy over that under the log, ``[n]``.
        target: The policy's propensities, ``[n, arms]``.
        arm_weights: Weight of every arm, had it been chosen, ``[n, arms]``; infinite in a row where it is unknown.
        expected: Rewards that a model expected from the past alone, in 0..1, ``[n, arms]``.
    """

    chosen: npt.NDArray[np.int64]
    rewards: FloatArray
    weights: FloatArray
    target: FloatArray
    arm_weights: FloatArray
    expected: FloatArray


@dataclass(slots=True)
class Replay:
    """Collects rows. Not thread-safe.

    Args:
        policy: To be evaluated. One with a ``learn`` is trained on the log as it goes: pass a copy.
        model: Of the reward, for the doubly robust estimate; trained as well.
        max_weight: Cap on the weights. It makes the policy never choose an arm more than so many times as often as the
            log did, and what is left over of its probability counts as a reward of 0 for the lower bound, as one of 1
            for the upper one: both stay valid, while estimates lean towards 0.
    """

    policy: EvaluatedPolicy
    model: RewardModel
    max_weight: float = float("inf")
    decisions: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    _rows: list[tuple[int, float, float, FloatArray, FloatArray, FloatArray]] = field(default_factory=list)

    def run(self, log: Iterable[LoggedDecision]) -> Replayed:
        """The whole log, in order.

        Raises:
            PolicyError: No decision has a reward.
        """
        for logged in log:
            self.decisions[logged.arm] += 1
            if logged.reward is None:
                self.missing[logged.arm] += 1
            else:
                self._take(logged, logged.reward)
        if not self._rows:
            raise PolicyError("the log has no decision with a reward", "Evaluate once feedback has come.")
        return self._table()

    def missing_shares(self) -> Mapping[str, float]:
        """Share of each arm's decisions that got no reward."""
        return {arm: self.missing[arm] / count for arm, count in sorted(self.decisions.items())}

    def _take(self, logged: LoggedDecision, reward: float) -> None:
        chosen = logged.arms.index(logged.arm)
        target = np.asarray(self.policy.propensities(logged.arms, logged.features), np.float64)
        expected = np.clip(self.model.estimate(logged.arms, logged.features).means, 0.0, 1.0)
        if logged.propensities is None:
            weight = min(float(target[chosen]) / logged.propensity, self.max_weight)
            arm_weights = np.full(len(target), np.inf)
        else:
            # An arm that the log could never choose counts as one that the policy never chooses, either.
            known = logged.propensities
            arm_weights = np.divide(target, known, out=np.zeros_like(target), where=known > 0.0)
            arm_weights = np.minimum(arm_weights, self.max_weight)
            weight, target = float(arm_weights[chosen]), arm_weights * known
        self._rows.append((chosen, reward, weight, target, arm_weights, expected))
        if isinstance(self.policy, LearningPolicy):
            self.policy.learn(logged.features, logged.arm, reward, logged.weight)
        self.model.learn(logged.arm, logged.features, reward, logged.weight)

    def _table(self) -> Replayed:
        chosen, rewards, weights, target, arm_weights, expected = zip(*self._rows, strict=True)
        width = max(len(row) for row in target)
        return Replayed(
            np.array(chosen), np.array(rewards), np.array(weights),
            _padded(target, width), _padded(arm_weights, width), _padded(expected, width),
        )  # fmt: skip


def _padded(rows: Sequence[FloatArray], width: int) -> FloatArray:
    table = np.zeros((len(rows), width))
    for at, row in enumerate(rows):
        table[at, : len(row)] = row
    return table
