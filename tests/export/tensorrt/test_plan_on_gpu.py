"""On a GPU, TensorRT's own inspector is asked what became of a plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_autoglm.device.accelerators import detect_accelerators
from edge_autoglm.device.tensorrt_import import TensorRT, load_tensorrt
from edge_autoglm.device.tensorrt_log import tensorrt_log
from edge_autoglm.errors import MissingDependency
from edge_autoglm.export.tensorrt.capabilities import known_capabilities
from edge_autoglm.export.tensorrt.profiles import input_shape, step_profiles
from tests.export.tensorrt.builds import COLUMNS, SIZES, build, tiny_graph

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def capability() -> str:
    found = detect_accelerators().gpus
    if not found or found[0].compute_capability is None:
        pytest.skip("no GPU")
    return found[0].compute_capability


@pytest.fixture(scope="module")
def library(capability: str) -> TensorRT:
    try:
        library = load_tensorrt()
    except MissingDependency as error:
        pytest.skip(str(error))
    if library.is_rtx and capability not in known_capabilities(library):
        pytest.skip(f"TensorRT-RTX {library.version} does not know compute capability {capability}")
    return library


def _opened(plan: Path, library: TensorRT) -> tuple[Any, Any]:
    """The engine, and its runtime, which it needs."""
    runtime = library.module.Runtime(tensorrt_log(library).logger)
    return runtime.deserialize_cuda_engine(plan.read_bytes()), runtime


@pytest.mark.parametrize("precision", ["fp16", "int8", "w8a8", "int4"])
def test_a_plan_opens_with_its_profiles_and_its_cache_in_place(
    precision: str, library: TensorRT, capability: str, tmp_path: Path
) -> None:
    entry = build(tiny_graph(tmp_path, precision), tmp_path / "plan", capability, library=library)
    assert entry.compute_capabilities == (capability,)
    engine, _runtime = _opened(tmp_path / "plan", library)
    assert engine is not None
    assert engine.get_aliased_input_tensor("present_key.0") == "past_key.0"
    assert engine.get_aliased_input_tensor("present_value.0") == "past_value.0"
    profiles = step_profiles(SIZES, COLUMNS)
    assert engine.num_optimization_profiles == len(profiles)
    for index, profile in enumerate(profiles):
        for name in ("input_ids", "attn_mask", "logits_at", "past_key.0"):
            declared = tuple(engine.get_tensor_shape(name))
            least, _, most = (tuple(shape) for shape in engine.get_tensor_profile_shape(name, index))
            assert least == input_shape(name, declared, profile.least)
            assert most == input_shape(name, declared, profile.most)
        assert engine.get_device_memory_size_for_profile_v2(index) >= 0


def test_the_inspector_tells_of_the_layers(library: TensorRT, capability: str, tmp_path: Path) -> None:
    build(tiny_graph(tmp_path, "int8"), tmp_path / "plan", capability, library=library)
    engine, _runtime = _opened(tmp_path / "plan", library)
    form = library.module.LayerInformationFormat.JSON
    told = json.loads(engine.create_engine_inspector().get_engine_information(form))
    assert told["Layers"]
