"""Block quantisation: bounds on the error, and the corners."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.export.quantize.blocks import BLOCK_SIZE, dequantize_blocks, quantize_blocks


@given(rows=st.integers(1, 5), columns=st.integers(1, 100), seed=st.integers(0, 2**16), scale=st.floats(1e-6, 1e6))
def test_no_weight_moves_by_more_than_half_a_level(rows: int, columns: int, seed: int, scale: float) -> None:
    weight = (np.random.default_rng(seed).standard_normal((rows, columns)) * scale).astype(np.float32)
    blocks = quantize_blocks(weight)
    error = np.abs(dequantize_blocks(blocks) - weight)
    level = np.repeat(blocks.scales, BLOCK_SIZE, axis=1)[:, :columns]
    assert (error <= level * 0.5001).all()


def test_zero_blocks_stay_zero_and_padding_is_the_zero_point() -> None:
    weight = np.zeros((2, 40), dtype=np.float32)
    weight[1, 39] = -3.0
    blocks = quantize_blocks(weight)
    assert blocks.data.shape == (2, 2, BLOCK_SIZE)
    assert (blocks.data[0] == 128).all()
    assert (blocks.data[1, 1, 8:] == 128).all()
    np.testing.assert_array_equal(dequantize_blocks(blocks)[1, 39], np.float32(-3.0))


def test_the_largest_weight_of_a_block_uses_the_last_level() -> None:
    weight = np.linspace(-1, 1, BLOCK_SIZE, dtype=np.float32)[None]
    assert quantize_blocks(weight).data.min() == 1
    assert quantize_blocks(weight).data.max() == 255
