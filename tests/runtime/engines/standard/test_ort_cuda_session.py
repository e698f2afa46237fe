"""When a session runs as graphs and when it does not, over recording doubles: no CUDA, and no execution."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import onnxruntime as ort
import pytest

from edge_autoglm.errors import DamagedBundle, MissingDependency
from edge_autoglm.runtime.engines.cuda.cudart import Cudart
from edge_autoglm.runtime.engines.standard.ort_cuda_session import CudaSession
from tests.runtime.engines.cuda.recording_cudart import RecordingCudart

REFUSED = DamagedBundle(
    "standard.onnx: ONNX Runtime cannot load the graph: [ONNXRuntimeError] : 1 : FAIL : This session cannot use the "
    "graph capture feature as requested by the user  as all compute graph nodes have not been partitioned to the "
    "CUDAExecutionProvider",
    "Update ONNX Runtime.",
)
"""The words of ONNX Runtime 1.31.1."""
BINDING: Any = object()


class RecordingSession:
    """Records the graph ids of its runs; fails those that are to be captured, if told to."""

    def __init__(self, captures_fail: bool = False) -> None:
        self.graphs: list[int] = []
        self._captures_fail = captures_fail

    def run_with_iobinding(self, binding: Any, options: ort.RunOptions) -> None:
        graph = int(options.get_run_config_entry("gpu_graph_id"))
        self.graphs.append(graph)
        if graph >= 0 and self._captures_fail:
            raise RuntimeError("CUDA failure 901")


@pytest.fixture
def cudart() -> RecordingCudart:
    return RecordingCudart()


@pytest.fixture
def opened(cudart: RecordingCudart) -> Iterator[Callable[[Any], CudaSession]]:
    """Opens a session; no thread of it may be left in the end."""
    before = set(threading.enumerate())
    made: list[CudaSession] = []

    def make(open_session: Callable[[bool], Any]) -> CudaSession:
        made.append(CudaSession(open_session, Cudart(library=cudart)))
        return made[-1]

    yield make
    for session in made:
        session.close()
    assert set(threading.enumerate()) <= before


def test_it_is_opened_on_a_thread_that_lets_captures_of_others_be(
    opened: Callable[[Any], CudaSession], cudart: RecordingCudart
) -> None:
    threads = []

    def open_session(graphs: bool) -> RecordingSession:
        threads.append(threading.get_ident())
        assert graphs
        return RecordingSession()

    opened(open_session)
    assert threads != [threading.get_ident()]
    assert cudart.capture_modes[threads[0]] == 1


def test_each_capture_has_an_id_of_its_own(opened: Callable[[Any], CudaSession]) -> None:
    recorded = RecordingSession()
    session = opened(lambda graphs: recorded)
    session.run(BINDING)
    first, second = session.capture(BINDING), session.capture(BINDING)
    for graph in (first, second, first):
        assert graph is not None
        session.launch(BINDING, graph)
    assert recorded.graphs == [-1, 1, 2, 1, 2, 1]


def test_where_graphs_are_refused_there_are_none(
    opened: Callable[[Any], CudaSession], caplog: pytest.LogCaptureFixture
) -> None:
    recorded = RecordingSession()

    def open_session(graphs: bool) -> RecordingSession:
        if graphs:
            raise REFUSED
        return recorded

    session = opened(open_session)
    assert session.session is recorded
    assert session.capture(BINDING) is None
    assert recorded.graphs == []
    [record] = caplog.records
    assert "without CUDA graphs" in record.message
    assert "not been partitioned" in record.message


def test_what_else_keeps_it_from_opening_is_for_the_caller(opened: Callable[[Any], CudaSession]) -> None:
    tried = []

    def open_session(graphs: bool) -> RecordingSession:
        tried.append(graphs)
        raise MissingDependency("no CUDA kernel for Erf", "Update it.")

    with pytest.raises(MissingDependency, match="Erf"):
        opened(open_session)
    assert tried == [True]


def test_after_a_capture_that_failed_there_is_no_other(
    opened: Callable[[Any], CudaSession], caplog: pytest.LogCaptureFixture
) -> None:
    recorded = RecordingSession(captures_fail=True)
    session = opened(lambda graphs: recorded)
    assert session.capture(BINDING) is None
    assert session.capture(BINDING) is None
    session.run(BINDING)
    assert recorded.graphs == [1, -1]
    [record] = caplog.records
    assert "CUDA failure 901" in record.message


def test_a_step_does_not_wait_for_a_model_to_load(opened: Callable[[Any], CudaSession]) -> None:
    running = opened(lambda graphs: RecordingSession())
    tried: list[ort.RunOptions | None] = []

    def load(graphs: bool) -> RecordingSession:
        tried.append(running.capture(BINDING))
        return RecordingSession()

    opened(load)
    assert tried == [None]
    assert running.capture(BINDING) is not None


def test_it_is_closed_from_any_thread_and_more_than_once(opened: Callable[[Any], CudaSession]) -> None:
    session = opened(lambda graphs: RecordingSession())
    closing = [threading.Thread(target=session.close) for _ in range(3)]
    for thread in closing:
        thread.start()
    for thread in closing:
        thread.join()
    assert session.session is None
