"""Policies that neither learn nor look, to compare others with."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.features import Features

FloatArray = npt.NDArray[np.float64]


class EvenPolicy:
    """Chooses every arm equally often."""

    def propensities(self, arms: Sequence[str], context: Features) -> FloatArray:
        """Probability of each arm, ``[arms]``."""
        return np.full(len(arms), 1.0 / len(arms))


@dataclass(frozen=True, slots=True)
class AlwaysPolicy:
    """Chooses one arm; where that is not offered, every arm equally often.

    Attributes:
        arm: Its name.
        known: All arms that the log has.

    Raises:
        PolicyError: The log has no such arm.
    """

    arm: str
    known: Collection[str]

    def __post_init__(self) -> None:
        if self.arm not in self.known:
            raise PolicyError(f"no request had a variant {self.arm!r}", f"Name one of {', '.join(sorted(self.known))}.")

    def propensities(self, arms: Sequence[str], context: Features) -> FloatArray:
        """Probability of each arm, ``[arms]``."""
        if self.arm not in arms:
            return np.full(len(arms), 1.0 / len(arms))
        return np.array([float(arm == self.arm) for arm in arms])
