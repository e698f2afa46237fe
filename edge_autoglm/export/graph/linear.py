"""How a matrix enters the graph, by the form it is stored in: projections, and the embedding that a head may share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from edge_autoglm.export.graph.builder import GraphBuilder
from edge_autoglm.export.quantize.blocks import pack_levels
from edge_autoglm.export.weights import BlockWeights, Dense, Linear, Matrix, RowWeights

_INT8_ACTIVATIONS = 4
"""``accuracy_level`` of MatMulNBits: activations are quantised to int8 a block at run time."""
_ACTIVATION_ZERO = 128


def project(graph: GraphBuilder, name: str, x: str, linear: Linear[Matrix]) -> str:
    """``x @ weight.T + bias``: float32 ``[..., in]`` to ``[..., out]``."""
    if linear.bias is None:
        return _matmul(graph, name, x, linear.weight)
    product = _matmul(graph, f"{name}.product", x, linear.weight)
    return graph.op("Add", name, [product, graph.weight(f"{name}.bias", linear.bias)])


def embed(graph: GraphBuilder, name: str, ids: str, table: Matrix) -> str:
    """Rows of a table ``[vocab, hidden]`` for the ids; `project_tied` may use what is stored here."""
    if isinstance(table, Dense):
        rows = graph.op("Gather", f"{name}.rows", [graph.weight(f"{name}.weight", table.values), ids])
        return rows if table.values.dtype == np.float32 else graph.op("Cast", name, [rows], to=TensorProto.FLOAT)
    if isinstance(table, BlockWeights):
        return _embed_blocks(graph, name, ids, table)
    if isinstance(table, RowWeights):
        return _embed_rows(graph, name, ids, table)
    raise TypeError(f"a table cannot be stored as {type(table).__name__}")


def project_tied(graph: GraphBuilder, name: str, x: str, embedding: str, table: Matrix) -> str:
    """Project with the weights that `embed` stored under the name ``embedding``."""
    if isinstance(table, Dense):
        values = _float32(graph, embedding, table.values.dtype)
        return graph.op("Gemm", name, [x, values], transB=1)
    if isinstance(table, BlockWeights):
        rows = table.data.shape[0]
        data = graph.alias(f"{embedding}.weight", f"{name}.weight", table.data.shape)
        zeros = None
        if table.zero_points is not None:
            zeros = graph.alias(f"{embedding}.zeros", f"{name}.zeros", (graph.elements(f"{embedding}.zeros"),))
        return _matmul_blocks(graph, name, x, table, (rows, data, f"{embedding}.scales", zeros))
    if isinstance(table, RowWeights):
        return _matmul_integer(graph, name, x, f"{embedding}.weight", f"{embedding}.scales")
    raise TypeError(f"a table cannot be stored as {type(table).__name__}")


def _matmul(graph: GraphBuilder, name: str, x: str, weight: Matrix) -> str:
    if isinstance(weight, Dense):
        graph.weight(f"{name}.weight", weight.values.T)
        return graph.op("MatMul", name, [x, _float32(graph, name, weight.values.dtype)])
    if isinstance(weight, BlockWeights):
        return _matmul_blocks(graph, name, x, weight, _store_blocks(graph, name, weight))
    if isinstance(weight, RowWeights):
        graph.weight(f"{name}.weight", weight.data.T)
        return _matmul_integer(graph, name, x, f"{name}.weight", graph.weight(f"{name}.scales", weight.scales))
    parts = [_matmul(graph, f"{name}.{index}", x, part) for index, part in enumerate(weight.parts)]
    return graph.op("Concat", name, parts, axis=-1)


def _float32(graph: GraphBuilder, name: str, dtype: np.dtype[np.floating]) -> str:
    """The stored values of ``name`` as float32; ONNX Runtime folds the cast when it loads the graph."""
    stored = f"{name}.weight"
    return stored if dtype == np.float32 else graph.op("Cast", f"{name}.values", [stored], to=TensorProto.FLOAT)


_Stored = tuple[int, str, str, "str | None"]
"""Rows of a block matrix, and the names of its data, scales and zero points."""


def _store_blocks(graph: GraphBuilder, name: str, weight: BlockWeights) -> _Stored:
    data = graph.weight(f"{name}.weight", weight.data)
    scales = graph.weight(f"{name}.scales", weight.scales)
    zeros = None
    if weight.zero_points is not None:
        zeros = graph.weight(f"{name}.zeros", _packed_zeros(weight.zero_points, weight.bits))
    return weight.data.shape[0], data, scales, zeros


def _packed_zeros(zeros: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.uint8]:
    """Zero points ``[out, blocks]`` in the form of MatMulNBits: a row of whole bytes, flattened."""
    even = np.pad(zeros, ((0, 0), (0, zeros.shape[1] % 2))) if bits == 4 else zeros
    return pack_levels(even.astype(np.float32), bits).reshape(-1)


def _matmul_blocks(graph: GraphBuilder, name: str, x: str, weight: BlockWeights, stored: _Stored) -> str:
    rows, data, scales, zeros = stored
    graph.note_form(f"int{weight.bits}")
    return graph.contrib(
        "MatMulNBits",
        name,
        [x, data, scales] if zeros is None else [x, data, scales, zeros],
        N=rows,
        K=weight.columns,
        bits=weight.bits,
        block_size=weight.block,
        accuracy_level=_INT8_ACTIVATIONS,
    )


def _matmul_integer(graph: GraphBuilder, name: str, x: str, weight: str, scales: str) -> str:
    """Integer product with one activation scale a row: exact accumulation, so no row depends on another."""
    graph.note_form("w8a8")
    shift = graph.constant("activation.zero", np.array(_ACTIVATION_ZERO, dtype=np.uint8))
    unit = graph.constant("activation.scale", np.array(1 / 127, dtype=np.float32))
    size = graph.op("Abs", f"{name}.abs", [x])
    axes = graph.constant("activation.axis", np.array([-1], dtype=np.int64))
    largest = graph.op("ReduceMax", f"{name}.largest", [size, axes], keepdims=1)
    normed = graph.op("Div", f"{name}.normed", [x, largest])
    levels = graph.op("QuantizeLinear", f"{name}.levels", [normed, unit, shift])
    product = graph.contrib("MatMulIntegerToFloat", f"{name}.integer", [levels, weight, unit, scales, shift])
    # A row of zeros has no levels (0 / 0); whatever integers stand for them, the product is finite, and ends as zero.
    return graph.op("Mul", name, [product, largest])


def _embed_blocks(graph: GraphBuilder, name: str, ids: str, table: BlockWeights) -> str:
    rows = table.data.shape[0]
    data = graph.weight(f"{name}.weight", table.data.reshape(rows, -1))
    inputs = [data, ids, graph.weight(f"{name}.scales", table.scales)]
    if table.zero_points is not None:
        inputs.append(graph.weight(f"{name}.zeros", _packed_zeros(table.zero_points, table.bits).reshape(rows, -1)))
    return graph.contrib(
        "GatherBlockQuantized",
        name,
        inputs,
        bits=table.bits,
        block_size=table.block,
        gather_axis=0,
        quantize_axis=1,
    )


def _embed_rows(graph: GraphBuilder, name: str, ids: str, table: RowWeights) -> str:
    """Stored as ``[hidden, vocab]``, the form that the head's product needs, so that both share one copy."""
    data = graph.weight(f"{name}.weight", table.data.T)
    scales = graph.weight(f"{name}.scales", table.scales)
    columns = graph.op("Gather", f"{name}.columns", [data, ids], axis=1)
    levels = graph.op("Transpose", f"{name}.rows", [columns], perm=[1, 2, 0])
    values = graph.op("Cast", f"{name}.values", [levels], to=TensorProto.FLOAT)
    last = graph.constant("last_axis", np.array([-1], dtype=np.int64))
    scale = graph.op("Unsqueeze", f"{name}.scale", [graph.op("Gather", f"{name}.factor", [scales, ids]), last])
    return graph.op("Mul", name, [values, scale])
