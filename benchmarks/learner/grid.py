"""All settings of the peers that are tried on the tuning streams."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from benchmarks.learner.contestants.base import Entry, Option

Options = dict[str, Option]

_EXPLORATIONS: dict[str, tuple[Options, ...]] = {
    "squarecb": tuple({"squarecb": True, "gamma_scale": scale} for scale in (100.0, 1000.0, 5000.0)),
    "regcb": tuple({"regcb": True, "mellowness": mellowness} for mellowness in (0.0001, 0.001, 0.01)),
    "cover": tuple({"cover": size, "epsilon": 0.02} for size in (2, 4)),
    "epsilon": tuple({"epsilon": epsilon} for epsilon in (0.02, 0.05)),
    "bag": tuple({"bag": size, "epsilon": 0.02} for size in (2, 5)),
}
_OPTIMISERS: dict[str, tuple[Options, ...]] = {
    "": tuple({"learning_rate": rate} for rate in (0.5, 2.0, 5.0)),
    "ftrl": tuple({"ftrl": True, "ftrl_alpha": alpha} for alpha in (0.05, 0.5)),
    "coin": ({"coin": True},),
}
_SCALED: tuple[Options, ...] = ({"scaled": False}, {"scaled": True})
_RIVER: dict[str, tuple[Options, ...]] = {
    "linucb": tuple(
        {"alpha": alpha, "beta": beta, "scaled": scaled}
        for alpha, beta, scaled in product((0.1, 1.0, 10.0), (1.0, 10.0), (False, True))
    ),
    "epsilon_greedy": tuple({"epsilon": epsilon} for epsilon in (0.02, 0.05, 0.1)),
    "thompson": ({},),
    "ucb": tuple({"delta": delta} for delta in (0.25, 0.5, 1.0)),
}


def vw_grid() -> Iterator[Entry]:
    """Each exploration with each optimiser, plain or on standardised features."""
    for (kind, explorations), (optimiser, optimisers) in product(_EXPLORATIONS.items(), _OPTIMISERS.items()):
        for exploration, optimisation, scaled in product(explorations, optimisers, _SCALED):
            name = f"vw {kind} {optimiser}".strip()
            yield Entry(name, "vw", kind, {**exploration, **optimisation, **scaled})


def river_grid() -> Iterator[Entry]:
    """Each bandit with each of its settings."""
    for kind, options in _RIVER.items():
        yield from (Entry(f"river {kind}", "river", kind, dict(each)) for each in options)
