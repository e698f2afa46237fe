"""The knapsack against trying everything."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.export.quantize.allocate import allocate

_VALUES = st.lists(st.lists(st.floats(0, 10), min_size=3, max_size=3), min_size=1, max_size=5)


@given(prices=_VALUES, weights=_VALUES, share=st.floats(0, 1))
def test_never_over_the_limit_and_within_one_choice_of_the_best(
    prices: list[list[float]], weights: list[list[float]], share: float
) -> None:
    units = range(min(len(prices), len(weights)))
    price = {unit: dict(enumerate(prices[unit])) for unit in units}
    weight = {unit: dict(enumerate(weights[unit])) for unit in units}
    lightest = sum(min(weight[unit].values()) for unit in units)
    limit = lightest + share * (sum(max(weight[unit].values()) for unit in units) - lightest) + 1e-9

    chosen = allocate(price, weight, limit)
    assert sum(weight[unit][form] for unit, form in chosen.items()) <= limit
    feasible = (
        sum(price[unit][form] for unit, form in zip(units, forms, strict=True))
        for forms in product(range(3), repeat=len(units))
        if sum(weight[unit][form] for unit, form in zip(units, forms, strict=True)) <= limit
    )
    gap = max(max(price[unit].values()) - min(price[unit].values()) for unit in units)
    assert sum(price[unit][form] for unit, form in chosen.items()) <= min(feasible) + gap + 1e-6


def test_an_impossible_limit_gets_the_lightest() -> None:
    assert allocate({"a": {1: 0.0, 2: 5.0}}, {"a": {1: 3.0, 2: 2.0}}, 1.0) == {"a": 2}


def test_an_ample_limit_gets_the_cheapest() -> None:
    assert allocate(
        {"a": {1: 4.0, 2: 5.0}, "b": {1: 2.0, 2: 1.0}}, {"a": {1: 1.0, 2: 0.0}, "b": {1: 0.0, 2: 1.0}}, 9.0
    ) == {
        "a": 1,
        "b": 2,
    }
