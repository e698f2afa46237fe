"""Fuses a residual addition with the layer norm behind it."""

from __future__ import annotations

import onnx_ir as ir

from edge_autoglm.export.optimum.ir_tools import CONTRIB, insert, is_constant, made_by, operand

_NORM_INPUTS = 3
"""Activation, weight, bias: ``SkipLayerNormalization`` on the CPU wants all of them."""


def fuse_residual_norms(graph: ir.Graph) -> tuple[int, int]:
    """``LayerNormalization(a + b)`` becomes ``SkipLayerNormalization(a, b)``; returns how many of how many norms.

    The sum stays available: the operator returns it too.
    """
    norms = [node for node in graph if node.op_type == "LayerNormalization"]
    return sum(_fuse(graph, norm) for norm in norms), len(norms)


def _fuse(graph: ir.Graph, norm: ir.Node) -> bool:
    add = made_by(norm.inputs[0], "Add")
    if add is None or len(norm.inputs) != _NORM_INPUTS or any(is_constant(value) for value in add.inputs):
        return False
    if "axis" in norm.attributes and norm.attributes["axis"].as_int() != -1:
        return False
    if len(norm.outputs) != 1 or add.outputs[0].is_graph_output():
        return False
    name = f"{norm.name or 'norm'}.skip"
    inputs = [operand(add, 0), operand(add, 1), operand(norm, 1), operand(norm, 2)]
    epsilon = norm.attributes["epsilon"].as_float() if "epsilon" in norm.attributes else 1e-5
    fused = insert(graph, norm, "SkipLayerNormalization", name, inputs, domain=CONTRIB, outputs=4, epsilon=epsilon)
    for unused in fused.outputs[1:3]:
        unused.name = ""  # mean and inverse deviation, which the CPU does not compute
    ir.convenience.replace_all_uses_with(norm.outputs[0], fused.outputs[0])
    ir.convenience.replace_all_uses_with(add.outputs[0], fused.outputs[3])
    return True
