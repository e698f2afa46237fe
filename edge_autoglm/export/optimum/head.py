"""Logits at chosen positions: a gather in front of the head, driven by the input ``logits_at``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edge_autoglm.errors import UnsupportedModel
from edge_autoglm.export.optimum.ir_tools import (
    add_constant,
    add_input,
    constant_of,
    constant_shape,
    insert,
    is_constant,
    operand,
)
from edge_autoglm.export.optimum.linear import Linear, as_linear

_ELEMENTWISE = ("Add", "Mul", "Div", "Sub", "Tanh", "Cast")


@dataclass(frozen=True, slots=True)
class Head:
    """What became of the head.

    Attributes:
        vocab_size: Columns of the logits.
        chosen_first: Whether the head runs on the chosen positions only; else they are picked from all logits.
        tied: Whether it shares the embedding's weights.
    """

    vocab_size: int
    chosen_first: bool
    tied: bool


def choose_positions(graph: ir.Graph) -> Head:
    """Turn the output ``logits`` ``[B, S, vocab]`` into ``[N, vocab]``: row ``i`` is the token ``logits_at[i]`` of B*S.

    Raises:
        UnsupportedModel: There are no logits of a fixed width.
    """
    logits = next((value for value in graph.outputs if value.name == "logits"), None)
    width = None if logits is None or logits.shape is None else logits.shape[-1]
    if logits is None or not isinstance(width, int):
        raise UnsupportedModel("the exported graph has no logits of fixed width", "Choose a causal language model.")
    chosen = add_input(graph, "logits_at", ir.DataType.INT64, ["N"])
    index = graph.outputs.index(logits)
    linear = _head_of(logits)
    tied = False
    if linear is None:
        graph.outputs[index] = _pick(graph, None, logits, width, chosen)
    else:
        rows = _pick(graph, linear.node, linear.x, linear.shape[1], chosen)
        linear.node.replace_input_with(0, rows)
        tied = _tie(graph, linear, rows)
    _name_logits(graph.outputs[index], logits, width)
    return Head(width, linear is not None, tied)


def _name_logits(output: ir.Value, exported: ir.Value, width: int) -> None:
    exported.name = "logits.exported"
    output.name = "logits"
    output.type = ir.TensorType(ir.DataType.FLOAT)
    output.shape = ir.Shape(["N", width])


def _head_of(logits: ir.Value) -> Linear | None:
    """The linear layer behind which only element-wise operators with constants follow."""
    node = logits.producer()
    while node is not None and as_linear(node) is None:
        variable = [value for value in node.inputs if not is_constant(value)]
        if node.op_type not in _ELEMENTWISE or len(variable) != 1 or variable[0] is None:
            return None
        node = variable[0].producer()
    return None if node is None else as_linear(node)


def _pick(graph: ir.Graph, before: ir.Node | None, x: ir.Value, width: int, chosen: ir.Value) -> ir.Value:
    """Rows of ``x`` ``[B, S, width]``, in front of a node or at the end of the graph."""
    shape = add_constant(graph, "head.shape", np.array([-1, width], dtype=np.int64))
    rows = insert(graph, before, "Reshape", "head.rows", [x, shape]).outputs[0]
    return insert(graph, before, "Gather", "head.chosen", [rows, chosen], axis=0).outputs[0]


def embedding_of(graph: ir.Graph) -> ir.Node | None:
    """The look-up of ``input_ids`` in a constant table."""
    ids = next((value for value in graph.inputs if value.name == "input_ids"), None)
    reached = [] if ids is None else [ids]
    for value in reached:
        for use in value.uses():
            node = use.node
            if node.op_type == "Gather" and use.idx == 1 and is_constant(node.inputs[0]):
                return node
            if node.op_type in ("Reshape", "Cast") and use.idx == 0:  # transformers flattens ids to [-1, S]
                reached.append(node.outputs[0])
    return None


def _tie(graph: ir.Graph, linear: Linear, rows: ir.Value) -> bool:
    """Let the head read the embedding's table where it is the same; returns whether it is.

    Optimum writes it twice, once transposed, or puts a Transpose between (if the package accelerate is there).
    """
    embedding = embedding_of(graph)
    table = None if embedding is None else operand(embedding, 0)
    if table is None or not _same(table, linear):
        return False
    if linear.node.op_type == "MatMul":
        gemm = insert(graph, linear.node, "Gemm", "head", [rows, table], transB=1)
        ir.convenience.replace_all_uses_with(linear.node.outputs[0], gemm.outputs[0], replace_graph_outputs=True)
    return True


def _same(table: ir.Value, linear: Linear) -> bool:
    if linear.weight is table:
        return linear.transposed
    if constant_shape(table) != linear.shape:
        return False
    array = constant_of(table)
    return array is not None and np.array_equal(array, linear.read())
