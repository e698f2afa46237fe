"""What the active generation is used to do: recent means, against which the next one is held."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge_autoglm.swap.traffic import Served

_MEMORY = 200
"""Requests that a mean is taken over, about."""
_LEAST = 20
"""Requests from which on a mean is one."""


@dataclass(frozen=True, slots=True)
class Means:
    """Of one generation; each begins with the first request, and forgets what is long ago.

    Attributes:
        requests: Seen so far.
        errors: Share that failed.
        garbage: Share of answers that were none.
        seconds: Mean time of those that did not fail.
        rewards: Seen so far.
        reward: Mean.
    """

    requests: int = 0
    errors: float = 0.0
    garbage: float = 0.0
    seconds: float = 0.0
    rewards: int = 0
    reward: float = 0.0

    @property
    def known(self) -> bool:
        """Whether there were enough requests."""
        return self.requests >= _LEAST

    @property
    def reward_known(self) -> bool:
        """Whether there were enough rewards."""
        return self.rewards >= _LEAST

    def with_request(self, request: Served) -> Means:
        """One more request."""
        step = 1.0 / min(self.requests + 1, _MEMORY)
        return replace(
            self,
            requests=self.requests + 1,
            errors=self.errors + step * (request.failed - self.errors),
            garbage=self.garbage + step * (request.garbage - self.garbage),
            seconds=self.seconds if request.failed else self.seconds + step * (request.seconds - self.seconds),
        )

    def with_reward(self, reward: float) -> Means:
        """One more reward."""
        step = 1.0 / min(self.rewards + 1, _MEMORY)
        return replace(self, rewards=self.rewards + 1, reward=self.reward + step * (reward - self.reward))


class Baseline:
    """Watches the traffic of one generation after another.

    Args:
        generation: Number of the first one.
    """

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.means = Means()

    def follow(self, generation: int) -> None:
        """Another generation is active from now on."""
        self.generation, self.means = generation, Means()

    def served(self, request: Served) -> None:
        """As ``Watcher.served``."""
        if request.generation == self.generation:
            self.means = self.means.with_request(request)

    def rewarded(self, request: Served, reward: float) -> None:
        """As ``Watcher.rewarded``."""
        if request.generation == self.generation:
            self.means = self.means.with_reward(reward)
