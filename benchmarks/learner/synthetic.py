"""River's generators: a concept that stays, and one that is replaced by another half way.

A stream with a drift and its stationary twin have the same second half, example for example, so that what the drift
cost is all that differs there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from benchmarks.learner.stream import Stream, classification, dense, then

Maker = Callable[[int], Any]
"""From a seed to a River generator."""

_MOST = 10_000
_THOUSAND = 1000.0
_MONEY = ("salary", "commission", "hvalue", "loan")


def led(seed: int) -> Any:
    """Ten digits of a broken display, 17 of 24 segments irrelevant."""
    from river.datasets import synth

    return synth.LED(seed=seed, noise_percentage=0.1, irrelevant_features=True)


def led_swapped(seed: int) -> Any:
    """The same display with all seven relevant segments exchanged for irrelevant ones."""
    from river.datasets import synth

    return synth.LEDDrift(seed=seed, noise_percentage=0.1, irrelevant_features=True, n_drift_features=7)


def sea(variant: int) -> Maker:
    """Two numbers against a threshold that depends on the variant; a tenth of the labels wrong."""

    def make(seed: int) -> Any:
        from river.datasets import synth

        return synth.SEA(variant=variant, noise=0.1, seed=seed)

    return make


def agrawal(function: int) -> Maker:
    """Whether a loan is granted, by one of ten rules."""

    def make(seed: int) -> Any:
        from river.datasets import synth

        return synth.Agrawal(classification_function=function, seed=seed, perturbation=0.05)

    return make


def random_rbf(model: int, drift: float = 0.0) -> Maker:
    """Four classes around twelve centres in ten dimensions; with ``drift``, the centres move all the time."""

    def make(seed: int) -> Any:
        from river.datasets import synth

        size = {"n_classes": 4, "n_features": 10, "n_centroids": 12}
        if drift:
            return synth.RandomRBFDrift(model, seed, change_speed=drift, n_drift_centroids=12, **size)
        return synth.RandomRBF(model, seed, **size)

    return make


def waveform(seed: int) -> Any:
    """Three mixtures of waves, 21 of 40 numbers relevant."""
    from river.datasets import synth

    return synth.Waveform(seed=seed, has_noise=True)


def blobs(model: int) -> Maker:
    """Six classes of two clusters each in fifteen dimensions, five of them irrelevant."""

    def make(seed: int) -> Iterator[tuple[dict[int, float], int]]:
        from sklearn.datasets import make_classification

        shape = {"n_features": 15, "n_informative": 10, "n_classes": 6, "n_clusters_per_class": 2}
        x, y = make_classification(_MOST, **shape, class_sep=1.5, shuffle=False, random_state=model)
        order = np.random.default_rng(seed).permutation(_MOST)
        return ((dict(enumerate(x[place].tolist())), int(y[place])) for place in order)

    return make


def stationary(task: str, concept: Maker) -> Callable[[int, int], Stream]:
    """A stream of one concept."""
    return lambda seed, limit: _generated(task, concept(seed), limit)


def abrupt(task: str, before: Maker, after: Maker) -> Callable[[int, int], Stream]:
    """A stream whose concept is replaced half way."""
    return lambda seed, limit: then(_generated(task, before(seed), limit), _generated(task, after(seed), limit))


def _generated(task: str, generator: Any, steps: int) -> Stream:
    rows = list(islice(iter(generator), steps))
    return classification([dense(task, _row(x)) for x, _ in rows], [y for _, y in rows])


def _row(x: dict[Any, Any]) -> dict[str, float]:
    """Money in thousands: no feature of a request may be beyond a million."""
    return {str(name): float(value) / (_THOUSAND if name in _MONEY else 1.0) for name, value in x.items()}
