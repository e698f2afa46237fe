"""The plan of a bundle's memory against the engine that is then loaded."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from edge_autoglm import Bundle, export_model
from edge_autoglm.device.accelerators import Gpu
from edge_autoglm.device.budget import MemoryPlan, check
from edge_autoglm.errors import MemoryBudgetExceeded
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.facade.device_choice import DeviceChoice, choose
from edge_autoglm.facade.footprint import memory_plan, model_parts
from edge_autoglm.facade.loading import load_model
from edge_autoglm.facade.plans import KnownPlan
from edge_autoglm.runtime.engines.ort_engine import OrtEngine
from tests.bundle.samples import FACTS, PLAN, PLANNED, write_planned_bundle
from tests.checkpoints import write_tiny_llama
from tests.onnxruntime_versions import need_cache_type

L4 = Gpu("NVIDIA L4", 24 * 10**9, "8.9")


def planned(bundle: Bundle, config: RuntimeConfig) -> MemoryPlan:
    """On the CPU."""
    return memory_plan(choose(bundle, "cpu"), config)


@pytest.mark.parametrize("kv", ["fp32", "fp16", "int8"])
def test_the_kv_state_is_as_large_as_planned(tmp_path: Path, kv: str) -> None:
    need_cache_type(kv)
    bundle = export_model(write_tiny_llama(tmp_path / "checkpoint"), tmp_path / "bundle", "int8", kv=kv, proof=False)
    entry = bundle.engine("ort")
    engine = OrtEngine.load(
        bundle.path(entry.graph),
        fingerprint=bundle.fingerprint,
        context_length=bundle.manifest.model.context_length,
        slots=3,
        capacity=2048,
        threads=1,
    )
    plan = planned(bundle, RuntimeConfig(slots=3))
    facts = engine.facts
    assert plan.parts[1].size == facts.slots * facts.capacity * facts.kv_bytes_per_token
    engine.close()


def test_the_engine_counts_its_files_and_no_others(tmp_path: Path) -> None:
    bundle = export_model(write_tiny_llama(tmp_path / "checkpoint"), tmp_path / "bundle", "fp16", proof=False)
    stored = sum(file.stat().st_size for file in (bundle.root / "engine").iterdir())
    plan = planned(bundle, RuntimeConfig())
    assert plan.parts[0].size > 2 * stored  # float16 is widened when the graph is loaded
    assert plan.parts[0].size < 3 * stored


def test_a_swap_is_planned_beside_what_is_in_memory(tmp_path: Path) -> None:
    checkpoint = write_tiny_llama(tmp_path / "checkpoint")
    int8, fp32 = (
        export_model(checkpoint, tmp_path / precision, precision, proof=False) for precision in ("int8", "fp32")
    )
    config = RuntimeConfig(slots=3)
    alone, other = planned(int8, config), planned(fp32, config)
    both = memory_plan(choose(int8, "cpu"), config, model_parts(choose(fp32, "cpu"), config))
    assert both.total == alone.total + other.total - config.response_cache_bytes
    assert [part.name for part in both.parts[4:]] == [
        f"{part.name} of a generation beside it" for part in other.parts[:3]
    ]


def test_a_swap_that_does_not_fit_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    checkpoint = write_tiny_llama(tmp_path / "checkpoint")
    int8, fp32 = (
        export_model(checkpoint, tmp_path / precision, precision, proof=False) for precision in ("int8", "fp32")
    )
    config = RuntimeConfig(memory_budget=planned(fp32, RuntimeConfig()).total + 1000)
    load_model(fp32, 1, config).close()
    (fp32.root / "engine" / "model.onnx").unlink()
    with closing(load_model(int8, 1, RuntimeConfig())) as loaded:
        with pytest.raises(MemoryBudgetExceeded, match="of a generation beside it"):
            load_model(fp32, 1, config, [loaded])
        with closing(loaded.fork()) as fork, pytest.raises(MemoryBudgetExceeded) as caught:
            load_model(fp32, 1, config, [loaded, fork])
    assert caught.value.cause.count("of a generation beside it") == 3, "a fork has the engine of its model"


def on_gpu(tmp_path: Path, gpu: Gpu = L4) -> DeviceChoice:
    """A bundle by its plan, on a GPU."""
    bundle = write_planned_bundle(tmp_path / "bundle")
    plan = KnownPlan(PLAN.path, PLAN, "0" * 64, 5_000_000, lambda: bundle.root / PLAN.path)
    return DeviceChoice(bundle, "tensorrt", PLANNED, gpu, "580.1", plan)


def test_on_a_gpu_all_but_the_responses_count_against_its_memory(tmp_path: Path) -> None:
    config = RuntimeConfig(slots=5, context_length=40)
    plan = memory_plan(on_gpu(tmp_path), config)
    engine, slots, cache = plan.of(gpu=True).parts
    assert engine.size == 5_000_000, "the plan, as it is stored"
    # 5 slots in whole blocks of 4 rows, and a block for each of the two forks of a check; all columns of the graph.
    token_bytes = 2 * FACTS.layers * FACTS.kv_heads * FACTS.head_dim * 4
    assert slots.size == (8 + 2 * 4) * 128 * token_bytes
    assert cache.size == config.kv_cache_bytes
    assert plan.of(gpu=False).total == config.response_cache_bytes


def test_the_memory_that_is_too_small_is_named(tmp_path: Path) -> None:
    plan = memory_plan(on_gpu(tmp_path), RuntimeConfig())
    check(plan, budget=2_000_000, gpu=L4.memory)
    with pytest.raises(MemoryBudgetExceeded, match=r"MB of GPU memory .*; the GPU has 100 MB") as caught:
        check(plan, budget=None, gpu=100_000_000)
    assert "run it on the CPU" in caught.value.cure
    assert "response cache" not in str(caught.value)
    with pytest.raises(MemoryBudgetExceeded, match=r"\(response cache: 1\.0 MB\); its memory budget is 0\.5 MB"):
        check(plan, budget=500_000, gpu=L4.memory)


def test_a_gpu_that_shares_the_machines_memory_counts_against_that(tmp_path: Path) -> None:
    config = RuntimeConfig(slots=5, context_length=40)
    plan = memory_plan(on_gpu(tmp_path, Gpu("Orin", None, "8.7")), config)
    assert plan.of(gpu=True).parts == ()
    assert plan.parts[1].size == 8 * 128 * 2 * FACTS.layers * FACTS.kv_heads * FACTS.head_dim * 4
