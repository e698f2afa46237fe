"""Small jobs over the scripted engine, and what comes of them when nobody disturbs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from edge_autoglm.runtime.engine import Chunk, Engine
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.schedule.job import Append, Job, Steps
from edge_autoglm.runtime.schedule.seat import Seat
from edge_autoglm.values import Priority
from tests.waiting import WAIT

T = TypeVar("T")

VOCAB_SIZE = 64


def prompt(number: int, length: int = 5) -> list[int]:
    """Tokens that no other number begins with."""
    return [(number * 7 + place * 3) % VOCAB_SIZE for place in range(length)]


def continuing(tokens: Sequence[int], count: int) -> Callable[[Seat], Steps[list[int]]]:
    """The most probable tokens behind some, one a step."""

    def steps(seat: Seat) -> Steps[list[int]]:
        seat.truncate(0)
        logits = yield Append.for_last(tokens)
        answer = [int(logits[-1].argmax())]
        while len(answer) < count:
            logits = yield Append.for_last(answer[-1:])
            answer.append(int(logits[-1].argmax()))
        return answer

    return steps


def job(number: int = 0, count: int = 3, length: int = 5, priority: Priority = Priority.NORMAL) -> Job[list[int]]:
    """Continues ``prompt(number, length)``: takes one step for the prompt and ``count - 1`` more."""
    return Job(continuing(prompt(number, length), count), priority)


def alone(number: int = 0, count: int = 3, length: int = 5) -> list[int]:
    """What that job answers, by an engine that nobody else uses and a loop of its own."""
    engine, tokens = ScriptedEngine(VOCAB_SIZE, slots=1), prompt(number, length)
    answer: list[int] = []
    while len(answer) < count:
        engine.truncate(0, 0)
        [logits] = engine.forward([Chunk(0, [*tokens, *answer])])
        answer.append(int(logits[-1].argmax()))
    return answer


def asking(tokens: Sequence[int], logits_at: Sequence[int] | None = None) -> Callable[[Seat], Steps[Any]]:
    """One ask; the result is what it was sent."""

    def steps(seat: Seat) -> Steps[Any]:
        seat.truncate(0)
        return (yield Append(tokens, range(len(tokens)) if logits_at is None else logits_at))

    return steps


def result(done: Job[T] | Future[T]) -> T:
    """Of a job that must end soon."""
    return (done.future if isinstance(done, Job) else done).result(WAIT)


def slot_tokens(engine: Engine, slot: int) -> list[int]:
    """What a slot of the scripted engine holds."""
    return [int(token) for token in engine.copy_out(slot, 0, engine.length(slot)).arrays[0]]
