"""What every reward model can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edge_autoglm.learn.features import Features

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a model expects of each arm.

    Attributes:
        means: Expected reward, ``[arms]``, roughly 0..1.
        spreads: Standard deviation of each mean, in units of the reward, above 0, ``[arms]``.
    """

    means: FloatArray
    spreads: FloatArray


@dataclass(frozen=True, slots=True)
class ModelState:
    """All that a model has learnt, ready to be written: no code in it, no pickle.

    Attributes:
        facts: JSON values (names, counts, settings).
        arrays: Name -> array.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, npt.NDArray[np.generic]] = field(default_factory=dict)


class RewardModel(Protocol):
    """Expects rewards of arms. Not thread-safe, except that a copy nobody changes may be read by many."""

    def estimate(self, arms: Sequence[str], features: Features) -> Estimate:
        """What each arm would earn on this request; changes nothing."""

    def learn(self, arm: str, features: Features, reward: float, weight: float = 1.0) -> None:
        """Learn from the reward in 0..1 that an arm earned; ``weight`` in 0..1 is how much it counts."""

    def contributions(self, arm: str, features: Features) -> Mapping[str, float]:
        """What each feature adds to the arm's mean, the constant as ``bias``; they sum up to the mean."""

    def clone(self) -> RewardModel:
        """An untrained model of the same settings."""

    def copy(self) -> RewardModel:
        """One that knows the same and learns on its own."""

    def state(self) -> ModelState:
        """All that was learnt."""

    def restore(self, state: ModelState) -> None:
        """Take over what ``state`` gave: afterwards both behave alike, bit for bit.

        Raises:
            PolicyError: It is of another kind of model, or of other settings.
        """

    def merge(self, other: RewardModel) -> None:
        """Add what another model of the same settings learnt elsewhere.

        Raises:
            PolicyError: Its kind or settings differ.
        """
