"""Decisions that wait for their reward, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

from edge_autoglm.errors import PolicyError, UnknownDecision

T = TypeVar("T")

DEFAULT_CAPACITY = 20_000
"""A pending decision of 30 features takes about 1 kB, so this many take 20 MB."""
IDS_PER_PENDING = 5
"""An id alone takes a fraction of that, so repeated and expired ones are recognised for longer."""


@dataclass(frozen=True, slots=True)
class BookContents(Generic[T]):
    """What a book remembers.

    Attributes:
        pending: Id -> what was decided.
        heard: Ids of the pending ones of which something was heard.
        answered: Ids.
        expired: Ids.
        count: Of all that expired so far, of which nothing was heard.
    """

    pending: dict[str, T]
    heard: list[str]
    answered: list[str]
    expired: list[str]
    count: int


class DecisionBook(Generic[T]):
    """Remembers what was decided until its reward arrives. Not thread-safe.

    Only the newest ``capacity`` pending decisions are kept, and the ids of the newest ``5 * capacity`` answered and
    expired ones. A decision that expires counts as one whose reward is missing, never as one of reward 0.

    Args:
        capacity: At least 1.

    Raises:
        PolicyError: The capacity is below 1.

    >>> book = DecisionBook[str](capacity=100)
    >>> book.add("a1", "what was decided")
    >>> book.answer("a1")
    'what was decided'
    >>> book.find("a1") is None    # answered already
    True
    """

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        if capacity < 1:
            raise PolicyError(f"the capacity for pending decisions is {capacity}", "Give at least 1.")
        self._capacity = capacity
        # The first key is the oldest. Finding that in a plain dict takes the longer the more were deleted before it.
        self._pending: OrderedDict[str, T] = OrderedDict()
        self._answered: OrderedDict[str, None] = OrderedDict()
        self._expired: OrderedDict[str, None] = OrderedDict()
        self._heard: set[str] = set()
        self.expired = 0
        """Decisions that expired so far, of which nothing was heard."""

    def __len__(self) -> int:
        """Decisions that wait."""
        return len(self._pending)

    def knows(self, decision_id: str) -> bool:
        """Whether the id has been added, as far back as memory goes."""
        return any(decision_id in ids for ids in (self._pending, self._answered, self._expired))

    def add(self, decision_id: str, decided: T) -> None:
        """Remember a decision; the oldest pending one expires where there is no room."""
        self._pending[decision_id] = decided
        if len(self._pending) > self._capacity:
            oldest, _ = self._pending.popitem(last=False)
            self._keep(self._expired, oldest)
            self.expired += oldest not in self._heard
            self._heard.discard(oldest)

    def find(self, decision_id: str) -> T | None:
        """What was decided, or ``None`` where the reward has been given already.

        Raises:
            UnknownDecision: The id was never added, or has expired.
        """
        if decision_id in self._answered:
            return None
        if decision_id in self._pending:
            return self._pending[decision_id]
        shown = repr(decision_id)[:60]
        if decision_id in self._expired:
            raise UnknownDecision(
                f"the decision {shown} expired: it is not among the newest {self._capacity} without feedback",
                "Give feedback sooner, or leave it out; the decision counts as one without feedback.",
            )
        raise UnknownDecision(
            f"the decision {shown} was never recorded here, or expired long ago",
            "Give feedback with the id of a reply, to the runtime or state folder that made it.",
        )

    def hear(self, decision_id: str, decided: T) -> None:
        """Something came for a pending decision, which goes on waiting, as ``decided``: its reward is not missing."""
        self._pending[decision_id] = decided
        self._heard.add(decision_id)

    def answer(self, decision_id: str) -> T:
        """Mark a pending decision as answered and return what was decided."""
        decided = self._pending.pop(decision_id)
        self._heard.discard(decision_id)
        self._keep(self._answered, decision_id)
        return decided

    def restore(self, decision_id: str, decided: T) -> None:
        """Undo ``answer``: the decision waits again."""
        self._answered.pop(decision_id, None)
        self._pending[decision_id] = decided

    def contents(self) -> BookContents[T]:
        """All that is remembered, oldest first; a shallow copy."""
        heard = [decision_id for decision_id in self._pending if decision_id in self._heard]
        return BookContents(dict(self._pending), heard, list(self._answered), list(self._expired), self.expired)

    def fill(self, contents: BookContents[T]) -> None:
        """Take over ``contents``; what the capacity does not hold expires."""
        self._pending, self._heard = OrderedDict(), set(contents.heard)
        self._answered, self._expired = OrderedDict.fromkeys(contents.answered), OrderedDict.fromkeys(contents.expired)
        self.expired = contents.count
        for decision_id, decided in contents.pending.items():
            self.add(decision_id, decided)

    def _keep(self, ids: OrderedDict[str, None], decision_id: str) -> None:
        ids[decision_id] = None
        if len(ids) > IDS_PER_PENDING * self._capacity:
            ids.popitem(last=False)
