"""Compiling a bundle's graph with the TensorRT that is here: time, and sizes beside what the weights have to take.

That needs no GPU where it is TensorRT-RTX.
"""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path
from typing import Any

from edge_autoglm import Bundle
from edge_autoglm.device.tensorrt_import import load_tensorrt
from edge_autoglm.device.tensorrt_log import tensorrt_log
from edge_autoglm.export.tensorrt.inspect import PlanFigures
from edge_autoglm.export.tensorrt.plan import build_plan
from edge_autoglm.runtime.engines.standard.sizes import StepSizes
from edge_autoglm.values import Progress

_BITS = {"FLOAT": 32, "FLOAT16": 16, "INT8": 8, "INT4": 4}
_MATRICES = frozenset({"DequantizeLinear", "Gather", "MatMul"})
"""Operators that weights of two axes go into, as their first or second input."""


def compiled(bundle: Bundle, capability: str, progress: Progress) -> dict[str, Any]:
    """Figures of one build.

    Args:
        bundle: Exported for TensorRT.
        capability: Compute capability to compile for.
        progress: Stage ``plan``.
    """
    library, entry = load_tensorrt(), bundle.engine("standard")
    graph = bundle.path(entry.graph)
    with tempfile.TemporaryDirectory() as folder, tensorrt_log(library).listening() as heard:
        out, started = Path(folder) / "plan", time.perf_counter()
        build_plan(
            graph,
            out,
            sizes=StepSizes(),
            library=library,
            compute_capabilities=[capability],
            timing_cache=None,
            progress=progress,
        )
        seconds, size = time.perf_counter() - started, out.stat().st_size
    told, nominal = PlanFigures.of(heard.remarks), nominal_bytes(graph)
    return {
        "library": f"{library.name} {library.version}",
        "compute_capability": capability,
        "seconds": seconds,
        "plan_bytes": size,
        "weight_bytes": told.weights,
        "nominal_bytes": nominal,
        "weights_to_nominal": None if told.weights is None else told.weights / nominal,
        "scratch_bytes": list(told.scratch),
    }


def nominal_bytes(graph: Path) -> int:
    """What the graph's matrices take at the bits of their type, packed and without scales; each counts once."""
    import onnx

    model = onnx.load(graph, load_external_data=False).graph
    used = {name for node in model.node if node.op_type in _MATRICES for name in node.input[:2]}
    kinds = onnx.TensorProto.DataType
    matrices = (
        tensor
        for tensor in model.initializer
        if tensor.name in used and len(tensor.dims) == 2 and not _scales(tensor.name, model)
    )
    return sum(math.prod(tensor.dims) * _BITS[kinds.Name(tensor.data_type)] for tensor in matrices) // 8


def _scales(name: str, graph: Any) -> bool:
    return any(node.op_type == "DequantizeLinear" and name == node.input[1] for node in graph.node)
