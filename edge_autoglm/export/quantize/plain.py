"""Precisions that need nothing but the weights themselves: float32, float16 and 8-bit blocks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edge_autoglm.export.quantize.blocks import quantize_blocks
from edge_autoglm.export.weights import BlockWeights, Dense, LayerWeights, Linear, Matrix, map_linears

Array = npt.NDArray[np.float32]


class PlainQuantizer:
    """Stores every matrix by one rule. Implements ``Quantizer``."""

    def __init__(self, store: Callable[[Array], Matrix]) -> None:
        self._store = store

    def table(self, values: Array) -> Matrix:
        """See ``Quantizer``."""
        stored = self._store(values)
        if isinstance(stored, BlockWeights) and stored.columns % stored.block:
            return half(values)  # a look-up returns whole blocks, padding included
        return stored

    def layer(self, index: int, weights: LayerWeights[Dense]) -> LayerWeights[Matrix]:
        """See ``Quantizer``."""

        def store(_: str, linear: Linear[Dense]) -> Linear[Matrix]:
            return Linear(self._store(linear.weight.values), linear.bias)

        return map_linears(weights, store)

    def head(self, values: Array) -> Matrix:
        """See ``Quantizer``."""
        return self._store(values)


def dense(values: Array) -> Matrix:
    """Stored as it is."""
    return Dense(values)


def half(values: Array) -> Matrix:
    """Stored as float16, computed in float32."""
    return Dense(values.astype(np.float16))


def int8_blocks(values: Array) -> Matrix:
    """8-bit levels in blocks of 32."""
    return quantize_blocks(values)
