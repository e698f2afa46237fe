"""Linear layers of an exported graph: found as MatMul or Gemm with constant weights, freed of reshapes, quantised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edge_autoglm.export.optimum.ir_tools import (
    constant_of,
    constant_shape,
    insert,
    made_by,
    operand,
    permutation,
    users,
)
from edge_autoglm.export.optimum.mismatch import NoMatch


@dataclass(frozen=True, slots=True)
class Linear:
    """``output = x @ weight + bias``.

    Attributes:
        node: MatMul or Gemm.
        x: ``[..., in]``.
        weight: Initializer, ``[out, in]`` if ``transposed``, else ``[in, out]``.
        transposed: See ``weight``.
        bias: Initializer ``[out]``, or ``None``.
        output: Of the node, or of the addition of the bias behind it.
    """

    node: ir.Node
    x: ir.Value
    weight: ir.Value
    transposed: bool
    bias: ir.Value | None
    output: ir.Value

    @property
    def shape(self) -> tuple[int, int]:
        """Features out and in."""
        first, second = constant_shape(self.weight) or (0, 0)
        return (first, second) if self.transposed else (second, first)

    def read(self) -> npt.NDArray[np.float32]:
        """The weights as ``[out, in]``."""
        array = constant_of(self.weight)
        if array is None:
            raise NoMatch("the weight of a linear layer is not constant")
        return np.ascontiguousarray(array if self.transposed else array.T)


def find_linears(graph: ir.Graph) -> Iterator[Linear]:
    """Every one of them; the graph may be changed between two."""
    for node in list(graph):
        if found := as_linear(node):
            yield found


def as_linear(node: ir.Node) -> Linear | None:
    """The linear layer that a node computes, if it does."""
    if node.op_type not in ("MatMul", "Gemm"):
        return None
    x, (weight, turned) = operand(node, 0), _weight(node)
    if len(constant_shape(weight) or ()) != 2:
        return None
    if node.op_type == "MatMul":
        return _with_bias(node, x, weight, turned)
    attributes = node.attributes
    plain = all(name not in attributes or attributes[name].as_float() == 1.0 for name in ("alpha", "beta"))
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if not plain or _flag(node, "transA") or (bias is not None and not _is_bias(bias, weight, turned)):
        return None
    return Linear(node, x, weight, turned, bias, node.outputs[0])


def _weight(node: ir.Node) -> tuple[ir.Value, bool]:
    """The weights, and whether they are ``[out, in]``: by a flag of Gemm, or by a Transpose in front of MatMul."""
    weight = operand(node, 1)
    transpose = made_by(weight, "Transpose") if node.op_type == "MatMul" else None
    if transpose is not None and permutation(transpose) in ([1, 0], None):
        return operand(transpose, 0), True
    return weight, node.op_type == "Gemm" and _flag(node, "transB")


def _with_bias(node: ir.Node, x: ir.Value, weight: ir.Value, turned: bool) -> Linear:
    output = node.outputs[0]
    uses = list(output.uses())
    add = uses[0].node if len(uses) == 1 and uses[0].node.op_type == "Add" else None
    if add is not None and not output.is_graph_output():
        other = operand(add, 1 - uses[0].idx)
        if _is_bias(other, weight, turned):
            return Linear(node, x, weight, turned, other, add.outputs[0])
    return Linear(node, x, weight, turned, None, output)


def _is_bias(value: ir.Value, weight: ir.Value, turned: bool) -> bool:
    shape = constant_shape(weight) or ()
    return constant_shape(value) == (shape[0] if turned else shape[1],)


def _flag(node: ir.Node, name: str) -> bool:
    return name in node.attributes and node.attributes[name].as_int() == 1


def free_of_reshapes(graph: ir.Graph) -> int:
    """``Reshape(Gemm(Reshape(x)))`` becomes ``x @ weight + bias``; returns how often.

    That is how the ``Conv1D`` of GPT-2 is exported: it flattens rows and tokens and restores them.
    """
    count = 0
    for linear in find_linears(graph):
        inner = made_by(linear.x, "Reshape")
        outers = users(linear.output, "Reshape")
        if linear.node.op_type != "Gemm" or linear.transposed or inner is None or len(outers) != 1:
            continue
        if len(list(linear.output.uses())) != 1 or not _restores(inner, outers[0], linear):
            continue
        name = linear.node.name or "linear"
        product = insert(graph, linear.node, "MatMul", f"{name}.product", [inner.inputs[0], linear.weight]).outputs[0]
        if linear.bias is not None:
            product = insert(graph, linear.node, "Add", f"{name}.biased", [product, linear.bias]).outputs[0]
        ir.convenience.replace_all_uses_with(outers[0].outputs[0], product)
        count += 1
    return count


def _restores(inner: ir.Node, outer: ir.Node, linear: Linear) -> bool:
    """Whether the reshapes only flatten and restore the leading axes: the target's last entry is the width."""
    rows, width = linear.shape
    flat = _last_entry(inner.inputs[1])
    wide = _last_entry(outer.inputs[1])
    return wide == rows and flat in (width, None) and _leading_entries(outer.inputs[1]) == 2


def _last_entry(shape: ir.Value | None) -> int | None:
    concat = made_by(shape, "Concat")
    array = constant_of(concat.inputs[-1] if concat else shape)
    return None if array is None else int(array.reshape(-1)[-1])


def _leading_entries(shape: ir.Value | None) -> int:
    concat = made_by(shape, "Concat")
    if concat is not None:
        return len(concat.inputs) - 1
    size = constant_shape(shape)
    return size[0] - 1 if size else 0
