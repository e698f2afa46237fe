"""Against a double of the library: nothing runs on a GPU here (see ``tests/gpu`` for what does)."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable

import numpy as np
import pytest

from edge_autoglm.errors import EdgeAutoGLMError, EngineError, MemoryBudgetExceeded, MissingDependency
from edge_autoglm.runtime.engines.cuda.cudart import Cudart, Direction
from tests.runtime.engines.cuda.recording_cudart import Call, RecordingCudart


@pytest.fixture
def library() -> RecordingCudart:
    return RecordingCudart()


@pytest.fixture
def cudart(library: RecordingCudart) -> Cudart:
    return Cudart(0, library)


def _pinned_one(cudart: Cudart) -> object:
    return cudart.pinned((1,), np.int64)


def test_memory_that_the_device_has_not_is_refused_with_sizes(cudart: Cudart, library: RecordingCudart) -> None:
    cudart.malloc(1_000_000)
    with pytest.raises(MemoryBudgetExceeded, match=r"no 2,000 MB in one piece left: 1,073 MB of 1,074 MB") as caught:
        cudart.malloc(2_000_000_000)
    assert "fewer slots" in caught.value.cure
    assert library.used == 1_000_000
    assert library.last_error == 0


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (2, MemoryBudgetExceeded, "cudaErrorMemoryAllocation"),
        (34, MissingDependency, "driver is missing, or too old .*CUDA 13.2"),
        (35, MissingDependency, "driver is missing, or too old .*CUDA 13.2"),
        (100, EngineError, "no GPU 0"),
        (101, EngineError, "no GPU 0"),
        (700, EngineError, r"failed on GPU 0: status 700"),
    ],
)
@pytest.mark.parametrize(
    ("function", "use"),
    [
        ("cudaSetDevice", Cudart.make_current),
        ("cudaSetDevice", Cudart.stream),
        ("cudaHostAlloc", _pinned_one),
        ("cudaStreamCreateWithFlags", Cudart.stream),
        ("cudaEventCreate", Cudart.event),
        ("cudaMemGetInfo", Cudart.memory),
    ],
)
def test_every_status_is_an_error_of_ours(
    cudart: Cudart,
    library: RecordingCudart,
    status: int,
    kind: type[EdgeAutoGLMError],
    words: str,
    function: str,
    use: Callable[[Cudart], object],
) -> None:
    library.statuses[function] = status
    if (function, status) == ("cudaHostAlloc", 2):
        words = "the host has no 0 MB left to pin"
    with pytest.raises(kind, match=words) as caught:
        use(cudart)
    assert caught.value.cure
    assert library.last_error == 0, "another library would take it for its own"


def test_a_device_that_is_not_there(library: RecordingCudart) -> None:
    with pytest.raises(EngineError, match="no GPU 3: this process can use 1"):
        Cudart(3, library).make_current()


def test_without_a_driver_there_are_no_devices(cudart: Cudart, library: RecordingCudart) -> None:
    assert cudart.device_count() == 1
    library.statuses["cudaGetDeviceCount"] = 35
    assert cudart.device_count() == 0
    assert library.last_error == 0


def test_every_thread_works_on_the_device(cudart: Cudart, library: RecordingCudart) -> None:
    made: list[int] = []
    thread = threading.Thread(target=lambda: made.append(cudart.malloc(10)))
    thread.start()
    thread.join()
    assert library.set_on == {thread.ident}
    cudart.free(made[0])
    assert library.set_on == {thread.ident, threading.get_ident()}
    assert not library.allocated


def test_pinned_memory_goes_with_the_last_view_of_it(cudart: Cudart, library: RecordingCudart) -> None:
    array = cudart.pinned((3, 4), np.int64)
    assert array.shape == (3, 4)
    assert not array.any()
    assert library.pinned == {array.ctypes.data: 96}
    view = array[1:]
    del array
    view[:] = 7
    assert library.pinned
    del view
    assert not library.pinned


def test_copies_go_to_the_stream_with_the_library_s_own_numbers(cudart: Cudart, library: RecordingCudart) -> None:
    stream, device, host = cudart.stream(), cudart.malloc(16), cudart.pinned((2,), np.int64)
    assert library.calls[0].arguments == (1,), "cudaStreamNonBlocking"
    host[:] = 5, 6
    cudart.copy(Direction.TO_DEVICE, device, host.ctypes.data, 16, stream)
    host[:] = 0
    cudart.copy(Direction.TO_HOST, host.ctypes.data, device, 16, stream)
    assert host.tolist() == [5, 6]
    kinds = [call.arguments[3] for call in library.named("cudaMemcpyAsync")]
    assert kinds == [1, 2]


def test_a_graph_holds_what_was_enqueued_and_runs_it_when_it_is_launched(
    cudart: Cudart, library: RecordingCudart
) -> None:
    stream, device, host = cudart.stream(), cudart.malloc(8), cudart.pinned((1,), np.int64)
    host[:], collecting = 3, []

    def enqueue() -> None:
        cudart.copy(Direction.TO_DEVICE, device, host.ctypes.data, 8, stream)
        collecting.append(gc.isenabled())

    graph = cudart.capture(stream, enqueue)
    assert collecting == [False], "a collection may free memory, which ends the capture"
    assert gc.isenabled()
    assert library.bytes_at(device, 8).view(np.int64) != 3
    for number in (4, 5):
        host[:] = number
        cudart.launch(graph, stream)
        assert library.bytes_at(device, 8).view(np.int64) == number
    assert not library.templates
    cudart.destroy_graph(graph)
    assert not library.graphs
    assert library.named("cudaStreamBeginCapture") == [Call("cudaStreamBeginCapture", (stream, 1))], "thread-local"


def test_a_capture_that_fails_leaves_nothing(cudart: Cudart, library: RecordingCudart) -> None:
    stream = cudart.stream()

    def fails() -> None:
        raise EngineError("a step fails.", "Do without.")

    with pytest.raises(EngineError, match="a step fails"):
        cudart.capture(stream, fails)
    with pytest.raises(EngineError, match="cudaErrorStreamCaptureUnsupported"):
        cudart.capture(stream, lambda: cudart.synchronize(stream))
    library.statuses["cudaGraphInstantiateWithFlags"] = 900
    with pytest.raises(EngineError, match="cudaGraphInstantiateWithFlags"):
        cudart.capture(stream, lambda: None)
    assert not library.capturing
    assert not library.templates
    assert not library.graphs
    assert gc.isenabled()


def test_events_take_times(cudart: Cudart, library: RecordingCudart) -> None:
    stream, begin, end = cudart.stream(), cudart.event(), cudart.event()
    cudart.record(begin, stream)
    cudart.record(end, stream)
    cudart.synchronize(stream)
    assert cudart.elapsed_ms(begin, end) == 0.25
    for event in (begin, end):
        cudart.destroy_event(event)
    cudart.destroy_stream(stream)
    assert not library.events
    assert not library.streams
