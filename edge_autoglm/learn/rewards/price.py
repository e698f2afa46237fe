"""What an answer costs, in units of the reward."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge_autoglm.errors import PolicyError


@dataclass(frozen=True, slots=True)
class AnswerCost:
    """What an answer took.

    Attributes:
        latency: Seconds; below 0, as a clock that is set back makes it, counts as 0. ``None`` is not measured.
        tokens: New ones; ``None`` is not counted.

    Raises:
        PolicyError: One of them is not a finite number.
    """

    latency: float | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        for name in ("latency", "tokens"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise PolicyError(f"the answer's {name} is {value!r}", "Give a finite number, or leave it out.")
        object.__setattr__(self, "latency", None if self.latency is None else max(0.0, float(self.latency)))
        object.__setattr__(self, "tokens", None if self.tokens is None else max(0, int(self.tokens)))


UNMEASURED = AnswerCost()


@dataclass(frozen=True, slots=True)
class RewardPrice:
    """What is taken off the reward of an answer, so that a slightly better one may be too slow or too long.

    The price is fixed when a reward arrives: what has been learnt is not recomputed where an app changes it.

    Attributes:
        per_second: Of the answer's latency.
        per_100_tokens: Of the answer's new tokens.

    Raises:
        PolicyError: A price is negative or not finite.

    >>> RewardPrice(per_second=0.1, per_100_tokens=0.05).net(0.9, latency=2.0, tokens=100)
    0.65
    """

    per_second: float = 0.0
    per_100_tokens: float = 0.0

    def __post_init__(self) -> None:
        for name in ("per_second", "per_100_tokens"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise PolicyError(f"the price {name} is {getattr(self, name)!r}", "Give a number of 0 or more.")

    def net(self, reward: float, latency: float | None, tokens: int | None) -> float:
        """The reward less the price, in 0..1; what was not measured costs nothing.

        Args:
            reward: In 0..1.
            latency: Seconds, 0 or more.
            tokens: New ones, 0 or more.
        """
        price = self.per_second * (latency or 0.0) + self.per_100_tokens * (tokens or 0) / 100.0
        return max(0.0, reward - price)


FREE = RewardPrice()
