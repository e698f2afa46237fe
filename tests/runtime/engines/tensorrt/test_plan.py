"""Opening plans: the doubles tell how it is done, the real library what it says where there is no GPU."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edge_autoglm.bundle.manifest import PlanEntry
from edge_autoglm.device.tensorrt_import import TensorRT, load_tensorrt, platform_name
from edge_autoglm.errors import EngineError, MissingDependency
from edge_autoglm.runtime.engines.cuda.cudart import Cudart
from edge_autoglm.runtime.engines.standard.backend import GraphFacts
from edge_autoglm.runtime.engines.standard.sizes import StepShape
from edge_autoglm.runtime.engines.tensorrt.backend import TensorRTBackend
from edge_autoglm.runtime.engines.tensorrt.plan import LoadedPlan
from tests.runtime.engines.tensorrt.recorded_plan import Graph
from tests.runtime.engines.tensorrt.recording_tensorrt import (
    OLD_VERSION,
    DynamicShapesKernelSpecializationStrategy,
    Record,
    recording_library,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.plan"


@pytest.fixture
def library(record: Record) -> TensorRT:
    return recording_library(record)


@pytest.fixture(scope="module")
def real() -> TensorRT:
    try:
        return load_tensorrt("tensorrt_rtx")
    except MissingDependency as error:
        pytest.skip(str(error))


def test_facts_come_from_the_plan_itself(file: Path, library: TensorRT) -> None:
    file.write_bytes(Graph(layers=3, kv_heads=5, head_dim=32, columns=384, vocab_size=99, scratch=77).plan())
    plan = LoadedPlan(file, library)
    assert plan.facts == GraphFacts(3, 5, 32, 384, np.dtype(np.float16), 99, in_place=True)
    assert plan.scratch_bytes == 77
    assert plan.cache[0] == ("past_key.0", "present_key.0")
    assert plan.cache[3:5] == (("past_value.0", "present_value.0"), ("past_value.1", "present_value.1"))


def test_a_plan_that_leaves_its_cache_alone_is_told_by_its_inputs(file: Path, record: Record) -> None:
    """TensorRT of JetPack 6 knows neither aliases nor runtime configurations."""
    file.write_bytes(Graph(in_place=False).plan())
    plan = LoadedPlan(file, recording_library(record, "tensorrt", OLD_VERSION))
    assert plan.facts == GraphFacts(2, 2, 16, 512, np.dtype(np.float16), 320, in_place=False)
    assert plan.cache[0] == ("past_key.0", "new_key.0")
    context = plan.context(StepShape(4, 1, 256, 4), Cudart(0, record.cudart).stream())
    context.set_device_memory(0, plan.scratch_bytes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"aliased": False}, "does not update past_key.0 in place"),
        ({"ids_type": "INT32"}, "input input_ids is int32, not int64"),
        ({"layers": 0}, "not the plan of a standard graph: its tensors are input_ids, "),
        ({"profiles": 1}, "not the plan of a standard graph"),
    ],
)
def test_plans_of_other_graphs_are_refused(
    file: Path, library: TensorRT, changes: dict[str, object], words: str
) -> None:
    file.write_bytes(dataclasses.replace(Graph(), **changes).plan())
    with pytest.raises(EngineError, match=words) as caught:
        LoadedPlan(file, library)
    assert str(file) in caught.value.cause
    assert "edge-autoglm rebuild BUNDLE" in caught.value.cure


def test_what_is_no_plan_is_refused_with_the_words_of_the_library(file: Path, library: TensorRT) -> None:
    file.write_bytes(b"no plan")
    with pytest.raises(EngineError, match=r"tensorrt_rtx 1\.7\.1 does not open it: this is no plan") as caught:
        LoadedPlan(file, library)
    assert str(file) in caught.value.cause


@pytest.mark.parametrize("content", [None, b""])
def test_a_file_that_cannot_be_read_is_named(file: Path, library: TensorRT, content: bytes | None) -> None:
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(EngineError, match="cannot be read") as caught:
        LoadedPlan(file, library)
    assert str(file) in caught.value.cause
    assert "edge-autoglm rebuild BUNDLE" in caught.value.cure


@pytest.mark.parametrize(
    "shape",
    [StepShape(1, 64, 256, 32), StepShape(3, 1, 256, 3), StepShape(4, 1, 1024, 4), StepShape(1, 128, 256, 33)],
)
def test_steps_that_the_plan_was_not_built_for(file: Path, library: TensorRT, record: Record, shape: StepShape) -> None:
    file.write_bytes(Graph().plan())
    stream = Cudart(0, record.cudart).stream()
    with pytest.raises(EngineError, match="outside profile") as caught:
        LoadedPlan(file, library).context(shape, stream)
    assert str(shape) in caught.value.cause


@pytest.mark.parametrize("refused", ["create_execution_context", "infer_shapes", "infer_shapes raises"])
def test_contexts_that_cannot_be_made(file: Path, library: TensorRT, record: Record, refused: str) -> None:
    file.write_bytes(Graph().plan())
    plan, stream = LoadedPlan(file, library), Cudart(0, record.cudart).stream()
    record.refuse.add(refused)
    with pytest.raises(EngineError, match="does not take"):
        plan.context(StepShape(4, 1, 256, 4), stream)


def test_kernels_are_not_exchanged_in_the_middle_of_the_work(file: Path, record: Record) -> None:
    file.write_bytes(Graph().plan())
    stream = Cudart(0, record.cudart).stream()
    for name in ("tensorrt_rtx", "tensorrt"):  # the latter has no such setting
        plan = LoadedPlan(file, recording_library(record, name))
        for live in (256, 512):
            plan.context(StepShape(4, 1, live, 4), stream)
    configs = {context._config for context in record.contexts[:2]}
    assert len(configs) == 1, "contexts share what was compiled"
    [config] = configs
    assert config.dynamic_shapes_kernel_specialization_strategy is DynamicShapesKernelSpecializationStrategy.EAGER
    assert config._cache is not None


def test_the_real_library_says_what_is_wrong_with_a_file(file: Path, real: TensorRT) -> None:
    file.write_bytes(b"no plan at all " * 20)
    with pytest.raises(EngineError, match=r"tensorrt_rtx [\d.]+ does not open it: .*Serialization"):
        LoadedPlan(file, real)


def test_without_a_gpu_a_backend_says_so(file: Path, real: TensorRT) -> None:
    try:
        count = Cudart().device_count()
    except MissingDependency as error:
        pytest.skip(str(error))
    if count:
        pytest.skip("there is a GPU")
    entry = PlanEntry(file.name, real.name, real.version, ("8.9",), platform_name(), 4, 128, 32)
    with pytest.raises((MissingDependency, EngineError), match=r"driver|no GPU 0"):
        TensorRTBackend.load(file, entry)


def test_without_the_library_a_backend_says_so(file: Path) -> None:
    entry = PlanEntry(file.name, "tensorrt_of_tomorrow", "99", ("8.9",), platform_name(), 4, 128, 32)
    with pytest.raises(MissingDependency, match="tensorrt_of_tomorrow"):
        TensorRTBackend.load(file, entry)
