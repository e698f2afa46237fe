"""Features: copies that nobody changes, and no value that would poison a model."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_autoglm.errors import InputRejected
from edge_autoglm.learn.features import LARGEST_VALUE, Features

NONE = np.zeros(0, dtype=np.int64)


def test_features_are_copies_that_cannot_be_changed() -> None:
    values = np.array([1.0])
    features = Features(np.array([3]), values)
    values[0] = 2.0
    assert features.values[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        features.values[0] = 2.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -2 * LARGEST_VALUE])
def test_features_refuse_values_that_would_poison_the_model(value: float) -> None:
    with pytest.raises(InputRejected, match="NaN, infinite or beyond"):
        Features(np.array([1]), np.array([value]))


@pytest.mark.parametrize("value", [math.nan, math.inf, -2 * LARGEST_VALUE])
def test_dense_values_are_checked_too(value: float) -> None:
    with pytest.raises(InputRejected, match="NaN, infinite or beyond"):
        Features(NONE, np.zeros(0), "mood", ("length",), np.array([value]))


def test_features_refuse_arrays_that_do_not_match() -> None:
    with pytest.raises(InputRejected, match="equal length"):
        Features(np.array([1, 2]), np.array([1.0]))


@pytest.mark.parametrize("names", [("length",), ("length", "length"), ("a", "b", "c")])
def test_each_dense_value_has_a_name_of_its_own(names: tuple[str, ...]) -> None:
    with pytest.raises(InputRejected, match="a name of its own"):
        Features(NONE, np.zeros(0), "mood", names, np.array([1.0, 2.0]))
