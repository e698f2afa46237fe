"""The stored forms of `edge_autoglm.export.quantize.forms` as TensorRT takes them: symmetric, scales in float16."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edge_autoglm.export.quantize.blocks import dequantize_blocks
from edge_autoglm.export.quantize.forms import FormName, InputStatistics
from edge_autoglm.export.quantize.gptq import quantize_gptq_with
from edge_autoglm.export.quantize.rows import dequantize_rows
from edge_autoglm.export.standard.rounding import input_scale, int4_grid, round_rows
from edge_autoglm.export.weights import Array, BlockWeights, Dense, Matrix, RowWeights

_BLOCKS = {"int4": 64, "int4/32": 32}
_SMALLEST_BLOCK = 32
"""The scales of smaller ones take more than an eighth of what the levels do."""


def store(weight: Array, form: FormName, inputs: InputStatistics) -> BlockWeights | RowWeights:
    """Quantise ``[out, in]`` weights into a form; 4-bit ones whose columns no block divides get 8 bits."""
    if form == "w8a8":
        scale = input_scale(float(inputs.largest.max()), inputs.sample, weight)
        return replace(round_rows(weight), input_scale=scale)
    block = 0 if form == "int8" else _dividing_block(weight.shape[1], _BLOCKS[form])
    return quantize_gptq_with(weight, inputs.moments, 4, block, int4_grid) if block else round_rows(weight)


def dequantized(matrix: Matrix) -> Dense:
    """The float32 values that a stored matrix stands for."""
    if isinstance(matrix, Dense):
        return Dense(matrix.values.astype(np.float32))
    if isinstance(matrix, BlockWeights):
        return Dense(dequantize_blocks(matrix))
    if isinstance(matrix, RowWeights):
        return Dense(dequantize_rows(matrix))
    return Dense(np.concatenate([dequantized(part).values for part in matrix.parts]))


def _dividing_block(columns: int, largest: int) -> int:
    """The largest power of two up to ``largest`` that divides the columns; 0 where none from 32 on does."""
    block = largest
    while block >= _SMALLEST_BLOCK and columns % block:
        block //= 2
    return block if block >= _SMALLEST_BLOCK else 0
