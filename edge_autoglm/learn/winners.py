"""Which variant wins where: what a model expects of each arm, by what the requests were like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_autoglm.learn.features import Features
from edge_autoglm.learn.models.base import RewardModel

_LEAST_REQUESTS = 30
"""Fewer say nothing of a third of them."""


@dataclass(frozen=True, slots=True)
class Region:
    """Some of a task's requests.

    Attributes:
        feature: Dense feature by which they were picked; ``None`` for all requests.
        side: ``low`` or ``high`` third of its values; ``all``.
        low: Least value among them.
        high: Largest value among them.
        requests: How many they are.
        means: Expected reward of each arm, the mean over these requests, ``[arms]``.
    """

    feature: str | None
    side: str
    low: float
    high: float
    requests: int
    means: tuple[float, ...]

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.side} {self.feature} ({self.low:.3g} to {self.high:.3g})" if self.feature else self.side


@dataclass(frozen=True, slots=True)
class Winners:
    """Of one task.

    Attributes:
        task: Its name.
        arms: Its variants.
        regions: All requests, then the features whose two sides differ most in what the arms are expected to earn
            against each other.
    """

    task: str
    arms: tuple[str, ...]
    regions: tuple[Region, ...]

    def winner(self, region: Region) -> str:
        """The arm that is expected to earn most there."""
        return self.arms[int(np.argmax(region.means))]


def find_winners(
    model: RewardModel, arms: Sequence[str], requests: Sequence[Features], most: int = 6
) -> Winners | None:
    """Ask a model about requests that were made.

    Args:
        model: Trained.
        arms: Of the task.
        requests: Of one task.
        most: Features listed at most.

    Returns:
        ``None`` where there are too few requests to tell.
    """
    if len(requests) < _LEAST_REQUESTS:
        return None
    means = np.array([model.estimate(arms, features).means for features in requests])
    names = sorted({name for features in requests for name in features.names})
    table = _table(requests, names)
    pairs = [pair for column, name in enumerate(names) if (pair := _sides(name, table[:, column], means))]
    pairs.sort(key=lambda pair: -_contrast(*pair))
    everything = Region(None, "all", 0.0, 0.0, len(requests), _rounded(means.mean(axis=0)))
    return Winners(requests[0].task, tuple(arms), (everything, *(side for pair in pairs[:most] for side in pair)))


def _table(requests: Sequence[Features], names: Sequence[str]) -> npt.NDArray[np.float64]:
    """Values ``[requests, names]``; a feature that a request has not is 0."""
    column = {name: index for index, name in enumerate(names)}
    table = np.zeros((len(requests), len(names)))
    for row, features in enumerate(requests):
        table[row, [column[name] for name in features.names]] = features.dense
    return table


def _sides(name: str, values: npt.NDArray[np.float64], means: npt.NDArray[np.float64]) -> tuple[Region, Region] | None:
    """The requests with the least and the largest values; a feature of few values is cut between two of them."""
    low, high = np.quantile(values, [1 / 3, 2 / 3])
    below, above = values <= low, values >= high
    if low == high:
        below, above = values < high, values > high
        below, above = (below, ~below) if below.sum() > above.sum() else (~above, above)
    if min(below.sum(), above.sum()) < _LEAST_REQUESTS / 3:
        return None
    return _region(name, "low", values, means, below), _region(name, "high", values, means, above)


def _region(
    name: str,
    side: str,
    values: npt.NDArray[np.float64],
    means: npt.NDArray[np.float64],
    chosen: npt.NDArray[np.bool_],
) -> Region:
    inside = values[chosen]
    return Region(
        name, side, float(inside.min()), float(inside.max()), len(inside), _rounded(means[chosen].mean(axis=0))
    )


def _contrast(low: Region, high: Region) -> float:
    """How differently the arms do against each other on the two sides; what lifts all alike does not count."""
    difference = np.array(high.means) - np.array(low.means)
    return float(np.ptp(difference))


def _rounded(values: npt.NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(values.round(4).tolist())
