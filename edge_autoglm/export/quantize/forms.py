"""The stored forms among which a mixed model chooses, a matrix at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge_autoglm.export.quantize.blocks import quantize_blocks
from edge_autoglm.export.quantize.gptq import quantize_gptq, quantize_rows_gptq
from edge_autoglm.export.quantize.rows import quantize_rows
from edge_autoglm.export.weights import Array, BlockWeights, Dense, RowWeights

FormName = Literal["int4", "int4/32", "int8", "w8a8"]
FORMS: tuple[FormName, ...] = ("int4", "int4/32", "int8", "w8a8")
"""4-bit blocks of 64 or 32 fitted by GPTQ; 8-bit blocks; 8-bit rows met by 8-bit activations."""

_BLOCKS = {"int4": 64, "int4/32": 32, "int8": 128}
_TABLE_BLOCKS = {8: 64, 4: 32}
_SMALLEST_BLOCK = 16


@dataclass(frozen=True, slots=True)
class InputStatistics:
    """What a matrix multiplied on a calibration text.

    Attributes:
        moments: ``X.T X``, ``[in, in]``.
        largest: Absolute maximum of each input channel, ``[in]``.
        sample: Some of the inputs, ``[tokens, in]``.
    """

    moments: npt.NDArray[np.float64]
    largest: Array
    sample: Array

    def divided_by(self, factors: Array) -> InputStatistics:
        """Of the same inputs with their channels divided by factors ``[in]``."""
        moments = self.moments / np.outer(factors, factors)
        return InputStatistics(moments, self.largest / factors, self.sample / factors)


def store(weight: Array, form: FormName, inputs: InputStatistics) -> BlockWeights | RowWeights:
    """Quantise ``[out, in]`` weights into a form."""
    if form == "w8a8":
        return quantize_rows_gptq(weight, inputs.moments)
    if form == "int8":
        return round_nearest(weight, form)
    return quantize_gptq(weight, inputs.moments, 4, fitting_block(weight.shape[1], _BLOCKS[form]))


def round_nearest(weight: Array, form: FormName) -> BlockWeights | RowWeights:
    """The layout of a form with levels that are fitted to nothing."""
    if form == "w8a8":
        return quantize_rows(weight)
    bits = 8 if form == "int8" else 4
    return quantize_blocks(weight, bits, fitting_block(weight.shape[1], _BLOCKS[form]), symmetric=bits == 8)


def store_table(weight: Array, form: FormName) -> Dense | BlockWeights | RowWeights:
    """Quantise an embedding or a head; 4 bits are rounded to nearest, because a look-up has no inputs to fit to."""
    if form == "w8a8":
        return quantize_rows(weight)
    bits = 8 if form == "int8" else 4
    block = fitting_block(weight.shape[1], _TABLE_BLOCKS[bits])
    if weight.shape[1] % block:  # a look-up returns whole blocks, padding included
        return Dense(weight.astype(np.float16))
    return quantize_blocks(weight, bits, block, symmetric=bits == 8)


def bits_a_weight(form: FormName, shape: tuple[int, int], fine_rows: int = 0) -> float:
    """Mean stored bits of a weight, scales and zero points included.

    Args:
        form: Of the matrix.
        shape: ``(out, in)``.
        fine_rows: Rows stored as ``int8`` all the same where the form has 4 bits.
    """
    rows, columns = shape
    if form == "w8a8":
        return 8 + 32 / columns
    block = fitting_block(columns, _BLOCKS[form])
    if form == "int8":
        return 8 + 32 / block
    share = fine_rows / rows
    return (1 - share) * (4 + 36 / block) + share * bits_a_weight("int8", shape)


def fitting_block(columns: int, largest: int) -> int:
    """The largest power of two up to ``largest`` that divides the columns; ``largest`` where none from 16 on does."""
    block = largest
    while columns % block and block > _SMALLEST_BLOCK:
        block //= 2
    return largest if columns % block else block
