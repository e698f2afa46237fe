"""Metrics and intervals, against figures that were worked out by hand or published."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest

from edge_autoglm.errors import EvolveError
from edge_autoglm.evolve.answers import Answer
from edge_autoglm.evolve.intervals import bounds, difference, wilson
from edge_autoglm.evolve.metrics import metric


def _labels(pairs: Sequence[tuple[str, str]]) -> list[Answer]:
    return [Answer(expect, given, {given: math.log(0.8), "zzz": math.log(0.2)}) for expect, given in pairs]


SIX = _labels([("a", "a"), ("a", "a"), ("a", "b"), ("a", "a"), ("b", "a"), ("b", "b")])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accuracy", 4 / 6),
        ("balanced_accuracy", (3 / 4 + 1 / 2) / 2),
        ("macro_f1", (6 / (6 + 1 + 1) + 2 / (2 + 1 + 1)) / 2),
    ],
)
def test_labels(name: str, value: float) -> None:
    assert metric(name, "classify").measure(SIX) == pytest.approx(value)


def test_log_loss_is_negated() -> None:
    answers = [Answer("a", "a", {"a": math.log(0.9), "b": math.log(0.1)}), Answer("b", "a", {"b": math.log(0.5)})]
    assert metric("log_loss", "classify").measure(answers) == pytest.approx((math.log(0.9) + math.log(0.5)) / 2)


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("token_f1", "The cat, sat.", 2 * 2 / (3 + 4)),
        ("token_f1", "no", 0.0),
        ("token_f1", "", 0.0),
        ("exact_match", "a cat SAT here!", 1.0),
        ("exact_match", "a cat sat", 0.0),
        ("contains", "Well: A cat sat here.", 1.0),
        ("contains", "a cat", 0.0),
    ],
)
def test_texts(name: str, given: str, value: float) -> None:
    assert metric(name, "generate").measure([Answer("a cat sat here", given, {})]) == pytest.approx(value)


def test_a_metric_of_the_app() -> None:
    def shortness(answers: Sequence[Answer]) -> float:
        return -sum(len(answer.text) for answer in answers)

    chosen = metric(shortness, "generate")
    assert (chosen.name, chosen.measure([Answer("", "abc", {})])) == ("shortness", -3)
    found = bounds(chosen, [Answer("", "x" * n, {}) for n in range(20)])
    assert found.low < found.estimate < found.high


def test_unknown_metrics_are_refused() -> None:
    with pytest.raises(EvolveError, match=r"no metric 'token_f1'.*accuracy"):
        metric("token_f1", "classify")


def test_wilson() -> None:
    assert wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)  # Newcombe 1998, method 3
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, table I
    assert wilson(1.0, 20)[1] == 1.0


def test_a_paired_difference_is_narrower_than_two_intervals() -> None:
    rng = random.Random(1)
    theirs = [rng.choice("ab") for _ in range(300)]
    ours = [("a" if number % 10 == 0 else given) for number, given in enumerate(theirs)]
    accuracy = metric("accuracy", "classify")
    found = difference(accuracy, _labels([("a", each) for each in ours]), _labels([("a", each) for each in theirs]))
    assert 0 < found.low < found.estimate < found.high < 0.12
    balanced = metric("balanced_accuracy", "classify")
    same = difference(balanced, SIX, SIX)
    assert (same.estimate, same.low, same.high) == (0.0, 0.0, 0.0)
