"""Writes a graph beside its weights, one tensor at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
import onnx_ir as ir

from edge_autoglm.export.graph.weight_file import WeightFile

_INLINE_BYTES = 1024
"""Smaller tensors (shapes, scalars) stay in the graph itself, where ONNX Runtime can fold them."""


class WeightStore:
    """Initializers whose bytes lie in an external file from the moment they are added.

    Args:
        file: Open for appending; its folder is where the graph will lie.
        folder: That folder, so that the weights can be read back.
    """

    def __init__(self, file: WeightFile, folder: Path) -> None:
        self._file = file
        self._folder = folder
        self._protos: dict[str, onnx.TensorProto] = {}

    def add(self, graph: ir.Graph, name: str, array: npt.NDArray[Any]) -> ir.Value:
        """Store a tensor and make it an initializer."""
        return self._register(graph, name, self._file.add(name, array))

    def alias(self, graph: ir.Graph, source: str, name: str, shape: tuple[int, ...]) -> ir.Value:
        """Another initializer over stored bytes."""
        return self._register(graph, name, self._file.alias(self._protos[source], name, shape))

    def move(self, value: ir.Value) -> None:
        """Store the bytes of an initializer that lie elsewhere, if there are any."""
        if value.name is None or value.const_value is None:
            return
        proto = self._file.add(value.name, value.const_value.numpy())
        value.const_value = self._tensor(proto)
        self._protos[value.name] = proto

    def holds(self, value: ir.Value) -> bool:
        """Whether the initializer's bytes are stored here."""
        return value.name in self._protos

    def _register(self, graph: ir.Graph, name: str, proto: onnx.TensorProto) -> ir.Value:
        tensor = self._tensor(proto)
        graph.register_initializer(ir.Value(name=name, type=ir.TensorType(tensor.dtype), const_value=tensor))
        self._protos[name] = proto
        return graph.initializers[name]

    def _tensor(self, proto: onnx.TensorProto) -> ir.ExternalTensor:
        place = {entry.key: entry.value for entry in proto.external_data}
        return ir.ExternalTensor(
            place["location"],
            int(place["offset"]),
            int(place["length"]),
            ir.DataType(proto.data_type),
            shape=ir.Shape(list(proto.dims)),
            name=proto.name,
            base_dir=self._folder,
        )


def save(model: ir.Model, path: Path, store: WeightStore) -> None:
    """Write the graph; large tensors that are not in the store yet go there now."""
    for value in model.graph.initializers.values():
        if not store.holds(value) and value.const_value is not None and value.const_value.nbytes > _INLINE_BYTES:
            store.move(value)
    model.producer_name = "edge-autoglm"
    path.write_bytes(ir.to_proto(model).SerializeToString())
