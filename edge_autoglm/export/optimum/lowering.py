"""8-bit block weights for the linear layers and the embedding of a rewritten graph."""

from __future__ import annotations

import onnx_ir as ir

from edge_autoglm.export.optimum.head import embedding_of
from edge_autoglm.export.optimum.ir_tools import CONTRIB, constant_of, insert, operand
from edge_autoglm.export.optimum.linear import Linear, find_linears
from edge_autoglm.export.optimum.saving import WeightStore
from edge_autoglm.export.quantize.blocks import BLOCK_SIZE, quantize_blocks

_INT8_ACTIVATIONS = 4
"""``accuracy_level`` of MatMulNBits: activations are quantised to int8 a block at run time."""


def quantize(graph: ir.Graph, store: WeightStore) -> tuple[str, ...]:
    """Lower every linear layer to MatMulNBits, the embedding to GatherBlockQuantized; returns notes.

    One tensor at a time is in memory; its quantised form goes to the store at once.
    """
    stored = _quantize_embedding(graph, store)
    count = 0
    for linear in find_linears(graph):
        _lower(graph, store, linear, stored)
        count += 1
    embedding = "the embedding" if stored else "not the embedding, whose width is no multiple of the block"
    return (f"int8: {count} linear layers in blocks of {BLOCK_SIZE} weights, and {embedding}",)


def _quantize_embedding(graph: ir.Graph, store: WeightStore) -> ir.Value | None:
    """Replace the look-up; returns the float32 table, which the head may share."""
    node = embedding_of(graph)
    table = None if node is None else operand(node, 0)
    array = constant_of(table)
    if node is None or table is None or array is None or array.shape[1] % BLOCK_SIZE:
        return None
    blocks = quantize_blocks(array)
    data = store.add(graph, "embedding.weight", blocks.data.reshape(array.shape))
    scales = store.add(graph, "embedding.scales", blocks.scales)
    attributes = {"bits": 8, "block_size": BLOCK_SIZE, "gather_axis": 0, "quantize_axis": 1}
    inputs = [data, operand(node, 1), scales]
    lookup = insert(graph, node, "GatherBlockQuantized", "embedding", inputs, domain=CONTRIB, **attributes)
    ir.convenience.replace_all_uses_with(node.outputs[0], lookup.outputs[0])
    return table


def _lower(graph: ir.Graph, store: WeightStore, linear: Linear, embedding: ir.Value | None) -> None:
    rows, columns = linear.shape
    name = linear.weight.name or "weight"
    if linear.weight is embedding and linear.transposed:
        blocks = -(-columns // BLOCK_SIZE)
        data = store.alias(graph, "embedding.weight", "head.weight", (rows, blocks, BLOCK_SIZE))
        scales = graph.initializers["embedding.scales"]
    elif f"{name}.int8" in graph.initializers:
        data, scales = graph.initializers[f"{name}.int8"], graph.initializers[f"{name}.scales"]
    else:
        quantized = quantize_blocks(linear.read())
        data = store.add(graph, f"{name}.int8", quantized.data)
        scales = store.add(graph, f"{name}.scales", quantized.scales)
    inputs = [linear.x, data, scales, *([] if linear.bias is None else [None, None, linear.bias])]
    node = insert(
        graph,
        linear.node,
        "MatMulNBits",
        f"{linear.node.name or name}.int8",
        inputs,
        domain=CONTRIB,
        N=rows,
        K=columns,
        bits=8,
        block_size=BLOCK_SIZE,
        accuracy_level=_INT8_ACTIVATIONS,
    )
    _take_over(linear.output, node.outputs[0])


def _take_over(old: ir.Value, new: ir.Value) -> None:
    """Replace a value, as a graph output too."""
    new.type, new.shape = old.type, old.shape
    if old.is_graph_output():
        old.name, new.name = f"{old.name}.float", old.name
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
