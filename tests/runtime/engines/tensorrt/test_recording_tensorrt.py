"""The double offers what the real library has, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.engines.cuda.recording_cudart import RecordingCudart
from tests.runtime.engines.tensorrt import recording_tensorrt as double

NAMES = Path(__file__).parents[3] / "export" / "tensorrt" / "names"

real: Any = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")


def _public(value: object) -> set[str]:
    return {name for name in dir(value) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (double.Runtime, "Runtime"),
        (double.ICudaEngine, "ICudaEngine"),
        (double.RtxRuntimeConfig, "IRuntimeConfig"),
        (double.IRuntimeCache, "IRuntimeCache"),
        (double.IExecutionContext, "IExecutionContext"),
    ],
)
def test_classes(ours: type, theirs: str) -> None:
    assert _public(ours) <= _public(getattr(real, theirs))
    instance = ours.__new__(ours)
    with pytest.raises(AttributeError):
        instance.something_else = 1  # type: ignore[attr-defined]


def test_the_engine_of_an_old_tensorrt() -> None:
    theirs = json.loads((NAMES / f"tensorrt-{double.OLD_VERSION}.json").read_text("utf-8"))["ICudaEngine"]
    assert _public(double.OldCudaEngine) <= set(theirs)
    assert not {"create_runtime_config", "get_aliased_input_tensor"} & set(theirs)


@pytest.mark.parametrize(
    "ours",
    [
        double.DataType,
        double.TensorIOMode,
        double.ExecutionContextAllocationStrategy,
        double.DynamicShapesKernelSpecializationStrategy,
        double.Severity,
    ],
)
def test_names_of_constants(ours: Any) -> None:
    theirs = real.ILogger.Severity if ours is double.Severity else getattr(real, ours.__name__)
    assert ours.__members__.keys() <= theirs.__members__.keys()
    if ours is double.Severity:
        assert all(int(theirs.__members__[name]) == value for name, value in ours.__members__.items())
    if ours is double.DataType:
        assert all(real.nptype(theirs.__members__[name]) == value.value for name, value in ours.__members__.items())


def test_module() -> None:
    module = double.RecordingTensorRT(double.Record(RecordingCudart()), "tensorrt_rtx")
    assert _public(module) <= _public(real)
    with pytest.raises(AttributeError):
        module.OnnxParser  # noqa: B018 - that it raises is the test
