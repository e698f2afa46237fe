"""One line of the log, as evaluation reads it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.rewards import checked_reward

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class LoggedDecision:
    """A decision that was drawn by known chances, with its reward if there was one.

    Attributes:
        arms: All that were offered.
        features: Of the request.
        arm: The one that was chosen.
        propensity: Probability of that choice, in (0, 1].
        reward: In 0..1; ``None`` where none came. Missing is missing, never 0.
        weight: How much the reward counts for what learns from the log, 0..1; the value counts all alike.
        propensities: Of all arms, in their order. Without them the bounds of SNIPS and doubly robust are no better than
            those of IPS, since a guess must be cut to what is known before the draw.

    Raises:
        PolicyError: The arm was not offered, or the propensities do not fit.
        InvalidReward: The reward is not a number in 0..1.
    """

    arms: tuple[str, ...]
    features: Features
    arm: str
    propensity: float
    reward: float | None = None
    weight: float = 1.0
    propensities: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.arm not in self.arms or not 0.0 < self.propensity <= 1.0:
            raise PolicyError(
                f"the log has the arm {self.arm!r} out of {self.arms} with propensity {self.propensity!r}",
                "Leave out decisions that were not drawn from the arms offered.",
            )
        if self.reward is not None:
            checked_reward(self.reward)
        if self.propensities is not None and not self._fits(self.propensities):
            raise PolicyError(
                f"the log has propensities {self.propensities.tolist()} for {self.arms}, of which {self.arm!r} has "
                f"{self.propensity!r}",
                "Give the probability of every arm that was offered, in their order, or leave them out.",
            )

    def _fits(self, propensities: FloatArray) -> bool:
        return (
            propensities.shape == (len(self.arms),)
            and bool((propensities >= 0.0).all())
            and abs(float(propensities.sum()) - 1.0) < 1e-6
            and abs(float(propensities[self.arms.index(self.arm)]) - self.propensity) < 1e-6
        )
