"""The plan of a bundle's memory against the engine that is then loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_autoglm import export_model
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.facade.loading import memory_plan
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
