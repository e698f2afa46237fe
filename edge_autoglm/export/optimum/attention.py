"""Finds the attention of each layer in an exported graph and puts ``GroupQueryAttention`` in its place.

What ``torch.onnx`` makes of scaled dot-product attention is ``softmax(scale * q k' + mask) v`` over the whole cache,
with the scale in one or two factors and the mask computed from ``attention_mask``. `GroupQueryAttention` does the same
for a causal mask, in the cache's own memory; whether the mask is causal and nothing else is found out by `masks`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from edge_autoglm.export.optimum.cache import LayerCache
from edge_autoglm.export.optimum.ir_tools import (
    CONTRIB,
    add_constant,
    add_input,
    insert,
    made_by,
    operand,
    permutation,
    users,
)
from edge_autoglm.export.optimum.mismatch import NoMatch


@dataclass(frozen=True, slots=True)
class Attention:
    """One layer's attention as exported.

    Attributes:
        query: ``[B, heads, S, head_dim]``, before scaling.
        factors: Scalars whose product is the scale.
        divisor: Scalar by which the scores are divided, if any.
        mask: Added to the scores.
        output: ``[B, heads, S, head_dim]``.
    """

    query: ir.Value
    factors: tuple[ir.Value, ...]
    divisor: ir.Value | None
    mask: ir.Value
    output: ir.Value


def find_attention(layer: LayerCache) -> Attention:
    """Match one layer.

    Raises:
        NoMatch: It is of another form.
    """
    product = _weighted_sum(layer.value.present)
    softmax = _softmax(operand(product, 0))
    add = made_by(softmax.inputs[0], "Add")
    if add is None:
        raise NoMatch("the softmax is not over scores plus a mask")
    scores, mask = _scores_and_mask(add)
    factors: list[ir.Value] = []
    divisor = None
    if scaled := made_by(scores, "Mul", "Div"):
        if scaled.op_type == "Mul":
            factors.append(operand(scaled, 1))
        else:
            divisor = operand(scaled, 1)
        scores = operand(scaled, 0)
    matmul = made_by(scores, "MatMul")
    if matmul is None:
        raise NoMatch("the attention scores are more than a scaled product of queries and keys")
    query, query_factor = _scaled(operand(matmul, 0))
    key, key_factor = _scaled(operand(matmul, 1))
    transposed = made_by(key, "Transpose")
    if (
        transposed is None
        or permutation(transposed) != [0, 1, 3, 2]
        or _repeated(operand(transposed, 0)) is not layer.key.present
    ):
        raise NoMatch("the attention scores are not over the keys of the cache")
    factors += [factor for factor in (query_factor, key_factor) if factor is not None]
    return Attention(query, tuple(factors), divisor, mask, product.outputs[0])


def _weighted_sum(present: ir.Value) -> ir.Node:
    found = [node for value in _repeats(present) for node in users(value, "MatMul") if node.inputs[1] is value]
    if len(found) != 1:
        raise NoMatch("the values of the cache are not used by one product with the attention weights")
    return found[0]


def _softmax(weights: ir.Value) -> ir.Node:
    # torch writes zeros where a row of the mask allows nothing: Where(IsNaN(w), 0, w).
    where = made_by(weights, "Where")
    if where is not None and made_by(where.inputs[0], "IsNaN"):
        weights = operand(where, 2)
    softmax = made_by(weights, "Softmax")
    if softmax is None:
        raise NoMatch("the attention weights are not a softmax")
    return softmax


def _scores_and_mask(add: ir.Node) -> tuple[ir.Value, ir.Value]:
    first, second = operand(add, 0), operand(add, 1)
    if _is_product(first):
        return first, second
    if _is_product(second):
        return second, first
    raise NoMatch("the attention scores have something added before the mask")


def _is_product(value: ir.Value) -> bool:
    scaled = made_by(value, "Mul", "Div")
    return made_by(scaled.inputs[0] if scaled else value, "MatMul") is not None


def _scaled(value: ir.Value) -> tuple[ir.Value, ir.Value | None]:
    node = made_by(value, "Mul")
    return (value, None) if node is None else (operand(node, 0), operand(node, 1))


def _repeats(present: ir.Value) -> list[ir.Value]:
    """The cache itself, and copies of it in which each head is repeated: Unsqueeze, Expand, Reshape."""
    reshapes = [
        reshape
        for unsqueeze in users(present, "Unsqueeze")
        for expand in users(unsqueeze.outputs[0], "Expand")
        for reshape in users(expand.outputs[0], "Reshape")
    ]
    return [present, *(node.outputs[0] for node in reshapes)]


def _repeated(value: ir.Value) -> ir.Value:
    """What `_repeats` started from."""
    reshape = made_by(value, "Reshape")
    expand = made_by(reshape.inputs[0], "Expand") if reshape else None
    unsqueeze = made_by(expand.inputs[0], "Unsqueeze") if expand else None
    return operand(unsqueeze, 0) if unsqueeze else value


@dataclass(frozen=True, slots=True)
class StepInputs:
    """Graph inputs that say where a step's tokens stand (see ``export/graph/decoder.py``)."""

    last: ir.Value
    """``seqlens_k`` int32 ``[B]``."""
    longest: ir.Value
    """``total_sequence_length`` int32 scalar."""


def add_step_inputs(graph: ir.Graph) -> StepInputs:
    """Declare the inputs, and compute ``position_ids`` from them where the graph reads it."""
    inputs = StepInputs(
        add_input(graph, "seqlens_k", ir.DataType.INT32, ["B"]),
        add_input(graph, "total_sequence_length", ir.DataType.INT32, []),
    )
    by_name = {value.name: value for value in graph.inputs}
    if positions := by_name.get("position_ids"):
        first = next(iter(graph))
        ir.convenience.replace_all_uses_with(positions, _positions(graph, first, by_name["input_ids"], inputs.last))
    return inputs


def _positions(graph: ir.Graph, before: ir.Node, ids: ir.Value, last: ir.Value) -> ir.Value:
    """``last + 1 - S + [0, 1 .. S-1]`` for each row, int64 ``[B, S]``."""

    def op(kind: str, name: str, *inputs: ir.Value, **attributes: Any) -> ir.Value:
        return insert(graph, before, kind, f"positions.{name}", inputs, **attributes).outputs[0]

    def number(name: str, value: int | list[int]) -> ir.Value:
        return add_constant(graph, f"positions.{name}", np.array(value, dtype=np.int64))

    count = op("Squeeze", "count", op("Shape", "shape", ids, start=1, end=2))
    end = op("Add", "end", op("Cast", "last", last, to=ir.DataType.INT64.value), number("one", 1))
    begin = op("Unsqueeze", "begin", op("Sub", "first", end, count), number("axis", [1]))
    return op("Add", "ids", begin, op("Range", "offsets", number("zero", 0), count, number("one", 1)))


def fuse_attention(
    graph: ir.Graph, index: int, layer: LayerCache, found: Attention, scale: float, heads: int, inputs: StepInputs
) -> tuple[ir.Value, ir.Value]:
    """Replace one layer's attention; returns the outputs that become ``present_key`` and ``present_value``."""
    before = found.output.producer()
    prefix = f"layer.{index}.attention"
    rows = [
        _rows(graph, before, f"{prefix}.{name}", value, width * layer.head_dim)
        for name, value, width in (
            ("query", found.query, heads),
            ("key", layer.key.new, layer.kv_heads),
            ("value", layer.value.new, layer.kv_heads),
        )
    ]
    node = insert(
        graph,
        before,
        "GroupQueryAttention",
        prefix,
        [*rows, layer.key.past, layer.value.past, inputs.last, inputs.longest],
        domain=CONTRIB,
        outputs=3,
        num_heads=heads,
        kv_num_heads=layer.kv_heads,
        scale=scale,
    )
    shape = add_constant(graph, "attention.heads", np.array([0, 0, heads, layer.head_dim], dtype=np.int64))
    split = insert(graph, before, "Reshape", f"{prefix}.split", [node.outputs[0], shape])
    turned = insert(graph, before, "Transpose", f"{prefix}.turned", [split.outputs[0]], perm=[0, 2, 1, 3])
    ir.convenience.replace_all_uses_with(found.output, turned.outputs[0])
    return node.outputs[1], node.outputs[2]


def _rows(graph: ir.Graph, before: ir.Node | None, name: str, heads: ir.Value, width: int) -> ir.Value:
    """``[B, heads, S, head_dim]`` as ``[B, S, width]``; takes back the transposition that made it."""
    shape = add_constant(graph, f"attention.rows.{width}", np.array([0, 0, width], dtype=np.int64))
    transpose = made_by(heads, "Transpose")
    if transpose is not None and permutation(transpose) == [0, 2, 1, 3]:
        turned = operand(transpose, 0)
    else:
        turned = insert(graph, before, "Transpose", f"{name}.turned", [heads], perm=[0, 2, 1, 3]).outputs[0]
    return insert(graph, before, "Reshape", name, [turned, shape]).outputs[0]
