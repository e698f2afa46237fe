"""What the matrices of a layer multiply on a text, summed up."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from edge_autoglm.export.calibration.layer_runner import LayerRunner
from edge_autoglm.export.quantize.forms import InputStatistics
from edge_autoglm.export.weights import Array


def gather_statistics(runner: LayerRunner, hidden: Array, fitted: Collection[str]) -> dict[str, InputStatistics]:
    """Run a layer over the residual stream ``[windows, tokens, hidden]`` before it.

    Args:
        runner: The layer.
        hidden: The stream.
        fitted: Fields of `LayerWeights` whose moments are wanted; they are most of the work.

    Returns:
        Field of `LayerWeights` -> statistics of what it multiplied.
    """
    moments: dict[str, npt.NDArray[np.float64]] = {}
    largest: dict[str, Array] = {}
    for inputs in runner.inputs(hidden):
        for name, values in inputs.items():
            maxima = np.abs(values).max(axis=0)
            largest[name] = np.maximum(largest.get(name, maxima), maxima)
            if name in fitted:
                moments[name] = moments.get(name, np.zeros((1, 1))) + values.T @ values
    return {name: InputStatistics(moments.get(name, np.zeros((1, 1))), largest[name]) for name in largest}
