"""Swaps while threads answer requests: nothing fails, nobody is answered by half a generation."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_autoglm.swap.buffer import DoubleBuffer
from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.health import HealthPolicy
from edge_autoglm.swap.outcome import RolledBack, Swapped
from edge_autoglm.swap.policy import SwapPolicy
from edge_autoglm.swap.swapper import Swapper
from tests.swap.world import (
    answer,
    asking,
    first_generation,
    make_catalogue,
    make_model,
    make_policy,
    next_generation,
    scripted,
)

SWAPS = 200
THREADS = 8
ENDINGS = ("Answer:", "Reply:")
WORDINGS = ("Say how it was.", "Tell in a word how it was.")


class Builder:
    """Builds a new policy, a new prompt set or a new model in turn, and knows what each generation must answer."""

    def __init__(self, buffer: DoubleBuffer) -> None:
        self.buffer = buffer
        self.generations = [buffer.active]
        self.expected = {buffer.active.number: "fine"}
        self.model_name, self.ending = "", "Answer:"

    def __call__(self, active: Generation) -> Generation:
        number = self.buffer.next_number()
        kind = number % 3
        if kind == 0:
            candidate = next_generation(active, number, policy=make_policy(number))
        elif kind == 1:
            self.ending = ENDINGS[number % 2]
            variant = asking("asked", WORDINGS[number // 2 % 2], self.ending)
            candidate = next_generation(active, number, catalogue=make_catalogue(variant))
        else:
            self.model_name = f" by {number}"
            answers = {ending: self._answer(ending) for ending in ENDINGS}
            candidate = next_generation(active, number, model=make_model(scripted(answers, slots=THREADS)))
        self.generations.append(candidate)
        self.expected[number] = self._answer(self.ending)
        return candidate

    def _answer(self, ending: str) -> str:
        if not self.model_name:
            return "fine" if ending == "Answer:" else "good"
        return f"{'fine' if ending == 'Answer:' else 'good'}{self.model_name}"


@pytest.mark.stress
def test_two_hundred_swaps_while_eight_threads_answer() -> None:
    model = make_model(scripted({"Answer:": "fine", "Reply:": "good"}, slots=THREADS))
    buffer = DoubleBuffer(first_generation(model))
    # A scripted pass takes microseconds: beside eight busy threads, its latency is that of the scheduler.
    swapper = Swapper(buffer, SwapPolicy(check=HealthPolicy(max_latency_ratio=None)))
    builder = Builder(buffer)
    over = threading.Event()

    def serve() -> list[tuple[int, str]]:
        answered = []
        while not over.wait(0.01):  # leaves the interpreter to the standby thread now and then
            with buffer.lease() as generation:
                answered.append((generation.number, answer(generation)))
        return answered

    with ThreadPoolExecutor(THREADS) as pool:
        serving = [pool.submit(serve) for _ in range(THREADS)]
        try:
            outcomes = [swapper.submit(builder).result() for _ in range(SWAPS)]
            rolled_back = swapper.rollback("for the test")
        finally:
            over.set()
        answered = [reply for thread in serving for reply in thread.result()]

    assert outcomes == [Swapped(number) for number in range(2, SWAPS + 2)]
    assert rolled_back == RolledBack("for the test", SWAPS)
    assert [reply for reply in answered if reply[1] != builder.expected[reply[0]]] == []
    assert len({number for number, _ in answered}) > SWAPS // 2, "the threads were answered by most generations"
    assert [one.number for one in builder.generations if not one.freed] == [SWAPS]
    assert all(one.leases == 0 for one in builder.generations)
    swapper.close()
    buffer.close()
    assert all(one.freed for one in builder.generations)
