"""How a matrix enters the standard graph, by the form it is stored in. TensorRT takes symmetric levels only.

- Dense: the values, in the type of products.
- Rows: int8 levels and a scale an output channel, by DequantizeLinear. TensorRT keeps the levels and dequantises inside
  the product. With a scale for the inputs too, those pass a pair of QuantizeLinear and DequantizeLinear, and TensorRT
  multiplies integers.
- Blocks: packed int4 levels and a scale a block of input channels, by DequantizeLinear with ``block_size``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from edge_autoglm.export.quantize.blocks import pack_levels, unpack_levels
from edge_autoglm.export.standard.typed import TypedGraph
from edge_autoglm.export.weights import BlockWeights, Dense, Linear, Matrix, RowWeights, Stacked

_INT4_SIGN = 8
"""Level of `BlockWeights` that stands for 0; with this bit turned over, a level is a two's complement nibble."""


def project(graph: TypedGraph, name: str, x: str, linear: Linear[Matrix]) -> str:
    """``x @ weight.T + bias``: float32 ``[..., in]`` to float32 ``[..., out]``."""
    product = _matmul(graph, name, x, linear.weight)
    if linear.bias is None:
        return product
    return graph.builder.op("Add", f"{name}.biased", [product, graph.builder.weight(f"{name}.bias", linear.bias)])


def embed(graph: TypedGraph, name: str, ids: str, table: Matrix) -> str:
    """Rows of a table ``[vocab, hidden]`` for the ids, float32; `project_tied` may use what is stored here.

    It is stored as ``[hidden, vocab]``, the form that the head's product needs: TensorRT then keeps one copy for both.
    """
    op = graph.builder.op
    if isinstance(table, Dense):
        data = graph.builder.weight(f"{name}.weight", table.values.T.astype(graph.product_dtype))
        return graph.widen(_look_up(graph, f"{name}.rows", data, ids))
    if not isinstance(table, RowWeights):
        raise TypeError(f"a table of the standard graph cannot be stored as {type(table).__name__}")
    data, scales = _store_rows(graph, name, table)
    # TensorRT takes int8 constants into DequantizeLinear only; a scale of 1 for all lets it look up, then convert.
    unit = graph.builder.constant("unit_scale", np.array(1, dtype=np.float32))
    levels = _look_up(graph, f"{name}.rows", op("DequantizeLinear", f"{name}.levels", [data, unit]), ids)
    last = graph.builder.constant("last_axis", np.array([-1], dtype=np.int64))
    factor = graph.widen(op("Gather", f"{name}.factor", [scales, ids]))
    return op("Mul", name, [levels, op("Unsqueeze", f"{name}.factors", [factor, last])])


def project_tied(graph: TypedGraph, name: str, x: str, embedding: str, table: Matrix) -> str:
    """Project with the weights that `embed` stored under the name ``embedding``."""
    values = f"{embedding}.weight"
    if isinstance(table, RowWeights):
        inputs = [values, f"{embedding}.scales"]
        values = graph.builder.op("DequantizeLinear", f"{name}.values", inputs, axis=1)
    return graph.widen(graph.builder.op("MatMul", f"{name}.matmul", [graph.narrow(x), values]))


def _look_up(graph: TypedGraph, name: str, data: str, ids: str) -> str:
    columns = graph.builder.op("Gather", f"{name}.columns", [data, ids], axis=1)
    return graph.builder.op("Transpose", name, [columns], perm=[1, 2, 0])


def _matmul(graph: TypedGraph, name: str, x: str, weight: Matrix) -> str:
    """The product, float32."""
    if isinstance(weight, RowWeights) and weight.input_scale is not None:
        return _integer_product(graph, name, x, weight, weight.input_scale)
    operand = graph.narrow(x)
    if not isinstance(weight, Stacked):
        return graph.widen(_product(graph, name, operand, weight))
    parts = [_product(graph, f"{name}.{index}", operand, part) for index, part in enumerate(weight.parts)]
    return graph.widen(graph.builder.op("Concat", f"{name}.joined", parts, axis=-1))


def _product(graph: TypedGraph, name: str, operand: str, weight: Dense | RowWeights | BlockWeights) -> str:
    """The product in the type of products."""
    if isinstance(weight, Dense):
        values = graph.builder.weight(f"{name}.weight", weight.values.T.astype(graph.product_dtype))
    elif isinstance(weight, RowWeights):
        values = graph.builder.op("DequantizeLinear", f"{name}.values", _store_rows(graph, name, weight), axis=1)
    else:
        values = _dequantized_blocks(graph, name, weight)
    return graph.builder.op("MatMul", f"{name}.matmul", [operand, values])


def _integer_product(graph: TypedGraph, name: str, x: str, weight: RowWeights, scale: float) -> str:
    """The product of int8 levels, float32.

    TensorRT applies the weights' scales after the product: in float16 the sums of levels would not fit.
    """
    builder = graph.builder
    unit = builder.constant(f"{name}.input_scale", np.array(scale, dtype=np.float32))
    zero = builder.constant("int8.zero", np.array(0, dtype=np.int8))
    levels = builder.op("QuantizeLinear", f"{name}.levels", [x, unit, zero])
    operand = builder.op("DequantizeLinear", f"{name}.operand", [levels, unit])
    data = builder.weight(f"{name}.weight", weight.data.T)
    scales = builder.weight(f"{name}.scales", weight.scales)
    values = builder.op("DequantizeLinear", f"{name}.values", [data, scales], axis=1)
    return builder.op("MatMul", f"{name}.matmul", [operand, values])


def _store_rows(graph: TypedGraph, name: str, weight: RowWeights) -> tuple[str, str]:
    """Names of the levels ``[in, out]`` and of the scales ``[out]``."""
    data = graph.builder.weight(f"{name}.weight", weight.data.T)
    return data, graph.builder.weight(f"{name}.scales", weight.scales.astype(graph.product_dtype))


def _dequantized_blocks(graph: TypedGraph, name: str, weight: BlockWeights) -> str:
    """``[in, out]`` values of an int4 matrix."""
    if weight.bits != 4 or weight.zero_points is not None or weight.columns % weight.block:
        raise TypeError("the standard graph takes blocks of symmetric 4-bit levels that divide the columns")
    shape = (weight.columns, len(weight.data))
    data = graph.builder.packed_weight(f"{name}.weight", _turned_nibbles(weight), int(TensorProto.INT4), shape)
    scales = graph.builder.weight(f"{name}.scales", weight.scales.T.astype(graph.product_dtype))
    inputs = [data, scales]
    return graph.builder.op("DequantizeLinear", f"{name}.values", inputs, axis=0, block_size=weight.block)


def _turned_nibbles(weight: BlockWeights) -> npt.NDArray[np.uint8]:
    """Two's complement levels of the ``[in, out]`` matrix, two to a byte, the first in the low half."""
    levels = unpack_levels(weight.data, 4).reshape(len(weight.data), -1) ^ np.uint8(_INT4_SIGN)
    flat = levels.T.reshape(-1)
    return pack_levels(np.pad(flat, (0, flat.size % 2)), 4)
