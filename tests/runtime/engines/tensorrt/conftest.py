"""A backend over the doubles of TensorRT and of the CUDA runtime: nothing is executed on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge_autoglm.runtime.engines.cuda.cudart import Cudart
from edge_autoglm.runtime.engines.tensorrt.backend import TensorRTBackend
from edge_autoglm.runtime.engines.tensorrt.plan import LoadedPlan
from tests.runtime.engines.cuda.recording_cudart import RecordingCudart
from tests.runtime.engines.tensorrt.recorded_plan import Graph
from tests.runtime.engines.tensorrt.recording_tensorrt import VERSION, Record, recording_library

OpenBackend = Callable[..., TensorRTBackend]


@pytest.fixture
def record() -> Record:
    """Of all that the doubles did."""
    return Record(RecordingCudart())


@pytest.fixture
def open_backend(record: Record, tmp_path: Path) -> OpenBackend:
    """Opens a plan of a graph."""

    def make(
        graph: Graph | None = None,
        name: str = "tensorrt_rtx",
        version: str = VERSION,
        kernels: Path | None = None,
    ) -> TensorRTBackend:
        described = graph or Graph()
        file = tmp_path / "model.plan"
        file.write_bytes(described.plan())
        plan = LoadedPlan(file, recording_library(record, name, version), kernels)
        return TensorRTBackend(plan, described.sizes, Cudart(0, record.cudart))

    return make
