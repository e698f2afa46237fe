"""GPTQ: less error on correlated inputs than rounding to nearest, and the layout of what it returns."""

from __future__ import annotations

import numpy as np
import pytest

from edge_autoglm.export.quantize.blocks import dequantize_blocks, quantize_blocks, unpack_levels
from edge_autoglm.export.quantize.gptq import quantize_gptq, quantize_rows_gptq
from edge_autoglm.export.quantize.rows import dequantize_rows, quantize_rows
from edge_autoglm.export.weights import Array


def _correlated(rng: np.random.Generator, columns: int) -> Array:
    """Inputs of which a quarter of the directions carry nearly everything."""
    mixing = rng.standard_normal((columns // 4, columns))
    inputs = rng.standard_normal((600, columns // 4)) @ mixing + 0.1 * rng.standard_normal((600, columns))
    return inputs.astype(np.float32)


def _loss(inputs: Array, weight: Array, quantized: Array) -> float:
    return float(np.square(inputs @ (weight - quantized).T).sum())


@pytest.mark.parametrize(("columns", "block"), [(128, 32), (96, 64), (72, 32)])
def test_error_on_unseen_inputs_is_well_below_rounding_to_nearest(columns: int, block: int) -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((40, columns)).astype(np.float32)
    inputs = _correlated(rng, columns)
    seen, unseen = inputs[:400], inputs[400:]
    moments = (seen.T @ seen).astype(np.float64)
    fitted = quantize_gptq(weight, moments, 4, block)
    nearest = dequantize_blocks(quantize_blocks(weight, 4, block, symmetric=False))
    assert fitted.columns == columns
    assert _loss(unseen, weight, dequantize_blocks(fitted)) < 0.5 * _loss(unseen, weight, nearest)


def test_rows_gain_too() -> None:
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((24, 100)).astype(np.float32)
    inputs = _correlated(rng, 100)
    fitted = quantize_rows_gptq(weight, (inputs.T @ inputs).astype(np.float64))
    assert fitted.data.shape == weight.shape
    nearest = dequantize_rows(quantize_rows(weight))
    assert _loss(inputs, weight, dequantize_rows(fitted)) < 0.5 * _loss(inputs, weight, nearest)


def test_uncorrelated_inputs_leave_rounding_to_nearest_on_the_chosen_grid() -> None:
    weight = np.random.default_rng(2).standard_normal((8, 64)).astype(np.float32)
    fitted = quantize_gptq(weight, np.eye(64), 4, 32)
    assert fitted.zero_points is not None
    scales, zeros = (np.repeat(part, 32, axis=1).astype(np.float32) for part in (fitted.scales, fitted.zero_points))
    expected = np.clip(np.rint(weight / scales) + zeros, 0, 15)
    np.testing.assert_array_equal(unpack_levels(fitted.data, 4).reshape(8, 64), expected)


def test_inputs_that_were_never_seen_do_no_harm() -> None:
    weight = np.random.default_rng(3).standard_normal((8, 64)).astype(np.float32)
    fitted = dequantize_blocks(quantize_gptq(weight, np.zeros((64, 64)), 4, 32))
    assert np.abs(fitted - weight).max() < 0.5
