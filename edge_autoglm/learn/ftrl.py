"""FTRL-Proximal with per-coordinate learning rates, for log loss."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import InvalidReward, PolicyError
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.hashing import hash_name

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MAX_BITS = 28


class FTRLProximal:
    """Logistic regression over hashed features by follow-the-(proximally)-regularised-leader.

    Algorithm 1 of McMahan et al., *Ad Click Prediction: a View from the Trenches*, KDD 2013. A coordinate keeps ``z``
    (the gradients, less what the learning rate's decay took back) and ``n`` (the sum of squared gradients); its weight

        w = 0                                                           if |z| <= l1
        w = -(z - sgn(z) l1) / ((beta + sqrt(n)) / alpha + l2)          otherwise

    is computed when it is needed and never stored, so L1 gives exact zeros. Targets may be fractions: for a target
    ``y`` the loss is ``-y log p - (1 - y) log(1 - p)`` and its gradient ``(p - y) x``. Names that hash to one
    coordinate, and indices given twice, add up before the update.

    The methods ending in ``_one`` follow River's conventions for a binary classifier. There is no intercept: give a
    feature that is always 1. Not thread-safe.

    Args:
        alpha: Learning rate, above 0.
        beta: Smooths the first steps, above 0.
        l1: Gradient mass that a coordinate must gather before it gets a weight.
        l2: Shrinks all weights.
        bits: The table has ``2**bits`` coordinates, at 16 bytes each.

    Raises:
        PolicyError: A setting is out of range.

    >>> model = FTRLProximal(alpha=0.5, l1=0.0, l2=0.0)
    >>> for _ in range(20):
    ...     model.learn_one({"bias": 1.0, "long": 1.0}, 1.0)
    ...     model.learn_one({"bias": 1.0, "long": 0.0}, 0.0)
    >>> model.predict_one({"bias": 1.0, "long": 1.0}), model.predict_one({"bias": 1.0})
    (True, False)
    """

    def __init__(self, alpha: float = 0.3, beta: float = 1.0, l1: float = 0.1, l2: float = 0.1, bits: int = 16) -> None:
        _check("alpha", alpha, 0.0 < alpha < math.inf, "above 0")
        _check("beta", beta, 0.0 < beta < math.inf, "above 0")
        _check("l1", l1, 0.0 <= l1 < math.inf, "of 0 or more")
        _check("l2", l2, 0.0 <= l2 < math.inf, "of 0 or more")
        if not 1 <= bits <= MAX_BITS:
            raise PolicyError(f"the model's bits are {bits}", f"Give 1 to {MAX_BITS}; 16 make a table of 1 MB.")
        self.alpha, self.beta, self.l1, self.l2, self.bits = alpha, beta, l1, l2, bits
        self._mask = (1 << bits) - 1
        self._z = np.zeros(1 << bits)
        self._n = np.zeros(1 << bits)

    @property
    def z(self) -> FloatArray:
        """Shrunk gradient sums, a read-only view, shape ``[2**bits]``."""
        return _read_only(self._z)

    @property
    def n(self) -> FloatArray:
        """Sums of squared gradients, a read-only view, shape ``[2**bits]``."""
        return _read_only(self._n)

    def coordinates(self, indices: IntArray) -> IntArray:
        """Places of hashed features in the table, any shape."""
        return indices & self._mask

    def weights(self, coordinates: IntArray | slice = slice(None)) -> FloatArray:
        """Weights at ``coordinates``, of their shape; all ``2**bits`` by default."""
        return self._solve(self._z[coordinates], self._n[coordinates])

    def predict(self, features: Features) -> float:
        """Probability of the target 1."""
        return sigmoid(float(np.add.reduce(self.weights(self.coordinates(features.indices)) * features.values)))

    def learn(self, features: Features, y: float) -> None:
        """Take one step towards the target ``y`` in 0..1.

        Raises:
            InvalidReward: ``y`` is NaN or outside 0..1.
        """
        self.step(features.indices, features.values, y)

    def step(self, indices: IntArray, values: FloatArray, y: float) -> None:
        """As ``learn``, for arrays that are known to be sound.

        Raises:
            InvalidReward: ``y`` is NaN or outside 0..1.
        """
        if not 0.0 <= y <= 1.0:
            raise InvalidReward(f"the target is {y!r}", "Give a number from 0 to 1.")
        at, x = self._summed(indices, values)
        z, n = self._z[at], self._n[at]
        w = self._solve(z, n)
        g = (sigmoid(float(np.add.reduce(w * x))) - y) * x
        grown = n + g * g
        sigma = (np.sqrt(grown) - np.sqrt(n)) / self.alpha
        self._z[at] = z + g - sigma * w
        self._n[at] = grown

    def predict_proba_one(self, x: Mapping[str, float]) -> dict[bool, float]:
        """Probability of either class; ``x`` maps names of features to values."""
        p = self.predict(_hashed(x))
        return {False: 1.0 - p, True: p}

    def predict_one(self, x: Mapping[str, float]) -> bool:
        """Whether the target 1 is the more probable one."""
        return self.predict_proba_one(x)[True] > 0.5

    def learn_one(self, x: Mapping[str, float], y: float) -> None:
        """Take one step towards ``y``, a bool or a number from 0 to 1."""
        self.learn(_hashed(x), float(y))

    def clone(self) -> FTRLProximal:
        """An untrained model of the same settings."""
        return FTRLProximal(self.alpha, self.beta, self.l1, self.l2, self.bits)

    def _solve(self, z: FloatArray, n: FloatArray) -> FloatArray:
        # z less its projection on [-l1, l1] is z - sgn(z) l1 outside of it and exactly 0 inside.
        shrunk = z - np.minimum(np.maximum(z, -self.l1), self.l1)
        weights: FloatArray = shrunk / -((self.beta + np.sqrt(n)) / self.alpha + self.l2)
        return weights

    def _summed(self, indices: IntArray, values: FloatArray) -> tuple[IntArray, FloatArray]:
        """Distinct coordinates and the sum of the values at each."""
        at = self.coordinates(indices)
        if len(set(at.tolist())) == len(at):
            return at, values
        distinct, place = np.unique(at, return_inverse=True)
        x = np.zeros(len(distinct))
        np.add.at(x, place, values)
        return distinct, x


def sigmoid(score: float) -> float:
    """Logistic function without overflow."""
    if score >= 0.0:
        return 1.0 / (1.0 + math.exp(-score))
    grown = math.exp(score)
    return grown / (1.0 + grown)


def _hashed(x: Mapping[str, float]) -> Features:
    indices = np.array([hash_name(name) for name in x], dtype=np.int64)
    return Features(indices, np.array(list(x.values()), dtype=np.float64))


def _read_only(array: FloatArray) -> FloatArray:
    view = array.view()
    view.flags.writeable = False
    return view


def _check(name: str, value: float, fits: bool, wanted: str) -> None:
    if not fits:
        raise PolicyError(f"the model's {name} is {value!r}", f"Give a finite number {wanted}.")
