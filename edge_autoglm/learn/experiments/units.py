"""Sessions of an experiment as they give their feedback."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import astuple, dataclass
from typing import Any

OPEN = 20
"""Units that wait for more feedback before the oldest of them counts."""
REMEMBERED = 4096
"""Units that are recognised when they come back; one that was forgotten counts as new."""


@dataclass(slots=True)
class OpenUnit:
    """A session, or a request without one, of which feedback has come.

    Attributes:
        place: Of its variant.
        rewards: Sum, each by its weight.
        weight: Sum of the weights, above 0.
    """

    place: int
    rewards: float = 0.0
    weight: float = 0.0

    @property
    def outcome(self) -> float:
        """Mean reward, in 0..1."""
        return min(max(self.rewards / self.weight, 0.0), 1.0)


class Units:
    """Turns rewards of sessions into one outcome a session. Not thread-safe.

    All requests of a session have one variant, drawn once. To bets on its next reward that variant is known already, so
    a session must be one outcome, however often it is heard of: the mean reward from its first until that of the 20th
    session after. So it comes in the order of first rewards, and late feedback is no worse than prompt.
    """

    def __init__(self) -> None:
        # The first key is the oldest. Requests and rewards are kept apart: a replay may see them in another order.
        self._seen: OrderedDict[int, None] = OrderedDict()
        self._heard: OrderedDict[int, None] = OrderedDict()
        self._open: OrderedDict[int, OpenUnit] = OrderedDict()

    def seen(self, unit: int) -> bool:
        """Note a session's request; whether it is its first."""
        return _note(self._seen, unit)

    def rewarded(self, unit: int, place: int, reward: float, weight: float) -> bool:
        """Note a reward of a weight above 0; whether it is the unit's first."""
        first = _note(self._heard, unit)
        if first:
            self._open[unit] = OpenUnit(place)
        waiting = self._open.get(unit)
        if waiting is not None:
            waiting.rewards += weight * reward
            waiting.weight += weight
        return first

    def ripe(self) -> OpenUnit | None:
        """The unit that has waited for long enough, if there is one; it is given once."""
        return self._open.popitem(last=False)[1] if len(self._open) > OPEN else None

    def state(self) -> dict[str, Any]:
        """As JSON values."""
        waiting = [[unit, *astuple(one)] for unit, one in self._open.items()]
        return {"seen": list(self._seen), "heard": list(self._heard), "open": waiting}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` gave."""
        self._seen, self._heard = OrderedDict.fromkeys(state["seen"]), OrderedDict.fromkeys(state["heard"])
        self._open = OrderedDict((unit, OpenUnit(*rest)) for unit, *rest in state["open"])


def _note(units: OrderedDict[int, None], unit: int) -> bool:
    """Make it the newest one; whether it was unknown."""
    first = unit not in units
    units[unit] = None
    units.move_to_end(unit)
    if len(units) > REMEMBERED:
        units.popitem(last=False)
    return first
