"""Steps of ONNX Runtime's CUDA provider as CUDA graphs: launched ones compute what plain ones do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edge_autoglm.runtime.engine import Chunk, Logits
from edge_autoglm.runtime.engines.standard.engine import StandardEngine
from edge_autoglm.runtime.engines.standard.ort_cuda_session import CudaSession
from tests.gpu.engines_on_gpu import open_on_cuda, write_graph
from tests.runtime.engines.standard.engines_for_tests import OTHER, TEXT, logits_of

pytestmark = pytest.mark.gpu

LENGTHS = (20, 5, 50, 100)
"""Of prompts: of one page and of several, in each live length."""


@pytest.fixture(params=["fp16", "int8", "decomposed-fp16"])
def graph(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_graph(tmp_path, request.param)


@pytest.fixture
def engine(graph: Path, caplog: pytest.LogCaptureFixture) -> Iterator[StandardEngine]:
    engine = open_on_cuda(graph, slots=4, capacity=120)
    yield engine
    engine.close()
    assert "without CUDA graphs" not in caplog.text


def bits(engine: StandardEngine, slot: int, length: int) -> list[npt.NDArray[np.uint8]]:
    """Logits of a prompt and of decode steps behind it, and the slot's KV in the end."""
    engine.truncate(slot, 0)
    found: list[Logits] = [logits_of(engine, slot, TEXT[:length])]
    for token in OTHER[:4]:
        found += engine.forward([Chunk(slot, [token])])
    kv, _ = engine.copy_out(slot, 0, length + 4).arrays
    return [np.ascontiguousarray(each).view(np.uint8) for each in (*found, np.asarray(kv))]


def equal(one: list[npt.NDArray[np.uint8]], other: list[npt.NDArray[np.uint8]]) -> bool:
    return all(np.array_equal(left, right) for left, right in zip(one, other, strict=True))


def test_steps_give_the_same_bits_with_and_without_graphs(
    engine: StandardEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without:
        without.setattr(CudaSession, "capture", lambda session, binding: None)
        plain = {length: bits(engine, 1, length) for length in LENGTHS}
    for _ in range(3):
        for length in reversed(LENGTHS):
            assert equal(bits(engine, 1, length), plain[length])


def test_forks_have_no_graphs_and_the_same_bits(engine: StandardEngine) -> None:
    expected = bits(engine, 0, 20)
    for _ in range(3):
        fork = engine.fork(4)
        for _ in range(3):
            assert equal(bits(fork, 0, 20), expected)
        fork.close()
        assert equal(bits(engine, 0, 20), expected)


def test_memory_may_come_and_go_and_sessions_be_opened_while_steps_are_captured(
    engine: StandardEngine, graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()
    with monkeypatch.context() as without:
        without.setattr(CudaSession, "capture", lambda session, binding: None)
        plain = [bits(engine, slot, 20) for slot in range(4)]

    def copy() -> None:
        while not stop.is_set():
            other.copy_out(0, 0, 20)

    other = engine.fork(4)
    logits_of(other, 0, TEXT[:20])
    copying = threading.Thread(target=copy)
    copying.start()
    opening = threading.Thread(target=lambda: open_on_cuda(graph, slots=1, capacity=60).close())
    opening.start()
    try:
        for _ in range(3):
            for slot in range(4):
                assert equal(bits(engine, slot, 20), plain[slot])
    finally:
        stop.set()
        copying.join()
        opening.join()
        other.close()
