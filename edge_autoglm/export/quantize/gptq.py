"""GPTQ (Frantar et al. 2022): rounding that lets later columns make up for the error of earlier ones.

Minimises ``|| X (W - Q).T ||`` over a calibration text's inputs X, known by their second moments ``H = X.T X``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edge_autoglm.export.quantize.blocks import pack_levels
from edge_autoglm.export.quantize.rows import MAX_LEVEL, row_scales, second_of_pair
from edge_autoglm.export.weights import BlockWeights, RowWeights

Array = npt.NDArray[np.float32]

_DAMPING = 0.1
"""Share of the mean diagonal of H that is added to it. The paper adds 0.01; on texts of other kinds than the
calibration text, 0.1 leaves 3 to 5 % less error in every matrix (36,000 tokens, SmolLM2-135M)."""
SHRINKS = np.linspace(1.0, 0.7, 9)
"""Ranges tried for a block, as shares of its own: clipping an outlier may serve the others better."""


_SWEPT = 64
"""Columns between two updates of all that lie behind, where the scales do not depend on it."""

Grid = Callable[[Array, Array], tuple[Array, Array]]
"""From columns ``[block, out]`` and the importance of each to a scale and a zero point for each output."""


def quantize_gptq(weight: Array, moments: npt.NDArray[np.float64], bits: int, block: int) -> BlockWeights:
    """Quantise ``[out, in]`` weights to asymmetric blocks.

    Args:
        weight: float32 ``[out, in]``.
        moments: ``X.T X`` of the inputs, ``[in, in]``, up to a factor.
        bits: 4 or 8.
        block: Columns that share a scale and a zero point.
    """

    def grid(values: Array, importance: Array) -> tuple[Array, Array]:
        return _best_grid(values, importance, bits)

    levels, scales, zeros = _sweep(weight, moments, bits, block, grid)
    data = pack_levels(levels.astype(np.float32), bits)
    return BlockWeights(data, scales, zeros.astype(np.uint8), bits, block, weight.shape[1])


def quantize_gptq_with(
    weight: Array, moments: npt.NDArray[np.float64], bits: int, block: int, grid: Grid
) -> BlockWeights:
    """Quantise ``[out, in]`` weights to symmetric blocks.

    Args:
        weight: float32 ``[out, in]``.
        moments: As in `quantize_gptq`.
        bits: 4 or 8.
        block: Columns that share a scale.
        grid: Chooses the scales; its zero points must all be ``2 ** (bits - 1)``.
    """
    levels, scales, _ = _sweep(weight, moments, bits, block, grid)
    return BlockWeights(pack_levels(levels.astype(np.float32), bits), scales, None, bits, block, weight.shape[1])


def quantize_rows_gptq(weight: Array, moments: npt.NDArray[np.float64]) -> RowWeights:
    """Quantise ``[out, in]`` weights to int8 with one scale a row; arguments as in `quantize_gptq`."""
    importance = moments.diagonal().astype(np.float32)
    scales = np.maximum(row_scales(weight, importance), np.finfo(np.float32).tiny)
    middle = np.full(len(weight), MAX_LEVEL + 1, dtype=np.float32)
    levels, _, _ = _sweep(weight, moments, 8, _SWEPT, lambda values, importance: (scales, middle), in_pairs=True)
    data = levels.reshape(len(weight), -1)[:, : weight.shape[1]]
    return RowWeights((data.astype(np.int16) - (MAX_LEVEL + 1)).astype(np.int8), scales)


def _sweep(
    weight: Array, moments: npt.NDArray[np.float64], bits: int, block: int, grid: Grid, in_pairs: bool = False
) -> tuple[npt.NDArray[np.uint8], Array, Array]:
    """Levels ``[out, blocks, block]``, and scales and zero points ``[out, blocks]``."""
    rows, columns = weight.shape
    blocks = -(-columns // block)
    size = blocks * block
    moments, order = _prepared(moments, size, block)
    upper: Array = np.linalg.cholesky(np.linalg.inv(moments)).T.astype(np.float32)
    importance = np.reciprocal(np.square(upper.diagonal()))
    # Columns lie in rows: each step of the loop then works on contiguous memory.
    rest = np.zeros((size, rows), dtype=np.float32)
    rest[:columns] = weight.T
    rest = rest[(order[:, None] * block + np.arange(block)).reshape(-1)]
    levels = np.empty((rows, blocks, block), dtype=np.uint8)
    scales, zeros = np.empty((2, rows, blocks), dtype=np.float32)
    for step, index in enumerate(order):
        here = slice(step * block, (step + 1) * block)
        behind = slice((step + 1) * block, None)
        scale, zero = grid(rest[here], importance[here])
        rounded, errors = _round_block(rest[here], upper[here, here], scale, zero, bits, in_pairs)
        rest[behind] -= upper[here, behind].T @ errors
        levels[:, index], scales[:, index], zeros[:, index] = rounded.T, scale, zero
    return levels, scales, zeros


def _prepared(
    moments: npt.NDArray[np.float64], size: int, block: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Padded and damped moments, and the order of the blocks: those with the largest inputs first."""
    padded = np.zeros((size, size))
    padded[: len(moments), : len(moments)] = moments
    diagonal = np.einsum("ii->i", padded)
    order = np.argsort(-diagonal.reshape(-1, block).sum(axis=1), kind="stable")
    damping = _DAMPING * float(diagonal.mean()) or 1.0
    diagonal += damping
    places = (order[:, None] * block + np.arange(block)).reshape(-1)
    return padded[np.ix_(places, places)], order


def _best_grid(values: Array, importance: Array, bits: int) -> tuple[Array, Array]:
    """Scale and zero point of each row of ``values`` ``[block, rows]`` with the least weighted squared error."""
    top = np.float32(2**bits - 1)
    low, high = np.minimum(values.min(axis=0), 0), np.maximum(values.max(axis=0), 0)
    best = np.full(values.shape[1], np.inf, dtype=np.float32)
    scale = np.ones(values.shape[1], dtype=np.float32)
    zero = np.zeros(values.shape[1], dtype=np.float32)
    for shrink in SHRINKS.astype(np.float32):
        tried = np.maximum((high - low) * shrink / top, np.finfo(np.float32).tiny)
        shift = np.clip(np.rint(-low * shrink / tried), 0, top)
        levels = np.clip(np.rint(values / tried) + shift, 0, top)
        error = importance @ np.square((levels - shift) * tried - values)
        better = error < best
        best, scale, zero = (np.where(better, *pair) for pair in ((error, best), (tried, scale), (shift, zero)))
    return scale, zero


def _round_block(
    values: Array, upper: Array, scale: Array, zero: Array, bits: int, in_pairs: bool
) -> tuple[npt.NDArray[np.uint8], Array]:
    """Levels ``[block, rows]`` and the errors that the columns behind are to make up for."""
    values = values.copy()
    errors = np.empty_like(values)
    levels = np.empty(values.shape, dtype=np.uint8)
    for column in range(len(values)):
        level = np.clip(np.rint(values[column] / scale) + zero, 0, 2**bits - 1)
        if in_pairs and column % 2:
            level = second_of_pair(level - zero, levels[column - 1] - zero) + zero
        levels[column] = level
        errors[column] = (values[column] - (level - zero) * scale) / upper[column, column]
        values[column + 1 :] -= upper[column, column + 1 :, None] * errors[column]
    return levels, errors
