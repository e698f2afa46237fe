"""A stream whose answers a test can predict."""

from __future__ import annotations

import numpy as np

from benchmarks.learner.stream import Stream, classification, dense


def signs(steps: int, seed: int = 0) -> Stream:
    """Which arm is right is the sign of the one feature; the other one is noise on another scale."""
    values = np.random.default_rng(seed).normal(size=(steps, 2))
    rows = [dense("signs", {"x": x, "noise": 100.0 + 10.0 * noise}) for x, noise in values.tolist()]
    return classification(rows, ["above" if x > 0 else "below" for x, _ in values.tolist()])
