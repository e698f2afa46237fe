"""Runs the steps of a request one after the other, without a scheduler, and keeps what they asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from edge_autoglm.runtime.engine import Chunk, Engine
from edge_autoglm.runtime.schedule.job import Append, Steps
from edge_autoglm.runtime.schedule.seat import Seat

T = TypeVar("T")


@dataclass
class Driven(Generic[T]):
    """What came of a request."""

    result: T
    asks: list[Append] = field(default_factory=list)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each pass."""
        return [len(ask.tokens) for ask in self.asks]


def drive(
    steps: Callable[[Seat], Steps[T]],
    engine: Engine,
    slot: int = 0,
    between: Callable[[Seat, int], object] = lambda seat, passes: None,
) -> Driven[T]:
    """Each ask in one pass.

    Args:
        steps: Of the request.
        engine: Runs them.
        slot: Where.
        between: Called with the seat and the number of passes so far before each of them.
    """
    seat = Seat(engine, slot)
    running = steps(seat)
    asks: list[Append] = []
    ask = next(running)
    while True:
        between(seat, len(asks))
        asks.append(ask)
        [logits] = engine.forward([Chunk(seat.slot, ask.tokens, ask.logits_at)])
        try:
            ask = running.send(logits)
        except StopIteration as ended:
            return Driven(ended.value, asks)


def held_tokens(engine: Engine, slot: int = 0) -> Sequence[int]:
    """What a slot of the scripted engine holds."""
    return [int(token) for token in engine.copy_out(slot, 0, engine.length(slot)).arrays[0]]
