"""Symmetric rounding with float16 scales, and its products in a graph."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from edge_autoglm.export.graph.builder import GraphBuilder
from edge_autoglm.export.graph.weight_file import InlineWeights
from edge_autoglm.export.quantize.blocks import dequantize_blocks
from edge_autoglm.export.quantize.forms import FormName, InputStatistics
from edge_autoglm.export.standard.forms import dequantized, store
from edge_autoglm.export.standard.linear import project
from edge_autoglm.export.standard.rounding import half_scales, input_scale, int4_grid, round_rows
from edge_autoglm.export.standard.typed import TypedGraph
from edge_autoglm.export.weights import BlockWeights, Linear, Matrix, RowWeights
from tests.export.standard.runner import open_as_written

Array = npt.NDArray[np.float32]


@given(st.floats(0, 1e4, width=32))
def test_a_half_scale_is_the_next_float16_number_that_is_not_smaller(scale: float) -> None:
    [held] = half_scales(np.array([scale], dtype=np.float32))
    assert held >= scale
    assert held > 0
    assert np.float16(held) == held
    assert held == 2.0**-24 or float(np.nextafter(np.float16(held), np.float16(0))) < scale


@given(rows=st.integers(1, 5), columns=st.integers(1, 60), seed=st.integers(0, 2**16), size=st.floats(1e-3, 1e3))
def test_no_weight_moves_by_more_than_half_a_level(rows: int, columns: int, seed: int, size: float) -> None:
    weight = (np.random.default_rng(seed).standard_normal((rows, columns)) * size).astype(np.float32)
    stored = round_rows(weight)
    assert np.abs(stored.data).max() <= 127
    assert (np.abs(dequantized(stored).values - weight) <= stored.scales[:, None] * 0.5001).all()


def test_a_grid_beats_the_one_of_the_largest_weight_and_weighs_its_columns() -> None:
    values = np.random.default_rng(1).standard_normal((32, 50)).astype(np.float32)
    plain, needed = np.ones(32, dtype=np.float32), half_scales(np.abs(values).max(axis=0) / 7)

    def error(scales: Array, importance: Array) -> float:
        levels = np.clip(np.rint(values / scales), -8, 7)
        return float((importance @ np.square(levels * scales - values)).sum())

    scales, zeros = int4_grid(values, plain)
    assert (zeros == 8).all()
    assert error(scales, plain) < 0.95 * error(needed, plain)
    uneven = np.geomspace(1, 1000, 32).astype(np.float32)
    weighed, _ = int4_grid(values, uneven)
    assert error(weighed, uneven) < error(scales, uneven)


def test_rare_outliers_are_cut_where_the_product_is_better_for_it() -> None:
    rng = np.random.default_rng(2)
    weight = rng.standard_normal((8, 16)).astype(np.float32)
    weight[:, 0] = 0
    sample = rng.standard_normal((200, 16)).astype(np.float32)
    sample[0, 0] = 6.0  # meets no weight, so nothing is lost by cutting it
    assert input_scale(6.0, sample, weight) < 0.8 * 6 / 127
    sample[0, 1] = 6.0
    weight[:, 1] = 100.0
    assert input_scale(6.0, sample, weight) == pytest.approx(6 / 127, rel=2e-3)


def _product(matrix: Matrix, x: Array) -> Array:
    graph = GraphBuilder(InlineWeights(), opset=21)
    x_name = graph.input("x", TensorProto.FLOAT, ["S", x.shape[1]])
    graph.output_of(project(TypedGraph(graph, half=False), "y", x_name, Linear(matrix)))
    [y] = open_as_written(graph.serialize("product")).run(None, {"x": x})
    result: Array = y
    return result


def _inputs(columns: int) -> tuple[Array, InputStatistics]:
    x = np.random.default_rng(3).standard_normal((60, columns)).astype(np.float32)
    return x, InputStatistics((x.T @ x).astype(np.float64), np.abs(x).max(axis=0), x)


@pytest.mark.parametrize(
    ("form", "columns", "bits"),
    [
        ("int4", 128, 4),
        ("int4", 192, 4),
        ("int4", 96, 8),
        ("int4", 50, 8),
        ("int8", 33, 8),
    ],
)
def test_a_product_is_that_of_the_stored_numbers(form: FormName, columns: int, bits: int) -> None:
    x, inputs = _inputs(columns)
    matrix = store(np.random.default_rng(4).standard_normal((7, columns)).astype(np.float32), form, inputs)
    assert isinstance(matrix, BlockWeights if bits == 4 else RowWeights)
    expected = x @ dequantized(matrix).values.T
    np.testing.assert_allclose(_product(matrix, x), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_an_integer_product_is_that_of_the_rounded_inputs() -> None:
    x, inputs = _inputs(40)
    matrix = store(np.random.default_rng(5).standard_normal((6, 40)).astype(np.float32), "w8a8", inputs)
    assert isinstance(matrix, RowWeights)
    assert matrix.input_scale is not None
    rounded = np.clip(np.rint(x / np.float32(matrix.input_scale)), -128, 127) * np.float32(matrix.input_scale)
    expected = rounded @ dequantized(matrix).values.T
    assert np.abs(rounded - x).max() > 0
    np.testing.assert_allclose(_product(matrix, x), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_fitting_leaves_less_error_in_the_product_than_rounding() -> None:
    rng = np.random.default_rng(6)
    x = (rng.standard_normal((300, 64)) + 4 * rng.standard_normal((300, 1))).astype(np.float32)
    inputs = InputStatistics((x.T @ x).astype(np.float64), np.abs(x).max(axis=0), x)
    weight = np.random.default_rng(7).standard_normal((20, 64)).astype(np.float32)
    fitted = store(weight, "int4", inputs)
    assert isinstance(fitted, BlockWeights)
    scales = np.repeat(fitted.scales, fitted.block, axis=1)
    rounded = np.clip(np.rint(weight / scales), -8, 7) * scales
    errors = [np.square(x @ (stored - weight).T).sum() for stored in (dequantize_blocks(fitted), rounded)]
    assert errors[0] < 0.7 * errors[1]


def test_blocks_with_zero_points_are_refused() -> None:
    x, inputs = _inputs(64)
    matrix = store(np.ones((4, 64), dtype=np.float32), "int4", inputs)
    assert isinstance(matrix, BlockWeights)
    shifted = BlockWeights(matrix.data, matrix.scales, np.zeros((4, 1), dtype=np.uint8), 4, 64, 64)
    with pytest.raises(TypeError, match="symmetric"):
        _product(shifted, x)
