"""ONNX Runtime's CPU provider under the engine: what it reads of a graph, and that it writes the cache in place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_autoglm.errors import DamagedBundle, MemoryBudgetExceeded
from edge_autoglm.runtime.engines.standard.backend import GraphFacts
from edge_autoglm.runtime.engines.standard.ort_backend import OrtBackend
from edge_autoglm.runtime.engines.standard.ort_cpu import CpuKV, CpuStep
from edge_autoglm.runtime.engines.standard.ort_session import CPU, loading_error, nodes_on, open_session
from edge_autoglm.runtime.engines.standard.sizes import StepShape
from edge_autoglm.runtime.engines.standard.steps import by_name, cache_names, empty_inputs, write_decode, write_page
from tests.runtime.engines.standard.engines_for_tests import COLUMNS, SIZES, TEXT

_PRECISIONS = ("fp32", "fp16", "int8", "w8a8", "int4")


@pytest.mark.parametrize(("precision", "kv"), [("fp32", "float32"), ("fp16", "float16"), ("int4", "float16")])
def test_facts_are_read_from_the_graph(tiny_graph: Callable[[str], Path], precision: str, kv: str) -> None:
    backend = OrtBackend.load(tiny_graph(precision), threads=1, provider="cpu", sizes=SIZES)
    assert backend.facts == GraphFacts(2, 2, 16, COLUMNS, np.dtype(kv), 320, in_place=True)
    assert backend.sizes == SIZES


@pytest.mark.parametrize(("precision", "kv"), [("fp32", "float32"), ("int8", "float16")])
def test_a_graph_that_leaves_its_cache_alone_is_told_by_its_inputs(
    tiny_graph: Callable[[str], Path], precision: str, kv: str
) -> None:
    backend = OrtBackend.load(tiny_graph(f"decomposed-{precision}"), threads=1, provider="cpu", sizes=SIZES)
    assert backend.facts == GraphFacts(2, 2, 16, COLUMNS, np.dtype(kv), 320, in_place=False)


@pytest.mark.parametrize("precision", _PRECISIONS)
@pytest.mark.parametrize("shape", [StepShape(1, 16, 64, 8), StepShape(2, 1, 64, 2)])
def test_a_cache_that_is_written_in_place_is_what_a_copy_would_be(
    tiny_graph: Callable[[str], Path], precision: str, shape: StepShape
) -> None:
    """Every value of past, present and logits, against a run whose outputs are memory of their own."""
    session = open_session(tiny_graph(precision), 1, [(CPU, {})])
    facts = OrtBackend.load(tiny_graph(precision), threads=1, provider="cpu").facts
    rng = np.random.default_rng(3)
    kv = rng.standard_normal((4, 5, facts.kv_heads, COLUMNS, facts.head_dim)).astype(facts.kv_dtype)
    kept, rows = kv.copy(), slice(2, 2 + shape.rows)
    inputs = empty_inputs(shape)
    if shape.tokens > 1:
        write_page(inputs, 32, np.array(TEXT[:11]), [3, 10])
    else:
        write_decode(inputs, {0: 7, 1: 8}, [40, 63], COLUMNS)
    logits = np.zeros((shape.wanted, 320), dtype=np.float32)

    names = ["logits", *(present for _, present in cache_names(2, True))]
    past = dict(zip((past for past, _ in cache_names(2, True)), kv[:, rows].copy(), strict=True))
    expected, *present = session.run(names, by_name(inputs, True) | past)
    step = CpuStep(session, inputs, kv[:, rows], None, logits)
    for _ in range(2):  # a page that is run again is written alike
        assert np.array_equal(step.run(shape.wanted), expected)
        assert np.array_equal(kv[:, rows], np.stack(present))
    kept[:, rows] = kv[:, rows]
    assert np.array_equal(kv, kept)
    assert not np.array_equal(np.stack(present), np.stack(list(past.values())))


@pytest.mark.parametrize("shape", [StepShape(1, 16, 64, 8), StepShape(2, 1, 64, 2)])
def test_what_a_graph_gives_is_put_into_its_rows_and_nowhere_else(
    tiny_graph: Callable[[str], Path], shape: StepShape
) -> None:
    backend = OrtBackend.load(tiny_graph("decomposed-fp16"), threads=1, provider="cpu", sizes=SIZES)
    kv = CpuKV(backend._place.session, backend.facts, 5, 8)
    kv._kv[:] = np.random.default_rng(3).standard_normal(kv._kv.shape)
    before, step = kv._kv.copy(), kv.bind(2, shape)
    columns = [32] if shape.tokens > 1 else [40, COLUMNS - 1]  # the second rides along, behind the live columns
    if shape.tokens > 1:
        write_page(step.inputs, 32, np.array(TEXT[:11]), [3, 10])
    else:
        write_decode(step.inputs, {0: 7}, [40, 63], COLUMNS)
    step.run(1)
    changed = np.any(kv._kv != before, axis=(0, 2, 4))
    expected = np.zeros_like(changed)
    for row, column in enumerate(columns, 2):
        expected[row, column : column + shape.tokens] = True
    assert np.array_equal(changed, expected)


def test_who_runs_an_operator_is_known(tiny_graph: Callable[[str], Path]) -> None:
    session = open_session(tiny_graph("fp16"), 1, [(CPU, {})])
    assert {"Attention", "TensorScatter"} <= set(nodes_on(session, CPU))
    assert nodes_on(session, "CUDAExecutionProvider") == []


def test_a_damaged_graph_is_named(tmp_path: Path) -> None:
    graph = tmp_path / "standard.onnx"
    graph.write_bytes(b"no graph")
    with pytest.raises(DamagedBundle, match=r"standard\.onnx.*cannot load"):
        OrtBackend.load(graph, threads=1, provider="cpu")


@pytest.mark.parametrize(
    "reason",
    ["CUDA failure 2: out of memory ; GPU=0", "bfc_arena.cc:376 Failed to allocate memory for requested buffer"],
)
def test_a_graph_that_finds_no_memory_is_not_called_damaged(reason: str) -> None:
    error = loading_error(Path("standard.onnx"), f"{reason}\nat some line")
    assert isinstance(error, MemoryBudgetExceeded)
    assert error.cause.startswith("standard.onnx")
    assert error.cause.endswith(reason)


def test_weights_that_are_missing_are_named(tiny_graph: Callable[[str], Path], tmp_path: Path) -> None:
    graph = tmp_path / "alone.onnx"
    graph.write_bytes(tiny_graph("fp16").read_bytes())
    with pytest.raises(DamagedBundle, match=r"alone\.onnx"):
        OrtBackend.load(graph, threads=1, provider="cpu")
