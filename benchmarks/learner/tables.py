"""Data sets that River and scikit-learn carry inside their packages; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import numpy as np

from benchmarks.learner.stream import Stream, classification, dense, shuffled


@lru_cache(maxsize=4)  # one pass after another over the same few data sets, each read from a compressed file
def river_table(name: str) -> Stream:
    """A classification of ``river.datasets``, in the order of its file."""
    rows = list(_river(name))
    return classification([dense(name, _numbers(x)) for x, _ in rows], [y for _, y in rows])


@lru_cache(maxsize=2)
def river_yeast() -> Stream:
    """Fourteen groups of genes, several of which are right for each gene: an arm earns 1 if its group is among them."""
    rows = list(_river("Yeast"))
    arms = tuple(rows[0][1])
    rewards = np.array([[float(y[arm]) for arm in arms] for _, y in rows])
    return Stream(arms, tuple(dense("yeast", _numbers(x)) for x, _ in rows), rewards)


@lru_cache(maxsize=4)
def sklearn_table(name: str) -> Stream:
    """One of the ``load_*`` of scikit-learn."""
    from sklearn import datasets

    table = getattr(datasets, f"load_{name}")()
    names = [str(column).replace(" ", "_") for column in table.feature_names]
    features = [dense(name, dict(zip(names, row, strict=True))) for row in table.data.tolist()]
    return classification(features, table.target.tolist())


def in_random_order(table: Callable[..., Stream], *args: str) -> Callable[[int, int], Stream]:
    """The maker of a stream over a data set."""
    return lambda seed, limit: shuffled(table(*args), seed, limit)


def _river(name: str) -> Iterable[Any]:
    from river import datasets

    table: Iterable[Any] = getattr(datasets, name)()
    return table


def _numbers(row: dict[Any, Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in row.items()}
