"""The choice of a prompt variant: contextual Thompson sampling on FTRL-Proximal, with an exploration floor.

FTRL's ``n`` is the sum of squared gradients, which for log loss estimates the Fisher information: the log-odds of an
arm are known to about ``1 / sqrt(n)`` at its bias. An arm is chosen with the probability that it is the best one under
that uncertainty. Plain epsilon-greedy froze on whatever led after the first hundred rewards: with eight arms of the
demo's accuracies it ended more than 0.05 below the best in 20 % of simulated runs, this in 5 %.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge_autoglm.learn.decisions import DecisionBook
from edge_autoglm.learn.exploration import check_arms, check_floor, check_width, choose, propensities
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.ftrl import FTRLProximal
from edge_autoglm.learn.hashing import cross
from edge_autoglm.learn.rewards import checked_reward
from edge_autoglm.values import Decision

FloatArray = npt.NDArray[np.float64]

DEFAULT_FLOOR = 0.02
DEFAULT_WIDTH = 0.7
_PRIOR = 0.5
"""Information on an arm before its first reward: log-odds of 0, give or take ``width / sqrt(0.5)``."""
_BIAS = np.ones(1)


class FrozenPolicy:
    """A policy that does not learn: what answers requests between two swaps. Thread-safe and lock-free.

    Args:
        weights: Of the reward model, shape ``[2**bits]``; a read-only copy is kept.
        information: FTRL's ``n``, of the same shape; likewise.
        floor: Share of explored choices, 0..1.
        width: Factor on the uncertainty of an arm's score, above 0.
        seed: Of the exploration's random stream; ``None`` draws one.

    Raises:
        PolicyError: Floor or width is out of range.

    >>> policy = VariantPolicy(seed=1).freeze()
    >>> context = Features(np.array([17]), np.array([1.0]))
    >>> round(policy.pull(["plain", "polite", "short", "long"], context).propensity, 9)    # untrained: all alike
    0.25
    """

    def __init__(
        self,
        weights: FloatArray,
        information: FloatArray,
        floor: float = DEFAULT_FLOOR,
        width: float = DEFAULT_WIDTH,
        seed: int | str | None = None,
    ) -> None:
        check_floor(floor)
        check_width(width)
        self._weights, self._information = np.array(weights, np.float64), np.array(information, np.float64)
        self._weights.flags.writeable = self._information.flags.writeable = False
        self._mask = len(self._weights) - 1
        self.floor, self.width = floor, width
        self._rng = random.Random(seed)  # one draw is one atomic call

    @property
    def weights(self) -> FloatArray:
        """Read-only, shape ``[2**bits]``."""
        return self._weights

    def scores(self, arms: Sequence[str], context: Features) -> FloatArray:
        """Predicted log-odds of the reward, shape ``[arms]``."""
        return _scores(self._weights[self._coordinates(arms, context)], context)

    def propensities(self, arms: Sequence[str], context: Features) -> FloatArray:
        """Probability with which ``pull`` chooses each arm, shape ``[arms]``; sums to 1.

        Raises:
            PolicyError: There are no arms, or one is named twice.
        """
        check_arms(arms)
        at = self._coordinates(arms, context)
        scores = _scores(self._weights[at], context)
        return propensities(scores, _spreads(self._information[at[:, 0]], self.width), self.floor)

    def pull(self, arms: Sequence[str], context: Features) -> Decision:
        """Choose an arm.

        Raises:
            PolicyError: There are no arms, or one is named twice.
        """
        return choose(arms, self.propensities(arms, context), self._rng)

    def _coordinates(self, arms: Sequence[str], context: Features) -> npt.NDArray[np.int64]:
        coordinates = cross(arms, context.indices)
        coordinates &= self._mask
        return coordinates


class VariantPolicy:
    """A policy that learns. Not thread-safe; ``freeze`` it to answer requests.

    Every arm sees the request's features through coordinates of its own, hashed from (feature, arm) into one table,
    besides a bias of its own. All weights start at 0, so an untrained policy chooses evenly.

    Args:
        model: Of the reward; an untrained one by default.
        floor: Share of explored choices, 0..1.
        width: Factor on the uncertainty of an arm's score, above 0; smaller is greedier.
        seed: Of the exploration's random stream; ``None`` draws one.

    Raises:
        PolicyError: Floor or width is out of range.

    >>> policy = VariantPolicy(floor=0.1, seed=1)
    >>> context = Features(np.array([17]), np.array([1.0]))
    >>> for _ in range(300):
    ...     decision = policy.pull(["bad", "good"], context)
    ...     policy.update(decision.id, 1.0 if decision.arm == "good" else 0.0)
    >>> policy.freeze().propensities(["bad", "good"], context).round(2).tolist()
    [0.05, 0.95]
    """

    def __init__(
        self,
        model: FTRLProximal | None = None,
        floor: float = DEFAULT_FLOOR,
        width: float = DEFAULT_WIDTH,
        seed: int | None = None,
    ) -> None:
        check_floor(floor)
        check_width(width)
        self.model = FTRLProximal() if model is None else model
        self.floor, self.width = floor, width
        self.seed = seed
        self._rng = random.Random(seed)
        self._pulled: DecisionBook[tuple[str, Features]] = DecisionBook()

    def pull(self, arms: Sequence[str], context: Features) -> Decision:
        """Choose an arm, and remember the choice for ``update``.

        Raises:
            PolicyError: There are no arms, or one is named twice.
        """
        check_arms(arms)
        at = self.model.coordinates(cross(arms, context.indices))
        scores = _scores(self.model.weights(at), context)
        shares = propensities(scores, _spreads(self.model.n[at[:, 0]], self.width), self.floor)
        decision = choose(arms, shares, self._rng)
        self._pulled.add(decision.id, (decision.arm, context))
        return decision

    def update(self, decision_id: str, reward: float) -> None:
        """Learn from the reward of a choice that ``pull`` made; a second reward for it changes nothing.

        Raises:
            UnknownDecision: ``pull`` never made it here, or it has expired.
            InvalidReward: The reward is not a number in 0..1.
        """
        value = checked_reward(reward)
        if self._pulled.find(decision_id) is not None:
            arm, context = self._pulled.answer(decision_id)
            self.learn(context, arm, value)

    def learn(self, features: Features, arm: str, reward: float) -> None:
        """Learn from the reward that ``arm`` earned in the context ``features``.

        Raises:
            InvalidReward: The reward is not a number in 0..1.
        """
        indices = cross((arm,), features.indices)[0]
        self.model.step(indices, np.concatenate((_BIAS, features.values)), checked_reward(reward))

    def freeze(self, seed: int | str | None = None) -> FrozenPolicy:
        """What is known now, as a policy that does not change.

        Args:
            seed: Of its exploration; drawn from this policy's own stream by default.
        """
        drawn = self._rng.getrandbits(64) if seed is None else seed
        return FrozenPolicy(self.model.weights(), self.model.n, self.floor, self.width, drawn)

    def clone(self) -> VariantPolicy:
        """An untrained policy of the same settings."""
        return VariantPolicy(self.model.clone(), self.floor, self.width, self.seed)


def _scores(weights: FloatArray, context: Features) -> FloatArray:
    """Log-odds from the weights of each arm, ``[arms, 1 + features]``, the bias first."""
    scores: FloatArray = weights[:, 0] + np.add.reduce(weights[:, 1:] * context.values, axis=1)
    return scores


def _spreads(information: FloatArray, width: float) -> FloatArray:
    """Standard deviation of each arm's log-odds."""
    spreads: FloatArray = width / np.sqrt(_PRIOR + information)
    return spreads
