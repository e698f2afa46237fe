"""Bytes that one step of decoding reads, of weights and for each token held, from the model files themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_autoglm.export.sources.gguf_header import read_header

if TYPE_CHECKING:
    import onnx

_EMBEDDING, _HEAD = "token_embd.weight", "output.weight"
_DEQUANTIZE = "DequantizeLinear"
_PAST, _CACHE_AXES = "past", 4
_EXTERNAL = 1
"""``TensorProto.EXTERNAL``."""


def read_a_token(model: Path) -> int | None:
    """Bytes, or ``None`` where the form of the model does not say.

    The embedding counts only where it is the head too: a step looks up one row of it.

    Args:
        model: A GGUF file, an ONNX graph, or a folder with graphs somewhere below.
    """
    if model.suffix == ".gguf":
        return _of_gguf(model)
    graphs = [model] if model.suffix == ".onnx" else sorted(model.rglob("*.onnx"))
    return _of_graph(graphs[0]) if graphs else None


def kv_of_a_token(model: Path) -> int | None:
    """Bytes of keys and values, or ``None`` where the form of the model does not say.

    Args:
        model: A folder with an ONNX graph somewhere below, whose caches are inputs ``[rows, heads, tokens, head_dim]``.
    """
    import onnx

    graphs = sorted(model.rglob("*.onnx"))
    inputs = onnx.load(graphs[0], load_external_data=False).graph.input if graphs else ()
    tensors = [each.type.tensor_type for each in inputs if each.name.startswith(_PAST)]
    return sum(_cache_bytes(tensor) for tensor in tensors if len(tensor.shape.dim) == _CACHE_AXES) or None


def _cache_bytes(tensor: onnx.TypeProto.Tensor) -> int:
    import onnx

    _, heads, _, head_dim = (each.dim_value for each in tensor.shape.dim)
    return int(heads * head_dim * onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize)


def _of_gguf(path: Path) -> int:
    tensors = sorted(read_header(path).tensors.values(), key=lambda entry: entry.offset)
    ends = [*(entry.offset for entry in tensors[1:]), path.stat().st_size]
    sizes = {entry.name: end - entry.offset for entry, end in zip(tensors, ends, strict=True)}
    return sum(sizes.values()) - (sizes[_EMBEDDING] if _HEAD in sizes else 0)


def _of_graph(path: Path) -> int:
    """All initialisers that go into a matrix product, as they are stored: before they are dequantised on the way.

    Two names for the same place in the weight file count once.
    """
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    used = {name for node in graph.node if _multiplies(node.op_type) for name in node.input}
    used |= {
        name for node in graph.node if node.op_type == _DEQUANTIZE and used & {*node.output} for name in node.input
    }
    return sum(dict(_place(tensor) for tensor in graph.initializer if tensor.name in used).values())


def _multiplies(op_type: str) -> bool:
    return "MatMul" in op_type or op_type == "Gemm"


def _place(tensor: onnx.TensorProto) -> tuple[tuple[str, ...], int]:
    """Where a tensor lies, and its bytes."""
    if tensor.data_location != _EXTERNAL:
        return (tensor.name,), tensor.ByteSize()
    entries = {entry.key: entry.value for entry in tensor.external_data}
    return (entries["location"], entries.get("offset", "0")), int(entries["length"])
