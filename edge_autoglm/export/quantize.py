"""Weight quantisation: symmetric blocks along the input dimension."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BLOCK_SIZE = 32
ZERO_POINT = 128
"""Stored bytes are unsigned; this one means 0 (the default of MatMulNBits and GatherBlockQuantized at 8 bits)."""


@dataclass(frozen=True, slots=True)
class BlockWeights:
    """8-bit block weights: ``weight[n, k] = scales[n, k // block] * (data[n, k // block, k % block] - 128)``.

    Attributes:
        data: uint8 ``[out, blocks, block]``; the last block is padded with the zero point.
        scales: float32 ``[out, blocks]``.
        columns: Input features, before padding.
    """

    data: npt.NDArray[np.uint8]
    scales: npt.NDArray[np.float32]
    columns: int


def quantize_blocks(weight: npt.NDArray[np.float32], block: int = BLOCK_SIZE) -> BlockWeights:
    """Round ``[out, in]`` weights to the nearest of 255 levels, absolute maximum of each block at +-127.

    An all-zero block gets scale 0. Round half to even.
    """
    rows, columns = weight.shape
    blocks = -(-columns // block)
    padded = np.zeros((rows, blocks * block), dtype=np.float32)
    padded[:, :columns] = weight
    grouped = padded.reshape(rows, blocks, block)
    scales = (np.abs(grouped).max(axis=2) / np.float32(127)).astype(np.float32)
    inverse = np.divide(np.float32(1), scales, out=np.zeros_like(scales), where=scales > 0)
    levels = np.rint(grouped * inverse[:, :, None])
    data = (levels + ZERO_POINT).astype(np.uint8)
    return BlockWeights(data, scales, columns)


def dequantize_blocks(weights: BlockWeights) -> npt.NDArray[np.float32]:
    """The ``[out, in]`` float32 weights that the quantised ones stand for."""
    values = (weights.data.astype(np.float32) - ZERO_POINT) * weights.scales[:, :, None]
    return values.reshape(values.shape[0], -1)[:, : weights.columns]
