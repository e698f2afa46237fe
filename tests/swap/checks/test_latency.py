from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from edge_autoglm.runtime.engine import Chunk, Logits
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.swap.checks.latency import latency_ratios
from tests.swap.world import HookedEngine, SteppedClock, make_model, scripted

TOKENS = list(range(5, 25))


def test_prefill_and_decode_are_told_apart() -> None:
    clock = SteppedClock()
    steps = itertools.cycle([0.4, 0.1, *[0.3] * 8])  # a prompt; then a short one and eight decode steps
    slow = make_model(clock.engine(scripted(), steps))
    ratios = latency_ratios(make_model(clock.engine(scripted(), [0.1])), slow, TOKENS, 3, clock)
    assert ratios.prefill == pytest.approx(4.0)
    assert ratios.decode == pytest.approx((0.1 + 8 * 0.3) / 0.9)


def test_the_first_passes_which_allocate_are_not_counted() -> None:
    clock = SteppedClock()
    slow_at_first = clock.engine(scripted(), itertools.chain([9.0] * 10, itertools.repeat(0.1)))
    ratios = latency_ratios(make_model(clock.engine(scripted(), [0.1])), make_model(slow_at_first), TOKENS, 1, clock)
    assert [ratios.prefill, ratios.decode] == pytest.approx([1.0, 1.0])


def test_a_few_rounds_in_which_something_else_ran_decide_nothing() -> None:
    clock = SteppedClock()
    rounds = [[0.1] * 10, [0.1] * 10, [9.0] * 10, [0.1] * 10]  # the first is not counted
    now_and_then = make_model(clock.engine(scripted(), itertools.chain(*rounds)))
    ratios = latency_ratios(make_model(clock.engine(scripted(), [0.1])), now_and_then, TOKENS, 3, clock)
    assert [ratios.prefill, ratios.decode] == pytest.approx([1.0, 1.0])


def test_neither_model_always_runs_first() -> None:
    order: list[str] = []

    def recording(name: str) -> LanguageModel:
        def record(chunks: Sequence[Chunk], logits: list[Logits]) -> list[Logits]:
            order.append(name)
            return logits

        return make_model(HookedEngine(scripted(), record))

    ticks = itertools.count()
    latency_ratios(recording("active"), recording("candidate"), TOKENS, 4, lambda: float(next(ticks)))
    passes = 10  # of a measurement: a prompt, a short one, eight decode steps
    rounds = [tuple(order[at : at + 2 * passes : passes]) for at in range(2 * passes, len(order), 2 * passes)]
    assert sorted(rounds) == [("active", "candidate")] * 2 + [("candidate", "active")] * 2
