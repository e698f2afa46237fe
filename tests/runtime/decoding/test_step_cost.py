from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_autoglm.runtime.decoding.step_cost import StepCost


def run(cost: StepCost, plain: float, per_token: float, steps: int, noise: random.Random | None = None) -> None:
    """Steps of a machine on which a plain one takes ``plain`` seconds; one in eight is interrupted under noise."""
    for step in range(steps):
        drafted = step % 4
        seconds = plain * (1.0 + per_token * drafted)
        if noise is not None:
            seconds *= 10.0 if noise.random() < 0.125 else noise.uniform(0.98, 1.02)
        cost.observe(drafted, seconds)


@pytest.mark.parametrize("per_token", [0.05, 0.15, 0.45])
@pytest.mark.parametrize("plain", [1e-4, 1e-2, 1.0])
def test_it_learns_the_cost_of_a_token(plain: float, per_token: float) -> None:
    cost = StepCost()
    run(cost, plain, per_token, 40)
    assert cost.per_token == pytest.approx(per_token)
    assert cost(4) == pytest.approx(1.0 + 4 * per_token)


def test_interrupted_steps_do_not_move_it() -> None:
    cost = StepCost()
    run(cost, 0.01, 0.2, 200, random.Random(3))
    assert cost.per_token == pytest.approx(0.2, abs=0.03)


def test_it_follows_a_change() -> None:
    cost = StepCost()
    run(cost, 0.01, 0.5, 200)
    run(cost, 0.004, 0.1, 200)
    assert cost.per_token == pytest.approx(0.1)


def test_without_a_plain_step_there_is_nothing_to_compare_with() -> None:
    cost = StepCost()
    initial = cost.per_token
    for _ in range(50):
        cost.observe(3, 1.0)
    assert cost.per_token == initial > 0.0


@pytest.mark.parametrize(("seconds", "bound"), [(0.0, 0.0), (100.0, 0.6)])
def test_it_stays_within_bounds(seconds: float, bound: float) -> None:
    cost = StepCost()
    for _ in range(50):
        cost.observe(0, 1.0)
        cost.observe(1, seconds)
    assert cost.per_token == bound


def test_many_threads_may_use_it() -> None:
    cost = StepCost()
    with ThreadPoolExecutor(8) as threads:
        done = [threads.submit(run, cost, 0.01, 0.2, 100) for _ in range(32)]
        assert all(cost(3) > 1.0 for _ in range(200))
        for future in done:
            future.result()
    assert cost.per_token == pytest.approx(0.2)
