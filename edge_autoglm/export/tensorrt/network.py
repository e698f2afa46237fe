"""A standard graph as a TensorRT network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_autoglm.device.tensorrt_import import TensorRT
from edge_autoglm.device.tensorrt_log import Heard
from edge_autoglm.errors import ExportError
from edge_autoglm.export.tensorrt.inspect import cache_updates

_ALWAYS_STRONGLY_TYPED = 11
"""First TensorRT that knows no other networks."""
_INPUTS = {"input_ids", "position_ids", "attn_mask", "logits_at"}
_NATIVE_INPUTS = {*_INPUTS, "write_indices"}
_CACHE_AXIS = 2
_EXPORT_AGAIN = "Export the model again with --target tensorrt."
_EXPORT_DECOMPOSED = f"{_EXPORT_AGAIN[:-1]} --lowering decomposed, which TensorRT before 10.15 takes."


def parse(library: TensorRT, builder: Any, graph: Path, logger: Any, heard: Heard) -> tuple[Any, Any]:
    """The network, and the parser, which holds the weights: keep it until the network is built.

    Args:
        library: The builder's.
        builder: Of the plan.
        graph: The ``.onnx`` file, its weights beside it.
        logger: For the parser.
        heard: What it says.

    Raises:
        ExportError: TensorRT cannot parse the graph.
    """
    network = builder.create_network(_flags(library))
    parser = library.module.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph)):
        described = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        words = " ".join(dict.fromkeys(heard.errors[:1] + described))
        cure = _EXPORT_AGAIN if library.has_native_layers else _EXPORT_DECOMPOSED
        raise ExportError(f"{graph}: {library.name} {library.version} cannot parse it: {words}", cure)
    return network, parser


def cache_columns(network: Any, graph: Path) -> int:
    """Columns of the KV cache.

    Raises:
        ExportError: It is not the network of a standard graph, or a native one whose cache TensorRT would not update in
            place.
    """
    inputs = {tensor.name: tensor for tensor in map(network.get_input, range(network.num_inputs))}
    caches = {name: tensor for name, tensor in inputs.items() if name.startswith("past_")}
    others = inputs.keys() - caches.keys()
    if not caches or others not in (_NATIVE_INPUTS, _INPUTS):
        raise ExportError(f"{graph} is not a standard graph: its inputs are {sorted(inputs)}", _EXPORT_AGAIN)
    if others == _NATIVE_INPUTS:
        _check_in_place(network, caches, graph)
    return int(next(iter(caches.values())).shape[_CACHE_AXIS])


def _check_in_place(network: Any, caches: Mapping[str, Any], graph: Path) -> None:
    updated = {past: present for present, past in cache_updates(network).items()}
    for name, cache in caches.items():
        if cache.dtype.name != "HALF":
            raise ExportError(
                f"{graph} has a cache of type {cache.dtype.name}; TensorRT's attention takes float16 only",
                "Export the model in fp16, int8, w8a8 or int4.",
            )
        if updated.get(name) != name.replace("past_", "present_"):
            raise ExportError(f"{graph} does not update its cache {name} in place", _EXPORT_AGAIN)


def _flags(library: TensorRT) -> int:
    if library.is_rtx or int(library.version.split(".")[0]) >= _ALWAYS_STRONGLY_TYPED:
        return 0
    return 1 << int(library.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
