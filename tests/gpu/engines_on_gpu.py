"""Engines over the standard graph of the tiny Llama on a GPU: TensorRT's, and ONNX Runtime's CUDA provider's."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_autoglm.bundle.manifest import PlanEntry
from edge_autoglm.device.accelerators import detect_accelerators
from edge_autoglm.device.tensorrt_import import LIBRARIES, TensorRT, load_tensorrt
from edge_autoglm.errors import ExportError, MissingDependency
from edge_autoglm.export.standard.dialect import StandardDialect
from edge_autoglm.export.tensorrt.plan import build_plan
from edge_autoglm.runtime.engines.standard.engine import StandardEngine
from edge_autoglm.runtime.engines.tensorrt.backend import TensorRTBackend
from edge_autoglm.runtime.engines.tensorrt.fit import why_not
from edge_autoglm.values import silent
from tests.checkpoints import write_tiny_llama
from tests.export.standard.graphs import write_standard
from tests.onnxruntime_versions import need_cuda
from tests.runtime.engines.standard.engines_for_tests import COLUMNS, SIZES

KINDS = (
    "tensorrt-fp16",
    "tensorrt-int8",
    "tensorrt-w8a8",
    "tensorrt-int4",
    "tensorrt-decomposed-fp16",
    "cuda-fp16",
    "cuda-int8",
    "cuda-decomposed-fp16",
)
"""Where an engine runs, and the precision of its graph; of the native lowering where none is named."""


def write_graph(folder: Path, kind: str) -> Path:
    """A standard graph of the tiny Llama, whether or not the ONNX Runtime at hand knows it."""
    lowering, _, precision = kind.rpartition("-")
    dialect = StandardDialect("decomposed" if lowering else "native", precision, COLUMNS)
    return write_standard(folder / "standard.onnx", write_tiny_llama(folder / "checkpoint"), dialect)


def build_here(graph: Path) -> tuple[Path, PlanEntry]:
    """A plan for this machine's GPU, beside the graph; skips the test, with reasons, where none can be built."""
    gpu, out, reasons = detect_accelerators().gpus[0], graph.with_suffix(".plan"), []
    for name in LIBRARIES:
        try:
            library = load_tensorrt(name)
            entry = _build(graph, out, library, gpu.compute_capability)
        except (MissingDependency, ExportError) as error:
            reasons.append(str(error))
            continue
        reason = why_not(entry, library, gpu)
        assert reason is None, f"a plan that was built here does not fit: {reason}"
        return out, entry
    pytest.skip("; ".join(reasons))


def _build(graph: Path, out: Path, library: TensorRT, capability: str | None) -> PlanEntry:
    asked = () if capability is None else (capability,)
    return build_plan(
        graph, out, sizes=SIZES, library=library, compute_capabilities=asked, timing_cache=None, progress=silent
    )


def open_on_tensorrt(built: tuple[Path, PlanEntry], slots: int, capacity: int) -> StandardEngine:
    """An engine over a plan."""
    backend = TensorRTBackend.load(*built)
    return StandardEngine(backend, fingerprint="tiny-tensorrt", slots=slots, capacity=capacity)


def open_on_cuda(graph: Path, slots: int, capacity: int) -> StandardEngine:
    """An engine over ONNX Runtime's CUDA provider; skips the test where there is none."""
    need_cuda()
    from edge_autoglm.runtime.engines.standard.ort_backend import OrtBackend

    backend = OrtBackend.load(graph, threads=1, provider="cuda", sizes=SIZES)
    return StandardEngine(backend, fingerprint="tiny-cuda", slots=slots, capacity=capacity)
