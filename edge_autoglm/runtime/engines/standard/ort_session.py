"""ONNX Runtime over a standard graph: a session that computes what the graph says, and facts of the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort

from edge_autoglm.errors import DamagedBundle, EdgeAutoGLMError, MemoryBudgetExceeded
from edge_autoglm.runtime.engines.ort_model import session_options
from edge_autoglm.runtime.engines.standard.backend import GraphFacts

Provider = tuple[str, Mapping[str, str]]
"""Name and options of an execution provider."""

CPU = "CPUExecutionProvider"

_NO_MEMORY = ("out of memory", "Failed to allocate memory", "Available memory of")
"""Words of CUDA and of ONNX Runtime's allocators."""

_CACHE_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16"}


def open_session(graph: Path, threads: int, providers: Sequence[Provider]) -> ort.InferenceSession:
    """Load a graph.

    Args:
        graph: The ``.onnx`` file, its weights beside it.
        threads: Of the operator pool.
        providers: Most wanted first.

    Raises:
        DamagedBundle: ONNX Runtime cannot load it.
        MemoryBudgetExceeded: There is not enough memory for it.
    """
    options = session_options(threads)
    # By default quantised products become integer ones of ONNX Runtime's own, which saturate on older CPUs.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")  # for `nodes_on`
    try:
        # Where a provider does not start, ONNX Runtime would print so and take another.
        return ort.InferenceSession(str(graph), options, providers=list(providers), enable_fallback=0)
    except Exception as error:  # ONNX Runtime raises a dozen unrelated types here
        raise loading_error(graph, str(error)) from error


def loading_error(graph: Path, reason: str) -> EdgeAutoGLMError:
    """Ours for what ONNX Runtime said."""
    cause = f"{graph}: ONNX Runtime {ort.__version__} cannot load the graph: {reason.splitlines()[0]}"
    if any(words in reason for words in _NO_MEMORY):
        return MemoryBudgetExceeded(cause, "Use a smaller precision, or end what else uses the memory.")
    return DamagedBundle(cause, "Update ONNX Runtime (opset 24 needs 1.31), or export the bundle again.")


def graph_facts(session: ort.InferenceSession) -> GraphFacts:
    """Read from the inputs and outputs of the graph."""
    keys = [value for value in session.get_inputs() if value.name.startswith("past_key.")]
    _, kv_heads, columns, head_dim = keys[0].shape
    logits = next(value for value in session.get_outputs() if value.name == "logits")
    dtype = np.dtype(_CACHE_TYPES[keys[0].type])
    in_place = any(value.name == "write_indices" for value in session.get_inputs())
    return GraphFacts(len(keys), kv_heads, head_dim, columns, dtype, logits.shape[1], in_place)


def nodes_on(session: ort.InferenceSession, provider: str) -> list[str]:
    """Types of the operators that a provider runs in this session, one a node."""
    parts = session.get_provider_graph_assignment_info()
    return [node.op_type for part in parts if part.ep_name == provider for node in part.get_nodes()]
