"""Choosing one of several forms for each of many matrices: a multiple-choice knapsack, relaxed (Everett 1963)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

Unit = TypeVar("Unit", bound=Hashable)
Form = TypeVar("Form", bound=Hashable)

_STEPS = 100


def allocate(
    prices: Mapping[Unit, Mapping[Form, float]], weights: Mapping[Unit, Mapping[Form, float]], limit: float
) -> dict[Unit, Form]:
    """Minimise the sum of prices while the sum of weights stays within a limit.

    Bisects the Lagrange multiplier of the weights; the answer is optimal but for the gap that the relaxation leaves,
    which is less than one unit's choice.

    Args:
        prices: Unit -> form -> what it costs; 0 or more.
        weights: Unit -> form -> what it takes of the limit; 0 or more.
        limit: Of the sum of weights. Where even the lightest forms exceed it, those are chosen.
    """
    lightest = {
        unit: min(forms, key=lambda form: (weights[unit][form], prices[unit][form])) for unit, forms in prices.items()
    }
    best, low, high = lightest, 0.0, 1.0
    while _total(weights, _choose(prices, weights, high)) > limit and high < 1e30:
        high *= 4
    for _ in range(_STEPS):
        middle = (low + high) / 2
        choice = _choose(prices, weights, middle)
        if _total(weights, choice) <= limit:
            high = middle
            if _total(prices, choice) <= _total(prices, best) or best is lightest:
                best = choice
        else:
            low = middle
    return best


def _choose(
    prices: Mapping[Unit, Mapping[Form, float]], weights: Mapping[Unit, Mapping[Form, float]], multiplier: float
) -> dict[Unit, Form]:
    return {
        unit: min(forms, key=lambda form: forms[form] + multiplier * weights[unit][form])
        for unit, forms in prices.items()
    }


def _total(values: Mapping[Unit, Mapping[Form, float]], choice: Mapping[Unit, Form]) -> float:
    return sum(values[unit][form] for unit, form in choice.items())
