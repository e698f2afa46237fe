"""Rounding to the nearest level: one scale an output channel.

x86 kernels without VNNI multiply unsigned activations by signed weights and add the products of two neighbouring input
channels in 16 bits, which saturates: 255 * (127 + 127) does not fit. Where the levels of such a pair that have one sign
add up to `PAIR_SUM` at most, it cannot, and ONNX Runtime need not be told to widen them, which takes 1.4 times as long
(two AVX2 cores, ``session.x64quantprecision``). A row's scale is therefore larger than its largest weight asks for: few
pairs then exceed the sum, and those are cut.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_autoglm.export.quantize.blocks import reciprocal
from edge_autoglm.export.weights import RowWeights

Array = npt.NDArray[np.float32]

MAX_LEVEL = 127

PAIR_SUM = 128
"""255 * 128 fits 16 bits with a sign."""

_STRETCHES = (1.0, 1.15, 1.3, 1.4, 1.5, 1.6, 1.7, 1.85)
"""Scales tried for a row, in units of the one that its largest weight needs."""


def quantize_rows(weight: Array) -> RowWeights:
    """Round ``[out, in]`` weights to int8, half to even."""
    data = np.empty(weight.shape, dtype=np.int8)
    scales = np.empty(len(weight), dtype=np.float32)
    for row in range(0, len(weight), 1024):  # a piece at a time, so that temporaries stay small
        part = slice(row, row + 1024)
        scales[part] = row_scales(weight[part])
        data[part] = _levels(weight[part], scales[part])
    return RowWeights(data, scales)


def row_scales(weight: Array, importance: Array | None = None) -> Array:
    """Scales ``[out]`` with the least squared error for ``[out, in]`` weights, each column of its importance."""
    least = np.full(len(weight), np.inf, dtype=np.float32)
    best = np.zeros(len(weight), dtype=np.float32)
    needed = np.abs(weight).max(axis=1) / np.float32(MAX_LEVEL)
    for stretch in _STRETCHES:
        scales = needed * np.float32(stretch)
        errors = np.square(_levels(weight, scales) * scales[:, None] - weight)
        error = errors.sum(axis=1) if importance is None else errors @ importance
        best = np.where(error < least, scales, best)
        least = np.minimum(error, least)
    return best


def _levels(weight: Array, scales: Array) -> Array:
    levels: Array = np.rint(weight * reciprocal(scales)[:, None])
    second = levels[:, 1::2]
    second[...] = second_of_pair(second, levels[:, : 2 * second.shape[1] : 2])
    return levels


def second_of_pair(levels: npt.NDArray[np.float32], first: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The nearest levels that keep to `PAIR_SUM` beside the first ones of their pairs, all in -127..127."""
    lowest = np.where(first < 0, -PAIR_SUM - first, -MAX_LEVEL)
    highest = np.where(first > 0, PAIR_SUM - first, MAX_LEVEL)
    bounded: npt.NDArray[np.float32] = np.clip(levels, lowest, highest)
    return bounded


def dequantize_rows(weights: RowWeights) -> npt.NDArray[np.float32]:
    """The float32 weights that the quantised ones stand for."""
    return weights.data.astype(np.float32) * weights.scales[:, None]
