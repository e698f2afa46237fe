"""Online standardisation for peers that have none of their own, as their users would put before them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_autoglm.learn.features import Features


class OnlineScaler:
    """Dense features less their mean so far, over their standard deviation so far (Welford 1962), by name."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, ...], npt.NDArray[np.int64]] = {}
        self._columns: dict[str, int] = {}
        self._counts = np.zeros(0)
        self._means = np.zeros(0)
        self._squares = np.zeros(0)

    def scaled(self, features: Features) -> npt.NDArray[np.float64]:
        """Take the features into account and return them scaled, ``[names]``; 0 while one has not varied."""
        at = self._at(features.names)
        self._counts[at] += 1.0
        off = features.dense - self._means[at]
        self._means[at] += off / self._counts[at]
        centred = features.dense - self._means[at]
        self._squares[at] += off * centred
        deviations = np.sqrt(self._squares[at] / self._counts[at])
        return np.divide(centred, deviations, out=np.zeros_like(centred), where=deviations > 0.0)

    def _at(self, names: tuple[str, ...]) -> npt.NDArray[np.int64]:
        """Columns of the names; new ones are added."""
        if names not in self._places:
            for name in names:
                self._columns.setdefault(name, len(self._columns))
            missing = len(self._columns) - len(self._counts)
            self._counts, self._means, self._squares = (
                np.concatenate((array, np.zeros(missing))) for array in (self._counts, self._means, self._squares)
            )
            self._places[names] = np.array([self._columns[name] for name in names], dtype=np.int64)
        return self._places[names]
