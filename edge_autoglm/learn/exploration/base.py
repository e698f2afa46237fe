"""What every exploration strategy can do, and the checks that they share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.models.base import Estimate

FloatArray = npt.NDArray[np.float64]

DEFAULT_FLOOR = 0.01


class Exploration(Protocol):
    """A rule that spreads choices over arms. Immutable, so that threads may share it."""

    @property
    def floor(self) -> float:
        """Share of choices that is spread evenly, 0..1: each of K arms gets at least ``floor / K``."""

    def propensities(self, estimate: Estimate) -> FloatArray:
        """Probability of each arm, ``[arms]``; they sum to 1."""


def check_floor(floor: float) -> None:
    """Raise ``PolicyError`` unless ``floor`` is in 0..1."""
    if not 0.0 <= floor <= 1.0:
        raise PolicyError(f"the exploration floor is {floor!r}", "Give a number from 0 to 1, such as 0.05.")


def check_width(width: float) -> None:
    """Raise ``PolicyError`` unless ``width`` is above 0 and finite."""
    if not 0.0 < width < math.inf:
        raise PolicyError(f"the exploration width is {width!r}", "Give a number above 0, such as 0.7.")


def check_arms(arms: Sequence[str]) -> None:
    """Raise ``PolicyError`` unless there are arms, all different."""
    if not arms:
        raise PolicyError("there are no arms to choose from", "Give at least one.")
    if len(set(arms)) != len(arms):
        raise PolicyError(f"the arms {list(arms)} name one twice", "Give each arm once.")
