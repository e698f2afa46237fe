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

INT4_FORMS: tuple[FormName, ...] = ("int4", "int8")
"""Among which the precision ``int4`` chooses."""
_BLOCK = 64
"""Of 4-bit weights. TensorRT has kernels for 64 and 128, by its documentation."""


def store(weight: Array, form: FormName, inputs: InputStatistics) -> BlockWeights | RowWeights:
    """Quantise ``[out, in]`` weights into a form; 4-bit ones whose columns do not divide into blocks get 8 bits."""
    if form == "w8a8":
        scale = input_scale(float(inputs.largest.max()), inputs.sample, weight)
        return replace(round_rows(weight), input_scale=scale)
    if form == "int8" or weight.shape[1] % _BLOCK:
        return round_rows(weight)
    return quantize_gptq_with(weight, inputs.moments, 4, _BLOCK, int4_grid)


def dequantized(matrix: Matrix) -> Dense:
    """The float32 values that a stored matrix stands for."""
    if isinstance(matrix, Dense):
        return Dense(matrix.values.astype(np.float32))
    if isinstance(matrix, BlockWeights):
        return Dense(dequantize_blocks(matrix))
    if isinstance(matrix, RowWeights):
        return Dense(dequantize_rows(matrix))
    return Dense(np.concatenate([dequantized(part).values for part in matrix.parts]))
