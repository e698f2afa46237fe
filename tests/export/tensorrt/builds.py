"""Plans of tiny models, built by the TensorRT-RTX that is installed; no GPU is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_autoglm.bundle.manifest import PlanEntry
from edge_autoglm.device.tensorrt_import import TensorRT, load_tensorrt
from edge_autoglm.export.standard.dialect import StandardDialect
from edge_autoglm.export.standard.lowering import LoweringName
from edge_autoglm.export.tensorrt.plan import build_plan
from edge_autoglm.runtime.engines.standard.sizes import StepSizes
from edge_autoglm.values import Progress, silent
from tests.export.standard.graphs import write_graph
from tests.oracles.family_cases import CASES

SIZES = StepSizes(rows=2, page=16, head_rows=4)
COLUMNS = 64


def rtx() -> TensorRT:
    """TensorRT-RTX; skips the test where it is not installed."""
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
    return load_tensorrt("tensorrt_rtx")


def tiny_graph(folder: Path, precision: str = "fp16", lowering: LoweringName = "native") -> Path:
    """A standard graph of one layer, with `COLUMNS` columns."""
    config = CASES["llama"] | {"num_hidden_layers": 1}
    return write_graph(folder / "standard.onnx", config, StandardDialect(lowering, precision, COLUMNS))


def build(
    graph: Path,
    out: Path,
    *capabilities: str,
    sizes: StepSizes = SIZES,
    library: TensorRT | None = None,
    progress: Progress = silent,
) -> PlanEntry:
    """`build_plan` with what most tests want; for 8.9 unless told."""
    return build_plan(
        graph,
        out,
        sizes=sizes,
        library=library or rtx(),
        compute_capabilities=capabilities or ("8.9",),
        timing_cache=None,
        progress=progress,
    )
