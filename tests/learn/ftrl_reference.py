"""Algorithm 1 of McMahan et al. 2013, line by line in plain Python: what ``FTRLProximal`` is compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping


class ReferenceFTRL:
    def __init__(self, alpha: float, beta: float, lambda1: float, lambda2: float) -> None:
        self.alpha, self.beta, self.lambda1, self.lambda2 = alpha, beta, lambda1, lambda2
        self.z: dict[int, float] = {}
        self.n: dict[int, float] = {}

    def weight(self, i: int) -> float:
        z, n = self.z.get(i, 0.0), self.n.get(i, 0.0)
        if abs(z) <= self.lambda1:
            return 0.0
        sign = 1.0 if z > 0 else -1.0
        return -(1.0 / ((self.beta + math.sqrt(n)) / self.alpha + self.lambda2)) * (z - sign * self.lambda1)

    def predict(self, x: Mapping[int, float]) -> float:
        return 1.0 / (1.0 + math.exp(-sum(self.weight(i) * value for i, value in x.items())))

    def learn(self, x: Mapping[int, float], y: float) -> None:
        p = self.predict(x)
        weights = {i: self.weight(i) for i in x}
        for i, value in x.items():
            g = (p - y) * value
            n = self.n.get(i, 0.0)
            sigma = (math.sqrt(n + g * g) - math.sqrt(n)) / self.alpha
            self.z[i] = self.z.get(i, 0.0) + g - sigma * weights[i]
            self.n[i] = n + g * g
