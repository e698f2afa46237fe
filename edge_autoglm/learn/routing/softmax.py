"""Multinomial logistic regression over hashed features, learnt online."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.hashing import cross
from edge_autoglm.learn.models.base import ModelState, check_alike, check_setting

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_BIAS = np.ones(1)
_NAMESPACE = "route"


class SoftmaxFTRL:
    """FTRL-Proximal (McMahan et al. 2013, Algorithm 1) on the gradients of the multinomial log loss.

    Every class sees the features through coordinates of its own, ``cross`` of its name and theirs, besides a bias. For
    the class ``k`` and the target ``t`` the gradient is ``(p_k - [k = t]) x`` with ``p = softmax(W x)``; ``z``, ``n``
    and the weights are as in `FTRLProximal`. Classes may come and go: the table knows them by name. Not thread-safe.

    Args:
        alpha: Learning rate, above 0.
        beta: Smooths the first steps, above 0.
        l2: Shrinks all weights, 0 or more.
        bits: The table has ``2**bits`` coordinates, at 24 bytes each.

    Raises:
        PolicyError: A setting is out of range.
    """

    def __init__(self, alpha: float = 0.7, beta: float = 0.02, l2: float = 0.0, bits: int = 17) -> None:
        check_setting("alpha", alpha, alpha > 0.0, "a number above 0")
        check_setting("beta", beta, beta > 0.0, "a number above 0")
        check_setting("l2", l2, l2 >= 0.0, "0 or more")
        check_setting("bits", bits, 8 <= bits <= 24, "8 to 24")
        self.alpha, self.beta, self.l2, self.bits = alpha, beta, l2, bits
        self._mask = (1 << bits) - 1
        self._table = np.zeros((1 << bits, 3))  # z, n, w

    @property
    def settings(self) -> dict[str, Any]:
        """What a state must have been learnt with."""
        return {"kind": "softmax-ftrl", "alpha": self.alpha, "beta": self.beta, "l2": self.l2, "bits": self.bits}

    def scores(self, classes: Sequence[str], features: Features) -> FloatArray:
        """Log-odds of each class, up to a constant, ``[classes]``."""
        at, x = self._read(classes, features)
        scores: FloatArray = self._table[at, 2] @ x
        return scores

    def learn(self, classes: Sequence[str], target: int, features: Features, weight: float = 1.0) -> None:
        """Take one step towards the class ``classes[target]``.

        Args:
            classes: All that compete.
            target: Place of the right one.
            features: Of the text.
            weight: How much it counts, 0..1.
        """
        at, x = self._read(classes, features)
        rows = self._table[at]
        z, n, w = rows[..., 0], rows[..., 1], rows[..., 2]
        g = softmax(w @ x)
        g[target] -= 1.0
        gradient = g[:, None] * x
        before = np.sqrt(n)
        n += weight * gradient * gradient
        after = np.sqrt(n)
        z += weight * gradient - (after - before) * (w / self.alpha)
        rows[..., 2] = self._solve(z, after)
        self._table[at] = rows

    def state(self) -> ModelState:
        """The coordinates that were touched, and their sums."""
        at = np.flatnonzero(self._table[:, 1])
        arrays: Mapping[str, npt.NDArray[np.generic]] = {
            "at": at.astype(np.int32),
            "z": self._table[at, 0],
            "n": self._table[at, 1],
        }
        return ModelState({"settings": self.settings}, arrays)

    def restore(self, state: ModelState) -> None:
        """Take over what ``state`` gave.

        Raises:
            PolicyError: It is of other settings, or its arrays do not match.
        """
        check_alike(self.settings, state.facts["settings"])
        at, z, n = (np.asarray(state.arrays[name]) for name in ("at", "z", "n"))
        if not (at.shape == z.shape == n.shape) or (len(at) and not 0 <= at.min() <= at.max() <= self._mask):
            raise PolicyError("the arrays of a router's state do not match", "Delete the file of the router.")
        self._table[:] = 0.0
        self._table[at.astype(np.int64)] = np.stack((z, n, self._solve(z, np.sqrt(n))), axis=1)

    def _read(self, classes: Sequence[str], features: Features) -> tuple[IntArray, FloatArray]:
        """Coordinates ``[classes, 1 + features]`` and the values at them; names that share one are merged."""
        indices, place = np.unique(features.indices & 0xFFFFFFFF, return_inverse=True)
        x = np.zeros(len(indices))
        np.add.at(x, place, features.values)
        return cross(classes, indices, _NAMESPACE) & self._mask, np.concatenate((_BIAS, x))

    def _solve(self, z: FloatArray, root: FloatArray) -> FloatArray:
        weights: FloatArray = -z / ((self.beta + root) / self.alpha + self.l2)
        return weights


def softmax(scores: FloatArray) -> FloatArray:
    """Probabilities ``[classes]``, without overflow."""
    grown = np.exp(scores - scores.max())
    shares: FloatArray = grown / grown.sum()
    return shares
