"""Rounding to the nearest level: blocks along the input dimension that share a scale."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_autoglm.export.weights import BlockWeights

BLOCK_SIZE = 32

_ROWS_AT_ONCE = 1 << 22
"""Values quantised at a time, so that temporaries stay small beside the weights."""


def quantize_blocks(
    weight: npt.NDArray[np.float32], bits: int = 8, block: int = BLOCK_SIZE, symmetric: bool = True
) -> BlockWeights:
    """Round ``[out, in]`` weights to the nearest levels, half to even.

    Args:
        weight: float32 ``[out, in]``.
        bits: 4 or 8.
        block: Columns that share a scale.
        symmetric: The absolute maximum of a block lies at +-(2 ** (bits - 1) - 1) and no zero points are stored;
            otherwise the levels span the block's range, widened to hold 0.
    """
    rows, columns = weight.shape
    blocks = -(-columns // block)
    data = np.empty((rows, blocks, block * bits // 8), dtype=np.uint8)
    scales = np.empty((rows, blocks), dtype=np.float32)
    zeros = None if symmetric else np.empty((rows, blocks), dtype=np.uint8)
    step = max(1, _ROWS_AT_ONCE // columns)
    for start in range(0, rows, step):
        part = slice(start, start + step)
        grouped = _grouped(weight[part], blocks, block)
        scale, zero = block_grid(grouped, bits, symmetric)
        scales[part] = scale
        if zeros is not None:
            zeros[part] = zero
        data[part] = pack_levels(round_to_grid(grouped, scale, zero, bits), bits)
    return BlockWeights(data, scales, zeros, bits, block, columns)


def block_grid(
    grouped: npt.NDArray[np.float32], bits: int, symmetric: bool
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Scale and zero point of each block ``[..., block]`` that let its range fit; an all-zero block gets scale 0."""
    if symmetric:
        scale = np.abs(grouped).max(axis=-1) / np.float32(2 ** (bits - 1) - 1)
        return scale.astype(np.float32), np.full(scale.shape, 2 ** (bits - 1), dtype=np.float32)
    low = np.minimum(grouped.min(axis=-1), 0)
    scale = ((np.maximum(grouped.max(axis=-1), 0) - low) / np.float32(2**bits - 1)).astype(np.float32)
    return scale, np.rint(-low * reciprocal(scale))


def round_to_grid(
    grouped: npt.NDArray[np.float32],
    scale: npt.NDArray[np.float32],
    zero: npt.NDArray[np.float32],
    bits: int,
) -> npt.NDArray[np.float32]:
    """Levels of the values of blocks ``[..., block]``, as float32."""
    levels: npt.NDArray[np.float32] = np.rint(grouped * reciprocal(scale)[..., None])
    levels += zero[..., None]
    np.clip(levels, 0, 2**bits - 1, out=levels)
    return levels


def reciprocal(scale: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """1 / scale, and 0 where the scale is 0."""
    return np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale > 0)


def pack_levels(levels: npt.NDArray[np.float32], bits: int) -> npt.NDArray[np.uint8]:
    """Levels ``[..., block]`` as bytes; at 4 bits two to a byte, the even column in the low half."""
    data = levels.astype(np.uint8)
    return data if bits == 8 else data[..., 0::2] | (data[..., 1::2] << np.uint8(4))


def unpack_levels(data: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.uint8]:
    """The inverse of `pack_levels`."""
    if bits == 8:
        return data
    return np.stack([data & np.uint8(15), data >> np.uint8(4)], axis=-1).reshape(*data.shape[:-1], -1)


def dequantize_blocks(weights: BlockWeights) -> npt.NDArray[np.float32]:
    """The ``[out, in]`` float32 weights that the quantised ones stand for."""
    levels = unpack_levels(weights.data, weights.bits).astype(np.float32)
    zeros = 2 ** (weights.bits - 1) if weights.zero_points is None else weights.zero_points[..., None]
    values = (levels - np.float32(zeros)) * weights.scales[..., None]
    return values.reshape(values.shape[0], -1)[:, : weights.columns]


def _grouped(weight: npt.NDArray[np.float32], blocks: int, block: int) -> npt.NDArray[np.float32]:
    rows, columns = weight.shape
    if columns == blocks * block:
        return weight.reshape(rows, blocks, block)
    padded = np.zeros((rows, blocks * block), dtype=np.float32)
    padded[:, :columns] = weight
    return padded.reshape(rows, blocks, block)
