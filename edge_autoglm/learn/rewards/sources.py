"""No one source of feedback decides alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from hashlib import blake2b

WINDOW = 400
"""Rewards of a task that are looked back on."""
SMALLEST_CAP = 0.05
"""Part of the window's weight that any source may give."""
FAIR_SHARES = 2.0
"""Times what each of the window's sources could give were they all alike."""
LEAST_WEIGHT = 0.01
"""Less than that is not worth learning from."""
FREE_WEIGHT = 2.0
"""What a source may give in any case, so that the first rewards of a task count in full."""


def hash_source(source: str, key: bytes) -> str:
    """What is kept of a source's name: 64 bits under the state folder's key, in hex."""
    encoded = source.encode("utf-8", "surrogatepass")
    return blake2b(encoded, digest_size=8, key=key, person=b"source").hexdigest()


class SourceCaps:
    """Caps what each source may add to a task's rewards. Not thread-safe.

    Among the last 400 rewards of the task, a source's weights may add up to 5 % of the whole weight, or to twice its
    fair share where that is more: with one or two sources, nothing is capped, and a device of one user is not slowed
    down. A reward without a source counts as one of a source of its own, which is never capped.

    Args:
        recent: Source and weight of each reward before, oldest first.

    >>> caps = SourceCaps()
    >>> for reward in range(100):
    ...     caps.add(None, 1.0)
    ...     caps.add("loud", caps.grant("loud", 1.0))
    >>> round(caps.grant("loud", 1.0), 2), caps.grant("new", 1.0), caps.grant(None, 1.0)
    (0.0, 1.0, 1.0)
    """

    def __init__(self, recent: Iterable[tuple[str | None, float]] = ()) -> None:
        self._recent: deque[tuple[str | None, float]] = deque(recent, maxlen=WINDOW)

    def grant(self, source: str | None, weight: float) -> float:
        """How much of ``weight`` the source may still give; changes nothing."""
        if source is None:
            return weight
        names = [name for name, _ in self._recent]
        cap = max(SMALLEST_CAP, FAIR_SHARES / (len({*names, source} - {None}) + names.count(None)))
        if cap >= 1.0:
            return weight
        # Summed afresh, not kept up to date: so a restart, which starts from `recent`, rounds the same way.
        total = sum(given for _, given in self._recent)
        own = sum(given for name, given in self._recent if name == source)
        left = max(FREE_WEIGHT - own, (cap * total - own) / (1.0 - cap))  # what is given adds to the total, too
        return min(weight, left) if left >= LEAST_WEIGHT else 0.0

    def add(self, source: str | None, weight: float) -> None:
        """Count what a source gave."""
        self._recent.append((source, weight))

    @property
    def recent(self) -> list[tuple[str | None, float]]:
        """All that is remembered, oldest first; new caps made from it grant the same."""
        return list(self._recent)
