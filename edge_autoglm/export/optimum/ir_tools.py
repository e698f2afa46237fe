"""Small questions about, and changes to, a graph of ``onnx_ir``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes import common

from edge_autoglm.export.optimum.mismatch import NoMatch

CONTRIB = "com.microsoft"


def made_by(value: ir.Value | None, *kinds: str) -> ir.Node | None:
    """The node that computes the value, if it is of one of these kinds."""
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type in kinds else None


def users(value: ir.Value, kind: str) -> list[ir.Node]:
    """Nodes of that kind that read the value."""
    return [use.node for use in value.uses() if use.node.op_type == kind]


def operand(node: ir.Node, index: int) -> ir.Value:
    """An input that the operator requires."""
    value = node.inputs[index]
    if value is None:
        raise NoMatch(f"{node.op_type} {node.name!r} lacks input {index}")
    return value


def constant_of(value: ir.Value | None) -> npt.NDArray[Any] | None:
    """The array behind an initializer, or ``None``; reads its data."""
    if value is None or value.const_value is None:
        return None
    return value.const_value.numpy()


def is_constant(value: ir.Value | None) -> bool:
    """Whether the value is an initializer; reads no data."""
    return value is not None and value.const_value is not None


def constant_shape(value: ir.Value | None) -> tuple[int, ...] | None:
    """Shape of an initializer, or ``None``; reads no data."""
    if value is None or value.const_value is None:
        return None
    return tuple(value.const_value.shape.numpy())


def permutation(transpose: ir.Node) -> list[int] | None:
    """Of the axes, or ``None`` where it is left out: then they are reversed."""
    return list(transpose.attributes["perm"].as_ints()) if "perm" in transpose.attributes else None


def add_constant(graph: ir.Graph, name: str, array: npt.NDArray[Any]) -> ir.Value:
    """An initializer; the same name twice is the same constant."""
    if name not in graph.initializers:
        tensor = ir.tensor(array, name=name)
        graph.register_initializer(ir.Value(name=name, type=ir.TensorType(tensor.dtype), const_value=tensor))
    return graph.initializers[name]


def add_input(graph: ir.Graph, name: str, dtype: ir.DataType, shape: Sequence[int | str]) -> ir.Value:
    """Declare a graph input."""
    value = ir.val(name, dtype, shape)
    graph.inputs.append(value)
    return value


def insert(
    graph: ir.Graph,
    before: ir.Node | None,
    kind: str,
    name: str,
    inputs: Sequence[ir.Value | None],
    *,
    domain: str = "",
    outputs: int = 1,
    **attributes: Any,
) -> ir.Node:
    """A new node in front of another one, or at the end; its outputs are called ``name``, ``name.1`` and so on."""
    node = ir.node(kind, inputs, attributes, domain=domain, num_outputs=outputs, name=name)
    for index, output in enumerate(node.outputs):
        output.name = f"{name}.{index}" if index else name
    if before is None:
        graph.append(node)
    else:
        graph.insert_before(before, node)
    return node


def clean(model: ir.Model) -> None:
    """Make constants initializers, drop what nothing reads, bring the nodes into an order that can run."""
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    common.IdentityEliminationPass()(model)
    common.CommonSubexpressionEliminationPass()(model)
    common.RemoveUnusedNodesPass()(model)
    common.TopologicalSortPass()(model)


def as_scalar(array: npt.NDArray[Any] | None) -> float | None:
    """The one number in an array, or ``None`` if it holds more or fewer."""
    return None if array is None or array.size != 1 else float(np.asarray(array).reshape(()))


def drop_idle_casts(model: ir.Model) -> None:
    """Take out casts to the type that a value has already; float16 training left them in many architectures."""
    common.ShapeInferencePass()(model)
    graph = model.graph
    for cast in [node for node in graph if node.op_type == "Cast"]:
        source, result = operand(cast, 0), cast.outputs[0]
        if source.dtype is None or source.dtype.value != cast.attributes["to"].as_int() or source in graph.inputs:
            continue
        if result.is_graph_output():
            if source.is_graph_output():
                continue
            result.name, source.name = f"{result.name}.cast", result.name
        ir.convenience.replace_all_uses_with(result, source, replace_graph_outputs=True)
        graph.remove(cast, safe=True)
