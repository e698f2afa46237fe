"""The CUDA runtime as the engines use it, on a GPU."""

from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edge_autoglm.errors import EngineError, MemoryBudgetExceeded
from edge_autoglm.runtime.engines.cuda.cudart import Cudart, Direction
from edge_autoglm.runtime.engines.cuda.device_memory import DeviceKV, DeviceKVArray, DeviceMemory

pytestmark = pytest.mark.gpu

SHAPE = (60, 8, 3, 256, 64)
"""Planes, slots, heads, columns, channels: of SmolLM2-135M."""
FLOAT16 = np.dtype(np.float16)


@pytest.fixture
def cudart() -> Cudart:
    return Cudart()


@pytest.fixture
def memory(cudart: Cudart) -> DeviceMemory:
    return DeviceMemory(cudart)


def _numbers(tokens: int) -> npt.NDArray[Any]:
    bits = np.random.default_rng(tokens).integers(0, 1 << 16, (SHAPE[0], SHAPE[2], tokens, SHAPE[4]), np.uint16)
    return bits.view(np.float16)


def _equal(left: Any, right: npt.NDArray[Any]) -> bool:
    """To the bit, NaN or not."""
    return np.array_equal(np.asarray(left).view(np.uint16), np.ascontiguousarray(right).view(np.uint16))


def test_a_range_of_tokens_goes_in_and_out_and_nothing_beside_it_changes(memory: DeviceMemory) -> None:
    kv, numbers = DeviceKV(memory, SHAPE, FLOAT16), _numbers(100)
    for slot in range(SHAPE[1]):
        assert not np.asarray(kv.copy_out(slot, 0, SHAPE[3])).any()
    kv.copy_in(3, 50, numbers, 100)
    assert _equal(kv.copy_out(3, 50, 150), numbers)
    assert _equal(kv.copy_out(3, 77, 78), numbers[:, :, 27:28])
    kv.copy_in(7, 156, kv.copy_out(3, 50, 150), 99)
    assert _equal(kv.copy_out(7, 156, 255), numbers[:, :, :99])
    for slot, begin, end in ((3, 0, 50), (3, 150, 256), (7, 0, 156), (7, 255, 256), (2, 0, 256), (4, 0, 256)):
        assert not np.asarray(kv.copy_out(slot, begin, end)).any()


@pytest.mark.parametrize(("axis", "begin", "end"), [(2, 0, 30), (2, 17, 18), (0, 1, 59), (1, 2, 3), (3, 5, 64)])
def test_a_part_of_a_copy(memory: DeviceMemory, axis: int, begin: int, end: int) -> None:
    kv, numbers = DeviceKV(memory, SHAPE, FLOAT16), _numbers(30)
    kv.copy_in(0, 0, numbers, 30)
    part = kv.copy_out(0, 0, 30).part(axis, begin, end)
    assert _equal(part, numbers[(slice(None),) * axis + (slice(begin, end),)])


def test_memory_comes_back(cudart: Cudart, memory: DeviceMemory) -> None:
    nbytes = 512 << 20
    before, _ = cudart.memory()
    array = DeviceKVArray(memory, (nbytes // 2,), FLOAT16)
    assert before - cudart.memory()[0] >= nbytes
    cycle: list[object] = [array]
    cycle.append(cycle)
    del array, cycle
    thread = threading.Thread(target=gc.collect)
    thread.start()
    thread.join()
    assert before - cudart.memory()[0] < nbytes


def test_more_than_there_is(cudart: Cudart) -> None:
    _, total = cudart.memory()
    with pytest.raises(MemoryBudgetExceeded, match="MB"):
        cudart.malloc(2 * total)
    cudart.free(cudart.malloc(256))


def test_a_graph_copies_what_is_there_when_it_is_launched(cudart: Cudart) -> None:
    stream, device = cudart.stream(), cudart.malloc(8)
    source, target = cudart.pinned((1,), np.int64), cudart.pinned((1,), np.int64)

    def enqueue() -> None:
        cudart.copy(Direction.TO_DEVICE, device, source.ctypes.data, 8, stream)
        cudart.copy(Direction.TO_HOST, target.ctypes.data, device, 8, stream)

    graph = cudart.capture(stream, enqueue)
    assert target[0] == 0
    begin, end = cudart.event(), cudart.event()
    for number in (7, 8):
        source[0] = number
        cudart.record(begin, stream)
        cudart.launch(graph, stream)
        cudart.record(end, stream)
        cudart.synchronize(stream)
        assert target[0] == number
        assert cudart.elapsed_ms(begin, end) > 0
    cudart.destroy_graph(graph)
    for event in (begin, end):
        cudart.destroy_event(event)
    cudart.free(device)
    cudart.destroy_stream(stream)


def test_what_cannot_be_captured_leaves_a_stream_that_works(cudart: Cudart) -> None:
    stream, device = cudart.stream(), cudart.malloc(8)
    with pytest.raises(EngineError):
        cudart.capture(stream, lambda: cudart.synchronize(stream))
    host = cudart.pinned((1,), np.int64)
    host[0] = 5
    cudart.zero(device, 8, stream)
    cudart.copy(Direction.TO_HOST, host.ctypes.data, device, 8, stream)
    cudart.synchronize(stream)
    assert host[0] == 0
    cudart.free(device)
    cudart.destroy_stream(stream)
