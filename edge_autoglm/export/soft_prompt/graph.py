"""Runs a bundle's own graph once from embeddings instead of token ids, and takes the KV that it leaves.

The copy of the graph that does so lives in memory: the residual stream in front of the first layer becomes an input.
The weights are read from the bundle's file; it stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from edge_autoglm.errors import DamagedBundle, EngineError, UnsupportedModel
from edge_autoglm.export.soft_prompt.checkpoint import Embeddings
from edge_autoglm.runtime.engine import KVSegment
from edge_autoglm.runtime.engines.ort_model import session_options

_EMBEDDINGS = "inputs_embeds"
_NORM = "SimplifiedLayerNormalization"
_TOKEN_AXIS = 2
_CACHE_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int8)": np.int8}

Array = npt.NDArray[Any]


def embedded_kv(graph: Path, fingerprint: str, embeddings: Embeddings, threads: int) -> KVSegment:
    """The KV of embeddings that stand in front of everything.

    Args:
        graph: Of an engine of kind ``ort``.
        fingerprint: Of the bundle.
        embeddings: ``[tokens, hidden]``, as they enter the first layer.
        threads: Of the operator pool.

    Raises:
        UnsupportedModel: The graph has no place where embeddings could enter.
        DamagedBundle: ONNX Runtime cannot load it.
        EngineError: The KV holds values that are no numbers.
    """
    session = _session(graph, _from_embeddings(graph), threads)
    kv = _run(session, embeddings)
    if kv.dtype != np.int8 and not np.isfinite(kv).all():
        raise EngineError(
            "the KV of the soft prompt holds values that are no numbers",
            "Check the embeddings: they are far larger than those that the model was trained with.",
        )
    kv.flags.writeable = False
    return KVSegment(fingerprint, 0, len(embeddings), (kv,), (_TOKEN_AXIS,))


def _from_embeddings(path: Path) -> bytes:
    """The graph with an input ``inputs_embeds`` ``[B, S, hidden]`` in place of what it looks up for its ids."""
    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    residual = _residual(path, graph)
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == residual:
                node.input[place] = _EMBEDDINGS
    graph.input.append(helper.make_tensor_value_info(_EMBEDDINGS, TensorProto.FLOAT, ["B", "S", None]))
    serialized: bytes = model.SerializeToString()
    return serialized


def _residual(path: Path, graph: onnx.GraphProto) -> str:
    """The tensor that enters the first layer: what its norm takes, looked up for the ids and nothing else."""
    norm = next((node for node in graph.node if node.op_type == _NORM), None)
    makers = {name: node for node in graph.node for name in node.output}
    if norm is None or "input_ids" not in _origins(norm.input[0], makers):
        raise UnsupportedModel(
            f"{path}: the graph has no embeddings in front of a first {_NORM}",
            "Export the model with our own builder (--via own), if it knows the architecture.",
        )
    return str(norm.input[0])


def _origins(name: str, makers: dict[str, onnx.NodeProto]) -> Iterator[str]:
    """Names that a tensor is computed from, its own included."""
    waiting, seen = [name], {name}
    while waiting:
        found = waiting.pop()
        yield found
        fresh = set(makers[found].input) - seen if found in makers else set()
        seen |= fresh
        waiting.extend(fresh)


def _session(path: Path, graph: bytes, threads: int) -> ort.InferenceSession:
    options = session_options(threads)
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises a dozen unrelated types here
        raise DamagedBundle(
            f"{path}: ONNX Runtime cannot load the graph: {str(error).splitlines()[0]}", "Export the model again."
        ) from error


def _run(session: ort.InferenceSession, embeddings: Embeddings) -> Array:
    """The KV ``[2 * layers, kv_heads, tokens, head_dim]``, keys before values, as an engine computes and keeps it."""
    keys = [value for value in session.get_inputs() if value.name.startswith("past_key.")]
    layers, count = len(keys), len(embeddings)
    _, heads, _, width = keys[0].shape
    kv = np.zeros((2 * layers, 1, heads, count, width), dtype=_CACHE_TYPES[keys[0].type])
    feeds: dict[str, Array] = {
        _EMBEDDINGS: np.ascontiguousarray(embeddings[None], dtype=np.float32),
        "input_ids": np.zeros((1, count), dtype=np.int64),  # declared, and looked at by nobody
        "logits_at": np.array([count - 1], dtype=np.int64),
        "seqlens_k": np.array([count - 1], dtype=np.int32),
        "total_sequence_length": np.array(count, dtype=np.int32),
    }
    binding = session.io_binding()
    for name, array in feeds.items():
        binding.bind_cpu_input(name, array)
    for index, view in enumerate(kv):
        kind, layer = ("key", index) if index < layers else ("value", index - layers)
        address = (view.dtype.type, view.shape, view.ctypes.data)
        binding.bind_input(f"past_{kind}.{layer}", "cpu", 0, *address)
        binding.bind_output(f"present_{kind}.{layer}", "cpu", 0, *address)
    binding.bind_output("logits")
    session.run_with_iobinding(binding)
    return kv[:, 0]
