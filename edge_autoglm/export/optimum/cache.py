"""The KV cache of an exported graph: which inputs and outputs it is, and how the graph appends to it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import onnx_ir as ir

from edge_autoglm.errors import UnsupportedModel
from edge_autoglm.export.optimum.ir_tools import made_by, operand

_PAST = re.compile(r"past_key_values\.(\d+)\.(key|value)")
Pair = tuple[ir.Value, ir.Value]
"""Keys and values."""

_CURE = "Choose a decoder whose cache only grows, or export with a family of the exporter's own."


@dataclass(frozen=True, slots=True)
class Half:
    """Keys or values of one layer.

    Attributes:
        past: Graph input ``[B, kv_heads, P, head_dim]``.
        new: What this step appends, ``[B, kv_heads, S, head_dim]``.
        present: Both together, a graph output.
    """

    past: ir.Value
    new: ir.Value
    present: ir.Value


@dataclass(frozen=True, slots=True)
class LayerCache:
    """The cache of one layer."""

    key: Half
    value: Half

    @property
    def kv_heads(self) -> int:
        """Key-value heads."""
        return _size(self.key.past, 1)

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return _size(self.key.past, 3)


def find_cache(graph: ir.Graph) -> list[LayerCache]:
    """The layers' caches, in order.

    Raises:
        UnsupportedModel: A cache input of another form, or a step that does more than append to it.
    """
    inputs = {value.name: value for value in graph.inputs}
    outputs = {value.name: value for value in graph.outputs}
    layers = sorted({int(match[1]) for name in inputs if (match := _PAST.fullmatch(name or ""))})
    if not layers or layers != list(range(len(layers))):
        raise UnsupportedModel(f"the exported graph has KV inputs for layers {layers}", _CURE)
    return [LayerCache(*(_half(inputs, outputs, layer, kind) for kind in ("key", "value"))) for layer in layers]


def _half(inputs: dict[str | None, ir.Value], outputs: dict[str | None, ir.Value], layer: int, kind: str) -> Half:
    past = inputs.get(f"past_key_values.{layer}.{kind}")
    present = outputs.get(f"present.{layer}.{kind}")
    concat = made_by(present, "Concat")
    if past is None or present is None or concat is None or len(concat.inputs) != 2 or concat.inputs[0] is not past:
        raise UnsupportedModel(f"layer {layer} of the exported graph does not append to its {kind} cache", _CURE)
    if concat.attributes["axis"].as_int() not in (-2, 2) or past.shape is None or len(past.shape) != 4:
        raise UnsupportedModel(f"the {kind} cache of layer {layer} is not [batch, heads, tokens, width]", _CURE)
    return Half(past, operand(concat, 1), present)


def _size(value: ir.Value, axis: int) -> int:
    size = None if value.shape is None else value.shape[axis]
    if not isinstance(size, int):
        raise UnsupportedModel(f"the cache input {value.name!r} has no fixed size on axis {axis}", _CURE)
    return size


def name_cache(graph: ir.Graph, layers: list[LayerCache], tokens: str) -> None:
    """Give the cache inputs the names that our engines use and name their token axis."""
    for index, layer in enumerate(layers):
        for kind, half in (("key", layer.key), ("value", layer.value)):
            half.past.name = f"past_{kind}.{index}"
            half.past.shape = ir.Shape(["B", layer.kv_heads, tokens, layer.head_dim])


def set_presents(graph: ir.Graph, layers: list[LayerCache], presents: list[Pair], tokens: str) -> None:
    """Make these values ``present_key.L`` and ``present_value.L``, the only outputs besides the logits."""
    [logits] = [value for value in graph.outputs if value.name == "logits"]
    graph.outputs.clear()
    graph.outputs.append(logits)
    for index, (layer, pair) in enumerate(zip(layers, presents, strict=True)):
        for kind, value in zip(("key", "value"), pair, strict=True):
            value.name = f"present_{kind}.{index}"
            value.shape = ir.Shape(["B", layer.kv_heads, tokens, layer.head_dim])
            value.type = ir.TensorType(ir.DataType.FLOAT)
            graph.outputs.append(value)
