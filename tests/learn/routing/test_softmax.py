"""The classifier against the formula, in plain Python."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.routing.softmax import SoftmaxFTRL, softmax

CLASSES = ("a", "b", "c")


def features(**values: float) -> Features:
    return Features(np.array([ord(name) for name in values], dtype=np.int64), np.array(list(values.values())))


class Reference:
    """FTRL-Proximal (McMahan et al. 2013, Algorithm 1), a coordinate a class and feature."""

    def __init__(self, alpha: float, beta: float, l2: float) -> None:
        self.alpha, self.beta, self.l2 = alpha, beta, l2
        self.z: dict[tuple[str, str], float] = {}
        self.n: dict[tuple[str, str], float] = {}

    def weight(self, at: tuple[str, str]) -> float:
        return -self.z.get(at, 0.0) / ((self.beta + math.sqrt(self.n.get(at, 0.0))) / self.alpha + self.l2)

    def scores(self, x: dict[str, float]) -> list[float]:
        return [sum(self.weight((name, key)) * value for key, value in x.items()) for name in CLASSES]

    def learn(self, x: dict[str, float], target: int) -> None:
        raised = [math.exp(score) for score in self.scores(x)]
        for place, name in enumerate(CLASSES):
            error = raised[place] / sum(raised) - (place == target)
            for key, value in x.items():
                at, gradient = (name, key), error * value
                n = self.n.get(at, 0.0)
                sigma = (math.sqrt(n + gradient**2) - math.sqrt(n)) / self.alpha
                weight = self.weight(at)
                self.z[at] = self.z.get(at, 0.0) + gradient - sigma * weight
                self.n[at] = n + gradient**2


def test_it_is_the_algorithm_of_the_paper() -> None:
    rng = random.Random(1)
    model, reference = SoftmaxFTRL(0.5, 0.3, 0.1), Reference(0.5, 0.3, 0.1)
    for _ in range(60):
        x = {name: rng.uniform(-1, 1) for name in rng.sample("pqrstu", 3)}
        target = rng.randrange(3)
        expected = reference.scores({"bias": 1.0, **x})
        assert model.scores(CLASSES, features(**x)).tolist() == pytest.approx(expected, abs=1e-12)
        model.learn(CLASSES, target, features(**x))
        reference.learn({"bias": 1.0, **x}, target)


def test_a_state_is_taken_over_bit_for_bit_and_learning_goes_on_alike() -> None:
    model = SoftmaxFTRL(bits=12)
    for place in range(9):
        model.learn(CLASSES, place % 3, features(p=1.0, q=float(place)))
    other = SoftmaxFTRL(bits=12)
    other.restore(model.state())
    for one in (model, other):
        one.learn(CLASSES, 1, features(r=1.0, q=0.5))
    assert (
        model.scores(CLASSES, features(p=1.0, q=1.0)).tolist() == other.scores(CLASSES, features(p=1.0, q=1.0)).tolist()
    )


def test_a_state_of_other_settings_is_refused() -> None:
    with pytest.raises(PolicyError, match="alpha"):
        SoftmaxFTRL(alpha=0.1).restore(SoftmaxFTRL(alpha=0.2).state())


def test_classes_may_come_and_go() -> None:
    model = SoftmaxFTRL()
    for _ in range(20):
        model.learn(("a", "b"), 0, features(p=1.0))
    before = model.scores(("a",), features(p=1.0))[0]
    assert model.scores(("new", "a"), features(p=1.0)).tolist() == [0.0, before]


@pytest.mark.parametrize("settings", [{"alpha": 0.0}, {"beta": -1.0}, {"l2": -0.1}, {"bits": 3}, {"alpha": math.nan}])
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(PolicyError, match=f"the model's {next(iter(settings))} is"):
        SoftmaxFTRL(**settings)  # type: ignore[arg-type]


def test_probabilities_do_not_overflow() -> None:
    assert softmax(np.array([1e4, 0.0, -1e4])).tolist() == [1.0, 0.0, 0.0]
