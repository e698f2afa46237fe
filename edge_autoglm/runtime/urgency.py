"""When a request is served."""

from __future__ import annotations

from dataclasses import dataclass

from edge_autoglm.errors import RequestError
from edge_autoglm.values import Priority


@dataclass(frozen=True, slots=True)
class Urgency:
    """When a request is served.

    Attributes:
        priority: Its class.
        deadline: Seconds from now in which it has to be answered; ``None`` for none.
    """

    priority: Priority = Priority.NORMAL
    deadline: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.priority, Priority):
            raise RequestError(f"priority is {self.priority!r}", "Give a Priority.")
        if self.deadline is not None and not self.deadline > 0:
            raise RequestError(f"deadline is {self.deadline} s", "Give seconds above 0, or None.")


UNHURRIED = Urgency(Priority.BACKGROUND)
"""Of work that nobody waits for: it runs in short steps, so that a request that comes meanwhile is not held up."""
