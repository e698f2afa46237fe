"""Symmetric rounding with scales that float16 can hold: what TensorRT dequantises is then what was rounded to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_autoglm.export.quantize.gptq import SHRINKS
from edge_autoglm.export.weights import Array, RowWeights

_INT8_TOP = 127
_INT4_TOP, _INT4_ZERO = 7, 8
_ROWS_AT_ONCE = 1024
_SMALLEST = np.float16(2.0**-24)
"""TensorRT refuses scales of 0."""


def half_scales(scales: npt.NDArray[np.floating]) -> Array:
    """The next float16 numbers that are not smaller, as float32."""
    nearest = scales.astype(np.float16)
    above = np.nextafter(nearest, np.float16(np.inf))
    held: Array = np.maximum(np.where(nearest < scales, above, nearest), _SMALLEST).astype(np.float32)
    return held


def round_rows(weight: Array) -> RowWeights:
    """Round ``[out, in]`` weights to int8 levels -127 ... 127, half to even, a scale an output channel."""
    data = np.empty(weight.shape, dtype=np.int8)
    scales = half_scales(np.abs(weight).max(axis=1) / _INT8_TOP)
    for row in range(0, len(weight), _ROWS_AT_ONCE):  # a piece at a time, so that temporaries stay small
        part = slice(row, row + _ROWS_AT_ONCE)
        data[part] = np.rint(weight[part] / scales[part, None])
    return RowWeights(data, scales)


def int4_grid(values: Array, importance: Array) -> tuple[Array, Array]:
    """Scale of each column of ``values`` ``[block, out]`` with the least weighted squared error; a ``Grid`` of GPTQ.

    Args:
        values: Of one block.
        importance: Of its input channels, ``[block]``.
    """
    needed = np.abs(values).max(axis=0) / np.float32(_INT4_TOP)
    best = half_scales(needed)
    least = _error(values, best, importance)
    for shrink in SHRINKS[1:].astype(np.float32):
        tried = half_scales(needed * shrink)
        error = _error(values, tried, importance)
        best, least = np.where(error < least, tried, best), np.minimum(error, least)
    return best, np.full(best.shape, _INT4_ZERO, dtype=np.float32)


def input_scale(largest: float, sample: Array, weight: Array) -> float:
    """The static scale of int8 inputs that leaves the least error in the product with ``[out, in]`` weights.

    Args:
        largest: Absolute maximum of the inputs on the calibration text.
        sample: Some of the inputs, ``[tokens, in]``.
        weight: What they are multiplied by.
    """
    expected = sample @ weight.T
    needed = max(largest, float(np.finfo(np.float32).tiny)) / _INT8_TOP

    def error(scale: np.float32) -> float:
        levels = np.clip(np.rint(sample / scale), -_INT8_TOP - 1, _INT8_TOP)
        return float(np.square((levels * scale) @ weight.T - expected).sum())

    return float(min(half_scales(needed * SHRINKS), key=error))


def _error(values: Array, scales: Array, importance: Array) -> Array:
    levels = np.clip(np.rint(values / scales), -_INT4_ZERO, _INT4_TOP)
    error: Array = importance @ np.square(levels * scales - values)
    return error
