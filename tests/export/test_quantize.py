"""Block quantisation: bounds on the error, and the corners."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edge_autoglm.export.calibration.layer_runner import open_session
from edge_autoglm.export.graph.builder import GraphBuilder
from edge_autoglm.export.graph.linear import project
from edge_autoglm.export.graph.weight_file import InlineWeights
from edge_autoglm.export.quantize.blocks import BLOCK_SIZE, dequantize_blocks, quantize_blocks
from edge_autoglm.export.quantize.gptq import quantize_rows_gptq
from edge_autoglm.export.quantize.rows import MAX_LEVEL, PAIR_SUM, dequantize_rows, quantize_rows, row_scales
from edge_autoglm.export.weights import Linear


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


def test_neighbours_of_one_sign_fit_sixteen_bits_together() -> None:
    rng = np.random.default_rng(3)
    weight = np.clip(rng.standard_normal((40, 131)) * 2, -1, 1).astype(np.float32)  # many at the largest level
    inputs = rng.standard_normal((200, 131))
    for rows in (quantize_rows(weight), quantize_rows_gptq(weight, inputs.T @ inputs)):
        levels = rows.data[:, :130].astype(int).reshape(40, 65, 2)
        same_sign = levels[..., 0] * levels[..., 1] > 0
        assert PAIR_SUM // 2 < np.abs(levels).sum(axis=2)[same_sign].max() <= PAIR_SUM


def test_pairs_that_fit_use_all_levels_and_are_rounded_to_the_nearest() -> None:
    weight = (np.random.default_rng(4).standard_normal((8, 64)) * 0.1).astype(np.float32)
    weight[:, 0] = 1.0
    weight[:, 1] = -1.0
    rows = quantize_rows(weight)
    assert np.abs(rows.data).max() == MAX_LEVEL
    assert (np.abs(dequantize_rows(rows) - weight) <= rows.scales[:, None] * 0.5001).all()


def test_a_scale_is_stretched_where_that_costs_less_than_cutting_pairs() -> None:
    weight = np.random.default_rng(6).uniform(-1, 1, (16, 256)).astype(np.float32)
    needed = np.abs(weight).max(axis=1) / MAX_LEVEL
    stretched = row_scales(weight)
    assert (stretched > 1.3 * needed).all()
    assert (row_scales(np.eye(16, dtype=np.float32)) == np.float32(1 / MAX_LEVEL)).all()


def test_the_largest_activations_do_not_saturate_a_product() -> None:
    ort = pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(5)
    rows = quantize_rows(np.clip(rng.standard_normal((48, 130)) * 2, -1, 1).astype(np.float32))
    activations = rng.choice(np.array([1, 128, 250, 255], dtype=np.uint8), (5, 130))
    session = ort.InferenceSession(_integer_product(rows.data), providers=["CPUExecutionProvider"])
    [product] = session.run(None, {"levels": activations})
    expected = (activations.astype(np.int64) - 128) @ rows.data.T.astype(np.int64)
    np.testing.assert_array_equal(product, expected)


def _integer_product(data: npt.NDArray[np.int8]) -> bytes:
    constants = {
        "weight": data.T.copy(),
        "unit": np.float32(1),
        "scales": np.ones(len(data), dtype=np.float32),
        "zero": np.array(128, dtype=np.uint8),
    }
    node = helper.make_node(
        "MatMulIntegerToFloat", ["levels", "weight", "unit", "scales", "zero"], ["y"], domain="com.microsoft"
    )
    levels = helper.make_tensor_value_info("levels", TensorProto.UINT8, [None, data.shape[1]])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, len(data)])
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph([node], "product", [levels], [y], initializers)
    model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return model


def test_a_row_of_zeros_stays_one_beside_others() -> None:
    weight = np.random.default_rng(7).standard_normal((6, 32)).astype(np.float32)
    graph = GraphBuilder(InlineWeights())
    project(graph, "y", graph.input("x", TensorProto.FLOAT, ["B", "S", 32]), Linear(quantize_rows(weight), None))
    graph.output("y", TensorProto.FLOAT, ["B", "S", 6])
    x = np.random.default_rng(8).standard_normal((1, 3, 32)).astype(np.float32)
    x[0, 1] = 0
    [y] = open_session(graph.serialize("product"), threads=1).run(None, {"x": x})
    assert not y[0, 1].any()
    np.testing.assert_allclose(y[0, ::2], x[0, ::2] @ weight.T, rtol=0, atol=0.3)
