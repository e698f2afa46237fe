"""A TensorRT plan on a GPU: the numbers that ONNX Runtime computes on the CPU, with CUDA graphs and without."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from edge_autoglm.bundle.manifest import PlanEntry
from edge_autoglm.errors import EngineError
from edge_autoglm.runtime.engine import Chunk, Engine, Logits
from edge_autoglm.runtime.engines.cuda.cudart import Cudart
from tests.gpu.engines_on_gpu import build_here, open_on_tensorrt, write_graph
from tests.onnxruntime_versions import need_opset_24
from tests.runtime.engines.standard.engines_for_tests import CAPACITY, OTHER, TEXT, open_engine

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    return cache(lambda kind: write_graph(tmp_path_factory.mktemp(kind), kind))


@pytest.fixture(scope="module")
def plan(graph: Callable[[str], Path]) -> tuple[Path, PlanEntry]:
    return build_here(graph("fp16"))


def _session(engine: Engine) -> list[Logits]:
    """Prompts over several pages and live lengths, then steps of rows of different length."""
    logits = engine.forward([Chunk(0, TEXT[:100], range(100)), Chunk(2, OTHER[:20], range(20))])
    for token in range(20):
        logits += engine.forward([Chunk(0, [TEXT[100 + token]]), Chunk(2, [OTHER[20 + token]])])
    return logits


@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [("fp16", 2e-2), ("int8", 2e-2), ("w8a8", 1e-1), ("int4", 2e-2), ("decomposed-fp16", 2e-2)],
)
def test_logits_are_those_of_onnx_runtime(graph: Callable[[str], Path], kind: str, tolerance: float) -> None:
    """One graph on both, with sums in another order. A wrong mask or row would be off by a logit's whole size."""
    need_opset_24()
    cpu = open_engine(graph(kind))
    gpu = open_on_tensorrt(build_here(graph(kind)), 3, CAPACITY)
    for right, ours in zip(_session(cpu), _session(gpu), strict=True):
        np.testing.assert_allclose(ours, right, rtol=0, atol=tolerance * np.abs(right).max())
    cpu.close()
    gpu.close()


def test_a_captured_step_gives_the_bits_of_an_enqueued_one(
    plan: tuple[Path, PlanEntry], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "edge_autoglm"):
        captured = open_on_tensorrt(plan, 3, CAPACITY)
        expected = _session(captured)
        captured.close()
    assert "without CUDA graphs" not in caplog.text

    def refuse(*_: object) -> int:
        raise EngineError("no graphs in this test.", "None.")

    monkeypatch.setattr(Cudart, "capture", refuse)
    enqueued = open_on_tensorrt(plan, 3, CAPACITY)
    assert all(np.array_equal(left, right) for left, right in zip(_session(enqueued), expected, strict=True))
    enqueued.close()


def test_an_engine_that_is_opened_again_gives_the_same_bits(plan: tuple[Path, PlanEntry]) -> None:
    sessions = []
    for _ in range(2):
        engine = open_on_tensorrt(plan, 3, CAPACITY)
        sessions.append(_session(engine))
        engine.close()
    assert all(np.array_equal(left, right) for left, right in zip(*sessions, strict=True))


def test_closing_gives_the_memory_back(plan: tuple[Path, PlanEntry]) -> None:
    """But for what the driver and the libraries keep; a cache of these many slots has 19 MB."""
    cudart, free = Cudart(), []
    for _ in range(6):
        engine = open_on_tensorrt(plan, 512, CAPACITY)
        _session(engine)
        engine.close()
        free.append(cudart.memory()[0])
    assert free[-1] >= free[1] - 32_000_000


def test_a_plan_that_is_damaged_is_named(plan: tuple[Path, PlanEntry], tmp_path: Path) -> None:
    file, entry = plan
    damaged = tmp_path / "damaged.plan"
    damaged.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(EngineError, match=r"damaged\.plan"):
        open_on_tensorrt((damaged, entry), 3, CAPACITY)
