"""Sequential halving: never over its budget, never unfair, and right where the data is clear."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.evolve.racing import Value, race, rounds_of


class Table:
    """A contest over known values ``[arms, examples]``."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.seen = [0] * len(values)
        self.spent = 0
        self.compared: list[tuple[int, int]] = []

    def missing(self, arm: int, count: int) -> int:
        return max(count - self.seen[arm], 0)

    def value(self, arm: int, count: int) -> Value:
        self.spent += self.missing(arm, count)
        self.seen[arm] = max(count, self.seen[arm])
        self.compared.append((arm, count))
        return (float(self.values[arm, :count].mean()),)


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 3000), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_the_budget_holds_and_the_best_of_what_is_left_comes_first(
    arms: int, examples: int, budget: int, keep: int, seed: int
) -> None:
    table = Table(np.random.default_rng(seed).integers(0, 2, size=(arms, examples)).astype(float))
    found = race(table, range(arms), examples, budget, keep)
    assert table.spent <= budget
    assert len(set(found.arms)) == len(found.arms)
    assert 0 <= found.count <= examples
    if found.count:
        assert len(found.arms) == min(keep, arms)
        values = [table.values[arm, : found.count].mean() for arm in found.arms]
        assert values == sorted(values, reverse=True)
    if budget >= arms * examples:
        best = table.values.mean(axis=1).max()
        assert arms > keep or table.values[found.arms[0]].mean() == best


def test_a_clear_winner_is_found_for_a_fraction_of_the_calls() -> None:
    rng = np.random.default_rng(5)
    wins = 0
    for _ in range(50):
        table = Table((rng.random((32, 100)) < np.linspace(0.4, 0.9, 32)[:, None]).astype(float))
        best = race(table, range(32), 100, budget=1000).arms[0]
        wins += best >= 26
        assert table.spent <= 1000
    assert wins >= 45


def test_all_that_race_in_a_round_see_the_same_examples() -> None:
    table = Table(np.random.default_rng(1).random((16, 64)))
    rounds = race(table, range(16), 64, budget=256, keep=2).rounds
    at = 0
    for raced, count in rounds:
        assert {each for _, each in table.compared[at : at + raced]} == {count}
        at += raced
    assert [raced for raced, _ in rounds] == [16, 8, 4, 2]


def test_what_is_known_costs_nothing_and_its_share_goes_to_the_others() -> None:
    table = Table(np.random.default_rng(1).random((8, 100)))
    for arm in range(4):
        table.seen[arm] = 100
    found = race(table, range(8), 100, budget=120, keep=1)
    assert found.rounds[0] == (8, 120 // rounds_of(8, 1) // 4)


def test_without_a_budget_nothing_is_compared() -> None:
    found = race(Table(np.ones((3, 5))), range(3), 5, budget=2)
    assert (found.count, found.rounds) == (0, ())


def test_equals_keep_their_order() -> None:
    assert race(Table(np.ones((5, 10))), range(5), 10, budget=1000, keep=2).arms == (0, 1)


@pytest.mark.parametrize(("arms", "keep", "rounds"), [(1, 1, 1), (2, 1, 2), (16, 4, 3), (17, 4, 4), (3, 4, 1)])
def test_rounds(arms: int, keep: int, rounds: int) -> None:
    assert rounds_of(arms, keep) == rounds
