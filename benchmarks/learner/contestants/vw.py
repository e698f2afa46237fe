"""Vowpal Wabbit's contextual bandits through its Python package, fed with text as its users do."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import accumulate

from benchmarks.learner.contestants.base import Option
from benchmarks.learner.contestants.scaling import OnlineScaler
from edge_autoglm.learn.features import Features

_DIGITS = 5


class VowpalWabbit:
    """``--cb_explore_adf``: all arms in one multi-line example, every shared feature crossed with the arm.

    Args:
        kind: The exploration: ``squarecb``, ``regcb``, ``cover``, ``epsilon`` or ``bag``.
        options: Command-line options by name; ``True`` for one without a value. ``scaled`` is ours: dense features are
            standardised online before VW sees them (its own updates are invariant to scale, but not to an offset).
        arms: Names.
        seed: Of VW's own randomness, and of the draw by VW's propensities.
    """

    def __init__(self, kind: str, options: Mapping[str, Option], arms: Sequence[str], seed: int) -> None:
        import vowpalwabbit

        self.command = command(options)
        self._workspace = vowpalwabbit.Workspace(f"{self.command} --random_seed {seed} --quiet")
        self._scaler = OnlineScaler() if options.get("scaled") else None
        self._actions = [f"|a arm{place}" for place in range(len(arms))]
        self._rng = random.Random(seed)
        self._shared, self._chosen, self._propensity = "", 0, 1.0

    def choose(self, features: Features) -> int:
        """As ``Contestant.choose``."""
        return self.choose_text(shared_line(features, self._scaler))

    def choose_text(self, shared: str) -> int:
        """`choose`, for a context that is in VW's text format already."""
        self._shared = shared
        shares = self._workspace.predict([self._shared, *self._actions])
        # Not all of VW's explorations return shares that sum up to 1.
        cumulative = list(accumulate(shares))
        drawn = self._rng.random() * cumulative[-1]
        self._chosen = next(place for place, bound in enumerate(cumulative) if drawn < bound)
        self._propensity = shares[self._chosen] / cumulative[-1]
        return self._chosen

    def learn(self, reward: float) -> None:
        """As ``Contestant.learn``: the cost is 1 - reward."""
        lines = list(self._actions)
        lines[self._chosen] = f"0:{1.0 - reward:g}:{self._propensity:.6g} {lines[self._chosen]}"
        self._workspace.learn([self._shared, *lines])


def command(options: Mapping[str, Option]) -> str:
    """VW's command line."""
    words = ["--cb_explore_adf", "-q sa", "-q wa"]
    for name, value in options.items():
        if name != "scaled" and value is not False:
            words.append(f"--{name}" if value is True else f"--{name} {value}")
    return " ".join(words)


def shared_line(features: Features, scaler: OnlineScaler | None) -> str:
    """The context in VW's text format: dense features in namespace ``s``, hashed ones in ``w``; zeros are left out."""
    dense = features.dense if scaler is None else scaler.scaled(features)
    # A space, a colon and a bar mean something else to VW.
    named = [
        f"{name.replace(':', '_').replace(' ', '_').replace('|', '_')}:{round(value, _DIGITS)}"
        for name, value in zip(features.names, dense.tolist(), strict=True)
        if value
    ]
    words = [
        f"{index}:{round(value, _DIGITS)}"
        for index, value in zip(features.indices.tolist(), features.values.tolist(), strict=True)
    ]
    return f"shared |s {' '.join(named)} |w {' '.join(words)}"
