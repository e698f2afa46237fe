"""A request as the scheduler sees it: a generator that asks for chunks and is sent their logits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from edge_autoglm.interrupts import SafeFuture
from edge_autoglm.runtime.engine import Logits
from edge_autoglm.runtime.schedule.seat import Seat
from edge_autoglm.values import Priority

T = TypeVar("T")

_log = logging.getLogger("edge_autoglm")


@dataclass(frozen=True, slots=True)
class Append:
    """Tokens to run behind those that the slot holds; the scheduler may run them in several chunks.

    Attributes:
        tokens: At least one.
        logits_at: Offsets into ``tokens`` at which logits are wanted, ascending; may be empty.
    """

    tokens: Sequence[int]
    logits_at: Sequence[int]

    @classmethod
    def for_last(cls, tokens: Sequence[int]) -> Append:
        """With logits behind the last token only."""
        return cls(tokens, (len(tokens) - 1,))


Steps = Generator[Append, Logits, T]
"""Is sent logits ``[len(logits_at), vocab_size]`` for what it yields; what it returns is the result of the job."""


class Interest:
    """In the result of a job: the scheduler cancels a job once that is lost, at the end of the step that runs.

    For finalizers, which must not cancel a future themselves: the garbage collector calls them on any thread, inside
    whatever lock that thread holds. ``lose`` takes no lock, runs no callback, and keeps nothing of the request alive.
    """

    __slots__ = ("lost",)

    def __init__(self) -> None:
        self.lost = False

    def lose(self) -> None:
        """Say that nobody is left to ask for the result."""
        self.lost = True


class JobFuture(SafeFuture[T]):
    """Of the result of a job."""

    def __init__(self) -> None:
        super().__init__()
        self.interest = Interest()


@dataclass(eq=False, slots=True)
class Job(Generic[T]):
    """A request.

    Attributes:
        steps: Begins it in a seat. Runs on the scheduler's thread: it must not wait for anything.
        priority: Classes above it go first.
        deadline: On the clock of ``time.monotonic``; ``None`` for none.
        seat_deadline: By when it must have a slot, likewise.
        future: Of the result. Cancelling it frees the slot at the end of the step that runs.
    """

    steps: Callable[[Seat], Steps[T]]
    priority: Priority = Priority.NORMAL
    deadline: float | None = None
    seat_deadline: float | None = None
    future: JobFuture[T] = field(default_factory=JobFuture)

    @property
    def unwanted(self) -> bool:
        """Whether it need not go on."""
        return self.future.interest.lost or self.future.cancelled()

    def succeed(self, result: T) -> None:
        """End it with a result, unless it is cancelled. To be called once; the same holds for ``fail``."""
        self._settle(lambda: self.future.set_result(result))

    def fail(self, error: BaseException) -> None:
        """End it with an error, unless it is cancelled."""
        self._settle(lambda: self.future.set_exception(error))

    def _settle(self, settle: Callable[[], None]) -> None:
        try:
            if self.future.interest.lost:
                self.future.cancel()
            # Also tells those who wait for a cancelled future by ``concurrent.futures.wait``.
            if self.future.set_running_or_notify_cancel():
                settle()
        except BaseException:  # futures let SystemExit and the like through: the thread serves other jobs too
            _log.exception("a callback of a request failed")
