"""Rounding to the nearest level: one scale an output channel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_autoglm.export.quantize.blocks import reciprocal
from edge_autoglm.export.weights import RowWeights

_MAX_LEVEL = 127


def quantize_rows(weight: npt.NDArray[np.float32]) -> RowWeights:
    """Round ``[out, in]`` weights to int8, the absolute maximum of each row at +-127, half to even."""
    data = np.empty(weight.shape, dtype=np.int8)
    scales = np.empty(len(weight), dtype=np.float32)
    for row in range(0, len(weight), 1024):  # a piece at a time, so that temporaries stay small
        part = slice(row, row + 1024)
        scales[part] = np.abs(weight[part]).max(axis=1) / np.float32(_MAX_LEVEL)
        data[part] = np.rint(weight[part] * reciprocal(scales[part])[:, None])
    return RowWeights(data, scales)


def dequantize_rows(weights: RowWeights) -> npt.NDArray[np.float32]:
    """The float32 weights that the quantised ones stand for."""
    return weights.data.astype(np.float32) * weights.scales[:, None]
