"""The choice of a prompt variant: a model of what each would earn, and a rule that explores.

A ``VariantPolicy`` learns; a ``FrozenPolicy`` is what it knew at one moment, and answers requests until the next swap.
``make_policy`` (``policies.py``) makes the usual ones by name.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import InvalidReward
from edge_autoglm.learn.decisions import DecisionBook
from edge_autoglm.learn.drift import DriftWatch
from edge_autoglm.learn.exploration import Exploration, Optimism, check_arms, choose
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.models.base import Estimate, ModelState, RewardModel
from edge_autoglm.learn.models.mixture import MixtureModel
from edge_autoglm.learn.rewards import checked_reward
from edge_autoglm.values import Decision

FloatArray = npt.NDArray[np.float64]


class FrozenPolicy:
    """A policy that does not learn: what answers requests between two swaps. Thread-safe and lock-free.

    Args:
        model: That nobody changes any more.
        exploration: How choices spread over the arms.
        seed: Of the exploration's random stream; ``None`` draws one.
        feedbacks: How many rewards had come when it was frozen.

    >>> policy = VariantPolicy(seed=1).freeze()
    >>> context = Features(np.array([17]), np.array([1.0]))
    >>> round(policy.pull(["plain", "polite", "short", "long"], context).propensity, 9)    # untrained: all alike
    0.25
    """

    def __init__(
        self, model: RewardModel, exploration: Exploration, seed: int | str | None = None, feedbacks: int = 0
    ) -> None:
        self._model = model
        self.exploration = exploration
        self.feedbacks = feedbacks
        self._rng = random.Random(seed)  # one draw is one atomic call

    def estimate(self, arms: Sequence[str], context: Features) -> Estimate:
        """What each arm is expected to earn."""
        return self._model.estimate(arms, context)

    def propensities(self, arms: Sequence[str], context: Features) -> FloatArray:
        """Probability with which ``pull`` chooses each arm, shape ``[arms]``; sums to 1.

        Raises:
            PolicyError: There are no arms, or one is named twice.
        """
        check_arms(arms)
        return self.exploration.propensities(self._model.estimate(arms, context))

    def pull(self, arms: Sequence[str], context: Features) -> Decision:
        """Choose an arm.

        Raises:
            PolicyError: There are no arms, or one is named twice.
        """
        return choose(arms, self.propensities(arms, context), self._rng)

    def contributions(self, arm: str, context: Features) -> Mapping[str, float]:
        """What each feature adds to the arm's expected reward, the constant as ``bias``; they sum up to it."""
        return self._model.contributions(arm, context)

    @property
    def can_snapshot(self) -> bool:
        """Whether ``state`` works."""
        return self._model.can_snapshot

    def state(self) -> ModelState:
        """What it knows, for ``VariantPolicy.revive``; not the random stream.

        Raises:
            PolicyError: The model cannot be written down; see ``can_snapshot``.
        """
        model = self._model.state()
        return ModelState({"model": model.facts, "feedbacks": self.feedbacks}, model.arrays)

    def broken_numbers(self) -> int:
        """How many of the model's numbers are NaN or infinite: a health check wants none."""
        if not self._model.can_snapshot:
            return 0
        arrays = self._model.state().arrays.values()
        return sum(int(np.count_nonzero(~np.isfinite(array))) for array in arrays)


class VariantPolicy:
    """A policy that learns. Not thread-safe; ``freeze`` it to answer requests.

    An untrained policy chooses evenly. Arms may join, leave and return at any time: what is known of one is kept by
    its name. When the error of the model's expectations grows for good, what it has learnt of the task counts less from
    then on (``DriftWatch``).

    Args:
        model: Of the reward; an untrained ``MixtureModel()`` by default.
        exploration: How choices spread over the arms; ``Optimism()`` by default.
        seed: Of the exploration's random stream; ``None`` draws one.
        watch: Notices drift; a ``DriftWatch()`` by default.

    >>> policy = VariantPolicy(exploration=Optimism(floor=0.1), seed=1)
    >>> context = Features(np.array([17]), np.array([1.0]))
    >>> for _ in range(300):
    ...     decision = policy.pull(["bad", "good"], context)
    ...     policy.update(decision.id, 1.0 if decision.arm == "good" else 0.0)
    >>> policy.freeze().propensities(["bad", "good"], context).round(2).tolist()
    [0.05, 0.95]
    """

    def __init__(
        self,
        model: RewardModel | None = None,
        exploration: Exploration | None = None,
        seed: int | None = None,
        watch: DriftWatch | None = None,
    ) -> None:
        self.model: RewardModel = MixtureModel() if model is None else model
        self.exploration: Exploration = Optimism() if exploration is None else exploration
        self.watch = DriftWatch() if watch is None else watch
        self.seed = seed
        self._rng = random.Random(seed)
        self._pulled: DecisionBook[tuple[str, Features]] = DecisionBook()

    @property
    def can_snapshot(self) -> bool:
        """Whether ``state`` works; where it does not, replay the rewards to get the policy back."""
        return self.model.can_snapshot

    def propensities(self, arms: Sequence[str], context: Features) -> FloatArray:
        """Probability with which ``pull`` would choose each arm now, shape ``[arms]``; sums to 1.

        Raises:
            PolicyError: There are no arms, or one is named twice.
        """
        check_arms(arms)
        return self.exploration.propensities(self.model.estimate(arms, context))

    def pull(self, arms: Sequence[str], context: Features) -> Decision:
        """Choose an arm, and remember the choice for ``update``.

        Raises:
            PolicyError: There are no arms, or one is named twice.
        """
        decision = choose(arms, self.propensities(arms, context), self._rng)
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

    def learn(self, features: Features, arm: str, reward: float, weight: float = 1.0) -> None:
        """Learn from the reward that ``arm`` earned in the context ``features``.

        Args:
            features: Of the request.
            arm: That answered it.
            reward: 0..1.
            weight: How much the reward counts, 0..1.

        Raises:
            InvalidReward: The reward or the weight is not a number in 0..1.
        """
        value = checked_reward(reward)
        _check_weight(weight)
        expected = self.model.learn(arm, features, value, weight)
        if self.watch.sees(features.task, expected, value, weight):
            self.model.forget(features.task, self.watch.kept)

    def freeze(self, seed: int | str | None = None, feedbacks: int = 0) -> FrozenPolicy:
        """What is known now, as a policy that does not change.

        Args:
            seed: Of its exploration; drawn from this policy's own stream by default.
            feedbacks: See ``FrozenPolicy``.
        """
        return FrozenPolicy(self.model.copy(), self.exploration, self._drawn(seed), feedbacks)

    def revive(self, known: ModelState, seed: int | str | None = None) -> FrozenPolicy:
        """A policy that was frozen before, as its ``state`` gave it; what this one has learnt is left out.

        Raises:
            PolicyError: It is of another kind of model, or of other settings.
        """
        model = self.model.clone()
        model.restore(ModelState(known.facts["model"], known.arrays))
        return FrozenPolicy(model, self.exploration, self._drawn(seed), known.facts["feedbacks"])

    def clone(self) -> VariantPolicy:
        """An untrained policy of the same settings."""
        return VariantPolicy(self.model.clone(), self.exploration, self.seed, self.watch.clone())

    def state(self) -> ModelState:
        """All that was learnt; not the choices that wait for ``update``, nor the random stream.

        Raises:
            PolicyError: The model cannot be written down; see ``can_snapshot``.
        """
        model = self.model.state()
        return ModelState({"model": model.facts, "watch": self.watch.state()}, model.arrays)

    def restore(self, state: ModelState) -> None:
        """Take over what ``state`` gave: both learn and choose alike then, bit for bit, under equal seeds.

        Raises:
            PolicyError: It is of another kind of model, or of other settings.
        """
        self.model.restore(ModelState(state.facts["model"], state.arrays))
        self.watch.restore(state.facts["watch"])

    def merge(self, other: VariantPolicy) -> None:
        """Add what a policy of the same settings learnt elsewhere; the watch for drift goes on with its own errors.

        Raises:
            PolicyError: Kind or settings of the model differ.
        """
        self.model.merge(other.model)

    def _drawn(self, seed: int | str | None) -> int | str:
        return self._rng.getrandbits(64) if seed is None else seed


def _check_weight(weight: float) -> None:
    # NaN fails every comparison.
    if not 0.0 <= weight <= 1.0:
        raise InvalidReward(f"the weight of the reward is {weight!r}", "Give a number from 0 (ignore) to 1 (in full).")
