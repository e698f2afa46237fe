"""Ridge regression of the arms of one task: exact statistics, and their inverses kept up to date."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge_autoglm.learn.features import LARGEST_VALUE, Features
from edge_autoglm.learn.models.base import ModelState
from edge_autoglm.learn.models.experts import ExpertWeights
from edge_autoglm.learn.models.layout import Layout

FloatArray = npt.NDArray[np.float64]

MAX_ARMS = 64
"""Arms of a task that are known at a time; beyond, the one that learnt longest ago is dropped."""
RESOLVE_EVERY = 1024
_PRIOR_REWARDS = 2.0
"""Weight of 0.5 in the task's mean reward."""
_CONSTANT = 1e-12
"""A feature whose variance is below this share of its squared size does not vary, but rounds."""
_FACTS = ("rewards", "resolve_at", "mu")
_ARRAYS = ("S", "b", "P", "W", "scale", "center", "lowest", "highest")
_LEAST_VARIANCE = 1e-12
_OUTLIER = 50.0
_OUTLIERS_FROM = 32
"""Standard deviations beyond which a value is cut to that, and rewards before any is."""
_NO_OUTLIER = 4.0 * LARGEST_VALUE
"""No value is as far from another as this."""


class RidgeTask:
    """Statistics ``S = sum w x x'`` and ``b = sum w r x`` of each arm, and what follows from them.

    ``x`` is a constant 1 and the dense features from their origin (``Layout``). Sums are exact and add up over devices.
    Means and variances of the features are read off the pooled S, and the ridge is solved in standardised coordinates

        z = M x,   (M S M' + lambda I) w = M (b - mu S e0)        with mu the task's mean reward

    at growing intervals; in between, the inverses follow by Sherman and Morrison's formula in the coordinates of then.
    Row 0 belongs to an arm without rewards; P and W are ``[rows, lambdas, d, d]`` and ``[rows, lambdas, d]``: what is
    known of an arm is in one piece.
    """

    def __init__(self, lambdas: tuple[float, ...], rate: float, discount: float) -> None:
        self._settings = lambdas, rate, discount
        self._lambdas = np.array(lambdas)
        self.experts = ExpertWeights(len(lambdas), rate, discount)
        self.layout = Layout()
        self.rows: dict[str, int] = {}
        """Arm -> row, the one that learnt longest ago first."""
        self.rewards = 0
        """How many were learnt from."""
        self.S: FloatArray = np.zeros((1, 1, 1))
        self.b: FloatArray = np.zeros((1, 1))
        self.resolve()

    def estimate(self, arms: Sequence[str], features: Features) -> tuple[FloatArray, FloatArray]:
        """Means and spreads, ``[arms]``."""
        z = self._standardised(self.layout.vector(features.names, features.dense))
        rows = [self.rows.get(arm, 0) for arm in arms]
        # Of all rows: taking the matrices of some out of the array costs more than multiplying all.
        means = (_times(self.W, z) @ self.experts.weights).take(rows)
        means += self.mu
        spreads = (self.P[:, self._middle] @ z @ z).take(rows)
        np.maximum(spreads, _LEAST_VARIANCE, out=spreads)
        spreads *= self.experts.error
        return means, np.sqrt(spreads, out=spreads)

    def learn(self, arm: str, features: Features, reward: float, weight: float) -> float:
        """As ``RewardModel.learn``."""
        if self.layout.lacks(features.names):
            self._relay(self.layout.grown(features.names, features.dense))
        x = self._limit(self.layout.vector(features.names, features.dense))
        row = self._row(arm)
        z = (x - self.center) * self.scale
        means = self.mu + self.W[row] @ z
        expected = float(self.experts.weights @ means)
        self.experts.observe(means.tolist(), reward, weight)
        weighted = weight * x
        # Through views: ``self.S[row] += ...`` would copy the matrix onto itself once more.
        moments, rewards = self.S[row], self.b[row]
        moments += np.dot(weighted[:, None], x[None])
        rewards += reward * weighted
        self.rewards += 1
        if self.rewards >= self.resolve_at:
            self.resolve()
        elif weight > 0.0:
            self._follow(row, z, reward - means, weight)
        return expected

    def forget(self, kept: float) -> None:
        """Shrink the statistics."""
        self.S *= kept
        self.b *= kept
        self.resolve()

    def merge(self, other: RidgeTask) -> None:
        """Add the statistics of another device."""
        self._relay(self.layout.grown(other.layout.names, other.layout.origin))
        ours = self.layout.translation(other.layout)
        for arm, theirs in other.rows.items():
            row = self._row(arm)
            self.S[row] += ours @ other.S[theirs] @ ours.T
            self.b[row] += ours @ other.b[theirs]
        self.rewards += other.rewards
        self.experts.merge(other.experts)
        self.resolve()

    def copy(self) -> RidgeTask:
        """One that learns on its own."""
        other = RidgeTask(*self._settings)
        other.__dict__.update(self.__dict__)
        other.experts, other.rows = self.experts.copy(), dict(self.rows)
        other.S, other.b, other.P, other.W = self.S.copy(), self.b.copy(), self.P.copy(), self.W.copy()
        return other

    def state(self) -> ModelState:
        """As ``RewardModel.state``, the inverses included: they follow from the order of rewards too."""
        facts = {name: getattr(self, name) for name in _FACTS}
        facts |= {"names": list(self.layout.names), "rows": [[arm, row] for arm, row in self.rows.items()]}
        arrays = {name: getattr(self, name).copy() for name in _ARRAYS}
        arrays |= {"origin": self.layout.origin, "losses": np.array(self.experts.losses)}
        return ModelState(facts | {"mass": self.experts.mass}, arrays)

    def restore(self, state: ModelState) -> None:
        """As ``RewardModel.restore``."""
        for name in _FACTS:
            setattr(self, name, state.facts[name])
        for name in _ARRAYS:
            setattr(self, name, np.array(state.arrays[name], np.float64))
        self.rows = dict(state.facts["rows"])
        self.layout = Layout(tuple(state.facts["names"]), np.array(state.arrays["origin"], np.float64))
        self.experts.restore(state.arrays["losses"].tolist(), state.facts["mass"])

    def explain(self, arm: str, features: Features) -> dict[str, float]:
        """Contributions of the features to the arm's mean."""
        z = self._standardised(self.layout.vector(features.names, features.dense))
        parts = (self.experts.weights @ self.W[self.rows.get(arm, 0)]) * z
        named = dict(zip(self.layout.names, parts[1:].tolist(), strict=True))
        return {"bias": self.mu + float(parts[0]), **named}

    def resolve(self) -> None:
        """Read the standardisation off the statistics and solve exactly."""
        total = self.S.sum(axis=0)
        n = float(total[0, 0])
        means, squares = (total[0] / n, np.diagonal(total) / n) if n > 0.0 else (total[0], np.diagonal(total))
        variances = squares - means * means
        varies = variances > _CONSTANT * squares
        self.scale = np.where(varies, 1.0 / np.sqrt(np.where(varies, variances, 1.0)), 0.0)
        self.center = means.copy()
        self.scale[0], self.center[0] = 1.0, 0.0
        far = np.where(varies, np.maximum(_OUTLIER / np.where(varies, self.scale, 1.0), 1.0), _NO_OUTLIER)
        reach = far if n >= _OUTLIERS_FROM else np.full_like(far, _NO_OUTLIER)
        reach[0] = _NO_OUTLIER
        self.lowest, self.highest = self.center - reach, self.center + reach
        self._solve(n)
        self.resolve_at = self.rewards + max(2, min(self.rewards, RESOLVE_EVERY))

    def _solve(self, n: float) -> None:
        to_z = np.diag(self.scale)
        to_z[1:, 0] = -self.center[1:] * self.scale[1:]
        moments, rewards = to_z @ self.S @ to_z.T, self.b @ to_z.T
        self.mu = (float(self.b[:, 0].sum()) + 0.5 * _PRIOR_REWARDS) / (n + _PRIOR_REWARDS)
        ridges = self._lambdas[:, None, None] * np.eye(len(to_z))
        self.P = np.linalg.inv(moments[:, None] + ridges)
        self.W = (self.P @ (rewards - self.mu * moments[:, 0])[:, None, :, None])[..., 0]

    def _follow(self, row: int, z: FloatArray, errors: FloatArray, weight: float) -> None:
        """Sherman-Morrison: the inverses and weights as they are after one more reward."""
        inverses, weights = self.P[row], self.W[row]
        moved = _times(inverses, z)
        gain = moved / (1.0 / weight + moved @ z)[:, None]
        inverses -= gain[:, :, None] * moved[:, None, :]
        weights += gain * errors[:, None]

    @property
    def _middle(self) -> int:
        return len(self._lambdas) // 2

    def _standardised(self, x: FloatArray) -> FloatArray:
        """``z`` of a fresh vector, which is overwritten: allocations cost more here than the arithmetic."""
        z = self._limit(x)
        z -= self.center
        z *= self.scale
        return z

    def _limit(self, x: FloatArray) -> FloatArray:
        """Cut outliers of a fresh vector, in place."""
        np.maximum(x, self.lowest, out=x)
        np.minimum(x, self.highest, out=x)
        return x

    def _row(self, arm: str) -> int:
        """The arm's row, made where it has none, and from now on the one that learnt last."""
        row = self.rows.pop(arm, None)
        if row is None:
            row = self._emptied() if len(self.rows) >= MAX_ARMS else self._added()
        self.rows[arm] = row
        return row

    def _added(self) -> int:
        for name in ("S", "b", "P", "W"):
            array = getattr(self, name)
            setattr(self, name, np.concatenate((array, array[:1])))
        return len(self.S) - 1

    def _emptied(self) -> int:
        row = self.rows.pop(next(iter(self.rows)))
        self.S[row], self.b[row] = 0.0, 0.0
        self.P[row], self.W[row] = self.P[0], self.W[0]
        return row

    def _relay(self, layout: Layout) -> None:
        """Move the statistics into a layout that has grown."""
        moving = layout.translation(self.layout)
        self.S, self.b, self.layout = moving @ self.S @ moving.T, self.b @ moving.T, layout
        self.resolve()


def _times(matrices: FloatArray, vector: FloatArray) -> FloatArray:
    """``matrices @ vector`` for ``[..., d, d]`` in one piece: one matrix times a vector is BLAS, a stack is not."""
    product: FloatArray = (matrices.reshape(-1, len(vector)) @ vector).reshape(matrices.shape[:-1])
    return product
