"""FTRL-Proximal with per-coordinate learning rates, for log loss."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import InvalidReward, PolicyError
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.hashing import hash_name
from edge_autoglm.learn.models.base import check_alike

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MAX_BITS = 28


class FTRLProximal:
    """Logistic regression over hashed features by follow-the-(proximally)-regularised-leader.

    Algorithm 1 of McMahan et al., *Ad Click Prediction: a View from the Trenches*, KDD 2013. A coordinate keeps ``z``
    (the gradients, less what the learning rate's decay took back) and ``n`` (the sum of squared gradients); its weight

        w = 0                                                           if |z| <= l1
        w = -(z - sgn(z) l1) / ((beta + sqrt(n)) / alpha + l2)          otherwise

    is kept beside them, so that reading it costs nothing; L1 gives exact zeros. Targets may be fractions: for a target
    ``y`` the loss is ``-y log p - (1 - y) log(1 - p)`` and its gradient ``(p - y) x``. Names that hash to one
    coordinate, and indices given twice, add up before the update.

    The methods ending in ``_one`` follow River's conventions for a binary classifier. There is no intercept: give a
    feature that is always 1. Not thread-safe.

    Args:
        alpha: Learning rate, above 0.
        beta: Smooths the first steps, above 0; best below the size of a usual gradient, such as one word's.
        l1: Gradient mass that a coordinate must gather before it gets a weight.
        l2: Shrinks all weights.
        bits: The table has ``2**bits`` coordinates, at 24 bytes each.

    Raises:
        PolicyError: A setting is out of range.

    >>> model = FTRLProximal(alpha=0.5, l1=0.0, l2=0.0)
    >>> for _ in range(20):
    ...     model.learn_one({"bias": 1.0, "long": 1.0}, 1.0)
    ...     model.learn_one({"bias": 1.0, "long": 0.0}, 0.0)
    >>> model.predict_one({"bias": 1.0, "long": 1.0}), model.predict_one({"bias": 1.0})
    (True, False)
    """

    def __init__(
        self, alpha: float = 1.0, beta: float = 0.02, l1: float = 0.0, l2: float = 0.0, bits: int = 17
    ) -> None:
        _check("alpha", alpha, 0.0 < alpha < math.inf, "above 0")
        _check("beta", beta, 0.0 < beta < math.inf, "above 0")
        _check("l1", l1, 0.0 <= l1 < math.inf, "of 0 or more")
        _check("l2", l2, 0.0 <= l2 < math.inf, "of 0 or more")
        if not 1 <= bits <= MAX_BITS:
            raise PolicyError(f"the model's bits are {bits}", f"Give 1 to {MAX_BITS}; 16 make tables of 1.5 MB.")
        self.alpha, self.beta, self.l1, self.l2, self.bits = alpha, beta, l1, l2, bits
        self._mask = (1 << bits) - 1
        # Columns z, n, w: what one coordinate needs shares a cache line.
        self._table = np.zeros((1 << bits, 3))

    @property
    def z(self) -> FloatArray:
        """Shrunk gradient sums, a read-only view, shape ``[2**bits]``."""
        return _read_only(self._table[:, 0])

    @property
    def n(self) -> FloatArray:
        """Sums of squared gradients, a read-only view, shape ``[2**bits]``."""
        return _read_only(self._table[:, 1])

    @property
    def settings(self) -> dict[str, float]:
        """What ``clone`` keeps, by name."""
        return {"alpha": self.alpha, "beta": self.beta, "l1": self.l1, "l2": self.l2, "bits": self.bits}

    def coordinates(self, indices: IntArray) -> IntArray:
        """Places of hashed features in the table, any shape."""
        return indices & self._mask

    def weights(self, coordinates: IntArray | slice = slice(None)) -> FloatArray:
        """Weights at ``coordinates``, of their shape; all ``2**bits`` by default."""
        weights: FloatArray = self._table[coordinates, 2]
        if isinstance(coordinates, slice):
            return _read_only(weights)  # a view into the table
        return weights

    def known(self, coordinates: IntArray) -> tuple[FloatArray, FloatArray]:
        """Weights and ``n`` at ``coordinates``, each of their shape."""
        rows = self._table.take(coordinates, axis=0)
        return rows[..., 2], rows[..., 1]

    def predict(self, features: Features) -> float:
        """Probability of the target 1."""
        return sigmoid(float(np.add.reduce(self.weights(self.coordinates(features.indices)) * features.values)))

    def learn(self, features: Features, y: float) -> None:
        """Take one step towards the target ``y`` in 0..1.

        Raises:
            InvalidReward: ``y`` is NaN or outside 0..1.
        """
        self.step(features.indices, features.values, y)

    def step(self, indices: IntArray, values: FloatArray, y: float, weight: float = 1.0) -> float:
        """As ``learn``, for arrays that are known to be sound.

        Args:
            indices: Hashed features, ``[features]``.
            values: Theirs.
            y: Target.
            weight: How much the example counts, 0..1: its gradient, and its share of the information, by that factor.

        Returns:
            The prediction that the step started from.

        Raises:
            InvalidReward: ``y`` is NaN or outside 0..1.
        """
        if not 0.0 <= y <= 1.0:
            raise InvalidReward(f"the target is {y!r}", "Give a number from 0 to 1.")
        at, x = self._summed(indices, values)
        rows = self._table.take(at, axis=0)
        z, n, w = rows[:, 0], rows[:, 1], rows[:, 2]
        predicted = sigmoid(float(w @ x))
        g = (predicted - y) * x
        before = np.sqrt(n)
        # Not the square of the weighted gradient: steps adapt to the size of gradients, which would undo the weight.
        n += weight * (g * g)
        after = np.sqrt(n)
        z += weight * g - (after - before) * (w / self.alpha)
        rows[:, 2] = self._solve(z, after)
        self._table[at] = rows
        return predicted

    def forget(self, kept: float) -> None:
        """Trust what was learnt less: the information ``n`` shrinks to the share ``kept``, the weights stay.

        Steps are larger afterwards, so that what has changed is learnt anew and what has not is not lost.
        """
        at = np.flatnonzero(self.n)
        z, n, w = self._table[at].T
        self.load(at, self._gradients(w, kept * n, z), kept * n)

    def merge(self, other: FTRLProximal) -> None:
        """Take in what a model of the same settings learnt on other examples.

        Information adds up: it is a sum over examples. A weight becomes the mean of both, weighted by the information
        behind each, as of two estimates of one quantity. So it lies between the two, is exactly the one's where the
        other never saw the feature, and does not depend on who is merged into whom. Adding up ``z`` as well would count
        a step twice that both took from the same start. The result is *not* what learning all examples in one place
        would have given: to FTRL, their order matters.

        Raises:
            PolicyError: The settings differ.
        """
        check_alike(self.settings, other.settings)
        new = np.flatnonzero((self.n == 0.0) & (other.n > 0.0))
        shared = np.flatnonzero((self.n > 0.0) & (other.n > 0.0))
        self.load(new, other.z[new], other.n[new])
        (z, n, w), (z2, n2, w2) = self._table[shared].T, other._table[shared].T
        total = n + n2
        mean = (n * w + n2 * w2) / total
        self.load(shared, self._gradients(mean, total, (n * z + n2 * z2) / total), total)

    def load(self, coordinates: IntArray, z: FloatArray, n: FloatArray) -> None:
        """Take over sums that ``z`` and ``n`` had; the model is as that one then."""
        self._table[coordinates] = np.stack((z, n, self._solve(z, np.sqrt(n))), axis=1)

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
        return FTRLProximal(**self.settings)  # type: ignore[arg-type]

    def copy(self) -> FTRLProximal:
        """One that knows the same and learns on its own."""
        other = self.clone()
        other._table = self._table.copy()
        return other

    def _gradients(self, w: FloatArray, n: FloatArray, z: FloatArray) -> FloatArray:
        """The ``z`` that has the weights ``w`` at the information ``n``; where they are 0, what L1 holds back."""
        held = np.minimum(np.maximum(z, -self.l1), self.l1)
        steep = (self.beta + np.sqrt(n)) / self.alpha + self.l2
        return np.where(w == 0.0, held, -w * steep - np.sign(w) * self.l1)

    def _solve(self, z: FloatArray, root: FloatArray) -> FloatArray:
        """Weights from ``z`` and the square roots of ``n``."""
        # z less its projection on [-l1, l1] is z - sgn(z) l1 outside of it and exactly 0 inside.
        shrunk = z - np.minimum(np.maximum(z, -self.l1), self.l1) if self.l1 else z
        weights: FloatArray = shrunk / (root * (-1.0 / self.alpha) - (self.beta / self.alpha + self.l2))
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
