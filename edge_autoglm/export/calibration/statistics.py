"""What the matrices of a layer multiply on a text, summed up."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_autoglm.export.calibration.layer_runner import LayerRunner
from edge_autoglm.export.quantize.forms import InputStatistics
from edge_autoglm.export.weights import Array

_SAMPLED = 29
"""Every so manieth token is kept; a prime, so that the places within the windows vary."""


def gather_statistics(runner: LayerRunner, hidden: Array) -> dict[str, InputStatistics]:
    """Run a layer over the residual stream ``[windows, tokens, hidden]`` before it.

    Args:
        runner: The layer.
        hidden: The stream.

    Returns:
        Field of `LayerWeights` -> statistics of what it multiplied.
    """
    moments: dict[str, npt.NDArray[np.float64]] = {}
    largest: dict[str, Array] = {}
    samples: dict[str, list[Array]] = {}
    for inputs in runner.inputs(hidden):
        for name, values in inputs.items():
            maxima = np.abs(values).max(axis=0)
            largest[name] = np.maximum(largest.get(name, maxima), maxima)
            samples.setdefault(name, []).append(values[::_SAMPLED].copy())
            moments[name] = moments.get(name, 0.0) + (values.T @ values).astype(np.float64)
    return {name: InputStatistics(moments[name], largest[name], np.concatenate(samples[name])) for name in largest}
