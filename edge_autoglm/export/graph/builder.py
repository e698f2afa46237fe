"""A thin layer over ``onnx.helper``: nodes in order, weights to the external file, names that say where they belong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from edge_autoglm.export.graph.weight_file import InlineWeights, WeightFile

CONTRIB = "com.microsoft"
OPSET = 21
IR_VERSION = 10


class GraphBuilder:
    """Collects one graph; ``save`` writes it beside its weights, ``serialize`` returns a graph that holds them.

    Args:
        weights: Where its tensors go.
        opset: Of the standard operators.
    """

    def __init__(self, weights: WeightFile | InlineWeights, opset: int = OPSET) -> None:
        self._weights = weights
        self._opset = opset
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._forms: set[str] = set()

    def input(self, name: str, dtype: int, shape: Sequence[int | str]) -> str:
        """Declare a graph input."""
        self._inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, name: str, dtype: int, shape: Sequence[int | str]) -> None:
        """Declare a graph output that a node of that name produces."""
        self._outputs.append(helper.make_tensor_value_info(name, dtype, shape))

    def output_of(self, node: str) -> None:
        """Make the float32 result of a node an output too; its shape is left open."""
        self._outputs.append(helper.make_tensor_value_info(node, onnx.TensorProto.FLOAT, None))

    def weight(self, name: str, array: npt.NDArray[Any]) -> str:
        """Store a tensor with the other weights."""
        self._initializers[name] = self._weights.add(name, array)
        return name

    def packed_weight(self, name: str, data: npt.NDArray[np.uint8], dtype: int, shape: tuple[int, ...]) -> str:
        """Store the bytes of a tensor whose elements are smaller than one, as ONNX packs them."""
        self._initializers[name] = self._weights.packed(name, data, dtype, shape)
        return name

    def alias(self, source: str, name: str, shape: tuple[int, ...]) -> str:
        """Refer to a stored tensor's bytes under another name and shape."""
        self._initializers[name] = self._weights.alias(self._initializers[source], name, shape)
        return name

    def note_form(self, form: str) -> None:
        """Record in the graph's metadata (``forms``) that a matrix is stored so; the engine wants to know."""
        self._forms.add(form)

    def elements(self, name: str) -> int:
        """Number of elements of a stored tensor."""
        return math.prod(self._initializers[name].dims)

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        """Store a small tensor in the graph itself; the same name twice is the same constant."""
        if name not in self._initializers:
            self._initializers[name] = onnx.numpy_helper.from_array(np.asarray(array), name)
        return name

    def op(self, kind: str, name: str, inputs: Sequence[str], outputs: Sequence[str] = ("",), **attributes: Any) -> str:
        """Append a standard node; returns its first output, named ``name`` where not given."""
        return self._append(kind, "", name, inputs, outputs, attributes)

    def contrib(
        self, kind: str, name: str, inputs: Sequence[str], outputs: Sequence[str] = ("",), **attributes: Any
    ) -> str:
        """Append an ONNX Runtime contrib node; returns its first output."""
        return self._append(kind, CONTRIB, name, inputs, outputs, attributes)

    def _append(
        self,
        kind: str,
        domain: str,
        name: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        attributes: dict[str, Any],
    ) -> str:
        named = [outputs[0] or name, *outputs[1:]]
        self._nodes.append(helper.make_node(kind, list(inputs), named, name=name, domain=domain, **attributes))
        return named[0]

    def save(self, path: Path, name: str) -> None:
        """Write the graph; the weight file must lie in the same folder."""
        path.write_bytes(self.serialize(name))

    def serialize(self, name: str) -> bytes:
        """The graph as the bytes of an ONNX file."""
        graph = helper.make_graph(self._nodes, name, self._inputs, self._outputs, list(self._initializers.values()))
        opsets = [helper.make_opsetid("", self._opset)]
        if any(node.domain == CONTRIB for node in self._nodes):
            opsets.append(helper.make_opsetid(CONTRIB, 1))
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="edge-autoglm")
        helper.set_model_props(model, {"forms": ",".join(sorted(self._forms))})
        serialized: bytes = model.SerializeToString()
        return serialized
