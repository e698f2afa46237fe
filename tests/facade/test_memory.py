"""The plan of a bundle's memory against the engine that is then loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_autoglm import export_model
from edge_autoglm.errors import MemoryBudgetExceeded
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.facade.loading import load_model, memory_plan
from edge_autoglm.runtime.engines.ort_engine import OrtEngine
from tests.checkpoints import write_tiny_llama
from tests.onnxruntime_versions import need_cache_type


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
    plan = memory_plan(bundle, RuntimeConfig(slots=3))
    facts = engine.facts
    assert plan.parts[1].size == facts.slots * facts.capacity * facts.kv_bytes_per_token
    engine.close()


def test_the_engine_counts_its_files_and_no_others(tmp_path: Path) -> None:
    bundle = export_model(write_tiny_llama(tmp_path / "checkpoint"), tmp_path / "bundle", "fp16", proof=False)
    stored = sum(file.stat().st_size for file in (bundle.root / "engine").iterdir())
    plan = memory_plan(bundle, RuntimeConfig())
    assert plan.parts[0].size > 2 * stored  # float16 is widened when the graph is loaded
    assert plan.parts[0].size < 3 * stored


def test_a_swap_is_planned_beside_what_is_in_memory(tmp_path: Path) -> None:
    checkpoint = write_tiny_llama(tmp_path / "checkpoint")
    int8, fp32 = (
        export_model(checkpoint, tmp_path / precision, precision, proof=False) for precision in ("int8", "fp32")
    )
    config = RuntimeConfig(slots=3)
    alone, other = memory_plan(int8, config), memory_plan(fp32, config)
    assert memory_plan(int8, config, [int8, int8]).total == alone.total, "one engine, loaded once"
    both = memory_plan(int8, config, [fp32, int8, fp32])
    assert both.total == alone.total + other.total - config.response_cache_bytes
    assert [part.name for part in both.parts[4:]] == [
        f"{part.name} of a generation beside it" for part in other.parts[:3]
    ]


def test_a_swap_that_does_not_fit_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    checkpoint = write_tiny_llama(tmp_path / "checkpoint")
    int8, fp32 = (
        export_model(checkpoint, tmp_path / precision, precision, proof=False) for precision in ("int8", "fp32")
    )
    room = memory_plan(fp32, RuntimeConfig()).total + 1000
    config = RuntimeConfig(memory_budget=room)
    load_model(fp32, 1, config).close()
    (fp32.root / "engine" / "model.onnx").unlink()
    with pytest.raises(MemoryBudgetExceeded, match="of a generation beside it"):
        load_model(fp32, 1, config, [int8])
